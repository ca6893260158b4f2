"""Do two results agree? Engines against ONNX Runtime, by ``||out - ref|| / ||ref||``."""

from __future__ import annotations

from tf2trt.numerics import random_inputs, relative_error
from tf2trt.verify.engine import TOLERANCES, tolerance_for, verify_engine
from tf2trt.verify.reference import OnnxReference
from tf2trt.verify.report import VerifyReport

__all__ = [
    "TOLERANCES",
    "OnnxReference",
    "VerifyReport",
    "random_inputs",
    "relative_error",
    "tolerance_for",
    "verify_engine",
]
