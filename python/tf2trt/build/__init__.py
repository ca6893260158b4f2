"""ONNX to ``.engine``: the face of the C++ builder."""

from tf2trt.build.builder import BuildReport, build_engine
from tf2trt.build.options import PRECISIONS, BuildOptions, Progress, parse_size

__all__ = ["PRECISIONS", "BuildOptions", "BuildReport", "Progress", "build_engine", "parse_size"]
