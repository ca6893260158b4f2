"""Opset 18 written in opset 17, which every TensorRT from 8.6 on reads as it is meant.

Opset 18 moved the axes of ReduceMean and its kin from an attribute to an input. TensorRT 8.6's parser takes such a
file, looks for the attribute, and reduces over all axes without a word (onnx-tensorrt, branch 8.6-GA, reduceTensor).
"""

from __future__ import annotations

from typing import Any, Iterator, List, Optional

from tf2trt.extras import require
from tf2trt.surgery.nodes import attribute, label, nested
from tf2trt.surgery.weights import array_of

__all__ = ["REDUCE", "lower_opset"]

_FROM, _TO = 18, 17
REDUCE = {f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")}
# What opset 18 added, by operator: attributes, and how many inputs there were before. ReduceSum has been so since 13.
_NEW_ATTRIBUTES = {"Resize": {"antialias": 0, "keep_aspect_ratio_policy": b"stretch", "axes": None}, "Split": {}}
_INPUTS = {"Pad": 3, "Split": 2}


def lower_opset(model: Any, notes: List[str]) -> Any:
    """Takes a model of opset 18 to 17 where all of it can be said there; otherwise it stays, and a note says why."""
    versions = [item for item in model.opset_import if item.domain in ("", "ai.onnx")]
    if not versions or versions[0].version != _FROM or model.functions:
        return model
    onnx = require("onnx", "export")
    copy = type(model)()
    copy.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    why = next(filter(None, (_lower(onnx, node, constants) for node in _nodes(copy.graph))), None)
    if why is None:
        next(item for item in copy.opset_import if item.domain in ("", "ai.onnx")).version = _TO
        why = _unknown(onnx, copy)
    if why is not None:
        notes.append(f"opset {_FROM} stays: {why}. TensorRT 8.6 may read such a file wrongly")
        return model
    read = {name for node in _nodes(copy.graph) for name in node.input}
    read.update(value.name for value in copy.graph.output)
    for tensor in [tensor for tensor in copy.graph.initializer if tensor.name not in read]:
        copy.graph.initializer.remove(tensor)
    notes.append(f"opset {_TO} in place of {_FROM}")
    return copy


def _lower(onnx: Any, node: Any, constants: Any) -> Optional[str]:
    """Writes one node as opset 17 has it; says why that cannot be."""
    if node.op_type in REDUCE:
        axes = node.input[1] if len(node.input) > 1 else ""
        noop = attribute(node, "noop_with_empty_axes", 0)
        if axes and axes not in constants:
            return f"{label(node)} has axes that are computed"
        values = array_of(constants[axes]).tolist() if axes else []
        if noop and not values:
            return f"{label(node)} reduces over no axis"
        _drop(node, "noop_with_empty_axes")
        del node.input[1:]
        if values:
            node.attribute.append(onnx.helper.make_attribute("axes", values))
    for name, default in _NEW_ATTRIBUTES.get(node.op_type, {}).items():
        if attribute(node, name, default) != default:
            return f"{label(node)} has {name}"
        _drop(node, name)
    if node.op_type == "Split" and attribute(node, "num_outputs") is not None:
        if len(node.input) < 2 or not node.input[1]:
            return f"{label(node)} does not say how large its parts are"
        _drop(node, "num_outputs")
    if node.op_type in _INPUTS and any(node.input[_INPUTS[node.op_type] :]):
        return f"{label(node)} has axes"
    return None


def _unknown(onnx: Any, model: Any) -> Optional[str]:
    """The first operator that opset 17 does not have, or has otherwise: of another version than in 18 and not above."""
    for node in _nodes(model.graph):
        if node.domain not in ("", "ai.onnx"):
            continue
        if not onnx.defs.has(node.op_type, _TO):
            return f"{label(node)} is new there"
        changed = onnx.defs.get_schema(node.op_type, _FROM).since_version == _FROM
        if changed and node.op_type not in REDUCE | set(_NEW_ATTRIBUTES) | set(_INPUTS):
            return f"{label(node)} is another there"
    return None


def _drop(node: Any, name: str) -> None:
    for item in [item for item in node.attribute if item.name == name]:
        node.attribute.remove(item)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for body in nested(node):
            yield from _nodes(body)
