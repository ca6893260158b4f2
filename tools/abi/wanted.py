"""What tf2trt wants from NVIDIA's headers: the methods, the enumerators and the layouts. Data only.

Sources: NvInfer.h, NvInferRuntime.h, NvInferImpl.h and NvOnnxParser.h of the versions that README.md lists.

A method is written with its full signature, so that an overload is told from another and a changed signature is
noticed. Where generations differ, the signature is a dict from the first TensorRT version that has it to the
signature; the last key that is not newer than the headers counts, and None stands for "there must be no such method".
`noexcept` is left out: a pointer to a noexcept member converts to one without. A name that a version's headers do not
declare at all is absent there, whatever is written here: the dicts hold changes, not birthdays.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

import wanted_callbacks
from wanted_callbacks import API, Signature

IMPL = "nvinfer1::apiv"
PARSER = "nvonnxparser"

# (namespace, class, {method: signature}), in the order of the tables.
METHODS: List[Tuple[str, str, Dict[str, Signature]]] = [
    (
        IMPL,
        "VBuilder",
        {
            "createBuilderConfig": "IBuilderConfig*()",
            "createNetworkV2": "INetworkDefinition*(NetworkDefinitionCreationFlags)",
            "createOptimizationProfile": "IOptimizationProfile*()",
            "buildSerializedNetwork": "IHostMemory*(INetworkDefinition&, IBuilderConfig&)",
            "platformHasFastFp16": {"8": "bool() const", "11": None},
            "platformHasFastInt8": {"8": "bool() const", "11": None},
            "platformHasTf32": {"8": "bool() const", "11": None},
            "setMaxThreads": "bool(int32_t)",
            "getNbDLACores": "int32_t() const",
        },
    ),
    (
        IMPL,
        "VBuilderConfig",
        {
            "setFlag": "void(BuilderFlag)",
            "clearFlag": "void(BuilderFlag)",
            "getFlag": "bool(BuilderFlag) const",
            "setMemoryPoolLimit": "void(MemoryPoolType, std::size_t)",
            "getMemoryPoolLimit": "std::size_t(MemoryPoolType) const",
            "addOptimizationProfile": "int32_t(IOptimizationProfile const*)",
            "createTimingCache": "ITimingCache*(void const*, std::size_t) const",
            "setTimingCache": "bool(ITimingCache const&, bool)",
            "getTimingCache": "ITimingCache const*() const",
            "setTacticSources": "bool(TacticSources)",
            "getTacticSources": "TacticSources() const",
            "setProfilingVerbosity": "void(ProfilingVerbosity)",
            "setBuilderOptimizationLevel": "void(int32_t)",
            "setProgressMonitor": "void(IProgressMonitor*)",
            "setHardwareCompatibilityLevel": "void(HardwareCompatibilityLevel)",
            "setDefaultDeviceType": "void(DeviceType)",
            "setDLACore": "void(int32_t)",
            "setPreviewFeature": "void(PreviewFeature, bool)",
            "setInt8Calibrator": {"8": "void(IInt8Calibrator*)", "11": None},
            "setCalibrationProfile": {"8": "bool(IOptimizationProfile const*)", "11": None},
        },
    ),
    (IMPL, "VTimingCache", {"serialize": "IHostMemory*() const"}),
    (IMPL, "VHostMemory", {"data": "void*() const", "size": "std::size_t() const"}),
    (
        IMPL,
        "VOptimizationProfile",
        {
            # 8 passes Dims by value (36 bytes: on the stack on x86-64), 10 and 11 by reference: two different calls.
            "setDimensions": {
                "8": "bool(char const*, OptProfileSelector, Dims)",
                "10": "bool(char const*, OptProfileSelector, Dims const&)",
            },
            "setShapeValues": {"8": "bool(char const*, OptProfileSelector, int32_t const*, int32_t)", "11": None},
            "setShapeValuesV2": "bool(char const*, OptProfileSelector, int64_t const*, int32_t)",
            "isValid": "bool() const",
        },
    ),
    (
        IMPL,
        "VNetworkDefinition",
        {
            "getNbInputs": "int32_t() const",
            "getInput": "ITensor*(int32_t) const",
            "getNbOutputs": "int32_t() const",
            "getOutput": "ITensor*(int32_t) const",
            "getNbLayers": "int32_t() const",
            "getLayer": "ILayer*(int32_t) const",
        },
    ),
    (
        IMPL,
        "VTensor",
        {
            "getName": "char const*() const",
            "getDimensions": "Dims() const",
            "getType": "DataType() const",
            "isShapeTensor": "bool() const",
            "setType": {"8": "void(DataType)", "11": None},
        },
    ),
    (
        IMPL,
        "VLayer",
        {
            "getName": "char const*() const",
            "getType": "LayerType() const",
            "getNbInputs": "int32_t() const",
            "getInput": "ITensor*(int32_t) const",
            "getNbOutputs": "int32_t() const",
            "getOutput": "ITensor*(int32_t) const",
            "getOutputType": "DataType(int32_t) const",
            "getPrecision": {"8": "DataType() const", "11": None},
            "setPrecision": {"8": "void(DataType)", "11": None},
            "setOutputType": {"8": "void(int32_t, DataType)", "11": None},
        },
    ),
    (
        IMPL,
        "VRuntime",
        {
            # In 10 there is an overload that reads from a stream.
            "deserializeCudaEngine": {
                "8": "ICudaEngine*(void const*, std::size_t, IPluginFactory*)",
                "10": "ICudaEngine*(void const*, std::size_t)",
            },
            "setEngineHostCodeAllowed": "void(bool)",
            "setMaxThreads": "bool(int32_t)",
        },
    ),
    (
        IMPL,
        "VCudaEngine",
        {
            "getNbIOTensors": "int32_t() const",
            "getIOTensorName": "char const*(int32_t) const",
            "getTensorIOMode": "TensorIOMode(char const*) const",
            "getTensorShape": "Dims(char const*) const",
            "getTensorDataType": "DataType(char const*) const",
            "getTensorLocation": "TensorLocation(char const*) const",
            "getTensorFormat": "TensorFormat(char const*) const",
            "getProfileShape": "Dims(char const*, int32_t, OptProfileSelector) const",
            # The values of a shape tensor: 8 knows them by the number of a binding, 10 by name.
            "getBindingIndex": {"8": "int32_t(char const*) const", "10": None},
            "getProfileShapeValues": {"8": "int32_t const*(int32_t, int32_t, OptProfileSelector) const", "10": None},
            "getProfileTensorValues": {
                "8": "int32_t const*(char const*, int32_t, OptProfileSelector) const",
                "11": None,
            },
            "getProfileTensorValuesV2": "int64_t const*(char const*, int32_t, OptProfileSelector) const",
            "getNbOptimizationProfiles": "int32_t() const",
            "getDeviceMemorySize": {"8": "std::size_t() const", "11": None},
            "getDeviceMemorySizeV2": "int64_t() const",
            "createExecutionContext": {
                "8": "IExecutionContext*()",
                "10": "IExecutionContext*(ExecutionContextAllocationStrategy)",
            },
            "createExecutionContextWithoutDeviceMemory": "IExecutionContext*()",
            "createEngineInspector": "IEngineInspector*() const",
            "getName": "char const*() const",
            "getNbLayers": "int32_t() const",
            "isShapeInferenceIO": "bool(char const*) const",
        },
    ),
    (
        IMPL,
        "VExecutionContext",
        {
            "setInputShape": "bool(char const*, Dims const&)",
            "getTensorShape": "Dims(char const*) const",
            "setTensorAddress": "bool(char const*, void*)",
            "setInputTensorAddress": "bool(char const*, void const*)",
            "getTensorAddress": "void const*(char const*) const",
            "enqueueV3": "bool(cudaStream_t)",
            "setOptimizationProfileAsync": "bool(int32_t, cudaStream_t)",
            "getOptimizationProfile": "int32_t() const",
            "setProfiler": "void(IProfiler*)",
            "setDeviceMemory": "void(void*)",
            "setDeviceMemoryV2": "void(void*, int64_t)",
            "inferShapes": "int32_t(int32_t, char const**)",
            "getMaxOutputSize": "int64_t(char const*) const",
            "allInputDimensionsSpecified": "bool() const",
            "setOutputAllocator": "bool(char const*, IOutputAllocator*)",
            "setEnqueueEmitsProfile": "void(bool)",
            "reportToProfiler": "bool() const",
        },
    ),
    (
        IMPL,
        "VEngineInspector",
        {
            # The two getters became const in 8.4; their slots stayed.
            "getLayerInformation": {
                "8": "char const*(int32_t, LayerInformationFormat)",
                "8.4": "char const*(int32_t, LayerInformationFormat) const",
            },
            "getEngineInformation": {
                "8": "char const*(LayerInformationFormat)",
                "8.4": "char const*(LayerInformationFormat) const",
            },
            "setExecutionContext": "bool(IExecutionContext const*)",
        },
    ),
    (
        PARSER,
        "IParser",
        {
            "parse": "bool(void const*, std::size_t, char const*)",
            "parseFromFile": "bool(char const*, int)",
            "getNbErrors": "int() const",
            "getError": "IParserError const*(int) const",
            "clearErrors": "void()",
            "supportsModel": {
                "8": "bool(void const*, std::size_t, SubGraphCollection_t&, char const*)",
                "11": None,
            },
            "supportsModelV2": "bool(void const*, std::size_t, char const*)",
            "supportsOperator": "bool(char const*) const",
            "getNbSubgraphs": "int64_t()",
            "isSubgraphSupported": "bool(int64_t)",
            "getSubgraphNodes": "int64_t*(int64_t, int64_t&)",
            "setFlag": "void(OnnxParserFlag)",
            "deletingDestructor": "delete",
        },
    ),
    (
        PARSER,
        "IParserError",
        {
            "code": "ErrorCode() const",
            "desc": "char const*() const",
            "file": "char const*() const",
            "line": "int() const",
            "func": "char const*() const",
            "node": "int() const",
            "nodeName": "char const*() const",
            "nodeOperator": "char const*() const",
        },
    ),
    (
        API,
        "IPluginRegistry",
        {
            "loadLibrary": "PluginLibraryHandle(AsciiChar const*)",
            "deregisterLibrary": "void(PluginLibraryHandle)",
            "getPluginCreatorList": {"8": "IPluginCreator* const*(int32_t*) const", "11": None},
            "getAllCreators": "IPluginCreatorInterface* const*(int32_t*) const",
            # 10 has both overloads; tf2trt shows it the newer interface.
            "registerCreator": {
                "8": "bool(IPluginCreator&, AsciiChar const*)",
                "10": "bool(IPluginCreatorInterface&, AsciiChar const*)",
            },
            "deregisterCreator": {
                "8": "bool(IPluginCreator const&)",
                "10": "bool(IPluginCreatorInterface const&)",
            },
            "getPluginCreator": {
                "8": "IPluginCreator*(AsciiChar const*, AsciiChar const*, AsciiChar const*)",
                "11": None,
            },
            "getCreator": "IPluginCreatorInterface*(AsciiChar const*, AsciiChar const*, AsciiChar const*)",
        },
    ),
    (API, "IPluginCreator", {"getPluginNamespace": "AsciiChar const*() const"}),
    (API, "ILoggerFinder", {"findLogger": "ILogger*()"}),
    (
        IMPL,
        "VExprBuilder",
        {
            "constant": {"8": "IDimensionExpr const*(int32_t)", "10": "IDimensionExpr const*(int64_t)"},
            "operation": "IDimensionExpr const*(DimensionOperation, IDimensionExpr const&, IDimensionExpr const&)",
        },
    ),
]
METHODS += wanted_callbacks.METHODS

# Early-access releases that differ from the release that followed: what differs goes into the tables as exceptions.
# 8.6.0 put new methods in the middle of IPluginRegistry, where 8.6.1 has them at the end; its library has them so too.
# Below each: slots of its library that are not those of its public header. The parser library that NVIDIA ships with
# 8.6.0 has twelve slots of IParser (a thirteenth is the implementation's own), read in the library's virtual table: no
# flags and the destructor where 8.5 and 8.6.1 have it. The 8.6-EA branch of onnx-tensorrt has flags before it.
EARLY_ACCESS: Dict[Tuple[int, ...], Dict[str, int]] = {
    (8, 6, 0): {"IParser_setFlag": -1, "IParser_deletingDestructor": 10},
}

# Stand-ins for types that some versions lack. They are declared in the global namespace, where a name inside NVIDIA's
# namespaces wins over them, and only ever make a signature that matches nothing.
STAND_IN_TYPES = [
    "class IProgressMonitor;",
    "class IOutputAllocator;",
    "class IPluginCreator;",
    "class IPluginCreatorInterface;",
    "class IPluginFactory;",
    "class ILoggerFinder;",
    "class IInt8Calibrator;",
    "class IInt8LegacyCalibrator;",
    "class InterfaceInfo;",
    "class OnnxParserFlag;",
    "using PluginLibraryHandle = void*;",
    "enum class HardwareCompatibilityLevel : int32_t;",
    "enum class MemoryPoolType : int32_t;",
    "enum class PreviewFeature : int32_t;",
    "enum class TensorIOMode : int32_t;",
    "enum class ExecutionContextAllocationStrategy : int32_t;",
    "enum class CalibrationAlgoType : int32_t;",
]

# (namespace, type, prefix of the names in the tables, enumerators), in the order of the tables.
ENUMS: List[Tuple[str, str, str, str]] = [
    (
        API,
        "BuilderFlag",
        "BuilderFlag",
        "kFP16 kINT8 kTF32 kREFIT kVERSION_COMPATIBLE kEXCLUDE_LEAN_RUNTIME kBF16 kSTRONGLY_TYPED "
        "kOBEY_PRECISION_CONSTRAINTS kPREFER_PRECISION_CONSTRAINTS kGPU_FALLBACK kDIRECT_IO",
    ),
    (API, "NetworkDefinitionCreationFlag", "NetworkDefinitionCreationFlag", "kEXPLICIT_BATCH kSTRONGLY_TYPED"),
    (API, "MemoryPoolType", "MemoryPoolType", "kWORKSPACE kTACTIC_DRAM kTACTIC_SHARED_MEMORY"),
    (API, "TacticSource", "TacticSource", "kCUBLAS kCUBLAS_LT kCUDNN kEDGE_MASK_CONVOLUTIONS kJIT_CONVOLUTIONS"),
    (API, "ProfilingVerbosity", "ProfilingVerbosity", "kLAYER_NAMES_ONLY kNONE kDETAILED"),
    (API, "OptProfileSelector", "OptProfileSelector", "kMIN kOPT kMAX"),
    (API, "DataType", "DataType", "kFLOAT kHALF kINT8 kINT32 kBOOL kUINT8 kFP8 kBF16 kINT64 kINT4"),
    (API, "TensorIOMode", "TensorIOMode", "kNONE kINPUT kOUTPUT"),
    (API, "TensorLocation", "TensorLocation", "kDEVICE kHOST"),
    (API, "LayerInformationFormat", "LayerInformationFormat", "kONELINE kJSON"),
    (API, "ILogger::Severity", "Severity", "kINTERNAL_ERROR kERROR kWARNING kINFO kVERBOSE"),
    (API, "ExecutionContextAllocationStrategy", "ExecutionContextAllocationStrategy", "kSTATIC kUSER_MANAGED"),
    (API, "DeviceType", "DeviceType", "kGPU kDLA"),
    (
        API,
        "CalibrationAlgoType",
        "CalibrationAlgoType",
        "kLEGACY_CALIBRATION kENTROPY_CALIBRATION_2 kMINMAX_CALIBRATION",
    ),
    # 8.6 has it as 2, 10 as 0 and without effect; 8.5, which has the enumeration, and 11 do not have it.
    (API, "PreviewFeature", "PreviewFeature", "kPROFILE_SHARING_0806"),
    (API, "DimensionOperation", "DimensionOperation", "kSUM kPROD kMAX kMIN kSUB kFLOOR_DIV kCEIL_DIV"),
    (
        PARSER,
        "ErrorCode",
        "ParserErrorCode",
        "kSUCCESS kINTERNAL_ERROR kMEM_ALLOC_FAILED kMODEL_DESERIALIZE_FAILED kINVALID_VALUE kINVALID_GRAPH "
        "kINVALID_NODE kUNSUPPORTED_NODE",
    ),
    # All of them, to print a layer's kind; those that came later follow those of 8.
    (
        API,
        "LayerType",
        "LayerType",
        "kCONVOLUTION kFULLY_CONNECTED kACTIVATION kPOOLING kLRN kSCALE kSOFTMAX kDECONVOLUTION kCONCATENATION "
        "kELEMENTWISE kPLUGIN kUNARY kPADDING kSHUFFLE kREDUCE kTOPK kGATHER kMATRIX_MULTIPLY kRAGGED_SOFTMAX "
        "kCONSTANT kRNN_V2 kIDENTITY kPLUGIN_V2 kSLICE kSHAPE kPARAMETRIC_RELU kRESIZE kTRIP_LIMIT kRECURRENCE "
        "kITERATOR kLOOP_OUTPUT kSELECT kFILL kQUANTIZE kDEQUANTIZE kCONDITION kCONDITIONAL_INPUT kCONDITIONAL_OUTPUT "
        "kSCATTER kEINSUM kASSERTION kONE_HOT kNON_ZERO kGRID_SAMPLE kNMS kREVERSE_SEQUENCE kNORMALIZATION kCAST "
        "kPLUGIN_V3 kSQUEEZE kUNSQUEEZE kCUMULATIVE kDYNAMIC_QUANTIZE kATTENTION_INPUT kATTENTION_OUTPUT "
        "kROTARY_EMBEDDING kKVCACHE_UPDATE kMOE kDIST_COLLECTIVE",
    ),
]

# Objects of the API, {vptr, mImpl}: (class, implementation, a method without arguments that passes through mImpl).
# `delete p` must land on slot 1 of the object's own table, the call on the implementation's slot of the same name.
DELETING_SLOT = 1
OBJECTS: List[Tuple[str, str, str]] = [
    ("IBuilder", "VBuilder", "createBuilderConfig"),
    ("INetworkDefinition", "VNetworkDefinition", "getNbInputs"),
    ("IBuilderConfig", "VBuilderConfig", "getTacticSources"),
    ("IHostMemory", "VHostMemory", "size"),
    ("ITimingCache", "VTimingCache", "serialize"),
    ("IRuntime", "VRuntime", "getNbDLACores"),
    ("ICudaEngine", "VCudaEngine", "getNbLayers"),
    ("IExecutionContext", "VExecutionContext", "getOptimizationProfile"),
    ("IEngineInspector", "VEngineInspector", "getExecutionContext"),
]
# The same for objects that are never deleted (their destructors are protected).
BORROWED: List[Tuple[str, str, str]] = [
    ("ITensor", "VTensor", "getName"),
    ("ILayer", "VLayer", "getNbInputs"),
    ("IOptimizationProfile", "VOptimizationProfile", "isValid"),
]

# Structures that cross the border by value: {generation: {fact: bytes}}.
LAYOUTS: Dict[int, Dict[str, int]] = {
    8: {"Dims.size": 36, "Dims.nbDims": 0, "Dims.d": 4, "Dims.extent": 4},
    10: {"Dims.size": 72, "Dims.nbDims": 0, "Dims.d": 8, "Dims.extent": 8},
    11: {"Dims.size": 72, "Dims.nbDims": 0, "Dims.d": 8, "Dims.extent": 8},
}
for _generation in (10, 11):
    LAYOUTS[_generation].update(
        {"InterfaceInfo.size": 16, "InterfaceInfo.kind": 0, "InterfaceInfo.major": 8, "InterfaceInfo.minor": 12}
    )
