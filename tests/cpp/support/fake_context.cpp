// What an execution context of the fake TensorRT does, and refuses, as TensorRT's documentation and its messages say.
#include <algorithm>
#include <memory>
#include <utility>

#include "support/fake_runtime.hpp"

namespace fake_tensorrt {
namespace {

constexpr std::size_t kElement = 4;  // float32 and int32
constexpr unsigned kOnDevice = 2;    // CU_MEMORYTYPE_DEVICE
constexpr std::uint64_t kAlignment = 256;

std::string text(Shape const& shape) {
  std::string joined;
  for (auto extent : shape) joined += (joined.empty() ? "[" : ",") + std::to_string(extent);
  return joined.empty() ? "[]" : joined + "]";
}

std::size_t count(Shape const& shape) {
  std::size_t product = 1;
  for (auto extent : shape) product *= static_cast<std::size_t>(std::max<std::int64_t>(extent, 0));
  return product;
}

bool is_known(Shape const& shape) {
  return std::all_of(shape.begin(), shape.end(), [](auto extent) { return extent >= 0; });
}

unsigned long long number(void const* address) { return reinterpret_cast<std::uintptr_t>(address); }

template <class R, class... P>
R call_slot(void* object, int slot, P... arguments) {
  void* const* table = *static_cast<void* const**>(object);
  return reinterpret_cast<R (*)(void*, P...)>(table[slot])(object, arguments...);
}

}  // namespace

bool Engine::is_current(char const* what) const {
  void* now = nullptr;
  cuda().current(&now);
  if (now == cuda_context && now != nullptr) return true;
  if (now == nullptr && cuda().is_primary(cuda_context)) return true;
  std::string const words = std::string(what) + (now == nullptr ? " without a CUDA context" : " in a CUDA context") +
                            " that is not the engine's";
  cuda().violation(words.c_str());
  return runtime->error(words);
}

bool Engine::profile_in_use(int profile) const {
  if (kGeneration > 8 || model.shares_profiles || !model.is_dynamic()) return false;
  return std::any_of(contexts.begin(), contexts.end(), [&](Context const* c) { return c->profile == profile; });
}

std::int32_t const* Context::values() const {
  for (auto const& tensor : engine->model.tensors) {
    auto const found = addresses.find(tensor.name);
    if (tensor.is_values && found != addresses.end()) return static_cast<std::int32_t const*>(found->second);
  }
  return nullptr;
}

Shape Context::shape(Tensor const& tensor) const {
  if (!tensor.is_input) return output_shape(engine->model, tensor, shapes, values());
  auto const told = shapes.find(tensor.name);
  return told == shapes.end() ? tensor.shape : told->second;
}

std::vector<char const*> Context::missing() const {
  std::vector<char const*> names;
  for (auto const& tensor : engine->model.tensors) {
    if (!tensor.is_input) continue;
    bool const has_values = !tensor.is_values || addresses.count(tensor.name) != 0;
    if (!is_known(shape(tensor)) || !has_values) names.push_back(tensor.name.c_str());
  }
  return names;
}

bool Context::set_profile(int index, void* stream) {
  if (index < 0 || index >= static_cast<int>(engine->model.profiles.size())) {
    return error("IExecutionContext::setOptimizationProfileAsync: profile " + std::to_string(index) +
                 " is out of range");
  }
  if (index != profile && engine->profile_in_use(index)) {
    return error("Profile " + std::to_string(index) +
                 " has been chosen by another IExecutionContext. Use another profileIndex or destroy the "
                 "IExecutionContext that use this profile.");
  }
  if (!engine->is_current("setOptimizationProfileAsync")) return false;
  Current const current(engine->cuda_context);
  // TensorRT copies on the stream; the context counts on that being done before its next enqueue there.
  if (cuda().enqueue(stream, [](void*) {}, nullptr, [](void*) {}, nullptr, 0) != 0) {
    return error("setOptimizationProfileAsync: the stream cannot be used");
  }
  profile = index;
  shapes.clear();
  return true;
}

bool Context::set_shape(char const* name, Shape const& given) {
  Tensor const* tensor = engine->model.find(name);
  if (tensor == nullptr || !tensor->is_input) {
    return error(std::string("IExecutionContext::setInputShape: ") + name + " is no input");
  }
  if (profile < 0) {
    return error("IExecutionContext::setInputShape: no optimization profile is set for this context");
  }
  if (given.size() != tensor->shape.size()) {
    return error(std::string("IExecutionContext::setInputShape: ") + name + ": wrong number of dimensions " +
                 text(given));
  }
  auto const& ranges = engine->model.profiles[static_cast<std::size_t>(profile)].shapes;
  auto const range = ranges.find(name);
  Shape const& low = range == ranges.end() ? tensor->shape : range->second[0];
  Shape const& high = range == ranges.end() ? tensor->shape : range->second[2];
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] >= low[i] && given[i] <= high[i]) continue;
    return error("IExecutionContext::setInputShape: Error Code 3: API Usage Error (" + std::string(name) + " " +
                 text(given) + " is not in the range " + text(low) + " to " + text(high) + " of profile " +
                 std::to_string(profile) + ")");
  }
  shapes[name] = given;
  return true;
}

bool Context::set_address(char const* name, void* address) {
  Tensor const* tensor = engine->model.find(name);
  if (tensor == nullptr) return error(std::string("setTensorAddress: ") + name + " is no tensor of the engine");
  if (tensor->is_values && address != nullptr) {
    unsigned type = 0;
    if (cuda().attribute(&type, 2, number(address)) == 0 && type == kOnDevice) {
      return error(std::string("setTensorAddress: ") + name + " is a shape tensor: its values belong on the host");
    }
  }
  addresses[name] = address;
  if (address == nullptr) addresses.erase(name);
  return true;
}

bool Context::can_run() {
  if (!engine->is_current("enqueueV3")) return false;
  if (profile < 0) return error("IExecutionContext::enqueueV3: no optimization profile is set for this context");
  for (char const* name : missing())
    return error(std::string("enqueueV3: the shape or values of ") + name + " are missing");
  for (auto const& tensor : engine->model.tensors) {
    bool const has_memory = addresses.count(tensor.name) != 0 || allocators.count(tensor.name) != 0;
    if (!has_memory) {
      return error("IExecutionContext::enqueueV3: Error Code 3: API Usage Error (Address is not set for " +
                   tensor.name + ")");
    }
    bool const dependent = !tensor.is_input && !is_known(shape(tensor));
    if (dependent && allocators.count(tensor.name) == 0) {
      return error("enqueueV3: " + tensor.name + " needs an IOutputAllocator: its shape depends on the data");
    }
  }
  return true;
}

unsigned long long Context::allocate(Tensor const& output, Shape const& found, void* stream) {
  // The table of IOutputAllocator: in 8 it has no base; from 10 on those of a versioned interface come first.
  constexpr int kReallocate = kGeneration == 8 ? 1 : 5;
  constexpr int kNotify = kGeneration == 8 ? 2 : 6;
  void* const allocator = allocators.at(output.name);
  std::uint64_t const bytes = std::max<std::size_t>(count(found) * kElement, 1);
  auto const known = addresses.find(output.name);
  void* const current = known == addresses.end() ? nullptr : known->second;
  char const* const name = output.name.c_str();
  void* memory = nullptr;
  if constexpr (kGeneration == 8) {
    memory = call_slot<void*>(allocator, kReallocate, name, current, bytes, kAlignment);
  } else {
    memory = call_slot<void*>(allocator, kReallocate, name, current, bytes, kAlignment, stream);
  }
  (void)stream;
  if (memory == nullptr || number(memory) % kAlignment != 0) {
    (void)error("IOutputAllocator::reallocateOutput gave no aligned memory for " + output.name);
    return 0;
  }
  addresses[output.name] = memory;
  Dims const dims = to_dims(found);
  call_slot<void>(allocator, kNotify, name, &dims);
  return number(memory);
}

std::int64_t Context::count_nonzero(void* stream) {
  int capturing = 0;
  if (cuda().is_capturing(stream, &capturing) != 0 || capturing != 0) return -1;
  if (cuda().synchronize(stream) != 0) return -1;
  std::size_t const elements = count(shape(*engine->model.find("x")));
  auto const* x = static_cast<float const*>(cuda().storage(number(addresses.at("x")), elements * kElement));
  return x == nullptr ? -1 : std::count_if(x, x + elements, [](float value) { return value != 0; });
}

bool Context::enqueue(void* stream) {
  Model const& model = engine->model;
  if (!can_run()) return false;
  Current const current(engine->cuda_context);
  if (model.is_broken) return error("IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (this engine is broken)");
  int capturing = 0;
  bool const is_captured = cuda().is_capturing(stream, &capturing) == 0 && capturing != 0;
  if (is_captured && (!model.can_be_captured || profiler != nullptr)) {
    return error(
        "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (operation not permitted when stream is capturing)");
  }
  auto launch = std::make_unique<Launch>();
  launch->model = model.name;
  std::vector<FakeCudaRange> ranges;
  for (auto const& tensor : model.tensors) {
    if (tensor.is_values) continue;
    Shape found = shape(tensor);
    if (!is_known(found)) {  // nonzero's output
      found.back() = count_nonzero(stream);
      if (found.back() < 0) return error("enqueueV3: cannot wait for a size while the stream is capturing");
    }
    auto const allocator = allocators.find(tensor.name);
    auto const address =
        allocator == allocators.end() ? number(addresses.at(tensor.name)) : allocate(tensor, found, stream);
    if (address == 0) return false;
    launch->operands[tensor.name] = {address, count(found)};
    ranges.push_back({address, std::max<std::size_t>(count(found) * kElement, 1)});
  }
  if (launch->operands.count("y") != 0 && model.name == "reshape" &&
      launch->operands["y"].count != launch->operands["x"].count) {
    return error("enqueueV3: Error Code 7: reshape would change volume");
  }
  if (scratch == 0 || scratch_size < model.device_memory || scratch % 256 != 0) {
    return error("enqueueV3: Error Code 3: API Usage Error (too little device memory, or it is not aligned)");
  }
  ranges.push_back({scratch, model.device_memory});
  auto const run = [](void* argument) { compute(*static_cast<Launch*>(argument), cuda().storage); };
  auto const release = [](void* argument) { delete static_cast<Launch*>(argument); };
  if (cuda().enqueue(stream, run, launch.release(), release, ranges.data(), ranges.size()) != 0) {
    return error("IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (the work was refused)");
  }
  if (profiler == nullptr) return true;
  unreported = true;
  if (!emits) return true;
  cuda().synchronize(stream);
  report();
  return true;
}

void Context::set_memory(void* memory, std::size_t size) {
  if (owns_scratch) cuda().violation("device memory for a context that has its own");
  scratch = number(memory);
  scratch_size = size;
}

void Context::report() {
  constexpr int kReport = kGeneration >= 11 ? 4 : 0;
  if (!unreported || profiler == nullptr) return;
  unreported = false;
  call_slot<void>(profiler, kReport, static_cast<char const*>("first"), 0.25F);
  call_slot<void>(profiler, kReport, static_cast<char const*>("second"), 0.5F);
}

}  // namespace fake_tensorrt
