"""ONNX to ``.engine``: the face of the C++ builder."""

from tf2trt.build.builder import BuildReport, build_engine
from tf2trt.build.options import PRECISIONS, BuildOptions, Progress, parse_size
from tf2trt.build.support import SupportReport, UnsupportedNode, check_support

__all__ = [
    "PRECISIONS",
    "BuildOptions",
    "BuildReport",
    "Progress",
    "SupportReport",
    "UnsupportedNode",
    "build_engine",
    "check_support",
    "parse_size",
]
