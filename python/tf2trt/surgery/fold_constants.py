"""Evaluates at once what does not depend on an input, shapes that are known included."""

from __future__ import annotations

from typing import Any, List, Set

from tf2trt.extras import require
from tf2trt.onnx_skeleton import is_reference, tensor_bytes
from tf2trt.surgery.gs_graph import export_graph, import_graph, with_values
from tf2trt.surgery.nodes import constant_value, nested
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["fold_constants"]

# What folding may add to the file for one tensor. A Tile or Expand of a constant is small as an operator.
_MAX_FOLDED_BYTES = 16 << 20
_AT_ONCE = 64 << 20  # bytes of weights that may be in memory, several times, to be evaluated


def fold_constants(model: Any, notes: List[str]) -> Any:
    """Folds with onnx-graphsurgeon, after ONNX's shape inference; ONNX Runtime evaluates."""
    require("onnxruntime", "verify")
    model = infer_shapes(model)
    _as_tensors(model.graph)
    graph = import_graph(model)
    graph.toposort()
    for body in graph.subgraphs(recursive=True):
        body.ir_version = graph.ir_version  # else onnx's newest, which ONNX Runtime may not take
    # error_ok=False: what cannot be evaluated is an error with a name, not a warning and an unchanged graph.
    one_by_one = "basic" if _evaluated_bytes(model.graph) > _AT_ONCE else None
    with with_values():
        graph.fold_constants(
            error_ok=False, size_threshold=_MAX_FOLDED_BYTES, recurse_functions=False, partitioning=one_by_one
        )
    before = len(graph.nodes)
    graph.cleanup()
    if len(graph.nodes) < before:
        notes.append(f"{before - len(graph.nodes)} nodes evaluated")
    return export_graph(graph)


def _evaluated_bytes(graph: Any) -> int:
    """About how large the weights are that nodes read all of whose inputs are constants, of the main graph alone."""
    large = {tensor.name: tensor_bytes(tensor) for tensor in graph.initializer if is_reference(tensor)}
    known = {tensor.name for tensor in graph.initializer} | {""}
    read: Set[str] = set()
    for node in graph.node:
        if known.issuperset(node.input) or node.op_type == "Shape":
            known.update(node.output)
            read.update(node.input)
    return sum(size for name, size in large.items() if name in read)


def _as_tensors(graph: Any) -> None:
    """Constant nodes with a number or a list in place of a tensor; onnx-graphsurgeon would take them for doubles."""
    for node in graph.node:
        tensor = constant_value(node)
        if tensor is not None and not any(item.name == "value" for item in node.attribute):
            del node.attribute[:]
            node.attribute.add(name="value", t=tensor, type=require("onnx", "export").AttributeProto.TENSOR)
        for body in nested(node):
            _as_tensors(body)
