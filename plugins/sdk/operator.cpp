#include "sdk/operator.hpp"

#include <algorithm>
#include <stdexcept>

namespace tf2trt::plugins {

DataType Operator::output_type(int /*output*/, std::vector<DataType> const& inputs) const {
  if (std::find(inputs.begin(), inputs.end(), DataType::kInt8) != inputs.end()) {
    throw std::invalid_argument("the input is INT8 in the network: put the DequantizeLinear before the plugin");
  }
  return inputs.front();
}

std::vector<MakeOperator>& operators() {
  static std::vector<MakeOperator> all;
  return all;
}

Registration::Registration(MakeOperator make) noexcept { operators().push_back(make); }

}  // namespace tf2trt::plugins
