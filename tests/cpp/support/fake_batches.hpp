// Calibration data for tests: so many batches of x, float32 of one shape, whose elements are the batch's number.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tf2trt/calibration.hpp"

namespace tf2trt::test {

struct Batches {
  int count = 0;
  Shape shape = {2, 2};
  int asked = 0;
  // So that it may be left out. NOLINTNEXTLINE(readability-redundant-member-init)
  std::vector<float> values = {};

  // Refers to this object. Each batch's memory is given up with the next one.
  std::function<std::vector<HostArray>()> source() {
    return [this]() -> std::vector<HostArray> {
      if (++asked > count) return {};
      values = std::vector<float>(element_count(shape), static_cast<float>(asked));
      return {{"x", DType::kFloat32, shape, values.data()}};
    };
  }
  // The bytes of a batch.
  [[nodiscard]] std::string bytes(int number) const {
    std::vector<float> const all(element_count(shape), static_cast<float>(number));
    return {reinterpret_cast<char const*>(all.data()), all.size() * sizeof(float)};
  }
};

}  // namespace tf2trt::test
