"""Takes a graph to a newer opset, for types that an older one does not have."""

from __future__ import annotations

from typing import Any, Iterator, List, Optional

from tf2trt.extras import require
from tf2trt.surgery.lower_opset import REDUCE
from tf2trt.surgery.nodes import attribute, label, nested
from tf2trt.surgery.plugins.functions import opset_of

__all__ = ["raise_opset"]

_OLDEST = 13  # what changed before is not looked at
_AXES_AS_INPUT, _SPLIT_COUNT = 18, 18
# Operators whose meaning changed, and in which opset. All others only took more types, attributes or inputs.
_CHANGED = {"GridSample": 20, "DFT": 20, "GroupNormalization": 21, "BatchNormalization": 14}


def raise_opset(model: Any, version: int, why: str, notes: List[str]) -> bool:
    """Raises ``model``, in place, to opset ``version`` where it is older and means the same there.

    Returns:
        whether it is of that opset now; a note says where it is not, and that ``why`` needed it.
    """
    now = opset_of(model)
    if now >= version:
        return True
    nodes = list(_nodes(model.graph))
    problem = _problem(model, now, nodes, version)
    if problem is not None:
        notes.append(f"opset {now} stays, although {why} need {version}: {problem}")
        return False
    if now < _AXES_AS_INPUT:
        for node in nodes:
            if node.op_type in REDUCE:
                _axes_to_input(model, node)
    next(item for item in model.opset_import if item.domain in ("", "ai.onnx")).version = version
    return True


def _problem(model: Any, now: int, nodes: List[Any], version: int) -> Optional[str]:
    if now < _OLDEST:
        return f"opset {now} is too old"
    if model.functions:
        return "it has functions of its own"
    for node in nodes:
        if node.domain in ("", "ai.onnx"):
            if now < _CHANGED.get(node.op_type, 0) <= version and not _same(node):
                return f"{label(node)} means something else there"
            if node.op_type == "Split" and now < _SPLIT_COUNT and len(node.input) < 2:
                return f"{label(node)} has no sizes"
    return None


def _same(node: Any) -> bool:
    # Since 14 a BatchNormalization has fewer outputs in training; in inference nothing changed.
    return node.op_type == "BatchNormalization" and len([name for name in node.output if name]) == 1


def _axes_to_input(model: Any, node: Any) -> None:
    """The axes of a reduction as an initializer of the main graph, which bodies see too."""
    axes = attribute(node, "axes")
    if axes is None:
        return
    onnx = require("onnx", "export")
    kept = [item for item in node.attribute if item.name != "axes"]
    del node.attribute[:]
    node.attribute.extend(kept)
    name = f"{node.output[0]}/axes"
    model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(axes)], list(axes)))
    node.input.append(name)


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for body in nested(node):
            yield from _nodes(body)
