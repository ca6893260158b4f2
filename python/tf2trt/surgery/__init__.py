"""Rewrites of ONNX files that keep what the model computes: one file per rewrite, the order in ``passes.py``."""

from __future__ import annotations

from tf2trt.surgery.collapse import Collapse, parse_collapse
from tf2trt.surgery.fp16 import to_fp16
from tf2trt.surgery.interface import Interface, parse_dtypes, parse_pairs
from tf2trt.surgery.options import SurgeryOptions
from tf2trt.surgery.pattern import Pattern
from tf2trt.surgery.plugins.lower import needs_plugins
from tf2trt.surgery.precision import set_precision
from tf2trt.surgery.report import PassReport, SurgeryReport
from tf2trt.surgery.runner import check_options, check_plugin_names, lower_plugins, simplify
from tf2trt.surgery.user_rewrites import Match, rewrite

__all__ = [
    "Collapse",
    "Interface",
    "Match",
    "PassReport",
    "Pattern",
    "SurgeryOptions",
    "SurgeryReport",
    "check_options",
    "check_plugin_names",
    "lower_plugins",
    "needs_plugins",
    "parse_collapse",
    "parse_dtypes",
    "parse_pairs",
    "rewrite",
    "set_precision",
    "simplify",
    "to_fp16",
]
