"""Evaluates at once what does not depend on an input, shapes that are known included."""

from __future__ import annotations

from typing import Any

from tf2trt.extras import require
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["fold_constants"]

# What folding may add to the file for one tensor. A Tile or Expand of a constant is small as an operator.
_MAX_FOLDED_BYTES = 16 << 20


def fold_constants(model: Any) -> Any:
    """Folds with onnx-graphsurgeon, after ONNX's shape inference; ONNX Runtime evaluates."""
    gs = require("onnx_graphsurgeon", "export")
    require("onnxruntime", "verify")
    graph = gs.import_onnx(infer_shapes(model))
    graph.toposort()
    # error_ok=False: what cannot be evaluated is an error with a name, not a warning and an unchanged graph.
    graph.fold_constants(error_ok=False, size_threshold=_MAX_FOLDED_BYTES)
    graph.cleanup()
    return gs.export_onnx(graph)
