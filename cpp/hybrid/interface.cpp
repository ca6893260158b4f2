#include "interface.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "segment_engines.hpp"

using tf2trt::Shape;
using tf2trt::hybrid::Binding;
using tf2trt::hybrid::NoFit;
using tf2trt::hybrid::Segment;
using tf2trt::hybrid::SegmentEngines;

struct tf2trt_hybrid_engines {
  std::shared_ptr<SegmentEngines> shared;
};

struct tf2trt_hybrid_run {
  SegmentEngines::Begun begun;
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

int tf2trt_hybrid_open(tf2trt_hybrid_segment const* segment, int device, tf2trt_hybrid_engines** opened,
                       tf2trt_hybrid_message message) {
  return guarded(message, [&] {
    std::vector<std::string> places;
    {
      std::scoped_lock const lock(folders().mutex);
      places = folders().paths;
    }
    Segment wanted;
    wanted.engine = segment->engine;
    wanted.onnx = segment->onnx;
    wanted.calibration = segment->calibration;
    wanted.options.precision = tf2trt::precision_of(segment->precision);
    wanted.options.workspace = static_cast<std::size_t>(segment->workspace);
    wanted.generation = segment->generation;
    wanted.most_built = static_cast<std::size_t>(segment->most_built);
    wanted.inputs = bindings(segment->inputs, segment->input_count);
    wanted.outputs = bindings(segment->outputs, segment->output_count);
    auto shared = SegmentEngines::open(wanted, device, places);
    *opened = new tf2trt_hybrid_engines{std::move(shared)};
  });
}

void tf2trt_hybrid_close(tf2trt_hybrid_engines* engines) { delete engines; }

int tf2trt_hybrid_begin(tf2trt_hybrid_engines* engines, void* stream, tf2trt_hybrid_shape const* inputs, int must_run,
                        tf2trt_hybrid_shape* outputs, tf2trt_hybrid_begun* begun, tf2trt_hybrid_message message) {
  *begun = {};
  bool built = false;
  int const status = guarded(message, [&] {
    std::vector<Shape> shapes;
    shapes.reserve(engines->shared->input_count());
    for (std::size_t i = 0; i < engines->shared->input_count(); ++i) {
      shapes.emplace_back(inputs[i].extents, inputs[i].extents + inputs[i].rank);
    }
    auto run = std::make_unique<tf2trt_hybrid_run>();
    run->begun = engines->shared->begin(stream, shapes, must_run != 0, built);
    auto const& found = run->begun.slot->outputs;
    for (std::size_t i = 0; i < found.size(); ++i) {
      outputs[i].rank = static_cast<std::int32_t>(found[i].size());
      std::copy(found[i].begin(), found[i].end(), outputs[i].extents);
    }
    begun->scratch_size = run->begun.engine->scratch_size();
    begun->run = run.release();
  });
  begun->built = built ? 1 : 0;
  return status;
}

int tf2trt_hybrid_enqueue(tf2trt_hybrid_run* run, void const* const* inputs, void* const* outputs, void* scratch,
                          tf2trt_hybrid_message message) {
  return guarded(message, [&] { run->begun.engine->enqueue(*run->begun.slot, inputs, outputs, scratch); });
}

void tf2trt_hybrid_end(tf2trt_hybrid_run* run) {
  run->begun.engine->end(*run->begun.slot);
  delete run;
}
