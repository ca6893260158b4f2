// Where each method sits in its virtual table, and the value of each enumerator, for one generation of TensorRT.
// The numbers are generated from NVIDIA's headers by tools/abi.
#pragma once

#include <cstdint>

namespace tf2trt::abi {

enum class Method : std::uint16_t {
#define TF2TRT_METHOD(name, slot, major, minor) name,
#include "abi/slots_11.inc"
  kCount
};

enum class Value : std::uint16_t {
#define TF2TRT_ENUM(name, value) name,
#include "abi/slots_11.inc"
  kCount
};

struct Slot {
  std::int16_t index;  // -1: this generation has no such method
  std::int16_t since_major;
  std::int16_t since_minor;
};

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;

  friend constexpr bool operator==(Version const& a, Version const& b) noexcept {
    return a.major == b.major && a.minor == b.minor && a.patch == b.patch;
  }
};

// The tables of one generation, bound to the version that was loaded.
class Api {
 public:
  // generation: 8, 10 or 11; version: the interface's version, which decides what methods are there; rtx: TensorRT-RTX,
  // which answers to 11's tables but for what slots.cpp lists. Throws Error(kUnsupportedVersion) for another
  // generation.
  Api(int generation, Version version, bool rtx = false);

  [[nodiscard]] int generation() const noexcept { return generation_; }
  [[nodiscard]] bool has(Method method) const noexcept;
  [[nodiscard]] bool has(Value value) const noexcept { return raw(value) >= 0; }
  // Throws Error(kUnsupportedVersion), naming the method, where this version has none.
  [[nodiscard]] int slot(Method method) const;
  // Throws Error(kUnsupportedVersion), naming the enumerator, where this generation has none.
  [[nodiscard]] std::int32_t value(Value value) const;
  // The enumerator's value without a check: -1 where this generation has none.
  [[nodiscard]] std::int32_t raw(Value value) const noexcept;

 private:
  // Where this very library departs from its generation's table; nullptr where it does not.
  [[nodiscard]] std::int16_t const* departure(Method method) const noexcept;

  int generation_;
  Version version_;
  bool rtx_;
  Slot const* slots_;
  std::int32_t const* values_;
};

// "VBuilder_createNetworkV2" and "BuilderFlag_kFP16", for messages.
char const* name_of(Method method) noexcept;
char const* name_of(Value value) noexcept;

}  // namespace tf2trt::abi
