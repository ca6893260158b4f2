// Every function of NVIDIA's IPluginCreatorV3One, IPluginV3 and its three capabilities, called on a plugin of ours.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "NvInfer.h"
#include "count.hpp"
#include "plugins_cases.hpp"
#include "plugins_expressions.hpp"
#include "sdk/plugin_v3.hpp"

namespace drive {

using nvinfer1::IPluginCreatorV3One;
using nvinfer1::IPluginV3;
using nvinfer1::IPluginV3OneBuild;
using nvinfer1::IPluginV3OneCore;
using nvinfer1::IPluginV3OneRuntime;
using nvinfer1::PluginCapabilityType;
using nvinfer1::TensorRTPhase;

using Plugin = std::unique_ptr<IPluginV3>;

template <class Capability>
Capability* capability(IPluginV3* plugin, PluginCapabilityType type) {
  return static_cast<Capability*>(plugin->getCapabilityInterface(type));
}
inline IPluginV3OneCore* core_of(IPluginV3* plugin) {
  return capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE);
}
inline IPluginV3OneBuild* build_of(IPluginV3* plugin) {
  return capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD);
}
inline IPluginV3OneRuntime* runtime_of(IPluginV3* plugin) {
  return capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME);
}

// What a plan would hold.
inline std::string serialized(IPluginV3* plugin) {
  return plugin == nullptr ? "nullptr" : text(runtime_of(plugin)->getFieldsToSerialize());
}

inline void drive_creation(Count& count, IPluginCreatorV3One* creator, Operator& op) {
  for (auto const phase : {TensorRTPhase::kBUILD, TensorRTPhase::kRUNTIME}) {
    auto const create = [&](PluginFieldCollection const* fields) {
      return serialized(Plugin(creator->createPlugin("a layer", fields, phase)).get());
    };
    std::string const name = "createPlugin, phase " + text(phase) + ", ";
    std::string const given = text(op.given.collection());
    std::string const defaults = text(op.defaults.collection());
    count.same(name + "all attributes", create(op.given.collection()), given);
    count.same(name + "no attribute", create(Fields{}.collection()), defaults);
    count.same(name + "64-bit attributes", create(op.wide.collection()), given);
    count.same(name + "attributes of few bits", create(op.narrow.collection()), given);
    count.same(name + "no fields", create(nullptr), defaults);
    for (auto& [what, fields] : op.refused) count.same(name + what, create(fields.collection()), "nullptr");
  }
}

inline void drive_core(Count& count, IPluginV3OneCore* core, Operator const& op) {
  check_version(count, core);
  count.same("getPluginName", core->getPluginName(), op.name);
  count.same("getPluginVersion", core->getPluginVersion(), "1");
  count.same("getPluginNamespace", core->getPluginNamespace(), "tf2trt");
}

inline void drive_shapes(Count& count, IPluginV3OneBuild* build, IPluginCreatorV3One* creator, Operator& op) {
  Expressions builder;
  DimsExprs const shape = four_extents(builder);
  DimsExprs got[2] = {{-7, {}}, {-7, {}}};
  count.same("getOutputShapes", build->getOutputShapes(&shape, 1, nullptr, 0, got, 1, builder), 0);
  count.same("getOutputShapes, the shape", text(got[0]), text(shape));
  count.same("getOutputShapes, behind it", got[1].nbDims, -7);
  for (auto& fields : op.beyond) {
    Plugin const other(creator->createPlugin("a layer", fields.collection(), TensorRTPhase::kBUILD));
    count.same("getOutputShapes, " + text(fields.collection()) + ", fails",
               build_of(other.get())->getOutputShapes(&shape, 1, nullptr, 0, got, 1, builder) != 0, true);
    auto const x = tensor(op.inputs.front(), {1, 4, 2, 2});
    void const* const inputs[] = {&x};
    void* const outputs[] = {&builder};
    count.same("enqueue, " + text(fields.collection()) + ", fails",
               runtime_of(other.get())->enqueue(&x, &x, inputs, outputs, nullptr, nullptr) != 0, true);
  }
}

inline void drive_build(Count& count, IPluginV3OneBuild* build, IPluginCreatorV3One* creator, Operator& op) {
  using Theirs = IPluginV3OneBuild;
  check_version(count, build);
  count.same("getNbOutputs", build->getNbOutputs(), 1);
  for (auto const type : {DataType::kFLOAT, DataType::kHALF, kBf16}) {
    auto got = static_cast<DataType>(-1);
    count.same("getOutputDataTypes", build->getOutputDataTypes(&got, 1, &type, 1), 0);
    count.same("getOutputDataTypes, the type", got, type);
  }
  auto const quantized = DataType::kINT8;  // its scale is in the network, out of the plugin's sight
  DataType unused{};
  count.same("getOutputDataTypes, INT8, fails", build->getOutputDataTypes(&unused, 1, &quantized, 1) != 0, true);
  drive_shapes(count, build, creator, op);
  nvinfer1::DynamicPluginTensorDesc tensors[2];
  for (auto& one : tensors) describe(one, op.inputs.front());
  count.same("configurePlugin", build->configurePlugin(tensors, 1, tensors + 1, 1), 0);
  drive_formats<nvinfer1::DynamicPluginTensorDesc>(count, op, build);
  std::int32_t tactic = -7;
  count.same("getNbTactics", build->getNbTactics(), build->Theirs::getNbTactics());
  count.same("getValidTactics", build->getValidTactics(&tactic, 0), build->Theirs::getValidTactics(&tactic, 0));
  count.same("getValidTactics, the tactic", tactic, -7);
  count.same("getTimingCacheID", build->getTimingCacheID(), build->Theirs::getTimingCacheID());
  count.same("getFormatCombinationLimit", build->getFormatCombinationLimit(), 100);
  count.same("getFormatCombinationLimit, NVIDIA's", build->getFormatCombinationLimit(),
             build->Theirs::getFormatCombinationLimit());
  count.same("getMetadataString", build->getMetadataString(), build->Theirs::getMetadataString());
}

// What IPluginResourceContext gives; the plugins ask for nothing.
struct Resources : nvinfer1::IPluginResourceContext {
  nvinfer1::IGpuAllocator* getGpuAllocator() const noexcept override { return nullptr; }
  nvinfer1::IErrorRecorder* getErrorRecorder() const noexcept override { return nullptr; }
};

inline void drive_runtime(Count& count, IPluginV3* plugin, IPluginCreatorV3One* creator, Operator& op) {
  auto* const runtime = runtime_of(plugin);
  check_version(count, runtime);
  std::string const given = text(op.given.collection());
  count.same("setTactic", runtime->setTactic(0), runtime->IPluginV3OneRuntime::setTactic(0));
  auto const x = tensor(op.inputs.front(), {1, 4, 2, 2});
  count.same("onShapeChange", runtime->onShapeChange(&x, 1, &x, 1), 0);
  drive_enqueue(count, op, runtime);
  count.same("getFieldsToSerialize", text(runtime->getFieldsToSerialize()), given);
  count.same("getFieldsToSerialize, again", text(runtime->getFieldsToSerialize()), given);
  Plugin const back(creator->createPlugin("a layer", runtime->getFieldsToSerialize(), TensorRTPhase::kRUNTIME));
  count.same("getFieldsToSerialize after createPlugin", serialized(back.get()), given);

  Resources resources;
  for (auto* const context : {static_cast<Resources*>(nullptr), &resources}) {
    IPluginV3* const attached = runtime->attachToContext(context);
    count.same("attachToContext is another", attached != plugin, true);
    check_version(count, attached);
    count.same("attachToContext", serialized(attached), given);
    drive_enqueue(count, op, runtime_of(attached));
    delete attached;
    count.same("delete of what was attached", serialized(plugin), given);
  }
}

inline void drive_plugin(Count& count, IPluginCreatorV3One* creator, Operator& op) {
  Plugin plugin(creator->createPlugin("a layer", op.given.collection(), TensorRTPhase::kBUILD));
  if (plugin == nullptr) return;  // told by drive_creation
  std::string const given = text(op.given.collection());
  check_version(count, plugin.get());
  for (int const unknown : {-1, 3}) {
    count.same("getCapabilityInterface, unknown",
               plugin->getCapabilityInterface(static_cast<PluginCapabilityType>(unknown)) == nullptr, true);
  }
  drive_core(count, core_of(plugin.get()), op);
  drive_build(count, build_of(plugin.get()), creator, op);
  drive_runtime(count, plugin.get(), creator, op);
  Plugin copy(plugin->clone());
  count.same("clone is another", copy != plugin, true);
  count.same("clone", serialized(copy.get()), given);
  plugin.reset();
  count.same("clone, after delete", serialized(copy.get()), given);
  check_version(count, copy.get());
  drive_core(count, core_of(copy.get()), op);
}

inline void compare_slots() {
  namespace ours = tf2trt::plugins;
  Count count("slots");
  count.call(is_same_slot(&ours::BuildV3::getValidTactics, &IPluginV3OneBuild::getValidTactics), "getValidTactics");
  count.call(is_same_slot(&ours::BuildV3::getNbTactics, &IPluginV3OneBuild::getNbTactics), "getNbTactics");
  count.call(is_same_slot(&ours::BuildV3::getTimingCacheID, &IPluginV3OneBuild::getTimingCacheID), "getTimingCacheID");
  count.call(is_same_slot(&ours::BuildV3::getMetadataString, &IPluginV3OneBuild::getMetadataString),
             "getMetadataString");
  count.call(is_same_slot(&ours::RuntimeV3::setTactic, &IPluginV3OneRuntime::setTactic), "setTactic");
  count.call(is_same_slot(&ours::RuntimeV3::onShapeChange, &IPluginV3OneRuntime::onShapeChange), "onShapeChange");
}

inline void drive_creator(IPluginCreatorV3One* creator, Operator& op) {
  Count count(op.name);
  check_version(count, creator);
  count.same("getPluginName", creator->getPluginName(), op.name);
  count.same("getPluginVersion", creator->getPluginVersion(), "1");
  count.same("getPluginNamespace", creator->getPluginNamespace(), "tf2trt");
  count.same("getFieldNames", text(creator->getFieldNames()), text(op.defaults.collection()));
  drive_creation(count, creator, op);
  drive_plugin(count, creator, op);
}

}  // namespace drive
