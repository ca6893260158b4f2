// What the adapters share: TensorRT's tensor descriptions as ours, and an operator asked in TensorRT's words.
#pragma once

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sdk/layout.hpp"
#include "sdk/operator.hpp"
#include "sdk/tensor.hpp"

namespace tf2trt::plugins {

template <class D>
Tensor to_tensor(TensorDesc<D> const& desc) noexcept {
  Tensor tensor;
  tensor.rank = std::clamp(static_cast<int>(desc.dims.count), 0, abi::kMaxDims);
  std::copy_n(desc.dims.extents.begin(), tensor.rank, tensor.dims.begin());
  tensor.type = static_cast<DataType>(desc.type);
  tensor.format = static_cast<Format>(desc.format);
  tensor.scale = desc.scale;
  return tensor;
}
inline Tensor to_tensor(DynamicTensorDesc8 const& desc) noexcept { return to_tensor(desc.desc); }
inline Tensor to_tensor(DynamicTensorDesc10 const& desc) noexcept { return to_tensor(desc.desc); }

template <class Desc>
void append_tensors(std::vector<Tensor>& tensors, Desc const* descriptions, int count) {
  for (int i = 0; i < count; ++i) tensors.push_back(to_tensor(descriptions[i]));
}

inline constexpr int kMaxTensors = 16;  // inputs and outputs of one operator; they are kept on the stack

// The operator as its constructor leaves it. Throws std::invalid_argument for one with too many tensors.
inline std::unique_ptr<Operator> with_defaults(MakeOperator make) {
  auto made = make();
  if (made->inputs() + made->outputs() > kMaxTensors) {
    throw std::invalid_argument(std::string(made->name()) + ": an operator has 16 inputs and outputs at most");
  }
  return made;
}

// The tensors of an enqueue, without an allocation.
template <class D>
class TensorList {
 public:
  TensorList(TensorDesc<D> const* inputs, int input_count, TensorDesc<D> const* outputs, int output_count) noexcept {
    for (int i = 0; i < input_count; ++i) add(inputs[i]);
    for (int i = 0; i < output_count; ++i) add(outputs[i]);
  }
  [[nodiscard]] Tensor const* data() const noexcept { return tensors_.data(); }

 private:
  void add(TensorDesc<D> const& desc) noexcept {
    if (size_ < tensors_.size()) tensors_[size_++] = to_tensor(desc);
  }
  std::array<Tensor, kMaxTensors> tensors_{};
  std::size_t size_ = 0;
};

// Operator::supports with TensorRT's words. The tensors after `position` are not set yet and not looked at.
template <class Desc>
bool supports(Operator const& op, int position, Desc const* tensors, int inputs, int outputs) {
  if (inputs != op.inputs() || outputs != op.outputs()) return false;
  std::vector<Tensor> known;
  append_tensors(known, tensors, position + 1);
  return op.supports(position, known);
}

// Operator::workspace likewise.
template <class Desc>
std::size_t workspace(Operator const& op, Desc const* inputs, int input_count, Desc const* outputs, int output_count) {
  std::vector<Tensor> tensors;
  append_tensors(tensors, inputs, input_count);
  append_tensors(tensors, outputs, output_count);
  return op.workspace(tensors);
}

inline std::vector<DataType> to_types(std::int32_t const* types, int count) {
  std::vector<DataType> converted;
  converted.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) converted.push_back(static_cast<DataType>(types[i]));
  return converted;
}

}  // namespace tf2trt::plugins
