"""What tf2trt wants of the interfaces that TensorRT calls: its own classes are laid out after them. Data only.

Written as wanted.py says; the classes are in cpp/abi/callbacks.hpp and cpp/abi/calibrators.hpp.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple, Union

Signature = Union[str, Dict[str, Optional[str]]]

API = "nvinfer1"

# (namespace, class, {method: signature}), in the order of the tables, behind those of wanted.py.
METHODS: List[Tuple[str, str, Dict[str, Signature]]] = [
    (
        API,
        "ILogger",
        {"log": "void(ILogger::Severity, AsciiChar const*)", "getInterfaceInfo": "InterfaceInfo() const"},
    ),
    (API, "IProfiler", {"reportLayerTime": "void(char const*, float)"}),
    (
        API,
        "IOutputAllocator",
        {
            "reallocateOutput": "void*(char const*, void*, uint64_t, uint64_t)",
            "reallocateOutputAsync": "void*(char const*, void*, uint64_t, uint64_t, cudaStream_t)",
            "notifyShape": "void(char const*, Dims const&)",
            "getInterfaceVersion": {"8": "int32_t() const", "10": None},
            "getInterfaceInfo": "InterfaceInfo() const",
        },
    ),
    (
        API,
        "IProgressMonitor",
        {
            "phaseStart": "void(char const*, char const*, int32_t)",
            "stepComplete": "bool(char const*, int32_t)",
            "phaseFinish": "void(char const*)",
            "getInterfaceInfo": "InterfaceInfo() const",
        },
    ),
    (
        API,
        "IInt8Calibrator",
        {
            "getBatchSize": {"8": "int32_t() const", "11": None},
            "getBatch": {"8": "bool(void**, char const**, int32_t)", "11": None},
            "readCalibrationCache": {"8": "void const*(std::size_t&)", "11": None},
            "writeCalibrationCache": {"8": "void(void const*, std::size_t)", "11": None},
            "getAlgorithm": {"8": "CalibrationAlgoType()", "11": None},
            "getInterfaceInfo": {"10": "InterfaceInfo() const", "11": None},
        },
    ),
    (
        API,
        "IInt8LegacyCalibrator",
        {
            "getQuantile": {"8": "double() const", "11": None},
            "getRegressionCutoff": {"8": "double() const", "11": None},
            "readHistogramCache": {"8": "void const*(std::size_t&)", "11": None},
            "writeHistogramCache": {"8": "void(void const*, std::size_t)", "11": None},
        },
    ),
]
