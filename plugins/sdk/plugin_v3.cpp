#include "sdk/plugin_v3.hpp"

#include <stdexcept>
#include <string>

#include "abi/slots.hpp"
#include "sdk/convert.hpp"
#include "sdk/expr_builder.hpp"
#include "sdk/guard.hpp"

namespace tf2trt::plugins {
namespace {

constexpr std::int32_t kFailure = -1;

// IExprBuilder and IPluginV3 are the same in 11.
abi::Api const& api() {
  static abi::Api const tables(10, {10, 0, 0});
  return tables;
}

}  // namespace

std::int32_t BuildV3::configurePlugin(DynamicTensorDesc10 const* /*inputs*/, std::int32_t /*input_count*/,
                                      DynamicTensorDesc10 const* /*outputs*/, std::int32_t /*output_count*/) noexcept {
  return 0;
}

std::int32_t BuildV3::getOutputDataTypes(std::int32_t* outputs, std::int32_t output_count, std::int32_t const* inputs,
                                         std::int32_t input_count) const noexcept {
  return guarded(operator_->name(), kFailure, [&] {
    for (std::int32_t i = 0; i < output_count; ++i) {
      outputs[i] = static_cast<std::int32_t>(operator_->output_type(i, to_types(inputs, input_count)));
    }
    return 0;
  });
}

std::int32_t BuildV3::getOutputShapes(DimsExprs const* inputs, std::int32_t input_count,
                                      DimsExprs const* /*shape_inputs*/, std::int32_t /*shape_input_count*/,
                                      DimsExprs* outputs, std::int32_t output_count, void* expr_builder) noexcept {
  return guarded(operator_->name(), kFailure, [&] {
    ExprBuilder const builder(api(), expr_builder);
    std::vector<SymbolicShape> shapes;
    shapes.reserve(static_cast<std::size_t>(input_count));
    for (std::int32_t i = 0; i < input_count; ++i) shapes.push_back(builder.shape(inputs[i]));
    for (std::int32_t i = 0; i < output_count; ++i) outputs[i] = ExprBuilder::dims(operator_->output_shape(i, shapes));
    return 0;
  });
}

bool BuildV3::supportsFormatCombination(std::int32_t position, DynamicTensorDesc10 const* tensors, std::int32_t inputs,
                                        std::int32_t outputs) noexcept {
  return guarded(operator_->name(), false, [&] { return supports(*operator_, position, tensors, inputs, outputs); });
}

std::size_t BuildV3::getWorkspaceSize(DynamicTensorDesc10 const* inputs, std::int32_t input_count,
                                      DynamicTensorDesc10 const* outputs, std::int32_t output_count) const noexcept {
  return guarded(operator_->name(), std::size_t{0},
                 [&] { return workspace(*operator_, inputs, input_count, outputs, output_count); });
}

std::int32_t BuildV3::getValidTactics(std::int32_t* /*tactics*/, std::int32_t /*count*/) noexcept { return 0; }

RuntimeV3::RuntimeV3(Operator& op) : Versioned({"PLUGIN_V3ONE_RUNTIME", 1, 0}), operator_(&op) {}

std::int32_t RuntimeV3::setTactic(std::int32_t /*tactic*/) noexcept { return 0; }

std::int32_t RuntimeV3::onShapeChange(DescV3 const* /*inputs*/, std::int32_t /*input_count*/, DescV3 const* /*outputs*/,
                                      std::int32_t /*output_count*/) noexcept {
  return 0;
}

std::int32_t RuntimeV3::enqueue(DescV3 const* input_descs, DescV3 const* output_descs, void const* const* inputs,
                                void* const* outputs, void* workspace, void* stream) noexcept {
  return guarded(operator_->name(), kFailure, [&] {
    TensorList const tensors(input_descs, operator_->inputs(), output_descs, operator_->outputs());
    return operator_->enqueue(tensors.data(), inputs, outputs, workspace, stream);
  });
}

PluginV3* RuntimeV3::attachToContext(void* /*context*/) noexcept {
  return guarded(operator_->name(), static_cast<PluginV3*>(nullptr),
                 [&] { return std::make_unique<PluginV3>(operator_->clone()).release(); });
}

PluginFieldCollection const* RuntimeV3::getFieldsToSerialize() noexcept {
  return guarded(operator_->name(), static_cast<PluginFieldCollection const*>(nullptr), [&] {
    fields_ = fields_of(operator_->attributes());
    collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
    return &collection_;
  });
}

PluginV3::PluginV3(std::unique_ptr<Operator> op)
    : Versioned({"PLUGIN", 1, 0}),
      operator_(std::move(op)),
      core_(*operator_),
      build_(*operator_),
      runtime_(*operator_) {}

Versioned* PluginV3::getCapabilityInterface(std::int32_t type) noexcept {
  switch (type) {
    case 0:
      return &core_;
    case 1:
      return &build_;
    case 2:
      return &runtime_;
    default:
      return nullptr;
  }
}

PluginV3* PluginV3::clone() noexcept {
  return guarded(operator_->name(), static_cast<PluginV3*>(nullptr),
                 [&] { return std::make_unique<PluginV3>(operator_->clone()).release(); });
}

CreatorV3::CreatorV3(MakeOperator make)
    : Versioned({"PLUGIN CREATOR_V3ONE", 1, 0}),
      make_(make),
      defaults_(with_defaults(make)),
      fields_(fields_of(defaults_->attributes())),
      collection_{static_cast<std::int32_t>(fields_.size()), fields_.data()} {}

PluginV3* CreatorV3::createPlugin(char const* /*layer*/, PluginFieldCollection const* fields,
                                  std::int32_t /*phase*/) noexcept {
  return guarded(defaults_->name(), static_cast<PluginV3*>(nullptr), [&] {
    auto made = make_();
    if (fields != nullptr) load(made->attributes(), *fields);
    made->check();
    return std::make_unique<PluginV3>(std::move(made)).release();
  });
}

}  // namespace tf2trt::plugins
