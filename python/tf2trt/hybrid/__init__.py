"""TensorFlow models that TensorRT takes in part: engines inside a SavedModel.

Each public name is looked up when it is first used (PEP 562): importing this room brings in no TensorFlow.
"""

# No module in this folder may be named `convert`: once imported it would stand where the function of that name does.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf2trt.hybrid.converter import (
        DEFAULT_TRT_CONVERSION_PARAMS,
        TrtConversionParams,
        TrtGraphConverterV2,
        TrtPrecisionMode,
        convert,
    )
    from tf2trt.hybrid.options import HybridOptions
    from tf2trt.hybrid.report import HybridReport

__all__ = [
    "DEFAULT_TRT_CONVERSION_PARAMS",
    "HybridOptions",
    "HybridReport",
    "TrtConversionParams",
    "TrtGraphConverterV2",
    "TrtPrecisionMode",
    "convert",
]

_HOME = {
    "DEFAULT_TRT_CONVERSION_PARAMS": "tf2trt.hybrid.converter",
    "HybridOptions": "tf2trt.hybrid.options",
    "HybridReport": "tf2trt.hybrid.report",
    "TrtConversionParams": "tf2trt.hybrid.converter",
    "TrtGraphConverterV2": "tf2trt.hybrid.converter",
    "TrtPrecisionMode": "tf2trt.hybrid.converter",
    "convert": "tf2trt.hybrid.converter",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # from now on found without this function
    return value
