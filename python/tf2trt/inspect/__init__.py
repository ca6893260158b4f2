"""Looks into ONNX files and engines: what they are, of which layers, in which types, and what those came from."""

from tf2trt.inspect.diff import Comparison, compare
from tf2trt.inspect.inspection import Inspection
from tf2trt.inspect.look import inspect
from tf2trt.inspect.network import Layer, Network, Tensor

__all__ = ["Comparison", "Inspection", "Layer", "Network", "Tensor", "compare", "inspect"]
