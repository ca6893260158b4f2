// What a plan (an .engine file) says about itself before it is deserialised.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace tf2trt {

// The first 28 bytes of a plan: the tag "ftrt" ("vtrt" in TensorRT-RTX's), the format of the header, and at byte 24 the
// version of the TensorRT that wrote it, one byte each for major, minor, patch and build (as trtexec
// --getPlanVersionOnly reads it).
struct PlanHeader {
  std::array<int, 4> version;
  int serialization;

  // Such as "8.6.0".
  [[nodiscard]] std::string version_text() const;
};

// Throws Error(kEngine) where the bytes are too few or are no plan.
PlanHeader read_plan_header(void const* data, std::size_t size);

}  // namespace tf2trt
