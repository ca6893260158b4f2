#include "interface.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "shared_engine.hpp"

using tf2trt::Shape;
using tf2trt::hybrid::Binding;
using tf2trt::hybrid::NoFit;
using tf2trt::hybrid::SharedEngine;

struct tf2trt_hybrid_engine {
  std::shared_ptr<SharedEngine> shared;
};

struct tf2trt_hybrid_run {
  std::shared_ptr<SharedEngine> shared;
  SharedEngine::Slot* slot;
};

namespace {

struct Folders {
  std::mutex mutex;
  std::vector<std::string> paths;
};

Folders& folders() {
  static auto& once = *new Folders;
  return once;
}

void write(tf2trt_hybrid_message message, char const* text) noexcept {
  if (message.size == 0) return;
  std::size_t const length = std::min(std::strlen(text), message.size - 1);
  std::memcpy(message.text, text, length);
  message.text[length] = '\0';
}

// No exception passes to the caller.
template <class F>
int guarded(tf2trt_hybrid_message message, F body) noexcept {
  try {
    body();
    return TF2TRT_HYBRID_OK;
  } catch (NoFit const& reason) {
    write(message, reason.what());
    return TF2TRT_HYBRID_NO_FIT;
  } catch (std::exception const& error) {
    write(message, error.what());
  } catch (...) {
    write(message, "an unknown error");
  }
  return TF2TRT_HYBRID_FAILED;
}

std::vector<Binding> bindings(tf2trt_hybrid_tensor const* tensors, std::size_t count) {
  std::vector<Binding> found;
  found.reserve(count);
  for (std::size_t i = 0; i < count; ++i) found.push_back({tensors[i].name, tensors[i].dtype});
  return found;
}

}  // namespace

void tf2trt_hybrid_search(char const* const* paths, size_t count) {
  std::scoped_lock const lock(folders().mutex);
  folders().paths.assign(paths, paths + count);
}

int tf2trt_hybrid_open(char const* path, int device, tf2trt_hybrid_tensor const* inputs, size_t input_count,
                       tf2trt_hybrid_tensor const* outputs, size_t output_count, tf2trt_hybrid_engine** opened,
                       tf2trt_hybrid_message message) {
  return guarded(message, [&] {
    std::vector<std::string> places;
    {
      std::scoped_lock const lock(folders().mutex);
      places = folders().paths;
    }
    auto shared =
        SharedEngine::open(path, device, places, bindings(inputs, input_count), bindings(outputs, output_count));
    *opened = new tf2trt_hybrid_engine{std::move(shared)};
  });
}

void tf2trt_hybrid_close(tf2trt_hybrid_engine* engine) { delete engine; }

int tf2trt_hybrid_begin(tf2trt_hybrid_engine* engine, void* stream, tf2trt_hybrid_shape const* inputs,
                        tf2trt_hybrid_shape* outputs, size_t* scratch_size, tf2trt_hybrid_run** begun,
                        tf2trt_hybrid_message message) {
  return guarded(message, [&] {
    std::vector<Shape> shapes;
    shapes.reserve(engine->shared->input_count());
    for (std::size_t i = 0; i < engine->shared->input_count(); ++i) {
      shapes.emplace_back(inputs[i].extents, inputs[i].extents + inputs[i].rank);
    }
    auto run = std::make_unique<tf2trt_hybrid_run>(tf2trt_hybrid_run{engine->shared, nullptr});
    run->slot = &engine->shared->begin(stream, shapes);
    for (std::size_t i = 0; i < run->slot->outputs.size(); ++i) {
      Shape const& shape = run->slot->outputs[i];
      outputs[i].rank = static_cast<std::int32_t>(shape.size());
      std::copy(shape.begin(), shape.end(), outputs[i].extents);
    }
    *scratch_size = engine->shared->scratch_size();
    *begun = run.release();
  });
}

int tf2trt_hybrid_enqueue(tf2trt_hybrid_run* run, void const* const* inputs, void* const* outputs, void* scratch,
                          tf2trt_hybrid_message message) {
  return guarded(message, [&] { run->shared->enqueue(*run->slot, inputs, outputs, scratch); });
}

void tf2trt_hybrid_end(tf2trt_hybrid_run* run) {
  run->shared->end(*run->slot);
  delete run;
}
