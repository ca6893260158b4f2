"""What becomes of an operator when its operands come with their axes in another order: one rule per class."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from tf2trt.surgery.transpose_graph import constant, dims, integers, is_constant, is_standard
from tf2trt.surgery.transpose_moves import Ask, Move, left, same_rank, unless_same
from tf2trt.surgery.transpose_reshapes import flatten, reshape, shape_of, size_of, squeeze, transpose, unsqueeze

__all__ = ["move"]

_Rule = Callable[[Ask], Optional[Move]]


def move(ask: Ask) -> Optional[Move]:
    """The move that answers ``ask``; None where there is none, or the shapes are not known well enough."""
    rule = _RULES.get(ask.node.op) if is_standard(ask.node) else None
    return None if rule is None else rule(ask)


def _elementwise(ask: Ask) -> Optional[Move]:
    return same_rank(ask, ask.node.inputs)


def _unary(ask: Ask) -> Optional[Move]:
    return same_rank(ask, ask.node.inputs[:1])


def _fixed(kept: Callable[[Any, int], Sequence[int]]) -> _Rule:
    """Operators that may be moved while the axes ``kept(node, rank)`` stay where they are."""

    def rule(ask: Ask) -> Optional[Move]:
        moved = any(ask.perm[axis] != axis for axis in kept(ask.node, len(ask.perm)))
        return None if moved or len(ask.node.outputs) > 1 else _unary(ask)

    return rule


def _along(default: Optional[int], since: int = 1, several: bool = False) -> _Rule:
    """Operators with one ``axis``, which their results keep; ``several`` operands of the same rank, or one."""

    def rule(ask: Ask) -> Optional[Move]:
        axis = ask.node.attrs.get("axis", default)
        if axis is None or ask.graph.opset < since:
            return None
        operands = ask.node.inputs if several else ask.node.inputs[:1]
        return same_rank(ask, operands, lambda: ask.node.attrs.update(axis=ask.axis(axis)))

    return rule


def _one_axis_less(ask: Ask) -> Optional[Move]:
    axis = ask.node.attrs.get("axis", 0)
    if ask.up:
        return None
    rest = left(ask.perm, [axis % len(ask.perm)])
    return Move({0: ask.perm}, unless_same(rest), lambda: ask.node.attrs.update(axis=ask.axis(axis)))


def _arg(ask: Ask) -> Optional[Move]:
    return _along(0)(ask) if ask.node.attrs.get("keepdims", 1) else _one_axis_less(ask)


def _gather(ask: Ask) -> Optional[Move]:
    """One index takes the axis away, a list of them keeps it."""
    shape = dims(ask.node.inputs[1])
    if shape is None or len(shape) > 1:
        return None
    return _along(0)(ask) if shape else _one_axis_less(ask)


def _quantize(ask: Ask) -> Optional[Move]:
    """One scale for all, or one for each place along ``axis``."""
    scale = dims(ask.node.inputs[1])
    if scale is None or len(scale) > 1:
        return None
    return _unary(ask) if scale in ((), (1,)) else _along(1)(ask)


def _reduce(ask: Ask) -> Optional[Move]:
    found, rank, keeps = ask.axes(1), len(ask.perm), ask.node.attrs.get("keepdims", 1)
    if found is None or (not found and ask.node.attrs.get("noop_with_empty_axes", 0)):
        return None
    axes = [axis % rank for axis in found]

    def change() -> None:
        if axes:
            ask.set_axes(1, sorted(map(ask.axis, axes)))

    if keeps:
        return same_rank(ask, ask.node.inputs[:1], change)
    rest = left(ask.perm, axes) if axes else ()
    return None if ask.up else Move({0: ask.perm}, unless_same(rest), change)


def _cumsum(ask: Ask) -> Optional[Move]:
    axis = constant(ask.node.inputs[1])
    if axis is None:
        return None
    moved = np.full(axis.shape, ask.axis(int(axis.ravel()[0])))
    return same_rank(ask, ask.node.inputs[:1], lambda: ask.set_input(1, moved, "axis"))


def _slice(ask: Ask) -> Optional[Move]:
    if ask.graph.opset < 10:
        return None
    axes, starts = ask.axes(3), ask.node.inputs[1]
    shape = dims(starts)
    if axes is None or shape is None or not isinstance(shape[0], int) or starts.dtype is None:
        return None
    places = axes or range(shape[0])
    return same_rank(
        ask, ask.node.inputs[:1], lambda: ask.set_input(3, [ask.axis(axis) for axis in places], "axes", starts.dtype)
    )


def _pad(ask: Ask) -> Optional[Move]:
    axes, rank = ask.axes(3), len(ask.perm)
    if ask.graph.opset < 11 or axes is None:
        return None
    if axes:
        return same_rank(ask, ask.node.inputs[:1], lambda: ask.set_axes(3, [ask.axis(axis) for axis in axes]))
    pads = integers(ask.node.inputs[1])
    if pads is None or len(pads) != 2 * rank:
        return None
    moved = [pads[offset + axis] for offset in (0, rank) for axis in ask.perm]
    return same_rank(ask, ask.node.inputs[:1], lambda: ask.set_input(1, moved, "pads"))


def _per_axis(ask: Ask) -> Optional[Move]:
    """Expand and Tile: a constant with one number for each axis."""
    numbers = integers(ask.node.inputs[1])
    if numbers is None or len(numbers) != len(ask.perm):
        return None
    moved = [numbers[axis] for axis in ask.perm]
    return same_rank(ask, ask.node.inputs[:1], lambda: ask.set_input(1, moved, ask.node.op.lower()))


def _resize(ask: Ask) -> Optional[Move]:
    """Nearest neighbours anywhere; what interpolates has to leave the first two axes alone, as runtimes want it."""
    node, rank, shape = ask.node, len(ask.perm), dims(ask.node.inputs[0])
    if ask.graph.opset < 11 or shape is None or len(shape) != rank:
        return None
    axes = list(node.attrs.get("axes", ()))
    lists: Dict[int, List[float]] = {}
    for place, tensor in enumerate(node.inputs[1:], 1):
        if tensor.is_empty() or dims(tensor) == (0,):
            continue
        if not is_constant(tensor):
            return None
        lists[place] = constant(tensor).tolist()
    scaled = [axis % rank for axis in axes]
    if not axes:
        scales, sizes = lists.get(2), lists.get(3)
        scaled = [
            axis for axis in range(rank) if (scales and scales[axis] != 1) or (sizes and sizes[axis] != shape[axis])
        ]
    if node.attrs.get("mode", "nearest") != "nearest" and any(ask.axis(axis) < 2 for axis in scaled):
        return None

    def change() -> None:
        if axes:
            node.attrs["axes"] = [ask.axis(axis) for axis in axes]
            return
        for place, values in lists.items():
            halves = range(0, len(values), rank)  # roi has all starts, then all ends
            moved = [values[half + axis] for half in halves for axis in ask.perm]
            ask.set_input(place, moved, ("roi", "scales", "sizes")[place - 1])

    return same_rank(ask, node.inputs[:1], change)


_ELEMENTWISE = """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod
    Mul Or PRelu Pow Sub Sum Where Xor
"""
# Operands behind the first, such as the bounds of Clip, are single numbers.
_UNARY = """
    Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign
    Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu
"""
_REDUCE = """
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
"""

_RULES: Dict[str, _Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_UNARY.split(), _unary),
    **dict.fromkeys(_REDUCE.split(), _reduce),
    **dict.fromkeys(["ArgMax", "ArgMin"], _arg),
    # Before opset 13 these work on all axes from this one on.
    **dict.fromkeys(["Hardmax", "LogSoftmax", "Softmax"], _along(-1, since=13)),
    **dict.fromkeys(["LpNormalization", "TopK"], _along(-1)),
    **dict.fromkeys(["DequantizeLinear", "QuantizeLinear"], _quantize),
    **dict.fromkeys(["Expand", "Tile"], _per_axis),
    "BatchNormalization": _fixed(lambda node, rank: [1]),
    "LRN": _fixed(lambda node, rank: [1]),
    "InstanceNormalization": _fixed(lambda node, rank: [0, 1]),
    "GroupNormalization": _fixed(lambda node, rank: [0, 1]),
    "LayerNormalization": _fixed(lambda node, rank: range(node.attrs.get("axis", -1) % rank, rank)),
    "Concat": _along(None, several=True),
    "CumSum": _cumsum,
    "Flatten": flatten,
    "Gather": _gather,
    "GatherElements": _along(0, several=True),
    "Pad": _pad,
    "Reshape": reshape,
    "Resize": _resize,
    "Shape": shape_of,
    "Size": size_of,
    "Slice": _slice,
    "Split": _along(0),
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
