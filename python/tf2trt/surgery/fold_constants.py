"""Evaluates at once what does not depend on an input, shapes that are known included."""

from __future__ import annotations

from typing import Any, List

from tf2trt.extras import require
from tf2trt.surgery.nodes import constant_value, nested
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["fold_constants"]

# What folding may add to the file for one tensor. A Tile or Expand of a constant is small as an operator.
_MAX_FOLDED_BYTES = 16 << 20


def fold_constants(model: Any, notes: List[str]) -> Any:
    """Folds with onnx-graphsurgeon, after ONNX's shape inference; ONNX Runtime evaluates."""
    gs = require("onnx_graphsurgeon", "export")
    require("onnxruntime", "verify")
    model = infer_shapes(model)
    _as_tensors(model.graph)
    graph = gs.import_onnx(model)
    graph.toposort()
    for body in graph.subgraphs(recursive=True):
        body.ir_version = graph.ir_version  # else onnx's newest, which ONNX Runtime may not take
    # error_ok=False: what cannot be evaluated is an error with a name, not a warning and an unchanged graph.
    graph.fold_constants(error_ok=False, size_threshold=_MAX_FOLDED_BYTES, recurse_functions=False)
    before = len(graph.nodes)
    graph.cleanup()
    if len(graph.nodes) < before:
        notes.append(f"{before - len(graph.nodes)} nodes evaluated")
    return gs.export_onnx(graph)


def _as_tensors(graph: Any) -> None:
    """Constant nodes with a number or a list in place of a tensor; onnx-graphsurgeon would take them for doubles."""
    for node in graph.node:
        tensor = constant_value(node)
        if tensor is not None and not any(item.name == "value" for item in node.attribute):
            del node.attribute[:]
            node.attribute.add(name="value", t=tensor, type=require("onnx", "export").AttributeProto.TENSOR)
        for body in nested(node):
            _as_tensors(body)
