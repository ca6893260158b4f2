#include "tf2trt/session.hpp"

#include <cstring>
#include <optional>
#include <utility>

#include "tf2trt/buffer.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/stream.hpp"

namespace tf2trt {
namespace {

// Host and device memory of one input or output.
struct Slot {
  std::optional<PinnedBuffer> host;
  std::optional<DeviceBuffer> device;

  void reserve(std::size_t bytes) {
    if (host && host->size() >= bytes) return;
    host.emplace(bytes);
    device.emplace(bytes);
  }
};

void check_input(TensorInfo const& expected, std::map<std::string, HostTensor> const& inputs) {
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
  if (expected.is_shape) {
    throw Error(ErrorKind::kInput, "input \"" + expected.name + "\" is a shape tensor",
                {"", "an engine without shape tensors", "use ExecutionContext, with the values in host memory"});
  }
}

}  // namespace

struct Session::State {
  explicit State(Engine shared) : engine(std::move(shared)), context(engine.create_context()) {}

  Engine engine;
  ExecutionContext context;
  Stream stream;
  Event start;
  Event stop;
  std::map<std::string, Slot> slots;
};

Session::Session(Engine const& engine) : state_(std::make_unique<State>(engine)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::map<std::string, HostTensor> Session::run(std::map<std::string, HostTensor> const& inputs) {
  State& s = *state_;
  auto const& tensors = s.engine.tensors();
  std::size_t expected = 0;
  for (auto const& tensor : tensors) {
    if (!tensor.is_input) continue;
    ++expected;
    check_input(tensor, inputs);
  }
  if (inputs.size() != expected) {
    throw Error(ErrorKind::kInput, "inputs that the engine does not have were given",
                {std::to_string(inputs.size()) + " inputs", std::to_string(expected), ""});
  }
  void* const stream = s.stream.handle();
  for (auto const& [name, tensor] : inputs) {
    s.context.set_input_shape(name, tensor.shape);
    Slot& slot = s.slots[name];
    slot.reserve(tensor.data.size());
    std::memcpy(slot.host->data(), tensor.data.data(), tensor.data.size());
    copy_to_device(*slot.device, *slot.host, tensor.data.size(), stream);
    s.context.set_tensor_address(name, slot.device->data());
  }
  std::map<std::string, HostTensor> outputs;
  for (auto const& tensor : tensors) {
    if (tensor.is_input) continue;
    HostTensor output{tensor.dtype, s.context.tensor_shape(tensor.name), {}};
    output.data.resize(bytes_of(output.dtype, element_count(output.shape)));
    Slot& slot = s.slots[tensor.name];
    slot.reserve(output.data.size());
    s.context.set_tensor_address(tensor.name, slot.device->data());
    outputs.emplace(tensor.name, std::move(output));
  }
  s.start.record(stream);
  s.context.enqueue(stream);
  s.stop.record(stream);
  for (auto const& [name, output] : outputs) {
    Slot const& slot = s.slots[name];
    copy_to_host(*slot.host, *slot.device, output.data.size(), stream);
  }
  s.stream.synchronize();
  for (auto& [name, output] : outputs) std::memcpy(output.data.data(), s.slots[name].host->data(), output.data.size());
  return outputs;
}

float Session::gpu_milliseconds() const { return state_->stop.since(state_->start); }

}  // namespace tf2trt
