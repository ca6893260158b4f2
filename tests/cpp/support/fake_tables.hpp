// Virtual tables as FAKE_NUMBER's generation has them, by the names that cpp/abi gives to their slots. TensorRT-RTX
// (10701) has those of 11, but for what cpp/abi/slots.cpp lists.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace fake_tensorrt {

struct Slot {
  std::string_view name;
  int index;
};
struct Enumerator {
  std::string_view name;
  int value;
};
#define TF2TRT_METHOD(name, slot, major, minor) Slot{#name, slot},
constexpr Slot kSlots[] = {
#if FAKE_NUMBER < 10000
#include "abi/slots_8.inc"
#elif FAKE_NUMBER >= 100000 && FAKE_NUMBER < 110000
#include "abi/slots_10.inc"
#else
#include "abi/slots_11.inc"
#endif
};
#define TF2TRT_ENUM(name, value) Enumerator{#name, value},
constexpr Enumerator kValues[] = {
#if FAKE_NUMBER < 10000
#include "abi/slots_8.inc"
#elif FAKE_NUMBER >= 100000 && FAKE_NUMBER < 110000
#include "abi/slots_10.inc"
#else
#include "abi/slots_11.inc"
#endif
};

constexpr int value_of(std::string_view name) {
  for (auto const& each : kValues) {
    if (each.name == name) return each.value;
  }
  return -1;
}

// A table in which every slot but those that are put ends the process.
constexpr std::size_t kTableSize = 96;
template <int N>
void wrong_slot() {
  std::fprintf(stderr, "fake TensorRT %d: slot %d has no fake\n", FAKE_NUMBER, N);
  std::abort();
}
template <int... N>
std::array<void*, kTableSize> wrong_slots(std::integer_sequence<int, N...> /*slots*/) {
  return {reinterpret_cast<void*>(&wrong_slot<N>)...};
}

struct Table {
  std::array<void*, kTableSize> slots = wrong_slots(std::make_integer_sequence<int, kTableSize>());

  template <class F>
  void put(std::string_view method, F function) {
    auto const found = std::find_if(std::begin(kSlots), std::end(kSlots), [&](Slot s) { return s.name == method; });
    if (found != std::end(kSlots) && found->index >= 0) {
      slots[static_cast<std::size_t>(found->index)] = reinterpret_cast<void*>(+function);
    }
  }
};

}  // namespace fake_tensorrt
