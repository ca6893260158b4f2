// Every function of NVIDIA's IPluginCreator and IPluginV2DynamicExt, called on a plugin of ours. What the latter hides
// is called through its bases.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "NvInfer.h"
#include "count.hpp"
#include "plugins_cases.hpp"
#include "plugins_expressions.hpp"
#include "sdk/plugin_v2.hpp"

namespace drive {

using nvinfer1::IPluginCreator;
using nvinfer1::IPluginV2;
using nvinfer1::IPluginV2DynamicExt;
using nvinfer1::IPluginV2Ext;

constexpr std::int32_t kInterface = 8500;  // what we say of us: the interface of 8.5
constexpr std::int32_t kDynamicExt = 3;    // nvinfer1::PluginVersion::kV2_DYNAMICEXT
static_assert(static_cast<std::int32_t>(nvinfer1::PluginVersion::kV2_DYNAMICEXT) == kDynamicExt);

struct Destroy {
  void operator()(IPluginV2* plugin) const { plugin->destroy(); }
};
using Plugin = std::unique_ptr<IPluginV2DynamicExt, Destroy>;

inline Plugin own(IPluginV2* plugin) { return Plugin(static_cast<IPluginV2DynamicExt*>(plugin)); }

// What a plan would hold; nothing may be written behind it.
inline std::string serialized(IPluginV2 const* plugin) {
  if (plugin == nullptr) return "nullptr";
  std::size_t const size = plugin->getSerializationSize();
  if (size > 10000) return "size " + std::to_string(size);
  std::string const behind = "behind it";
  std::string bytes = std::string(size, '?') + behind;
  plugin->serialize(bytes.data());
  if (bytes.compare(size, std::string::npos, behind) != 0) return "more than its size";
  return hex(bytes.substr(0, size));
}

inline void drive_creation(Count& count, IPluginCreator* creator, Operator& op) {
  auto const creates = [&](char const* what, Fields& fields, Fields& wanted) {
    auto const made = own(creator->createPlugin("a layer", fields.collection()));
    count.same(std::string("createPlugin, ") + what, serialized(made.get()), hex(packed(wanted.collection())));
  };
  Fields none;
  creates("all attributes", op.given, op.given);
  creates("no attribute", none, op.defaults);
  creates("64-bit attributes", op.wide, op.given);
  creates("attributes of few bits", op.narrow, op.given);
  count.same("createPlugin, no fields", serialized(own(creator->createPlugin(nullptr, nullptr)).get()),
             hex(packed(op.defaults.collection())));
  for (auto& [what, fields] : op.refused) {
    auto const made = own(creator->createPlugin("a layer", fields.collection()));
    count.same(std::string("createPlugin refuses ") + what, made == nullptr, true);
    std::string const bytes = packed(fields.collection());
    auto const read = own(creator->deserializePlugin("a layer", bytes.data(), bytes.size()));
    count.same(std::string("deserializePlugin refuses ") + what, read == nullptr, true);
  }
}

inline void drive_deserialization(Count& count, IPluginCreator* creator, Operator& op) {
  std::string bytes = packed(op.given.collection());
  auto const read = [&](std::string const& from, std::size_t size) {
    return serialized(own(creator->deserializePlugin("a layer", from.data(), size)).get());
  };
  count.same("deserializePlugin", read(bytes, bytes.size()), hex(bytes));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    count.same("deserializePlugin, " + std::to_string(size) + " bytes", read(bytes, size), "nullptr");
  }
  count.same("deserializePlugin, a byte more", read(bytes + '\0', bytes.size() + 1), "nullptr");
  count.same("deserializePlugin, no bytes", own(creator->deserializePlugin("a layer", nullptr, 0)) == nullptr, true);
  // A type of 8 bytes an element with 4 bytes an element: nothing behind the end may be read, though it be good.
  PluginField const wide = op.wide.collection()->fields[0];
  std::size_t const half = static_cast<std::size_t>(wide.length) * 4;
  std::string const longer = "T2P1" + number(1) + packed(wide, half, {static_cast<char const*>(wide.data), 2 * half});
  count.same("deserializePlugin, half of its data", read(longer, longer.size() - half), "nullptr");
  bytes[0] = 'X';
  count.same("deserializePlugin, other bytes", read(bytes, bytes.size()), "nullptr");
}

inline void drive_namespace(Count& count, IPluginCreator* creator) {
  std::string const before = text(creator->getPluginNamespace());
  for (std::string const name : {"elsewhere", ""}) {
    creator->setPluginNamespace(name.c_str());
    count.same("setPluginNamespace", creator->getPluginNamespace(), name);
    auto const made = own(creator->createPlugin("a layer", nullptr));
    count.same("getPluginNamespace of a plugin made then", made->getPluginNamespace(), name);
  }
  creator->setPluginNamespace(nullptr);
  count.same("setPluginNamespace, nullptr", creator->getPluginNamespace(), "");
  creator->setPluginNamespace(before.c_str());
  count.same("setPluginNamespace, back", creator->getPluginNamespace(), before);
}

// The functions of a static batch: never called by TensorRT on a dynamic plugin, but there.
inline void drive_static_batch(Count& count, IPluginV2* plain, IPluginV2Ext* extended) {
  using nvinfer1::Dims;
  auto const linear = TensorFormat::kLINEAR;
  DataType const type = DataType::kFLOAT;
  Dims const dims = tensor({type, linear}, {1, 4, 2, 2}).dims;
  void const* const inputs[] = {nullptr};
  void* const outputs[] = {nullptr};
  bool const broadcast = false;
  std::string const before = serialized(plain);
  auto const unchanged = [&](char const* what) { count.same(what, serialized(plain), before); };
  count.same("getOutputDimensions, static batch", plain->getOutputDimensions(0, &dims, 1).nbDims, -1);
  count.same("supportsFormat", plain->supportsFormat(type, linear), false);
  plain->configureWithFormat(&dims, 1, &dims, 1, type, linear, 1);
  unchanged("configureWithFormat");
  count.same("getWorkspaceSize, static batch", plain->getWorkspaceSize(1), 0);
  count.same("enqueue, static batch", plain->enqueue(1, inputs, outputs, nullptr, nullptr), 1);
  count.same("isOutputBroadcastAcrossBatch", extended->isOutputBroadcastAcrossBatch(0, &broadcast, 1), false);
  count.same("canBroadcastInputAcrossBatch", extended->canBroadcastInputAcrossBatch(0), true);
  extended->configurePlugin(&dims, 1, &dims, 1, &type, &type, &broadcast, &broadcast, linear, 1);
  unchanged("configurePlugin, static batch");
}

inline void drive_build(Count& count, IPluginV2DynamicExt* plugin, IPluginCreator* creator, Operator& op) {
  for (auto const type : {DataType::kFLOAT, DataType::kHALF, kBf16}) {
    count.same("getOutputDataType", plugin->getOutputDataType(0, &type, 1), type);
  }
  auto const quantized = DataType::kINT8;  // its scale is in the network, out of the plugin's sight
  count.same("getOutputDataType, INT8", plugin->getOutputDataType(0, &quantized, 1), -1);

  Expressions builder;
  DimsExprs const shape = four_extents(builder);
  count.same("getOutputDimensions", text(plugin->getOutputDimensions(0, &shape, 1, builder)), text(shape));
  for (auto& fields : op.beyond) {
    auto const other = own(creator->createPlugin("a layer", fields.collection()));
    count.same("getOutputDimensions, " + text(fields.collection()),
               other->getOutputDimensions(0, &shape, 1, builder).nbDims, -1);
    auto const x = tensor(op.inputs.front(), {1, 4, 2, 2});
    void const* const inputs[] = {&x};
    void* const outputs[] = {&builder};
    count.same("enqueue, " + text(fields.collection()) + ", fails",
               other->enqueue(&x, &x, inputs, outputs, nullptr, nullptr) != 0, true);
  }
  drive_formats<PluginTensorDesc>(count, op, plugin);
  nvinfer1::DynamicPluginTensorDesc tensors[2];
  for (auto& one : tensors) describe(one, op.inputs.front());
  plugin->configurePlugin(tensors, 1, tensors + 1, 1);
  count.same("configurePlugin", serialized(plugin), hex(packed(op.given.collection())));
}

inline void drive_plugin(Count& count, IPluginCreator* creator, Operator& op) {
  auto const plugin = own(creator->createPlugin("a layer", op.given.collection()));
  if (plugin == nullptr) return;  // told by drive_creation
  IPluginV2* const plain = plugin.get();
  count.same("getTensorRTVersion", plain->getTensorRTVersion(), kDynamicExt << 24 | kInterface);
  count.same("getPluginType", plugin->getPluginType(), op.name);
  count.same("getPluginVersion", plugin->getPluginVersion(), "1");
  count.same("getPluginNamespace", plugin->getPluginNamespace(), "tf2trt");
  count.same("getNbOutputs", plugin->getNbOutputs(), 1);
  count.same("getSerializationSize", plugin->getSerializationSize(), packed(op.given.collection()).size());
  drive_static_batch(count, plain, plugin.get());
  drive_build(count, plugin.get(), creator, op);

  std::string const before = serialized(plain);
  auto const unchanged = [&](char const* what) { count.same(what, serialized(plain), before); };
  count.same("initialize", plugin->initialize(), 0);
  plugin->attachToContext(nullptr, nullptr, nullptr);
  unchanged("attachToContext");
  drive_enqueue(count, op, plugin.get());
  plugin->detachFromContext();
  unchanged("detachFromContext");
  plugin->terminate();
  unchanged("terminate");

  plugin->setPluginNamespace("elsewhere");
  count.same("setPluginNamespace", plugin->getPluginNamespace(), "elsewhere");
  IPluginV2DynamicExt* const copy = plugin->clone();
  count.same("clone is another", copy != plugin.get(), true);
  count.same("clone", serialized(copy), before);
  count.same("getPluginNamespace of a clone", copy->getPluginNamespace(), "elsewhere");
  IPluginV2* const of_base = static_cast<IPluginV2 const*>(copy)->clone();
  copy->destroy();
  count.same("clone of a clone, after destroy", serialized(of_base), before);
  of_base->destroy();
  unchanged("destroy of a clone");
  delete static_cast<IPluginV2*>(plugin->clone());
  unchanged("delete of a clone");
  plugin->setPluginNamespace(nullptr);
  count.same("setPluginNamespace, nullptr", plugin->getPluginNamespace(), "");
}

// configurePlugin for a static batch stands between them.
inline void compare_slots() {
  using Ours = tf2trt::plugins::PluginV2;
  Count count("slots");
  count.call(is_same_slot(&Ours::canBroadcastInputAcrossBatch, &IPluginV2Ext::canBroadcastInputAcrossBatch),
             "canBroadcastInputAcrossBatch");
  count.call(is_same_slot(&Ours::attachToContext, &IPluginV2Ext::attachToContext), "attachToContext");
  count.call(is_same_slot(&Ours::detachFromContext, &IPluginV2Ext::detachFromContext), "detachFromContext");
}

inline void drive_creator(IPluginCreator* creator, Operator& op) {
  Count count(op.name);
  count.same("getPluginName", creator->getPluginName(), op.name);
  count.same("getPluginVersion", creator->getPluginVersion(), "1");
  count.same("getPluginNamespace", creator->getPluginNamespace(), "tf2trt");
  count.same("getTensorRTVersion", creator->getTensorRTVersion(), kInterface);
  count.same("getFieldNames", text(creator->getFieldNames()), text(op.defaults.collection()));
  drive_creation(count, creator, op);
  drive_deserialization(count, creator, op);
  drive_namespace(count, creator);
  drive_plugin(count, creator, op);
}

}  // namespace drive
