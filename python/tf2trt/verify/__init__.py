"""Do two results agree? Engines and ONNX files against the model they were made of, and which layers are to blame."""

from __future__ import annotations

from tf2trt.numerics import random_inputs, relative_error
from tf2trt.verify.candidate import Candidate, open_candidate
from tf2trt.verify.compare import ComparisonReport, compare
from tf2trt.verify.engine import TOLERANCES, tolerance_for, verify_engine
from tf2trt.verify.inputs import FileInputs, GeneratedInputs
from tf2trt.verify.metrics import OutputMetrics
from tf2trt.verify.original import TensorFlowReference
from tf2trt.verify.picture import error_picture
from tf2trt.verify.reference import OnnxReference
from tf2trt.verify.report import VerifyReport
from tf2trt.verify.silent import Finding
from tf2trt.verify.task_metric import MetricReport, load_function

__all__ = [
    "TOLERANCES",
    "Candidate",
    "ComparisonReport",
    "FileInputs",
    "Finding",
    "GeneratedInputs",
    "MetricReport",
    "OnnxReference",
    "OutputMetrics",
    "TensorFlowReference",
    "VerifyReport",
    "compare",
    "error_picture",
    "load_function",
    "open_candidate",
    "random_inputs",
    "relative_error",
    "tolerance_for",
    "verify_engine",
]
