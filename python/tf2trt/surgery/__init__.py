"""Rewrites of ONNX files that keep what the model computes: one file per rewrite, the order in ``passes.py``."""

from __future__ import annotations

from tf2trt.surgery.fp16 import to_fp16
from tf2trt.surgery.report import PassReport, SurgeryReport
from tf2trt.surgery.runner import simplify

__all__ = ["PassReport", "SurgeryReport", "simplify", "to_fp16"]
