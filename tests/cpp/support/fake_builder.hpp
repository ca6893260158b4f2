// The fake TensorRT that builds, between its tables (fake_builder.cpp) and its calibration (fake_calibration.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "abi/types.hpp"
#include "support/fake_build.hpp"
#include "support/fake_tables.hpp"

namespace fake_tensorrt {

constexpr bool kRtx = FAKE_NUMBER >= 10000 && FAKE_NUMBER < 100000;
constexpr bool kEight = FAKE_NUMBER < 10000;
using Dims = std::conditional_t<kEight, tf2trt::abi::Dims32, tf2trt::abi::Dims64>;

tf2trt::test::FakeBuild& script();
void note(std::string const& call);

// "kHALF" for DataType and 1; the number where there is no such name.
std::string name_of_value(std::string const& prefix, std::int32_t value);

constexpr int slot_of(std::string_view method) {
  for (auto const& each : kSlots) {
    if (each.name == method) return each.index;
  }
  return -1;
}

// Calls an object of ours through its table.
template <class R, class... P>
R call(void* object, int slot, P... arguments) {
  void* const* table = *static_cast<void* const**>(object);
  return reinterpret_cast<R (*)(void*, P...)>(table[slot])(object, arguments...);
}

struct Config {
  void* const* table;
  void* calibrator = nullptr;
  void* monitor = nullptr;
};

// As TensorRT calibrates: reads the cache, or batch after batch, and writes the cache. False where there was no batch.
bool calibrate(void* calibrator, std::vector<std::string> const& names);

}  // namespace fake_tensorrt
