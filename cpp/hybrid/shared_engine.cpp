#include "shared_engine.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "cuda_driver.hpp"
#include "mapped_file.hpp"
#include "tf2trt/error.hpp"
#include "tf2trt/library.hpp"
#include "tf2trt/plan.hpp"

namespace tf2trt::hybrid {
namespace {

// Contexts of a stream: as many sets of shapes run in turn without TensorRT having to infer shapes again. They have no
// memory of their own for activations.
constexpr std::size_t kPerStream = 8;
constexpr std::uintptr_t kAlignment = 256;  // what TensorRT asks of addresses

// A file that was replaced is another engine.
std::string key_of(std::string const& path, int device, std::vector<Binding> const& inputs,
                   std::vector<Binding> const& outputs) {
  std::error_code error;
  auto const written = std::filesystem::last_write_time(path, error).time_since_epoch().count();
  std::string key = path + '\n' + std::to_string(device) + '\n' + std::to_string(error ? 0 : written);
  for (auto const* bindings : {&inputs, &outputs}) {
    key += '\n';
    for (auto const& binding : *bindings) key += binding.name + '\t' + binding.dtype + '\t';
  }
  return key;
}

std::string quoted(char const* what, std::string const& name) { return std::string(what) + " '" + name + "'"; }

// Throws Error(kEngine) where the engine's tensors are not the segment's.
void check_tensors(Engine const& engine, std::vector<Binding> const& bindings, bool is_input) {
  char const* const what = is_input ? "input" : "output";
  auto const& tensors = engine.tensors();
  for (auto const& binding : bindings) {
    auto const found = std::find_if(tensors.begin(), tensors.end(), [&](TensorInfo const& each) {
      return each.is_input == is_input && each.name == binding.name;
    });
    if (found == tensors.end()) {
      throw Error(ErrorKind::kEngine, "the engine has no " + quoted(what, binding.name) + " of the segment's");
    }
    if (found->on_host) {
      throw Error(ErrorKind::kEngine, quoted(what, binding.name) + " is a shape tensor, whose values lie on the host",
                  {"", "tensors on the GPU", "convert the model again with a larger minimum_segment_size"});
    }
    if (binding.dtype != name_of(found->dtype)) {
      throw Error(ErrorKind::kEngine, quoted(what, binding.name) + " has another type in the engine",
                  {name_of(found->dtype), binding.dtype, ""});
    }
  }
  auto const count =
      std::count_if(tensors.begin(), tensors.end(), [&](TensorInfo const& each) { return each.is_input == is_input; });
  if (static_cast<std::size_t>(count) != bindings.size()) {
    throw Error(ErrorKind::kEngine, std::string("the engine has another number of ") + what + "s than the segment",
                {std::to_string(count), std::to_string(bindings.size()), ""});
  }
}

bool within(Shape const& shape, ShapeRange const& range) {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < range.min[i] || shape[i] > range.max[i]) return false;
  }
  return true;
}

bool matches(Shape const& shape, Shape const& wanted) {
  return std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end(),
                    [](std::int64_t given, std::int64_t extent) { return extent < 0 || given == extent; });
}

std::vector<std::string> names_of(std::vector<Binding> const& bindings) {
  std::vector<std::string> names;
  names.reserve(bindings.size());
  for (auto const& binding : bindings) names.push_back(binding.name);
  return names;
}

TensorInfo const& tensor_of(Engine const& engine, std::string const& name) {
  auto const& tensors = engine.tensors();
  return *std::find_if(tensors.begin(), tensors.end(), [&](TensorInfo const& each) { return each.name == name; });
}

}  // namespace

std::shared_ptr<SharedEngine> SharedEngine::open(std::string const& path, int device,
                                                 std::vector<std::string> const& folders,
                                                 std::vector<Binding> const& inputs,
                                                 std::vector<Binding> const& outputs) {
  static auto& mutex = *new std::mutex;  // never destroyed: kernels may be closed while the process ends
  static auto& known = *new std::map<std::string, std::weak_ptr<SharedEngine>>;
  std::scoped_lock const lock(mutex);
  std::string const key = key_of(path, device, inputs, outputs);
  if (auto const open = known[key].lock()) return open;
  MappedFile const plan(path);
  PlanHeader const header = read_plan_header(plan.data(), plan.size(), path);
  auto const opened = of(Engine::deserialize(Library::find(folders, false, &header), plan.data(), plan.size(), device),
                         inputs, outputs);
  known[key] = opened;
  return opened;
}

std::shared_ptr<SharedEngine> SharedEngine::of(Engine engine, std::vector<Binding> const& inputs,
                                               std::vector<Binding> const& outputs) {
  check_tensors(engine, inputs, true);
  check_tensors(engine, outputs, false);
  return std::shared_ptr<SharedEngine>(new SharedEngine(std::move(engine), inputs, outputs));
}

SharedEngine::SharedEngine(Engine engine, std::vector<Binding> const& inputs, std::vector<Binding> const& outputs)
    : engine_(std::move(engine)),
      inputs_(names_of(inputs)),
      outputs_(names_of(outputs)),
      scratch_size_(engine_.device_memory_size()),
      per_stream_(kPerStream) {
  cuda::ContextGuard const guard(engine_.cuda_context());
  nothing_ = std::make_unique<DeviceBuffer>(kAlignment);
  bool const dynamic = std::any_of(inputs_.begin(), inputs_.end(),
                                   [&](std::string const& name) { return is_dynamic(tensor_of(engine_, name)); });
  for (int number = 0; dynamic && number < engine_.profile_count(); ++number) {
    auto& ranges = profiles_.emplace_back();
    for (auto const& name : inputs_) ranges.push_back(engine_.profile_shape(name, number));
  }
}

SharedEngine::~SharedEngine() {
  try {
    cuda::ContextGuard const guard(engine_.cuda_context());
    for (auto& slot : slots_) {
      if (slot.worked) slot.queued.synchronize();
    }
    slots_.clear();
    nothing_.reset();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the driver is going down; nothing is left to be freed
  }
}

bool SharedEngine::takes(std::vector<Shape> const& shapes) const { return find_profile(shapes).has_value(); }

std::optional<int> SharedEngine::find_profile(std::vector<Shape> const& shapes) const {
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (!matches(shapes[i], tensor_of(engine_, inputs_[i]).shape)) return std::nullopt;
  }
  if (profiles_.empty()) return 0;
  for (std::size_t number = 0; number < profiles_.size(); ++number) {
    if (std::equal(shapes.begin(), shapes.end(), profiles_[number].begin(), within)) return static_cast<int>(number);
  }
  return std::nullopt;
}

std::string SharedEngine::misfit(std::vector<Shape> const& shapes) const {
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    Shape const& wanted = tensor_of(engine_, inputs_[i]).shape;
    if (matches(shapes[i], wanted)) continue;
    return quoted("input", inputs_[i]) + " is " + to_string(shapes[i]) + ", the engine takes " + to_string(wanted);
  }
  std::string text = "the engine was not built for";
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    text += (i == 0 ? " " : ", ") + quoted("input", inputs_[i]) + " of " + to_string(shapes[i]) + " (";
    for (std::size_t number = 0; number < profiles_.size(); ++number) {
      ShapeRange const& range = profiles_[number][i];
      text += (number == 0 ? "" : " or ") + to_string(range.min) + " to " + to_string(range.max);
    }
    text += ')';
  }
  return text;
}

SharedEngine::Slot& SharedEngine::take(void* stream, int profile, std::vector<Shape> const& shapes) {
  std::unique_lock lock(mutex_);
  for (;;) {
    Slot* same = nullptr;
    Slot* oldest = nullptr;  // of those that nobody holds: of this profile, where there are any
    bool held = false;       // whether one of this profile is
    std::size_t count = 0;
    for (auto& slot : slots_) {
      if (slot.stream != stream) continue;
      ++count;
      if (slot.inputs == shapes) same = &slot;
      bool const fits = slot.wanted == profile;
      held = held || (fits && slot.busy);
      if (slot.busy) continue;
      bool const oldest_fits = oldest != nullptr && oldest->wanted == profile;
      if (oldest == nullptr || (fits == oldest_fits ? slot.used < oldest->used : fits)) oldest = &slot;
    }
    Slot* chosen = nullptr;
    if (same != nullptr) {
      chosen = same->busy ? nullptr : same;  // what it queues comes one after the other on this stream anyway
    } else if (count < per_stream_) {
      chosen = &slots_.emplace_back(engine_, stream);
    } else if (oldest != nullptr && (oldest->wanted == profile || !held)) {
      chosen = oldest;  // another profile's may not get this one: before 8.6 a profile serves one context
    }
    if (chosen != nullptr) {
      chosen->busy = true;
      chosen->used = ++clock_;
      if (same == nullptr) {  // from now on those who want these shapes wait for it
        chosen->inputs = shapes;
        chosen->wanted = profile;
        chosen->ready = false;
      }
      return *chosen;
    }
    freed_.wait(lock);
  }
}

void SharedEngine::prepare(Slot& slot, int profile, std::vector<Shape> const& shapes) {
  if (!profiles_.empty() && slot.profile != profile) {
    slot.context.set_profile(profile, slot.stream);
    slot.profile = profile;
    slot.worked = true;
    slot.queued.record(slot.stream);
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) slot.context.set_input_shape(inputs_[i], shapes[i]);
  if (auto const missing = slot.context.unresolved_inputs(); !missing.empty()) {
    throw Error(ErrorKind::kEngine, "TensorRT wants more than the inputs' shapes", {missing.front(), "", ""});
  }
  slot.outputs.clear();
  for (auto const& name : outputs_) {
    slot.outputs.push_back(slot.context.tensor_shape(name));
    Shape const& shape = slot.outputs.back();
    if (std::any_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; })) {
      throw NoFit("the shape of " + quoted("output", name) + " depends on the data");
    }
  }
  slot.ready = true;
}

void SharedEngine::drop(Slot& slot) noexcept {
  {
    std::scoped_lock const lock(mutex_);
    slots_.remove_if([&](Slot const& each) { return &each == &slot; });
  }
  freed_.notify_all();
}

bool SharedEngine::settle_for_fewer(void* stream) {
  std::scoped_lock const lock(mutex_);
  auto const count = static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [&](Slot const& slot) { return slot.stream == stream; }));
  if (count == 0 || count >= per_stream_) return false;
  per_stream_ = count;
  return true;
}

SharedEngine::Slot& SharedEngine::begin(void* stream, std::vector<Shape> const& shapes) {
  std::optional<int> const profile = find_profile(shapes);
  if (!profile) throw NoFit(misfit(shapes));
  cuda::ContextGuard const guard(engine_.cuda_context());
  for (;;) {
    Slot* slot = nullptr;
    try {
      slot = &take(stream, *profile, shapes);
      if (!slot->ready) prepare(*slot, *profile, shapes);
      return *slot;
    } catch (NoFit const&) {
      end(*slot);
      throw;
    } catch (Error const&) {
      if (slot != nullptr && slot->worked) {
        end(*slot);
        throw;
      }
      // A further context for which there is no memory, or in TensorRT 8 no profile: those that there are must do.
      if (slot != nullptr) drop(*slot);
      if (!settle_for_fewer(stream)) throw;
    }
  }
}

void SharedEngine::enqueue(Slot& slot, void const* const* inputs, void* const* outputs, void* scratch) {
  cuda::ContextGuard const guard(engine_.cuda_context());
  auto const usable = [&](char const* what, std::string const& name, void const* address) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): an address is looked at
    if (reinterpret_cast<std::uintptr_t>(address) % kAlignment != 0) {
      throw NoFit(quoted(what, name) + " does not lie at a multiple of 256 bytes");
    }
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): TensorRT takes inputs as it takes outputs
    return address == nullptr ? nothing_->data() : const_cast<void*>(address);
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    slot.context.set_tensor_address(inputs_[i], usable("input", inputs_[i], inputs[i]));
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    slot.context.set_tensor_address(outputs_[i], usable("output", outputs_[i], outputs[i]));
  }
  if (scratch_size_ != 0) slot.context.set_device_memory(scratch, scratch_size_);
  slot.worked = true;
  try {
    slot.context.enqueue(slot.stream);
  } catch (...) {
    slot.queued.record(slot.stream);  // a part of the work may be there
    throw;
  }
  slot.queued.record(slot.stream);
}

void SharedEngine::end(Slot& slot) noexcept {
  {
    std::scoped_lock const lock(mutex_);
    slot.busy = false;
  }
  freed_.notify_all();
}

}  // namespace tf2trt::hybrid
