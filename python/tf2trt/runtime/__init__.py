"""Runs ``.engine`` files: arrays in, arrays out. Needs numpy and the C++ core, nothing else."""

from tf2trt.runtime.arrays import DeviceArray
from tf2trt.runtime.context import ExecutionContext
from tf2trt.runtime.engine import Engine
from tf2trt.runtime.ticket import Ticket

__all__ = ["DeviceArray", "Engine", "ExecutionContext", "Ticket"]
