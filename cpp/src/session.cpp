#include "tf2trt/session.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda_driver.hpp"
#include "session_state.hpp"
#include "tf2trt/device.hpp"
#include "tf2trt/error.hpp"

namespace tf2trt {
namespace {

bool uses_mapped_memory(MemoryMode memory, void* cuda_context) {
  if (memory != MemoryMode::kAuto) return memory == MemoryMode::kMapped;
  cuda::ContextGuard const guard(cuda_context);
  return cuda::is_integrated();
}

// Memory of another CUDA context cannot be read by our kernels; managed memory and that of pools belongs to none.
void check_owner(TensorSlot const& slot, void* address, void* cuda_context) {
  constexpr int kContext = 1;  // CU_POINTER_ATTRIBUTE_CONTEXT
  if (address == nullptr) return;
  void* owner = nullptr;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): CUdeviceptr is an integer
  auto const pointer = reinterpret_cast<cuda::DevicePtr>(address);
  if (cuda::driver().pointer_attribute(static_cast<void*>(&owner), kContext, pointer) != 0) {
    throw Error(ErrorKind::kInput, "input '" + slot.info.name + "': not an address in the GPU's memory");
  }
  if (owner == nullptr || owner == cuda_context) return;
  throw Error(ErrorKind::kInput, "input '" + slot.info.name + "' lies in another CUDA context",
              {"memory of a context that its library made for itself", "memory of the GPU's primary context",
               "with pycuda: import pycuda.autoprimaryctx, not pycuda.autoinit"});
}

bool takes(ShapeRange const& range, Shape const& shape) {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < range.min[i] || shape[i] > range.max[i]) return false;
  }
  return true;
}

}  // namespace

void* TensorSlot::device_address() const noexcept {
  if (on_host()) return nullptr;
  if (given != nullptr) return given;
  if (device) return device->data();
  return host ? host->device_data() : nullptr;
}

void* TensorSlot::address() const noexcept { return on_host() ? host->data() : device_address(); }

void TensorSlot::reserve(std::size_t size, bool mapped) {
  if (host && host->size() >= size) return;
  host.reset();  // before the new one: the larger of the two may not fit beside it
  device.reset();
  auto fresh = std::make_shared<PinnedBuffer>(size, mapped && !on_host());
  if (!mapped && !on_host()) device = std::make_shared<DeviceBuffer>(size);
  host = std::move(fresh);
}

Session::State::State(Engine shared, MemoryMode memory, bool with_graphs)
    : engine(std::move(shared)),
      mapped(uses_mapped_memory(memory, engine.cuda_context())),
      graphs(with_graphs),
      context(engine.create_context()) {
  auto const& tensors = engine.tensors();
  slots.resize(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    slots[i].info = tensors[i];
    (tensors[i].is_input ? inputs : outputs).push_back(i);
    has_shape_inputs = has_shape_inputs || (tensors[i].is_input && tensors[i].on_host);
  }
  bool const dynamic =
      std::any_of(inputs.begin(), inputs.end(), [&](std::size_t i) { return is_dynamic(slots[i].info); });
  if (!dynamic && !has_shape_inputs) return;
  for (int number = 0; number < engine.profile_count(); ++number) {
    auto& ranges = profiles.emplace_back();
    for (std::size_t const i : inputs) ranges.push_back(engine.profile_shape(slots[i].info.name, number));
  }
  claim_profile();
}

// In TensorRT 8 only an engine's first context has a profile from the start, and unless the engine shares its profiles,
// as those that tf2trt builds with 8.6 do, each serves one context.
void Session::State::claim_profile() {
  for (profile = 0;; ++profile) {
    try {
      context.set_profile(profile, stream.handle());
      break;
    } catch (Error const& error) {
      if (profile + 1 < static_cast<int>(profiles.size())) continue;
      throw Error(ErrorKind::kEngine, "another execution context has each of the engine's optimisation profiles",
                  {error.what(), "a profile for each context",
                   "build the engine again with TensorRT 8.6 or later, or close the other context"});
    }
  }
  stream.synchronize();
}

void Session::State::choose_profile(std::vector<Shape> const& shapes) {
  auto const fits = [&](std::vector<ShapeRange> const& ranges) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (!slots[inputs[i]].on_host() && !takes(ranges[i], shapes[i])) return false;
    }
    return true;
  };
  if (profiles.empty() || fits(profiles[static_cast<std::size_t>(profile)])) return;
  auto const found = std::find_if(profiles.begin(), profiles.end(), fits);
  if (found != profiles.end()) {
    profile = static_cast<int>(found - profiles.begin());
    context.set_profile(profile, stream.handle());
    stream.synchronize();
    return;
  }
  auto const& current = profiles[static_cast<std::size_t>(profile)];
  std::size_t wrong = 0;
  while (slots[inputs[wrong]].on_host() || takes(current[wrong], shapes[wrong])) ++wrong;
  std::string expected;
  for (auto const& ranges : profiles) {
    expected += (expected.empty() ? "" : " or ") + to_string(ranges[wrong].min) + " to " + to_string(ranges[wrong].max);
  }
  throw Error(ErrorKind::kInput,
              "input '" + slots[inputs[wrong]].info.name + "' is outside the shapes that the engine was built for",
              {to_string(shapes[wrong]), expected, "build the engine with other --min-shapes and --max-shapes"});
}

void Session::State::set_shapes(std::vector<Shape> const& given) {
  if (given.size() != inputs.size()) {
    throw Error(ErrorKind::kInput, "shapes: not as many as the engine has inputs",
                {std::to_string(given.size()), std::to_string(inputs.size()), ""});
  }
  bool same = shaped;
  bool nothing = !given.empty();
  for (std::size_t i = 0; i < given.size(); ++i) {
    TensorSlot const& slot = slots[inputs[i]];
    same = same && slot.shape == given[i];
    Shape const& wanted = slot.info.shape;
    bool fits = given[i].size() == wanted.size();
    for (std::size_t k = 0; fits && k < wanted.size(); ++k) fits = given[i][k] == wanted[k] || wanted[k] < 0;
    if (!fits) {
      throw Error(ErrorKind::kInput, "input '" + slot.info.name + "' has the wrong shape",
                  {to_string(given[i]), to_string(wanted), ""});
    }
    nothing = nothing && !wanted.empty() && wanted[0] < 0 && given[i][0] == 0 && !profiles.empty() &&
              profiles[static_cast<std::size_t>(profile)][i].min[0] > 0;
  }
  if (same) return;
  if (std::exchange(in_flight, false)) stream.synchronize();  // filled for the old shapes and never launched
  std::vector<Shape> shapes = given;
  for (std::size_t i = 0; nothing && i < shapes.size(); ++i) {
    shapes[i][0] = profiles[static_cast<std::size_t>(profile)][i].min[0];
  }
  shaped = resolved = false;
  forget_graph();
  choose_profile(shapes);
  for (std::size_t i = 0; i < given.size(); ++i) {
    TensorSlot& slot = slots[inputs[i]];
    if (!slot.on_host()) context.set_input_shape(slot.info.name, shapes[i]);
    slot.shape = given[i];
    slot.uploaded = false;
    slot.bytes = bytes_of(slot.info.dtype, element_count(slot.shape));
    if (slot.given == nullptr) slot.reserve(slot.bytes, mapped);
  }
  empty = nothing;
  shaped = true;
}

void Session::State::tell_address(TensorSlot& slot) {
  void* const address = slot.address();
  if (slot.told == address) return;
  slot.told = nullptr;
  context.set_tensor_address(slot.info.name, address);
  slot.told = address;
  forget_graph();
}

bool Session::State::shape_values_changed() {
  std::vector<std::byte> values;
  for (std::size_t const i : inputs) {
    TensorSlot const& slot = slots[i];
    if (!slot.on_host()) continue;
    auto const* data = static_cast<std::byte const*>(slot.host->data());
    values.insert(values.end(), data, data + slot.bytes);
  }
  if (values == shape_values) return false;
  shape_values = std::move(values);
  return true;
}

void Session::State::resolve() {
  for (std::size_t const i : inputs) {
    if (slots[i].on_host()) tell_address(slots[i]);  // inference reads the values
  }
  if (auto const missing = context.unresolved_inputs(); !missing.empty()) {
    throw Error(ErrorKind::kEngine, "TensorRT wants more than the inputs' shapes", {missing.front(), "", ""});
  }
  data_dependent = false;
  for (std::size_t const i : outputs) {
    TensorSlot& slot = slots[i];
    slot.shape = context.tensor_shape(slot.info.name);
    if (empty && !slot.shape.empty() && slot.info.shape[0] < 0) slot.shape[0] = 0;
    slot.data_dependent = std::any_of(slot.shape.begin(), slot.shape.end(), [](auto extent) { return extent < 0; });
    if (slot.data_dependent) {
      data_dependent = true;
      allocate_when_asked(slot);
      continue;
    }
    slot.bytes = bytes_of(slot.info.dtype, element_count(slot.shape));
    slot.reserve(slot.bytes, mapped);
  }
  for (auto& slot : slots) {
    if (!slot.data_dependent) tell_address(slot);
  }
  resolved = true;
}

void Session::State::forget_graph() noexcept {
  graph.reset();
  enqueued = false;
}

// After a failure: the next run must not meet copies that are still in flight.
void Session::State::abandon() {
  cuda::ContextGuard const guard(engine.cuda_context());
  cuda::driver().stream_synchronize(stream.handle());
  in_flight = false;
  for (auto& slot : slots) slot.uploaded = false;
  forget_graph();
}

void Session::State::queue(bool with_download) {
  void* const handle = stream.handle();
  for (std::size_t const i : inputs) {
    TensorSlot const& slot = slots[i];
    if (slot.copied() && !slot.large()) copy_to_device(*slot.device, *slot.host, slot.bytes, handle);
  }
  context.enqueue(handle);
  for (std::size_t const i : outputs) {
    TensorSlot const& slot = slots[i];
    bool const copied = with_download && slot.device && !slot.data_dependent && slot.bytes != 0;
    if (copied) copy_to_host(*slot.host, *slot.device, slot.bytes, handle);
  }
}

void Session::State::launch(bool with_download) {
  if (!shaped) throw Error(ErrorKind::kInput, "a session cannot be launched before its shapes are set");
  if (has_shape_inputs && shape_values_changed()) {
    resolved = false;
    forget_graph();
  }
  if (!resolved) resolve();
  if (download != with_download) {
    forget_graph();
    download = with_download;
  }
  if (empty) return;
  in_flight = true;
  upload_large();
  bool const capturable = graphs && enqueued && !data_dependent && graph_problem.empty();
  if (!graph && capturable) {
    try {
      graph = Graph::capture(stream.handle(), [&] { queue(with_download); });
    } catch (Error const& error) {
      graph_problem = error.what();  // what one shape cannot do the next will not either
    }
  }
  if (graph) {
    graph->launch(stream.handle());
  } else {
    queue(with_download);
    enqueued = true;
  }
}

Session::Session(Engine const& engine, MemoryMode memory, bool graphs) {
  cuda::ContextGuard const guard(engine.cuda_context());
  state_ = std::make_unique<State>(engine, memory, graphs);
}

Session::~Session() {
  if (!state_) return;
  try {
    Engine const engine = state_->engine;  // outlives what belongs to its context
    cuda::ContextGuard const guard(engine.cuda_context());
    if (state_->in_flight) cuda::driver().stream_synchronize(state_->stream.handle());
    state_.reset();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the driver is going down; nothing is left to be freed
  }
}

Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

void Session::set_shapes(std::vector<Shape> const& inputs) {
  cuda::ContextGuard const guard(state_->engine.cuda_context());
  state_->set_shapes(inputs);
}

Shape const& Session::shape(std::size_t tensor) {
  if (state_->shaped && !state_->resolved) {
    cuda::ContextGuard const guard(state_->engine.cuda_context());
    state_->resolve();
  }
  return state_->slots.at(tensor).shape;
}

std::size_t Session::bytes(std::size_t tensor) {
  (void)shape(tensor);
  return state_->slots.at(tensor).bytes;
}

bool Session::data_dependent(std::size_t tensor) const { return state_->slots.at(tensor).data_dependent; }

void* Session::host(std::size_t tensor) const {
  auto const& buffer = state_->slots.at(tensor).host;
  return buffer ? buffer->data() : nullptr;
}

void* Session::device(std::size_t tensor) const { return state_->slots.at(tensor).device_address(); }

std::shared_ptr<void> Session::share_host(std::size_t tensor) const {
  auto const& buffer = state_->slots.at(tensor).host;
  return {buffer, buffer ? buffer->data() : nullptr};
}

std::shared_ptr<void> Session::share_device(std::size_t tensor) const {
  TensorSlot const& slot = state_->slots.at(tensor);
  if (slot.device) return {slot.device, slot.device->data()};
  return {slot.host, slot.host ? slot.host->device_data() : nullptr};
}

void Session::set_device_input(std::size_t tensor, void* address) {
  TensorSlot& slot = state_->slots.at(tensor);
  if (slot.given == address) return;
  if (!slot.info.is_input || slot.on_host()) {
    throw Error(ErrorKind::kInput, "tensor '" + slot.info.name + "' cannot be read from the device",
                {slot.info.is_input ? "a shape tensor, whose values lie on the host" : "an output", "an input", ""});
  }
  cuda::ContextGuard const guard(state_->engine.cuda_context());
  check_owner(slot, address, state_->engine.cuda_context());
  slot.given = address;
  slot.uploaded = false;
  if (address == nullptr) slot.reserve(slot.bytes, state_->mapped);
  if (state_->resolved) state_->tell_address(slot);
}

void Session::launch(bool download) {
  cuda::ContextGuard const guard(state_->engine.cuda_context());
  try {
    state_->launch(download);
  } catch (...) {
    state_->abandon();
    throw;
  }
}

void Session::wait() {
  if (!state_->in_flight) return;
  cuda::ContextGuard const guard(state_->engine.cuda_context());
  state_->in_flight = false;  // also after an error: there is nothing left to be waited for
  state_->stream.synchronize();
  if (state_->data_dependent) state_->fetch_data_dependent();
}

bool Session::done() const {
  constexpr int kNotReady = 600;  // CUDA_ERROR_NOT_READY
  if (!state_->in_flight) return true;
  cuda::ContextGuard const guard(state_->engine.cuda_context());
  auto const result = cuda::driver().stream_query(state_->stream.handle());
  if (result == kNotReady) return false;
  cuda::check(result, "cuStreamQuery");
  return true;
}

Engine const& Session::engine() const noexcept { return state_->engine; }
bool Session::mapped() const noexcept { return state_->mapped; }
void* Session::stream() const noexcept { return state_->stream.handle(); }
bool Session::replays() const noexcept { return state_->graph.has_value(); }
std::string const& Session::graph_problem() const noexcept { return state_->graph_problem; }

}  // namespace tf2trt
