// An operator as TensorRT 10 and 11 see it: nvinfer1::IPluginV3 with its three capabilities, and
// nvinfer1::IPluginCreatorV3One. The order of the virtual functions is the interface; tools/abi calls each of them
// through NVIDIA's own classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "abi/callbacks.hpp"
#include "sdk/layout.hpp"
#include "sdk/operator.hpp"

namespace tf2trt::plugins {

using DescV3 = TensorDesc<abi::Dims64>;

// nvinfer1::IVersionedInterface, the beginning of all that follow.
class Versioned {
 public:
  explicit Versioned(abi::InterfaceInfo info) noexcept : info_(info) {}
  Versioned(Versioned const&) = delete;
  Versioned& operator=(Versioned const&) = delete;
  [[nodiscard]] virtual std::int32_t getAPILanguage() const noexcept { return abi::kApiLanguageCpp; }
  [[nodiscard]] virtual abi::InterfaceInfo getInterfaceInfo() const noexcept { return info_; }
  virtual ~Versioned() = default;

 private:
  abi::InterfaceInfo info_;
};

// The capabilities live in the plugin and refer to its operator.
class CoreV3 : public Versioned {
 public:
  explicit CoreV3(Operator const& op) noexcept : Versioned({"PLUGIN_V3ONE_CORE", 1, 0}), operator_(&op) {}
  [[nodiscard]] virtual char const* getPluginName() const noexcept { return operator_->name(); }
  [[nodiscard]] virtual char const* getPluginVersion() const noexcept { return operator_->version(); }
  [[nodiscard]] virtual char const* getPluginNamespace() const noexcept { return operator_->plugin_namespace(); }

 private:
  Operator const* operator_;
};

class BuildV3 : public Versioned {
 public:
  explicit BuildV3(Operator const& op) noexcept : Versioned({"PLUGIN_V3ONE_BUILD", 1, 0}), operator_(&op) {}
  virtual std::int32_t configurePlugin(DynamicTensorDesc10 const* inputs, std::int32_t input_count,
                                       DynamicTensorDesc10 const* outputs, std::int32_t output_count) noexcept;
  virtual std::int32_t getOutputDataTypes(std::int32_t* outputs, std::int32_t output_count, std::int32_t const* inputs,
                                          std::int32_t input_count) const noexcept;
  virtual std::int32_t getOutputShapes(DimsExprs const* inputs, std::int32_t input_count, DimsExprs const* shape_inputs,
                                       std::int32_t shape_input_count, DimsExprs* outputs, std::int32_t output_count,
                                       void* expr_builder) noexcept;
  virtual bool supportsFormatCombination(std::int32_t position, DynamicTensorDesc10 const* tensors, std::int32_t inputs,
                                         std::int32_t outputs) noexcept;
  [[nodiscard]] virtual std::int32_t getNbOutputs() const noexcept { return operator_->outputs(); }
  virtual std::size_t getWorkspaceSize(DynamicTensorDesc10 const* inputs, std::int32_t input_count,
                                       DynamicTensorDesc10 const* outputs, std::int32_t output_count) const noexcept;
  // No tactics, no cache of timings, no metadata: NVIDIA's own defaults.
  virtual std::int32_t getValidTactics(std::int32_t* tactics, std::int32_t count) noexcept;
  virtual std::int32_t getNbTactics() noexcept { return 0; }
  virtual char const* getTimingCacheID() noexcept { return nullptr; }
  virtual std::int32_t getFormatCombinationLimit() noexcept { return 100; }
  virtual char const* getMetadataString() noexcept { return nullptr; }

 private:
  Operator const* operator_;
};

class PluginV3;

class RuntimeV3 : public Versioned {
 public:
  explicit RuntimeV3(Operator& op);
  virtual std::int32_t setTactic(std::int32_t tactic) noexcept;
  virtual std::int32_t onShapeChange(DescV3 const* inputs, std::int32_t input_count, DescV3 const* outputs,
                                     std::int32_t output_count) noexcept;
  virtual std::int32_t enqueue(DescV3 const* input_descs, DescV3 const* output_descs, void const* const* inputs,
                               void* const* outputs, void* workspace, void* stream) noexcept;
  // A plugin for the context alone, which the context deletes.
  virtual PluginV3* attachToContext(void* context) noexcept;
  // The attributes; they point into the operator.
  virtual PluginFieldCollection const* getFieldsToSerialize() noexcept;

 private:
  Operator* operator_;
  std::vector<PluginField> fields_;
  PluginFieldCollection collection_{};
};

class PluginV3 : public Versioned {
 public:
  explicit PluginV3(std::unique_ptr<Operator> op);
  // nvinfer1::PluginCapabilityType: 0 core, 1 build, 2 run time. nullptr for another.
  virtual Versioned* getCapabilityInterface(std::int32_t type) noexcept;
  virtual PluginV3* clone() noexcept;

 private:
  std::unique_ptr<Operator> operator_;
  CoreV3 core_;
  BuildV3 build_;
  RuntimeV3 runtime_;
};

class CreatorV3 : public Versioned {
 public:
  explicit CreatorV3(MakeOperator make);
  // The same for both phases: a plan holds the attributes as fields. nullptr, and a line in the log, for fields that
  // the operator cannot take. `layer` is ignored.
  virtual PluginV3* createPlugin(char const* layer, PluginFieldCollection const* fields, std::int32_t phase) noexcept;
  // The attributes, with their defaults.
  virtual PluginFieldCollection const* getFieldNames() noexcept { return &collection_; }
  [[nodiscard]] virtual char const* getPluginName() const noexcept { return defaults_->name(); }
  [[nodiscard]] virtual char const* getPluginVersion() const noexcept { return defaults_->version(); }
  [[nodiscard]] virtual char const* getPluginNamespace() const noexcept { return defaults_->plugin_namespace(); }

 private:
  MakeOperator make_;
  std::unique_ptr<Operator> defaults_;
  std::vector<PluginField> fields_;
  PluginFieldCollection collection_;
};

}  // namespace tf2trt::plugins
