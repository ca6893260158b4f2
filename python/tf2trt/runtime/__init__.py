"""Runs ``.engine`` files: NumPy arrays in, NumPy arrays out. Needs numpy, pycuda and the C++ core, nothing else."""

from tf2trt.runtime.context import ExecutionContext
from tf2trt.runtime.engine import Engine

__all__ = ["Engine", "ExecutionContext"]
