"""The rules for operators that add, take away or merge axes, and for Shape."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from tf2trt.surgery.transpose_graph import (
    compose,
    constant,
    dims,
    integers,
    inverse,
    is_constant,
    is_standard,
    perm_of,
)
from tf2trt.surgery.transpose_moves import Ask, Move, left, unless_same

__all__ = ["flatten", "reshape", "shape_of", "size_of", "squeeze", "transpose", "unsqueeze"]


def squeeze(ask: Ask) -> Optional[Move]:
    """From the operand down; without axes it depends on the extents which go, and it stays."""
    found, shape = ask.axes(1), dims(ask.node.inputs[0])
    if ask.up or not found or shape is None or len(shape) != len(ask.perm):
        return None
    axes = [axis % len(shape) for axis in found]
    rest = left(ask.perm, axes)
    return Move({0: ask.perm}, unless_same(rest), lambda: ask.set_axes(1, sorted(map(ask.axis, axes))))


def unsqueeze(ask: Ask) -> Optional[Move]:
    """From the result up."""
    found = ask.axes(1)
    if not ask.up or not found:
        return None
    axes = [axis % len(ask.perm) for axis in found]
    rest = left(ask.perm, axes)
    return Move(unless_same(rest), {0: ask.perm}, lambda: ask.set_axes(1, sorted(map(ask.axis, axes))))


def shape_of(ask: Ask) -> Optional[Move]:
    """The shape in the new order, put back into the old one by a Gather; a few numbers in place of a tensor."""
    node, graph = ask.node, ask.graph
    if ask.up:
        return None
    part = slice(node.attrs.get("start", 0), node.attrs.get("end"))
    wanted = list(inverse(ask.perm))[part]

    def change() -> None:
        if wanted == list(range(len(ask.perm)))[part]:
            return
        node.attrs.clear()
        old = node.outputs[0]
        node.outputs[0] = graph.gs.Variable(graph.names.new(f"{old.name}/transposed"), old.dtype, [len(ask.perm)])
        name = f"{node.name or old.name}/order"
        order = graph.new_constant(name, np.array(wanted, np.int64))
        graph.add("Gather", name, [node.outputs[0], order], [old], axis=0)

    return Move({0: ask.perm}, {}, change)


def size_of(ask: Ask) -> Optional[Move]:
    """The number of elements does not depend on their order."""
    return None if ask.up else Move({0: ask.perm}, {})


def reshape(ask: Ask) -> Optional[Move]:
    """Where the order of the elements in memory stays, or the weights behind it take the new one."""
    target, perm = integers(ask.node.inputs[1]), ask.perm
    shape, made = dims(ask.node.inputs[0]), dims(ask.node.outputs[0])
    if shape is None or made is None or len(made if ask.up else shape) != len(perm):
        return None
    if not ask.node.attrs.get("allowzero", 0):
        # A 0 takes over the operand's extent at its place. One that is computed may be a 0 unless the extents differ.
        known = [isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(shape, made)]
        copies = [not sure if target is None else target[place] == 0 for place, sure in enumerate(known)]
        if any(copy and perm[place : place + 1] != (place,) for place, copy in enumerate(copies)):
            return None
    if not ask.up:
        return Move({0: perm}, {}, port="in") if _order_stays(ask, shape) else _into_weights(ask, shape)
    if target is None or not _order_stays(ask, target):
        return None
    return Move({}, {0: perm}, lambda: ask.set_input(1, [target[axis] for axis in perm], "shape"), "out")


def flatten(ask: Ask) -> Optional[Move]:
    """Like :func:`reshape`, to two axes."""
    shape, axis = dims(ask.node.inputs[0]), ask.node.attrs.get("axis", 1)
    if ask.up or shape is None or len(shape) != len(ask.perm):
        return None
    axis %= len(shape) + 1 if axis >= 0 else len(shape)
    before = [[place for place in order if shape[place] != 1] for order in (range(axis), ask.perm[:axis])]
    if _order_stays(ask, shape) and before[0] == before[1]:
        return Move({0: ask.perm}, {}, port="in")
    return _into_weights(ask, shape) if axis == 1 else None


def transpose(ask: Ask) -> Optional[Move]:
    """Takes any order, and gives any: only its own changes."""
    if perm_of(ask.node) is None:
        return None

    def change() -> None:
        perm = perm_of(ask.node) or ()  # the other move of this node may have changed it
        ask.node.attrs["perm"] = list(compose(perm, ask.perm) if ask.up else compose(inverse(ask.perm), perm))

    return Move({}, {0: ask.perm}, change, "out") if ask.up else Move({0: ask.perm}, {}, change, "in")


def _order_stays(ask: Ask, shape: Sequence[Any]) -> bool:
    """Whether only axes of extent 1 change their places among the others."""
    moved = [axis for axis in ask.perm if shape[axis] != 1]
    return moved == sorted(moved)


def _into_weights(ask: Ask, shape: Tuple[Any, ...]) -> Optional[Move]:
    """All axes but the first are merged, and only MatMul and Gemm with constant weights read what comes out.

    The rows of the weights take the order of the elements. What they are multiplied with and added to is the same; the
    order of the additions is not.
    """
    merged, result = shape[1:], ask.node.outputs[0]
    made = dims(result)
    if ask.perm[0] != 0 or not all(isinstance(extent, int) for extent in merged) or ask.graph.keeps(result):
        return None
    count = int(np.prod(merged))
    if made is None or len(made) != 2 or made[1] != count:
        return None
    readers = list(ask.graph.readers(result))
    if not readers or not all(place == 0 and _multiplies(node, count) for node, place in readers):
        return None

    def change() -> None:
        changed: Dict[Tuple[int, int], Any] = {}  # heads may share their weights
        for node, _ in readers:
            weights, rows = node.inputs[1], _rows(node)
            key = (id(weights), rows)
            if key not in changed:
                old = constant(weights)
                apart = old.reshape(*old.shape[:rows], *merged, *old.shape[rows + 1 :])
                order = [rows + axis - 1 for axis in ask.perm[1:]]
                turned = apart.transpose([*range(rows), *order, *range(rows + len(order), apart.ndim)])
                changed[key] = ask.graph.new_constant(f"{weights.name}/transposed", turned, old.shape)
            node.inputs[1] = changed[key]

    return Move({0: ask.perm}, {}, change, "in")


def _rows(node: Any) -> int:
    return 1 if node.op == "Gemm" and node.attrs.get("transB", 0) else 0


def _multiplies(node: Any, count: int) -> bool:
    if node.op not in ("MatMul", "Gemm") or not is_standard(node) or not is_constant(node.inputs[1]):
        return False
    shape = dims(node.inputs[1])
    plain = node.op == "MatMul" or not node.attrs.get("transA", 0)
    return plain and shape is not None and len(shape) == 2 and shape[_rows(node)] == count
