#include "abi/slots.hpp"

#include <array>
#include <string>

#include "tf2trt/error.hpp"

namespace tf2trt::abi {
namespace {

constexpr auto kMethods = static_cast<std::size_t>(Method::kCount);
constexpr auto kValues = static_cast<std::size_t>(Value::kCount);

#define TF2TRT_METHOD(name, slot, major, minor) Slot{slot, major, minor},
constexpr std::array<Slot, kMethods> kSlots8 = {{
#include "abi/slots_8.inc"
}};
#define TF2TRT_METHOD(name, slot, major, minor) Slot{slot, major, minor},
constexpr std::array<Slot, kMethods> kSlots10 = {{
#include "abi/slots_10.inc"
}};
#define TF2TRT_METHOD(name, slot, major, minor) Slot{slot, major, minor},
constexpr std::array<Slot, kMethods> kSlots11 = {{
#include "abi/slots_11.inc"
}};

#define TF2TRT_ENUM(name, value) value,
constexpr std::array<std::int32_t, kValues> kValues8 = {{
#include "abi/slots_8.inc"
}};
#define TF2TRT_ENUM(name, value) value,
constexpr std::array<std::int32_t, kValues> kValues10 = {{
#include "abi/slots_10.inc"
}};
#define TF2TRT_ENUM(name, value) value,
constexpr std::array<std::int32_t, kValues> kValues11 = {{
#include "abi/slots_11.inc"
}};

#define TF2TRT_METHOD(name, slot, major, minor) #name,
constexpr std::array<char const*, kMethods> kMethodNames = {{
#include "abi/slots_11.inc"
}};
#define TF2TRT_ENUM(name, value) #name,
constexpr std::array<char const*, kValues> kValueNames = {{
#include "abi/slots_11.inc"
}};

// Early-access releases whose layout is not their generation's.
struct Exception {
  Method method;
  std::int16_t index;
  Version version;
};
#define TF2TRT_EXCEPTION(name, slot, major, minor, patch) Exception{Method::name, slot, {major, minor, patch}},
constexpr Exception kExceptions[] = {
#include "abi/slots_8.inc"
};

// TensorRT-RTX 1.7.1's ITensor lacks setBroadcastAcrossBatch, getBroadcastAcrossBatch, getLocation and setLocation, so
// what follows them moves up. There are no public headers of it: this was read from the library's own tables, where the
// functions log their names. ICudaEngine, IExecutionContext and IEngineInspector were confirmed whole that way, and
// what IBuilder, IBuilderConfig, INetworkDefinition, IOptimizationProfile, ILayer and IRuntime log of themselves; the
// tests call the rest.
constexpr Exception kRtxExceptions[] = {{Method::VTensor_isShapeTensor, 11, {}}};

// The enumerations take the order of slots_11.inc; the other tables must follow it, entry by entry.
constexpr bool same_text(char const* a, char const* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

template <std::size_t N>
constexpr bool same_order(std::array<char const*, N> const& a, std::array<char const*, N> const& b) {
  for (std::size_t i = 0; i < N; ++i) {
    if (!same_text(a[i], b[i])) return false;
  }
  return true;
}

#define TF2TRT_METHOD(name, slot, major, minor) #name,
constexpr std::array<char const*, kMethods> kMethodNames8 = {{
#include "abi/slots_8.inc"
}};
#define TF2TRT_METHOD(name, slot, major, minor) #name,
constexpr std::array<char const*, kMethods> kMethodNames10 = {{
#include "abi/slots_10.inc"
}};
#define TF2TRT_ENUM(name, value) #name,
constexpr std::array<char const*, kValues> kValueNames8 = {{
#include "abi/slots_8.inc"
}};
#define TF2TRT_ENUM(name, value) #name,
constexpr std::array<char const*, kValues> kValueNames10 = {{
#include "abi/slots_10.inc"
}};
static_assert(same_order(kMethodNames, kMethodNames8) && same_order(kMethodNames, kMethodNames10));
static_assert(same_order(kValueNames, kValueNames8) && same_order(kValueNames, kValueNames10));

}  // namespace

char const* name_of(Method method) noexcept { return kMethodNames[static_cast<std::size_t>(method)]; }
char const* name_of(Value value) noexcept { return kValueNames[static_cast<std::size_t>(value)]; }

Api::Api(int generation, Version version, bool rtx) : generation_(generation), version_(version), rtx_(rtx) {
  switch (generation) {
    case 8:
      slots_ = kSlots8.data();
      values_ = kValues8.data();
      break;
    case 10:
      slots_ = kSlots10.data();
      values_ = kValues10.data();
      break;
    case 11:
      slots_ = kSlots11.data();
      values_ = kValues11.data();
      break;
    default:
      throw Error(ErrorKind::kUnsupportedVersion,
                  "TensorRT generation " + std::to_string(generation) + ": no slot table for it",
                  {"", "generation 8, 10 or 11", "install TensorRT 8.5-8.6, 10.x or 11.x, or update tf2trt"});
  }
}

std::int16_t const* Api::departure(Method method) const noexcept {
  if (rtx_) {
    for (Exception const& exception : kRtxExceptions) {
      if (exception.method == method) return &exception.index;
    }
    return nullptr;
  }
  for (Exception const& exception : kExceptions) {
    if (exception.method == method && exception.version == version_) return &exception.index;
  }
  return nullptr;
}

bool Api::has(Method method) const noexcept {
  if (std::int16_t const* index = departure(method)) return *index >= 0;
  Slot const& slot = slots_[static_cast<std::size_t>(method)];
  if (slot.index < 0) return false;
  return slot.since_major < version_.major ||
         (slot.since_major == version_.major && slot.since_minor <= version_.minor);
}

int Api::slot(Method method) const {
  if (has(method)) {
    std::int16_t const* index = departure(method);
    return index != nullptr ? *index : slots_[static_cast<std::size_t>(method)].index;
  }
  throw Error(ErrorKind::kUnsupportedVersion, std::string("TensorRT ") + std::to_string(version_.major) + "." +
                                                  std::to_string(version_.minor) + " has no " + name_of(method));
}

std::int32_t Api::raw(Value value) const noexcept { return values_[static_cast<std::size_t>(value)]; }

std::int32_t Api::value(Value value) const {
  if (has(value)) return raw(value);
  throw Error(ErrorKind::kUnsupportedVersion, "TensorRT " + std::to_string(generation_) + " has no " + name_of(value));
}

}  // namespace tf2trt::abi
