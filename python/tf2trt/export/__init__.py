"""Keras models, SavedModels and tf.functions to ONNX. Importing this room does not import TensorFlow."""

from __future__ import annotations

from tf2trt.export.pipeline import export
from tf2trt.export.report import ExportReport

__all__ = ["ExportReport", "export"]
