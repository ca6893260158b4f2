#include "sdk/plugin_v2.hpp"

#include <algorithm>

#include "abi/slots.hpp"
#include "sdk/convert.hpp"
#include "sdk/expr_builder.hpp"
#include "sdk/guard.hpp"

namespace tf2trt::plugins {
namespace {

abi::Api const& api() {
  static abi::Api const tables(8, {8, 5, 0});
  return tables;
}

std::vector<SymbolicShape> symbolic_shapes(ExprBuilder const& builder, DimsExprs const* inputs, std::int32_t count) {
  std::vector<SymbolicShape> shapes;
  shapes.reserve(static_cast<std::size_t>(count));
  for (std::int32_t i = 0; i < count; ++i) shapes.push_back(builder.shape(inputs[i]));
  return shapes;
}

constexpr std::uint32_t kDynamicExt = 3;  // nvinfer1::PluginVersion::kV2_DYNAMICEXT, in the version's top byte

}  // namespace

std::int32_t PluginV2::getTensorRTVersion() const noexcept {
  return static_cast<std::int32_t>(kDynamicExt << 24U | static_cast<std::uint32_t>(kInterfaceV2));
}
char const* PluginV2::getPluginType() const noexcept { return operator_->name(); }
char const* PluginV2::getPluginVersion() const noexcept { return operator_->version(); }
std::int32_t PluginV2::getNbOutputs() const noexcept { return operator_->outputs(); }
PluginV2::Dims PluginV2::getOutputDimensions(std::int32_t /*index*/, Dims const* /*inputs*/,
                                             std::int32_t /*count*/) noexcept {
  return {-1, {}};
}
bool PluginV2::supportsFormat(std::int32_t /*type*/, std::int32_t /*format*/) const noexcept { return false; }
void PluginV2::configureWithFormat(Dims const* /*inputs*/, std::int32_t /*input_count*/, Dims const* /*outputs*/,
                                   std::int32_t /*output_count*/, std::int32_t /*type*/, std::int32_t /*format*/,
                                   std::int32_t /*max_batch*/) noexcept {}
std::int32_t PluginV2::initialize() noexcept { return 0; }
void PluginV2::terminate() noexcept {}
std::size_t PluginV2::getWorkspaceSize(std::int32_t /*max_batch*/) const noexcept { return 0; }
std::int32_t PluginV2::enqueue(std::int32_t /*batch*/, void const* const* /*inputs*/, void* const* /*outputs*/,
                               void* /*workspace*/, void* /*stream*/) noexcept {
  return 1;
}

std::size_t PluginV2::getSerializationSize() const noexcept {
  return guarded(operator_->name(), std::size_t{0}, [&] { return pack(operator_->attributes()).size(); });
}
void PluginV2::serialize(void* buffer) const noexcept {
  guarded(operator_->name(), false, [&] {
    auto const bytes = pack(operator_->attributes());
    std::copy(bytes.begin(), bytes.end(), static_cast<char*>(buffer));
    return true;
  });
}
void PluginV2::destroy() noexcept { delete this; }
PluginV2* PluginV2::clone() const noexcept {
  return guarded(operator_->name(), static_cast<PluginV2*>(nullptr), [&] {
    return std::make_unique<PluginV2>(operator_->clone(), namespace_)
        .release();  // TensorRT owns it until it calls destroy
  });
}
void PluginV2::setPluginNamespace(char const* plugin_namespace) noexcept {
  guarded(operator_->name(), false, [&] {
    namespace_ = plugin_namespace == nullptr ? "" : plugin_namespace;
    return true;
  });
}
char const* PluginV2::getPluginNamespace() const noexcept { return namespace_.c_str(); }

// -1 is no type: TensorRT then refuses the network.
std::int32_t PluginV2::getOutputDataType(std::int32_t index, std::int32_t const* types,
                                         std::int32_t count) const noexcept {
  return guarded(operator_->name(), -1,
                 [&] { return static_cast<std::int32_t>(operator_->output_type(index, to_types(types, count))); });
}
bool PluginV2::isOutputBroadcastAcrossBatch(std::int32_t /*index*/, bool const* /*inputs*/,
                                            std::int32_t /*count*/) const noexcept {
  return false;
}
bool PluginV2::canBroadcastInputAcrossBatch(std::int32_t /*index*/) const noexcept { return true; }
void PluginV2::configurePlugin(Dims const* /*inputs*/, std::int32_t /*input_count*/, Dims const* /*outputs*/,
                               std::int32_t /*output_count*/, std::int32_t const* /*input_types*/,
                               std::int32_t const* /*output_types*/, bool const* /*input_broadcast*/,
                               bool const* /*output_broadcast*/, std::int32_t /*format*/,
                               std::int32_t /*max_batch*/) noexcept {}
void PluginV2::attachToContext(void* /*cudnn*/, void* /*cublas*/, void* /*allocator*/) noexcept {}
void PluginV2::detachFromContext() noexcept {}

DimsExprs PluginV2::getOutputDimensions(std::int32_t index, DimsExprs const* inputs, std::int32_t count,
                                        void* expr_builder) noexcept {
  return guarded(operator_->name(), DimsExprs{-1, {}}, [&] {
    ExprBuilder const builder(api(), expr_builder);
    return ExprBuilder::dims(operator_->output_shape(index, symbolic_shapes(builder, inputs, count)));
  });
}
bool PluginV2::supportsFormatCombination(std::int32_t position, Desc const* tensors, std::int32_t inputs,
                                         std::int32_t outputs) noexcept {
  return guarded(operator_->name(), false, [&] { return supports(*operator_, position, tensors, inputs, outputs); });
}
void PluginV2::configurePlugin(DynamicDesc const* /*inputs*/, std::int32_t /*input_count*/,
                               DynamicDesc const* /*outputs*/, std::int32_t /*output_count*/) noexcept {}
std::size_t PluginV2::getWorkspaceSize(Desc const* inputs, std::int32_t input_count, Desc const* outputs,
                                       std::int32_t output_count) const noexcept {
  return guarded(operator_->name(), std::size_t{0},
                 [&] { return workspace(*operator_, inputs, input_count, outputs, output_count); });
}
std::int32_t PluginV2::enqueue(Desc const* input_descs, Desc const* output_descs, void const* const* inputs,
                               void* const* outputs, void* workspace, void* stream) noexcept {
  return guarded(operator_->name(), 1, [&] {
    TensorList const tensors(input_descs, operator_->inputs(), output_descs, operator_->outputs());
    return operator_->enqueue(tensors.data(), inputs, outputs, workspace, stream);
  });
}

CreatorV2::CreatorV2(MakeOperator make)
    : make_(make),
      defaults_(with_defaults(make)),
      fields_(fields_of(defaults_->attributes())),
      collection_{static_cast<std::int32_t>(fields_.size()), fields_.data()},
      namespace_(defaults_->plugin_namespace()) {}

std::int32_t CreatorV2::getTensorRTVersion() const noexcept { return kInterfaceV2; }
char const* CreatorV2::getPluginName() const noexcept { return defaults_->name(); }
char const* CreatorV2::getPluginVersion() const noexcept { return defaults_->version(); }
PluginFieldCollection const* CreatorV2::getFieldNames() noexcept { return &collection_; }
PluginV2* CreatorV2::createPlugin(char const* /*layer*/, PluginFieldCollection const* fields) noexcept {
  return guarded(defaults_->name(), static_cast<PluginV2*>(nullptr), [&] {
    auto made = make_();
    if (fields != nullptr) load(made->attributes(), *fields);
    made->check();
    return std::make_unique<PluginV2>(std::move(made), namespace_).release();
  });
}
PluginV2* CreatorV2::deserializePlugin(char const* /*layer*/, void const* data, std::size_t size) noexcept {
  return guarded(defaults_->name(), static_cast<PluginV2*>(nullptr), [&] {
    auto made = make_();
    unpack(made->attributes(), data, size);
    made->check();
    return std::make_unique<PluginV2>(std::move(made), namespace_).release();
  });
}
void CreatorV2::setPluginNamespace(char const* plugin_namespace) noexcept {
  guarded(defaults_->name(), false, [&] {
    namespace_ = plugin_namespace == nullptr ? "" : plugin_namespace;
    return true;
  });
}
char const* CreatorV2::getPluginNamespace() const noexcept { return namespace_.c_str(); }

}  // namespace tf2trt::plugins
