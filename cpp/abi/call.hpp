// Calls through TensorRT's virtual tables.
//
// An API object is {vptr, mImpl}; its methods live in mImpl's table (NVIDIA's apiv::V* classes). The parser, its errors
// and the plugin registry are plain: their methods live in their own table. The table of signatures below says which,
// and what the arguments are: what NVIDIA's interface takes by reference is passed as a pointer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include "abi/slots.hpp"
#include "abi/types.hpp"

namespace tf2trt::abi {

template <Method M>
struct Signature;

#define TF2TRT_ON_IMPL(method, ...)       \
  template <>                             \
  struct Signature<Method::method> {      \
    using type = __VA_ARGS__;             \
    static constexpr bool on_impl = true; \
  };
#define TF2TRT_ON_SELF(method, ...)        \
  template <>                              \
  struct Signature<Method::method> {       \
    using type = __VA_ARGS__;              \
    static constexpr bool on_impl = false; \
  };

using Int = std::int32_t;
using Name = char const*;

TF2TRT_ON_IMPL(VBuilder_createBuilderConfig, void*())
TF2TRT_ON_IMPL(VBuilder_createNetworkV2, void*(std::uint32_t))
TF2TRT_ON_IMPL(VBuilder_createOptimizationProfile, void*())
TF2TRT_ON_IMPL(VBuilder_buildSerializedNetwork, void*(void*, void*))
TF2TRT_ON_IMPL(VBuilder_platformHasFastFp16, bool())

TF2TRT_ON_IMPL(VBuilderConfig_setFlag, void(Int))
TF2TRT_ON_IMPL(VBuilderConfig_clearFlag, void(Int))
TF2TRT_ON_IMPL(VBuilderConfig_setMemoryPoolLimit, void(Int, std::size_t))
TF2TRT_ON_IMPL(VBuilderConfig_addOptimizationProfile, Int(void const*))
TF2TRT_ON_IMPL(VBuilderConfig_createTimingCache, void*(void const*, std::size_t))
TF2TRT_ON_IMPL(VBuilderConfig_setTimingCache, bool(void const*, bool))
TF2TRT_ON_IMPL(VBuilderConfig_getTimingCache, void const*())
TF2TRT_ON_IMPL(VBuilderConfig_setTacticSources, bool(std::uint32_t))
TF2TRT_ON_IMPL(VBuilderConfig_getTacticSources, std::uint32_t())
TF2TRT_ON_IMPL(VBuilderConfig_setProfilingVerbosity, void(Int))
TF2TRT_ON_IMPL(VBuilderConfig_setBuilderOptimizationLevel, void(Int))
TF2TRT_ON_IMPL(VBuilderConfig_setProgressMonitor, void(void*))
TF2TRT_ON_IMPL(VBuilderConfig_setPreviewFeature, void(Int, bool))
TF2TRT_ON_IMPL(VBuilderConfig_setInt8Calibrator, void(void*))
TF2TRT_ON_IMPL(VBuilderConfig_setCalibrationProfile, bool(void const*))

TF2TRT_ON_IMPL(VTimingCache_serialize, void*())
TF2TRT_ON_IMPL(VHostMemory_data, void*())
TF2TRT_ON_IMPL(VHostMemory_size, std::size_t())
TF2TRT_ON_IMPL(VOptimizationProfile_isValid, bool())

TF2TRT_ON_IMPL(VNetworkDefinition_getNbInputs, Int())
TF2TRT_ON_IMPL(VNetworkDefinition_getInput, void*(Int))
TF2TRT_ON_IMPL(VNetworkDefinition_getNbOutputs, Int())
TF2TRT_ON_IMPL(VNetworkDefinition_getOutput, void*(Int))
TF2TRT_ON_IMPL(VNetworkDefinition_getNbLayers, Int())
TF2TRT_ON_IMPL(VNetworkDefinition_getLayer, void*(Int))

TF2TRT_ON_IMPL(VTensor_getName, Name())
TF2TRT_ON_IMPL(VTensor_getType, Int())
TF2TRT_ON_IMPL(VTensor_isShapeTensor, bool())
TF2TRT_ON_IMPL(VTensor_getDimensions, Dims64())

TF2TRT_ON_IMPL(VLayer_getName, Name())
TF2TRT_ON_IMPL(VLayer_getType, Int())
TF2TRT_ON_IMPL(VLayer_getNbInputs, Int())
TF2TRT_ON_IMPL(VLayer_getInput, void*(Int))
TF2TRT_ON_IMPL(VLayer_getNbOutputs, Int())
TF2TRT_ON_IMPL(VLayer_getOutput, void*(Int))
TF2TRT_ON_IMPL(VLayer_setPrecision, void(Int))
TF2TRT_ON_IMPL(VLayer_setOutputType, void(Int, Int))

TF2TRT_ON_IMPL(VRuntime_setEngineHostCodeAllowed, void(bool))

TF2TRT_ON_IMPL(VCudaEngine_getNbIOTensors, Int())
TF2TRT_ON_IMPL(VCudaEngine_getIOTensorName, Name(Int))
TF2TRT_ON_IMPL(VCudaEngine_getTensorIOMode, Int(Name))
TF2TRT_ON_IMPL(VCudaEngine_getTensorDataType, Int(Name))
TF2TRT_ON_IMPL(VCudaEngine_getTensorLocation, Int(Name))
TF2TRT_ON_IMPL(VCudaEngine_isShapeInferenceIO, bool(Name))
TF2TRT_ON_IMPL(VCudaEngine_getTensorShape, Dims64(Name))
TF2TRT_ON_IMPL(VCudaEngine_getProfileShape, Dims64(Name, Int, Int))
TF2TRT_ON_IMPL(VCudaEngine_getNbOptimizationProfiles, Int())
TF2TRT_ON_IMPL(VCudaEngine_getDeviceMemorySize, std::size_t())
TF2TRT_ON_IMPL(VCudaEngine_getDeviceMemorySizeV2, std::int64_t())
TF2TRT_ON_IMPL(VCudaEngine_createEngineInspector, void*())
TF2TRT_ON_IMPL(VCudaEngine_getName, Name())
TF2TRT_ON_IMPL(VCudaEngine_getNbLayers, Int())

TF2TRT_ON_IMPL(VExecutionContext_setInputShape, bool(Name, void const*))
TF2TRT_ON_IMPL(VExecutionContext_getTensorShape, Dims64(Name))
TF2TRT_ON_IMPL(VExecutionContext_setTensorAddress, bool(Name, void*))
TF2TRT_ON_IMPL(VExecutionContext_setInputTensorAddress, bool(Name, void const*))
TF2TRT_ON_IMPL(VExecutionContext_getTensorAddress, void const*(Name))
TF2TRT_ON_IMPL(VExecutionContext_setOutputAllocator, bool(Name, void*))
TF2TRT_ON_IMPL(VExecutionContext_getMaxOutputSize, std::int64_t(Name))
TF2TRT_ON_IMPL(VExecutionContext_enqueueV3, bool(void*))
TF2TRT_ON_IMPL(VExecutionContext_setOptimizationProfileAsync, bool(Int, void*))
TF2TRT_ON_IMPL(VExecutionContext_setProfiler, void(void*))
TF2TRT_ON_IMPL(VExecutionContext_setEnqueueEmitsProfile, void(bool))
TF2TRT_ON_IMPL(VExecutionContext_setDeviceMemory, void(void*))
TF2TRT_ON_IMPL(VExecutionContext_setDeviceMemoryV2, void(void*, std::int64_t))
TF2TRT_ON_IMPL(VExecutionContext_inferShapes, Int(Int, Name*))

TF2TRT_ON_IMPL(VEngineInspector_setExecutionContext, bool(void const*))
TF2TRT_ON_IMPL(VEngineInspector_getEngineInformation, Name(Int))

TF2TRT_ON_SELF(IParser_parse, bool(void const*, std::size_t, Name))
TF2TRT_ON_SELF(IParser_parseFromFile, bool(Name, Int))
TF2TRT_ON_SELF(IParser_supportsModel, bool(void const*, std::size_t, SubGraphs*, Name))
TF2TRT_ON_SELF(IParser_supportsModelV2, bool(void const*, std::size_t, Name))
TF2TRT_ON_SELF(IParser_supportsOperator, bool(Name))
TF2TRT_ON_SELF(IParser_getNbSubgraphs, std::int64_t())
TF2TRT_ON_SELF(IParser_isSubgraphSupported, bool(std::int64_t))
TF2TRT_ON_SELF(IParser_getSubgraphNodes, std::int64_t const*(std::int64_t, std::int64_t*))
TF2TRT_ON_SELF(IParser_getNbErrors, Int())
TF2TRT_ON_SELF(IParser_getError, void const*(Int))
TF2TRT_ON_SELF(IParser_deletingDestructor, void())
TF2TRT_ON_SELF(IParserError_code, Int())
TF2TRT_ON_SELF(IParserError_desc, Name())
TF2TRT_ON_SELF(IParserError_file, Name())
TF2TRT_ON_SELF(IParserError_node, Int())
TF2TRT_ON_SELF(IParserError_nodeName, Name())
TF2TRT_ON_SELF(IParserError_nodeOperator, Name())

TF2TRT_ON_SELF(IPluginRegistry_loadLibrary, void*(Name))
TF2TRT_ON_SELF(IPluginRegistry_getPluginCreatorList, void* const*(Int*))
TF2TRT_ON_SELF(IPluginRegistry_getAllCreators, void* const*(Int*))
TF2TRT_ON_SELF(IPluginRegistry_registerCreator, bool(void*, Name))
TF2TRT_ON_SELF(IPluginRegistry_deregisterCreator, bool(void const*))
TF2TRT_ON_SELF(IPluginRegistry_getPluginCreator, void*(Name, Name, Name))
TF2TRT_ON_SELF(IPluginRegistry_getCreator, void*(Name, Name, Name))
TF2TRT_ON_SELF(IPluginCreator_getPluginNamespace, Name())
TF2TRT_ON_SELF(ILogger_log, void(Int, Name))

TF2TRT_ON_IMPL(VExprBuilder_operation, void const*(Int, void const*, void const*))

#undef TF2TRT_ON_IMPL
#undef TF2TRT_ON_SELF

namespace detail {

// NOLINTBEGIN(cppcoreguidelines-pro-type-reinterpret-cast, performance-no-int-to-ptr): this is the binary interface
inline void* target(void const* object, bool on_impl) {
  return on_impl ? static_cast<void* const*>(object)[1] : const_cast<void*>(object);
}

template <class F>
struct Caller;

template <class R, class... P>
struct Caller<R(P...)> {
  static R call(void* target, int slot, P... arguments) {
    void* const* table = *static_cast<void* const**>(target);
    return reinterpret_cast<R (*)(void*, P...)>(table[slot])(target, arguments...);
  }
};
// NOLINTEND(cppcoreguidelines-pro-type-reinterpret-cast, performance-no-int-to-ptr)

// The same signature, returning the narrow Dims of TensorRT 8.
template <class F>
struct Narrow;
template <class... P>
struct Narrow<Dims64(P...)> {
  using type = Dims32(P...);
};

template <class D>
Shape to_shape(D const& dims) {
  // A negative count is TensorRT's answer for "no such tensor".
  auto const count = std::clamp(static_cast<int>(dims.count), 0, kMaxDims);
  return {dims.extents.begin(), dims.extents.begin() + count};
}

template <class D>
D from_shape(Shape const& shape) {
  D dims{};
  dims.count = static_cast<std::int32_t>(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) {
    dims.extents[i] = static_cast<typename decltype(dims.extents)::value_type>(shape[i]);
  }
  return dims;
}

}  // namespace detail

// Calls a method whose arguments and result are the same in every generation.
template <Method M, class... A>
auto call(Api const& api, void const* object, A... arguments) {
  using S = Signature<M>;
  return detail::Caller<typename S::type>::call(detail::target(object, S::on_impl), api.slot(M), arguments...);
}

// Calls a method that changed its signature between generations: the caller says which one it means.
template <class F, class... A>
auto call_as(Api const& api, Method method, void const* object, A... arguments) {
  return detail::Caller<F>::call(detail::target(object, true), api.slot(method), arguments...);
}

// Calls a method that returns nvinfer1::Dims, whose extents are 32 bits wide in 8 and 64 bits from 10 on.
template <Method M, class... A>
Shape call_shape(Api const& api, void const* object, A... arguments) {
  using F = typename Signature<M>::type;
  void* target = detail::target(object, true);
  if (api.generation() == 8) {
    return detail::to_shape(detail::Caller<typename detail::Narrow<F>::type>::call(target, api.slot(M), arguments...));
  }
  return detail::to_shape(detail::Caller<F>::call(target, api.slot(M), arguments...));
}

// IExecutionContext::setInputShape. The shape has at most kMaxDims extents.
inline bool set_input_shape(Api const& api, void const* context, Name name, Shape const& shape) {
  if (api.generation() == 8) {
    auto const dims = detail::from_shape<Dims32>(shape);
    return call<Method::VExecutionContext_setInputShape>(api, context, name, &dims);
  }
  auto const dims = detail::from_shape<Dims64>(shape);
  return call<Method::VExecutionContext_setInputShape>(api, context, name, &dims);
}

// IOptimizationProfile::setDimensions: 8 takes Dims by value, 10 and 11 by reference.
inline bool set_profile_dimensions(Api const& api, void const* profile, Name name, Int select, Shape const& shape) {
  constexpr auto kMethod = Method::VOptimizationProfile_setDimensions;
  if (api.generation() == 8) {
    return call_as<bool(Name, Int, Dims32)>(api, kMethod, profile, name, select, detail::from_shape<Dims32>(shape));
  }
  auto const dims = detail::from_shape<Dims64>(shape);
  return call_as<bool(Name, Int, Dims64 const*)>(api, kMethod, profile, name, select, &dims);
}

// Whether a profile takes the values of shape tensors as 64-bit integers; it takes 32 bits in 8 and the first of 10.
inline bool has_wide_profile_values(Api const& api) noexcept {
  return api.has(Method::VOptimizationProfile_setShapeValuesV2);
}

// IOptimizationProfile::setShapeValues or setShapeValuesV2, for the elements of a shape tensor. Without
// has_wide_profile_values they have to fit 32 bits.
inline bool set_profile_values(Api const& api, void const* profile, Name name, Int select,
                               std::vector<std::int64_t> const& values) {
  auto const count = static_cast<Int>(values.size());
  if (has_wide_profile_values(api)) {
    return call_as<bool(Name, Int, std::int64_t const*, Int)>(api, Method::VOptimizationProfile_setShapeValuesV2,
                                                              profile, name, select, values.data(), count);
  }
  std::vector<Int> narrow(values.size());
  std::transform(values.begin(), values.end(), narrow.begin(), [](auto value) { return static_cast<Int>(value); });
  return call_as<bool(Name, Int, Int const*, Int)>(api, Method::VOptimizationProfile_setShapeValues, profile, name,
                                                   select, narrow.data(), count);
}

// The `count` values that a profile of an engine was given for a shape tensor; none where it has no such values.
// ICudaEngine::getProfileShapeValues in 8, by the number of the binding; getProfileTensorValuesV2 and, for those that
// were set in 32 bits, getProfileTensorValues in 10; getProfileTensorValuesV2 in 11.
inline std::vector<std::int64_t> profile_values(Api const& api, void const* engine, Name name, Int profile, Int select,
                                                std::size_t count) {
  using Values = std::vector<std::int64_t>;
  auto const copy = [count](auto const* values) {
    return values == nullptr ? Values{} : Values(values, values + count);
  };
  if (api.generation() == 8) {
    auto const index = call_as<Int(Name)>(api, Method::VCudaEngine_getBindingIndex, engine, name);
    return copy(call_as<Int const*(Int, Int, Int)>(api, Method::VCudaEngine_getProfileShapeValues, engine, profile,
                                                   index, select));
  }
  Values values;
  if (api.has(Method::VCudaEngine_getProfileTensorValuesV2)) {
    values = copy(call_as<std::int64_t const*(Name, Int, Int)>(api, Method::VCudaEngine_getProfileTensorValuesV2,
                                                               engine, name, profile, select));
  }
  if (!values.empty() || !api.has(Method::VCudaEngine_getProfileTensorValues)) return values;
  return copy(call_as<Int const*(Name, Int, Int)>(api, Method::VCudaEngine_getProfileTensorValues, engine, name,
                                                  profile, select));
}

// IRuntime::deserializeCudaEngine: 8 has a third argument, for the plugin factory of old.
inline void* deserialize_engine(Api const& api, void const* runtime, void const* plan, std::size_t size) {
  constexpr auto kMethod = Method::VRuntime_deserializeCudaEngine;
  if (api.generation() == 8) {
    void* const factory = nullptr;
    return call_as<void*(void const*, std::size_t, void*)>(api, kMethod, runtime, plan, size, factory);
  }
  return call_as<void*(void const*, std::size_t)>(api, kMethod, runtime, plan, size);
}

// ICudaEngine::createExecutionContext: 10 and 11 take an allocation strategy.
inline void* create_context(Api const& api, void const* engine) {
  constexpr auto kMethod = Method::VCudaEngine_createExecutionContext;
  if (api.generation() == 8) return call_as<void*()>(api, kMethod, engine);
  return call_as<void*(Int)>(api, kMethod, engine, api.value(Value::ExecutionContextAllocationStrategy_kSTATIC));
}

// A context whose memory for activations is the user's.
inline void* create_context_without_memory(Api const& api, void const* engine) {
  if (api.generation() == 8) {
    return call_as<void*()>(api, Method::VCudaEngine_createExecutionContextWithoutDeviceMemory, engine);
  }
  return call_as<void*(Int)>(api, Method::VCudaEngine_createExecutionContext, engine,
                             api.value(Value::ExecutionContextAllocationStrategy_kUSER_MANAGED));
}

}  // namespace tf2trt::abi
