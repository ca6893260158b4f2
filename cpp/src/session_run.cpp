// Running a session on host arrays, and timing it.
#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda_driver.hpp"
#include "session_state.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

HostTensor const& find_input(TensorInfo const& expected, std::map<std::string, HostTensor> const& inputs) {
  auto const found = inputs.find(expected.name);
  if (found == inputs.end()) {
    throw Error(ErrorKind::kInput, "input \"" + expected.name + "\" is missing",
                {"", std::string(name_of(expected.dtype)) + " " + to_string(expected.shape), ""});
  }
  HostTensor const& given = found->second;
  if (given.dtype != expected.dtype) {
    throw Error(ErrorKind::kInput, "input \"" + expected.name + "\": wrong type",
                {name_of(given.dtype), name_of(expected.dtype), ""});
  }
  std::size_t const bytes = bytes_of(given.dtype, element_count(given.shape));
  if (given.data.size() != bytes) {
    throw Error(ErrorKind::kInput, "input \"" + expected.name + "\": the data does not fill the shape",
                {std::to_string(given.data.size()) + " bytes", std::to_string(bytes) + " bytes", ""});
  }
  return given;
}

}  // namespace

void Session::State::fill(TensorSlot& slot, void const* data) {
  auto* const pinned = static_cast<std::byte*>(slot.host->data());
  if (!slot.copied() || !slot.large()) {
    copy_for_device(pinned, data, slot.bytes);
    return;
  }
  cuda::ContextGuard const guard(engine.cuda_context());
  in_flight = true;
  for (std::size_t done = 0; done < slot.bytes; done += TensorSlot::kPiece) {
    std::size_t const size = std::min(TensorSlot::kPiece, slot.bytes - done);
    copy_for_device(pinned + done, static_cast<std::byte const*>(data) + done, size);
    copy_to_device(*slot.device, *slot.host, size, stream.handle(), done);
  }
  slot.uploaded = true;
}

void Session::State::upload_large() {
  for (std::size_t const i : inputs) {
    TensorSlot& slot = slots[i];
    bool const there = std::exchange(slot.uploaded, false);
    if (!there && slot.copied() && slot.large()) {
      copy_to_device(*slot.device, *slot.host, slot.bytes, stream.handle());
    }
  }
}

void Session::fill(std::size_t input, void const* data) {
  TensorSlot& slot = state_->slots.at(input);
  try {
    state_->fill(slot, data);
  } catch (...) {
    state_->abandon();
    throw;
  }
}

std::map<std::string, HostTensor> Session::run(std::map<std::string, HostTensor> const& inputs) {
  State& s = *state_;
  std::vector<HostTensor const*> given;
  std::vector<Shape> shapes;
  for (std::size_t const i : s.inputs) {
    given.push_back(&find_input(s.slots[i].info, inputs));
    shapes.push_back(given.back()->shape);
  }
  if (inputs.size() != given.size()) {
    throw Error(ErrorKind::kInput, "inputs that the engine does not have were given",
                {std::to_string(inputs.size()) + " inputs", std::to_string(given.size()), ""});
  }
  set_shapes(shapes);
  for (std::size_t k = 0; k < given.size(); ++k) {
    set_device_input(s.inputs[k], nullptr);
    fill(s.inputs[k], given[k]->data.data());
  }
  launch();
  wait();
  std::map<std::string, HostTensor> results;
  for (std::size_t const i : s.outputs) {
    TensorSlot const& slot = s.slots[i];
    HostTensor result{slot.info.dtype, slot.shape, {}};
    result.data.resize(slot.bytes);
    if (slot.bytes != 0) std::memcpy(result.data.data(), slot.host->data(), slot.bytes);
    results.emplace(slot.info.name, std::move(result));
  }
  return results;
}

std::vector<float> Session::time_launches(int count, int ahead) {
  State& s = *state_;
  if (!s.enqueued && !s.graph) throw Error(ErrorKind::kEngine, "nothing to time", {"no run before", "a run", ""});
  cuda::ContextGuard const guard(s.engine.cuda_context());
  void* const stream = s.stream.handle();
  std::optional<Graph> work;
  if (s.graphs && s.graph_problem.empty() && !s.data_dependent) {
    try {
      work = Graph::capture(stream, [&] { s.context.enqueue(stream); });
    } catch (Error const& error) {
      s.graph_problem = error.what();
    }
  }
  std::size_t const depth = 1U + static_cast<std::size_t>(std::max(ahead, 0));
  std::vector<Event> const starts(depth);
  std::vector<Event> const stops(depth);
  std::vector<float> times;
  auto const land = [&] {
    std::size_t const place = times.size() % depth;
    times.push_back(stops[place].since(starts[place]));
  };
  auto const all = static_cast<std::size_t>(std::max(count, 0));
  for (std::size_t i = 0; i < all; ++i) {
    if (i >= depth) land();
    starts[i % depth].record(stream);
    if (work) {
      work->launch(stream);
    } else {
      s.context.enqueue(stream);
    }
    stops[i % depth].record(stream);
  }
  while (times.size() < all) land();
  return times;
}

std::vector<std::pair<std::string, float>> Session::profile_layers() {
  if (!state_->enqueued && !state_->graph) {
    throw Error(ErrorKind::kEngine, "nothing to profile", {"no run before", "a run", ""});
  }
  return state_->context.profile_layers(state_->stream.handle());
}

}  // namespace tf2trt
