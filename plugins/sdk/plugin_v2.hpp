// An operator as TensorRT 8 sees it: nvinfer1::IPluginV2DynamicExt and nvinfer1::IPluginCreator. The order of the
// virtual functions is the interface; tools/abi calls each of them through NVIDIA's own classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sdk/layout.hpp"
#include "sdk/operator.hpp"

namespace tf2trt::plugins {

// What getTensorRTVersion answers: the interface is the one of 8.5, which 8.6 takes too.
inline constexpr std::int32_t kInterfaceV2 = 8500;

class PluginV2 {
 public:
  using Dims = abi::Dims32;
  using Desc = TensorDesc<abi::Dims32>;
  using DynamicDesc = DynamicTensorDesc8;

  explicit PluginV2(std::unique_ptr<Operator> op, std::string plugin_namespace)
      : operator_(std::move(op)), namespace_(std::move(plugin_namespace)) {}
  PluginV2(PluginV2 const&) = delete;
  PluginV2& operator=(PluginV2 const&) = delete;

  // IPluginV2. The functions for a static batch are never called on a dynamic plugin; they answer as NVIDIA's do.
  [[nodiscard]] virtual std::int32_t getTensorRTVersion() const noexcept;
  [[nodiscard]] virtual char const* getPluginType() const noexcept;
  [[nodiscard]] virtual char const* getPluginVersion() const noexcept;
  [[nodiscard]] virtual std::int32_t getNbOutputs() const noexcept;
  virtual Dims getOutputDimensions(std::int32_t index, Dims const* inputs, std::int32_t count) noexcept;
  [[nodiscard]] virtual bool supportsFormat(std::int32_t type, std::int32_t format) const noexcept;
  virtual void configureWithFormat(Dims const* inputs, std::int32_t input_count, Dims const* outputs,
                                   std::int32_t output_count, std::int32_t type, std::int32_t format,
                                   std::int32_t max_batch) noexcept;
  virtual std::int32_t initialize() noexcept;
  virtual void terminate() noexcept;
  [[nodiscard]] virtual std::size_t getWorkspaceSize(std::int32_t max_batch) const noexcept;
  virtual std::int32_t enqueue(std::int32_t batch, void const* const* inputs, void* const* outputs, void* workspace,
                               void* stream) noexcept;
  [[nodiscard]] virtual std::size_t getSerializationSize() const noexcept;
  virtual void serialize(void* buffer) const noexcept;
  virtual void destroy() noexcept;
  [[nodiscard]] virtual PluginV2* clone() const noexcept;
  virtual void setPluginNamespace(char const* plugin_namespace) noexcept;
  [[nodiscard]] virtual char const* getPluginNamespace() const noexcept;
  virtual ~PluginV2() = default;
  // IPluginV2Ext
  virtual std::int32_t getOutputDataType(std::int32_t index, std::int32_t const* types,
                                         std::int32_t count) const noexcept;
  virtual bool isOutputBroadcastAcrossBatch(std::int32_t index, bool const* inputs, std::int32_t count) const noexcept;
  [[nodiscard]] virtual bool canBroadcastInputAcrossBatch(std::int32_t index) const noexcept;
  virtual void configurePlugin(Dims const* inputs, std::int32_t input_count, Dims const* outputs,
                               std::int32_t output_count, std::int32_t const* input_types,
                               std::int32_t const* output_types, bool const* input_broadcast,
                               bool const* output_broadcast, std::int32_t format, std::int32_t max_batch) noexcept;
  virtual void attachToContext(void* cudnn, void* cublas, void* allocator) noexcept;
  virtual void detachFromContext() noexcept;
  // IPluginV2DynamicExt
  virtual DimsExprs getOutputDimensions(std::int32_t index, DimsExprs const* inputs, std::int32_t count,
                                        void* expr_builder) noexcept;
  virtual bool supportsFormatCombination(std::int32_t position, Desc const* tensors, std::int32_t inputs,
                                         std::int32_t outputs) noexcept;
  virtual void configurePlugin(DynamicDesc const* inputs, std::int32_t input_count, DynamicDesc const* outputs,
                               std::int32_t output_count) noexcept;
  virtual std::size_t getWorkspaceSize(Desc const* inputs, std::int32_t input_count, Desc const* outputs,
                                       std::int32_t output_count) const noexcept;
  virtual std::int32_t enqueue(Desc const* input_descs, Desc const* output_descs, void const* const* inputs,
                               void* const* outputs, void* workspace, void* stream) noexcept;

 private:
  std::unique_ptr<Operator> operator_;
  std::string namespace_;
};

class CreatorV2 {
 public:
  explicit CreatorV2(MakeOperator make);
  CreatorV2(CreatorV2 const&) = delete;
  CreatorV2& operator=(CreatorV2 const&) = delete;

  [[nodiscard]] virtual std::int32_t getTensorRTVersion() const noexcept;
  [[nodiscard]] virtual char const* getPluginName() const noexcept;
  [[nodiscard]] virtual char const* getPluginVersion() const noexcept;
  // The attributes, with their defaults.
  virtual PluginFieldCollection const* getFieldNames() noexcept;
  // nullptr, and a line in the log, for fields that the operator cannot take. `layer` is ignored.
  virtual PluginV2* createPlugin(char const* layer, PluginFieldCollection const* fields) noexcept;
  virtual PluginV2* deserializePlugin(char const* layer, void const* data, std::size_t size) noexcept;
  virtual void setPluginNamespace(char const* plugin_namespace) noexcept;
  [[nodiscard]] virtual char const* getPluginNamespace() const noexcept;
  virtual ~CreatorV2() = default;

 private:
  MakeOperator make_;
  std::unique_ptr<Operator> defaults_;
  std::vector<PluginField> fields_;
  PluginFieldCollection collection_;
  std::string namespace_;
};

}  // namespace tf2trt::plugins
