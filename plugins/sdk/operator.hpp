// What an operator is. Derive from OperatorOf<Yours>, override what differs from "one output, of the first input's
// shape and type", and write TF2TRT_OPERATOR(Yours) beside it: the adapters show it to TensorRT 8 as
// IPluginV2DynamicExt and to 10 and 11 as IPluginV3. plugins/README.md has a worked example.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "sdk/attributes.hpp"
#include "sdk/extent.hpp"
#include "sdk/tensor.hpp"

namespace tf2trt::plugins {

// Whatever an operator throws is told to TensorRT's logger and becomes TensorRT's error.
class Operator {
 public:
  Operator() = default;
  Operator& operator=(Operator const&) = delete;
  Operator(Operator&&) = delete;
  Operator& operator=(Operator&&) = delete;
  virtual ~Operator() = default;

  // TensorRT finds an operator by these three: the ONNX node's operator and its attributes plugin_version and
  // plugin_namespace.
  [[nodiscard]] virtual char const* name() const noexcept = 0;
  [[nodiscard]] virtual char const* version() const noexcept = 0;
  [[nodiscard]] virtual char const* plugin_namespace() const noexcept = 0;
  [[nodiscard]] virtual std::unique_ptr<Operator> clone() const = 0;

  // The table of attributes: name and member each.
  [[nodiscard]] virtual Attributes attributes() { return {}; }
  // Throws std::invalid_argument where the attributes make no sense. Called once they are set.
  virtual void check() const {}

  [[nodiscard]] virtual int inputs() const noexcept { return 1; }
  [[nodiscard]] virtual int outputs() const noexcept { return 1; }
  // The types of the network's tensors, before TensorRT chooses what to build with. INT8 among these is refused here:
  // TensorRT quantises a float tensor as it sees fit and says with which scale, but the scale of a tensor that is INT8
  // in the network itself is in a Q/DQ node, out of sight.
  [[nodiscard]] virtual DataType output_type(int output, std::vector<DataType> const& inputs) const;
  [[nodiscard]] virtual SymbolicShape output_shape(int /*output*/, std::vector<SymbolicShape> const& inputs) const {
    return inputs.front();
  }
  // May tensor `position` (inputs, then outputs) have its type and format, given those of the tensors before it?
  // Those after it are not set yet.
  [[nodiscard]] virtual bool supports(int position, std::vector<Tensor> const& tensors) const = 0;
  // Bytes of device memory, for any shape up to the given ones.
  [[nodiscard]] virtual std::size_t workspace(std::vector<Tensor> const& /*tensors*/) const { return 0; }
  // Queues the work on the CUDA stream and returns a cudaError_t: 0 for success. Never synchronises.
  // `tensors`: inputs, then outputs.
  virtual int enqueue(Tensor const* tensors, void const* const* inputs, void* const* outputs, void* workspace,
                      void* stream) const = 0;

 protected:
  Operator(Operator const&) = default;
};

// What follows from an operator's own constants: kName, kVersion and kNamespace.
template <class T>
class OperatorOf : public Operator {
 public:
  static constexpr char const* kNamespace = "";
  [[nodiscard]] char const* name() const noexcept override { return T::kName; }
  [[nodiscard]] char const* version() const noexcept override { return T::kVersion; }
  [[nodiscard]] char const* plugin_namespace() const noexcept override { return T::kNamespace; }
  [[nodiscard]] std::unique_ptr<Operator> clone() const override {
    return std::make_unique<T>(static_cast<T const&>(*this));
  }

 private:
  friend T;
  OperatorOf() = default;
};

// The operators of this library.
using MakeOperator = std::unique_ptr<Operator> (*)();
std::vector<MakeOperator>& operators();

struct Registration {
  explicit Registration(MakeOperator make) noexcept;
};

template <class T>
std::unique_ptr<Operator> make_operator() {
  return std::make_unique<T>();
}

// With a priority, so that all of them have run when library.cpp tells TensorRT.
#define TF2TRT_OPERATOR(Type)                                                                               \
  __attribute__((init_priority(1000))) static ::tf2trt::plugins::Registration const registration_of_##Type{ \
      &::tf2trt::plugins::make_operator<Type>};

}  // namespace tf2trt::plugins
