"""What a tensor is in terms of another: a power of the sum of its squares, the sum kept above an epsilon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, FrozenSet, List, Optional, Sequence, Tuple

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.functions import SMALLEST
from tf2trt.surgery.plugins.layout import Layout, expand, reshape, squeeze, transpose, unsqueeze
from tf2trt.surgery.plugins.scope import Dim, Scope
from tf2trt.surgery.plugins.vectors import vector

__all__ = ["Term", "same_values", "terms"]

_ALL = 10**9  # what tf2onnx writes for the end of a Slice that has none; no extent reaches it
_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Term:
    """``max(sum(root * root, axes), epsilon) ** power``, and how its dimensions lie to those of ``root``.

    ``squared`` is the tensor that the graph squares: ``root`` or a cast of it. ``dims`` is the shape of ``root``; with
    an unknown rank it is None, and ``layout`` and ``axes`` say nothing. ``nodes`` are the places of the nodes from the
    squares on.
    """

    scope: Scope
    root: str
    squared: str
    dims: Optional[Tuple[Dim, ...]]
    layout: Layout
    nodes: FrozenSet[int] = frozenset()
    axes: FrozenSet[int] = frozenset()
    power: float = 1.0
    epsilon: float = 0.0

    def fits(self) -> bool:
        """Whether ``root * tensor`` multiplies each element by the value that belongs to its own row."""
        dims = self.dims
        if dims is None or len(self.layout) > len(dims) or not self.axes:
            return False
        layout = (None,) * (len(dims) - len(self.layout)) + self.layout
        for axis, entry in enumerate(layout):
            # The same value all along an axis that is not summed over is right only where that axis has one element.
            alike = entry in (None, ~axis) or (entry is not None and entry >= 0 and dims[entry] == 1)
            if entry != axis and not (alike and (axis in self.axes or dims[axis] == 1)):
                return False
        return True


def terms(scope: Scope, name: str) -> List[Term]:
    """Every way to see the tensor ``name`` as a :class:`Term`: none, one, or two where a norm is squared again."""
    index, node = scope.producer(name)
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _RULES:
        return []
    found = _RULES[node.op_type](scope, node)
    return [replace(term, nodes=term.nodes | {index}) for term in found if term is not None]


def same_values(scope: Scope, name: str) -> str:
    """Goes back through Identity and casts from FP16 to FP32, which change no value."""
    types = require("onnx", "export").TensorProto
    node = scope.producer(name)[1]
    while node is not None and (
        node.op_type == "Identity"
        or (
            node.op_type == "Cast"
            and scope.type(node.input[0]) == types.FLOAT16
            and attribute(node, "to") == types.FLOAT
        )
    ):
        name = node.input[0]
        node = scope.producer(name)[1]
    return name


def _squares(scope: Scope, name: str) -> Term:
    source = name
    node = scope.producer(name)[1]
    if node is not None and node.op_type == "Abs":
        source = node.input[0]
    root = same_values(scope, source)
    dims = scope.dims(root)
    return Term(scope, root, name, dims, tuple(range(len(dims or ()))))


def _mul(scope: Scope, node: Any) -> List[Optional[Term]]:
    if node.input[0] != node.input[1]:
        return []
    return [_squares(scope, node.input[0]), *(_to_power(term, 2.0) for term in terms(scope, node.input[0]))]


def _pow(scope: Scope, node: Any) -> List[Optional[Term]]:
    exponent = scope.scalar(node.input[1])
    if exponent is None:
        return []
    found: List[Optional[Term]] = [_to_power(term, exponent) for term in terms(scope, node.input[0])]
    return _beside(scope, node.input[1], [_squares(scope, node.input[0]), *found] if exponent == 2 else found)


def _div(scope: Scope, node: Any) -> List[Optional[Term]]:
    if scope.scalar(node.input[0]) != 1:
        return []
    return _beside(scope, node.input[0], [_to_power(term, -1.0) for term in terms(scope, node.input[1])])


def _beside(scope: Scope, constant: str, found: Sequence[Optional[Term]]) -> List[Optional[Term]]:
    """With the dimensions that a constant of one element adds: one of shape (1, 1) gives a scalar two."""
    rank = len(scope.dims(constant) or ())
    return [term and replace(term, layout=_to_rank(term.layout, rank)) for term in found]


def _to_power(term: Term, exponent: float) -> Optional[Term]:
    return replace(term, power=term.power * exponent) if exponent else None


def _power(exponent: float) -> Rule:
    return lambda scope, node: [_to_power(term, exponent) for term in terms(scope, node.input[0])]


def _cast(scope: Scope, node: Any) -> List[Optional[Term]]:
    types = require("onnx", "export").TensorProto
    before, after = scope.type(node.input[0]), attribute(node, "to")
    found = terms(scope, node.input[0])
    if before == after or (before, after) == (types.FLOAT16, types.FLOAT):
        return list(found)
    if (before, after) != (types.FLOAT, types.FLOAT16):
        return []
    # Down to FP16 only the end result fits, and that only where the epsilon keeps it from growing too large.
    return [term for term in found if term.power < 0 < term.epsilon and term.epsilon**term.power <= _LARGEST_HALF]


def _bound(scope: Scope, node: Any) -> List[Optional[Term]]:
    """Max and Min with a constant."""
    if len(node.input) != 2:
        return []
    for name, bound in (node.input, reversed(node.input)):
        value = scope.scalar(bound)
        if value is not None:
            limit = _at_least if node.op_type == "Max" else _at_most
            return _beside(scope, bound, [limit(term, value) for term in terms(scope, name)])
    return []


def _to_rank(layout: Layout, rank: int) -> Layout:
    return (None,) * (rank - len(layout)) + layout


def _clip(scope: Scope, node: Any) -> List[Optional[Term]]:
    bounds = [name for name in node.input[1:] if name]
    low, high = (scope.scalar(n[0]) if n and n[0] else None for n in (node.input[1:2], node.input[2:3]))
    if len(bounds) != (low is not None) + (high is not None):
        return []  # a bound that is no constant
    found: List[Optional[Term]] = list(terms(scope, node.input[0]))
    if low is not None:
        found = [_at_least(term, low) for term in found if term is not None]
    if high is not None:
        found = [_at_most(term, high) for term in found if term is not None]
    return found


def _at_least(term: Term, value: float) -> Optional[Term]:
    if value <= 0:
        return term  # a sum of squares is not below it
    return _with_epsilon(term, value) if term.power > 0 else None


def _at_most(term: Term, value: float) -> Optional[Term]:
    if value == np.inf or (value >= _LARGEST and term.power > 0):
        return term
    return _with_epsilon(term, value) if term.power < 0 < value else None


def _with_epsilon(term: Term, value: float) -> Optional[Term]:
    """``value`` bounds the term; the sum's own bound follows, since a power of it only grows or only falls."""
    exponent = np.log2(value) / term.power
    if not exponent < np.log2(_LARGEST):  # NaN, or more than the sum can be
        return None
    return replace(term, epsilon=max(term.epsilon, value ** (1 / term.power), SMALLEST))


def _reduce_sum(scope: Scope, node: Any) -> List[Optional[Term]]:
    return [_reduced(scope, node, t) for t in terms(scope, node.input[0]) if t.power == 1 and t.epsilon == 0]


def _reduce_squares(power: float) -> Rule:
    def rule(scope: Scope, node: Any) -> List[Optional[Term]]:
        term = _reduced(scope, node, _squares(scope, node.input[0]))
        return [term and _to_power(term, power)]

    return rule


def _reduced(scope: Scope, node: Any, term: Term) -> Optional[Term]:
    if term.dims is None:
        return term
    axes = _axes(scope, node)
    rank = len(term.layout)
    if axes is None or not all(-rank <= axis < rank for axis in axes):
        return None
    if not axes:
        if attribute(node, "noop_with_empty_axes", 0):
            return None
        axes = list(range(rank))
    at = {axis % rank for axis in axes}
    summed = {entry for place, entry in enumerate(term.layout) if place in at and entry is not None and entry >= 0}
    if len(summed) != len(at):
        return None  # summed twice, or over an extent that an Expand made
    keep = attribute(node, "keepdims", 1)
    layout = [None if place in at else entry for place, entry in enumerate(term.layout) if keep or place not in at]
    return replace(term, layout=tuple(layout), axes=term.axes | summed)


def _axes(scope: Scope, node: Any) -> Optional[List[int]]:
    """The axes of a reduction, Squeeze or Unsqueeze; empty where not given, None where they are not constant."""
    if len(node.input) > 1 and node.input[1]:
        return scope.integers(node.input[1])
    return [int(axis) for axis in attribute(node, "axes", [])]


def _moved(change: Callable[[Scope, Any, Term, Tuple[Dim, ...]], Optional[Layout]]) -> Rule:
    """A rule for a node that moves the dimensions and no value."""

    def rule(scope: Scope, node: Any) -> List[Optional[Term]]:
        found: List[Optional[Term]] = []
        for term in terms(scope, node.input[0]):
            layout = term.layout if term.dims is None else change(scope, node, term, term.dims)
            found.append(None if layout is None else replace(term, layout=layout))
        return found

    return rule


def _target(scope: Scope, node: Any) -> Optional[List[Dim]]:
    """The shape that a Reshape or Expand is told to make, or what inference knows of its result."""
    given = vector(scope, node.input[1])
    if given is not None:
        return given
    dims = scope.dims(node.output[0])
    return None if dims is None else list(dims)


def _shape_is_roots(scope: Scope, node: Any, root: str) -> bool:
    shape = scope.producer(node.input[1])[1]
    return (
        shape is not None
        and shape.op_type == "Shape"
        and same_values(scope, shape.input[0]) == root
        and not shape.attribute
    )


def _expand(scope: Scope, node: Any, term: Term, dims: Tuple[Dim, ...]) -> Optional[Layout]:
    if _shape_is_roots(scope, node, term.root):
        return expand(term.layout, dims, dims)
    target = _target(scope, node)
    return None if target is None else expand(term.layout, dims, target)


def _reshape(scope: Scope, node: Any, term: Term, dims: Tuple[Dim, ...]) -> Optional[Layout]:
    target = _target(scope, node)
    return None if target is None else reshape(term.layout, dims, target, bool(attribute(node, "allowzero", 0)))


def _squeeze(scope: Scope, node: Any, term: Term, dims: Tuple[Dim, ...]) -> Optional[Layout]:
    axes = _axes(scope, node)
    return None if axes is None else squeeze(term.layout, dims, axes)


def _unsqueeze(scope: Scope, node: Any, term: Term, dims: Tuple[Dim, ...]) -> Optional[Layout]:
    axes = _axes(scope, node)
    return None if not axes else unsqueeze(term.layout, axes)


def _slice(scope: Scope, node: Any) -> List[Optional[Term]]:
    """A Slice that takes all, which is what tf2onnx makes of ``[:, tf.newaxis]`` besides an Unsqueeze."""
    starts, ends = (scope.integers(name) for name in [*node.input[1:3], "", ""][:2])
    steps = scope.integers(node.input[4]) if len(node.input) > 4 and node.input[4] else []
    if starts is None or ends is None or steps is None:
        return []
    takes_all = not any(starts) and all(end >= _ALL for end in ends) and all(step == 1 for step in steps)
    return list(terms(scope, node.input[0])) if takes_all else []


def _transpose(scope: Scope, node: Any, term: Term, dims: Tuple[Dim, ...]) -> Optional[Layout]:
    return transpose(term.layout, attribute(node, "perm"))


Rule = Callable[[Scope, Any], Sequence[Optional[Term]]]
_RULES: Dict[str, Rule] = {
    "Cast": _cast,
    "Clip": _clip,
    "Div": _div,
    "Expand": _moved(_expand),
    "Identity": lambda scope, node: terms(scope, node.input[0]),
    "Max": _bound,
    "Min": _bound,
    "Mul": _mul,
    "Pow": _pow,
    "Reciprocal": _power(-1.0),
    "ReduceL2": _reduce_squares(0.5),
    "ReduceSum": _reduce_sum,
    "ReduceSumSquare": _reduce_squares(1.0),
    "Reshape": _moved(_reshape),
    "Slice": _slice,
    "Sqrt": _power(0.5),
    "Squeeze": _moved(_squeeze),
    "Transpose": _moved(_transpose),
    "Unsqueeze": _moved(_unsqueeze),
}
