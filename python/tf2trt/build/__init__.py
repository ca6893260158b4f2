"""ONNX to ``.engine``: the face of the C++ builder."""

from tf2trt.build.builder import BuildReport, build_engine
from tf2trt.build.options import BuildOptions, Progress, parse_size
from tf2trt.build.proof import MINIMUM_SHARE, LayerTimer
from tf2trt.build.support import SupportReport, UnsupportedNode, check_support
from tf2trt.precisions import PRECISIONS

__all__ = [
    "MINIMUM_SHARE",
    "PRECISIONS",
    "BuildOptions",
    "BuildReport",
    "LayerTimer",
    "Progress",
    "SupportReport",
    "UnsupportedNode",
    "build_engine",
    "check_support",
    "parse_size",
]
