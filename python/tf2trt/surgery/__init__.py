"""Rewrites of ONNX files that keep what the model computes: one file per rewrite, the order in ``passes.py``."""

from __future__ import annotations

from tf2trt.surgery.fp16 import to_fp16
from tf2trt.surgery.plugins.lower import needs_plugins
from tf2trt.surgery.report import PassReport, SurgeryReport
from tf2trt.surgery.runner import check_plugin_names, lower_plugins, simplify

__all__ = [
    "PassReport",
    "SurgeryReport",
    "check_plugin_names",
    "lower_plugins",
    "needs_plugins",
    "simplify",
    "to_fp16",
]
