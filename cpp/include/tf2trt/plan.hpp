// What a plan (an .engine file) says about itself before it is deserialised.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace tf2trt {

// The first 28 bytes of a plan: the tag "ftrt" ("vtrt" in TensorRT-RTX's), the format of the header, at byte 16 the
// plan's size (seen in plans of 8.6.0 and TensorRT-RTX 1.7.1), and at byte 24 the version of the TensorRT that wrote
// it, one byte each for major, minor, patch and build (as trtexec --getPlanVersionOnly reads it). All little-endian.
struct PlanHeader {
  std::array<int, 4> version;
  int serialization;

  // Such as "8.6.0".
  [[nodiscard]] std::string version_text() const;
};

// `name` stands for the plan in messages. Throws Error(kEngine) where the bytes are no plan, or fewer than the header
// says.
PlanHeader read_plan_header(void const* data, std::size_t size, std::string const& name = "engine");

}  // namespace tf2trt
