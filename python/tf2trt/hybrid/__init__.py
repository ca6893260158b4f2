"""TensorFlow models that TensorRT takes in part: engines inside a SavedModel.

Once it was imported ``tf.saved_model.load`` opens what :func:`convert` wrote. Importing it brings in no TensorFlow and
compiles nothing: each public name is looked up when it is first used (PEP 562), and the op is loaded by the first
SavedModel that holds it (see :mod:`tf2trt.hybrid.opening`).
"""

# No module in this folder may be named as one of the public names, such as `convert`: once imported it would stand
# where the function of that name does. So `stats`, which is a module, is not among them.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tf2trt.hybrid.opening import load_op_where_needed
from tf2trt.lazy import look_up

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
    return look_up(__name__, _HOME, name)


load_op_where_needed()
