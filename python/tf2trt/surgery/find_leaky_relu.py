"""Finds leaky ReLUs that are written as several nodes."""

from __future__ import annotations

from typing import Any, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

from tf2trt.extras import require
from tf2trt.surgery.edit import drop_unused
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["find_leaky_relu"]


def find_leaky_relu(model: Any, notes: List[str]) -> Any:
    """Puts ONNX's LeakyRelu in the place of what computes ``x if x > 0 else alpha * x``, in FP32 and FP16.

    Found are ``Max(x, alpha * x)`` with alpha in 0..1, ``Min(x, alpha * x)`` with alpha from 1 on, a Where on the sign
    of ``x`` (or tf2onnx's sum of two products with the masks), and ``Relu(x) - alpha * Relu(-x)``, which is also how
    Keras writes a PReLU; there with one alpha for all. A pattern with a part that something else reads stays. Where
    ``x`` is infinite some of these give NaN (0 * inf); LeakyRelu does not.
    """
    model = infer_shapes(model)
    types = require("onnx", "export").TensorProto
    found = 0
    for scope in scopes(model):
        for index, node in enumerate(scope.nodes):
            finder = _FINDERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if finder is None or len(node.input) not in (2, 3):
                continue
            for x, alpha, inner in finder(scope, node):
                if scope.type(x) in (types.FLOAT, types.FLOAT16) and _closed(scope, inner, index):
                    node.CopyFrom(_leaky_relu(x, node, alpha))
                    found += 1
                    break
    if found:
        notes.append(f"{found} leaky ReLU{'s' if found > 1 else ''} found")
        drop_unused(model)
    return model


_Match = Tuple[str, float, FrozenSet[int]]  # x, alpha and the places of the nodes before the last


class _Scaled(NamedTuple):
    """``factor * x``; the nodes that compute it."""

    x: str
    factor: float
    nodes: FrozenSet[int]


class _Masked(NamedTuple):
    """``tensor`` where the boolean ``condition`` is ``holds``, 0 elsewhere."""

    tensor: str
    condition: str
    holds: bool
    nodes: FrozenSet[int]


def _leaky_relu(x: str, node: Any, alpha: float) -> Any:
    helper = require("onnx.helper", "export")
    return helper.make_node("LeakyRelu", [x], [node.output[0]], name=node.name or node.output[0], alpha=alpha)


def _closed(scope: Scope, inner: FrozenSet[int], last: int) -> bool:
    """Whether nothing but the pattern itself reads what its nodes make."""
    allowed = inner | {last}
    return all(
        user in allowed for index in inner for name in scope.nodes[index].output for user in scope.users.get(name, [])
    )


def _is(scope: Scope, name: str, *ops: str) -> Tuple[int, Any]:
    """The place and node that makes ``name``, if it is one of ``ops``; else (-1, None)."""
    index, node = scope.producer(name)
    return (index, node) if node is not None and node.op_type in ops and not node.domain else (-1, None)


def _constant(scope: Scope, name: str, beside: str) -> Optional[float]:
    """A constant of one element that leaves the rank of ``beside`` as it is."""
    value, dims = scope.scalar(name), scope.dims(beside)
    rank = len(scope.tensor(name).dims) if value is not None else 0
    return value if rank == 0 or (dims is not None and rank <= len(dims)) else None


def _scaled(scope: Scope, name: str) -> _Scaled:
    """``name`` as a multiple of another tensor; of itself, times 1, where there is no such."""
    index, node = _is(scope, name, "Mul", "Neg")
    if node is None:
        return _Scaled(name, 1.0, frozenset())
    if node.op_type == "Neg":
        return _Scaled(node.input[0], -1.0, frozenset({index}))
    for x, factor in (node.input, reversed(node.input)):
        value = _constant(scope, factor, x)
        if value is not None:
            return _Scaled(x, value, frozenset({index}))
    return _Scaled(name, 1.0, frozenset())


def _extremes(scope: Scope, node: Any) -> Iterator[_Match]:
    """Max and Min."""
    for x, other in (node.input, reversed(node.input)) if len(node.input) == 2 else ():
        scaled = _scaled(scope, other)
        fits = 0 <= scaled.factor <= 1 if node.op_type == "Max" else scaled.factor >= 1
        if scaled.x == x and scaled.nodes and fits:
            yield x, scaled.factor, scaled.nodes


def _where(scope: Scope, node: Any) -> Iterator[_Match]:
    yield from _choice(scope, node.input[0], node.input[1], node.input[2])


def _choice(scope: Scope, condition: str, chosen: str, other: str) -> Iterator[_Match]:
    """``chosen`` where ``condition`` holds, ``other`` elsewhere."""
    nodes: FrozenSet[int] = frozenset()
    index, inverse = _is(scope, condition, "Not")
    if inverse is not None:
        condition, chosen, other, nodes = inverse.input[0], other, chosen, frozenset({index})
    index, compare = _is(scope, condition, "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    if compare is None:
        return
    left, right = compare.input
    x, zero = (left, right) if scope.scalar(right) is not None else (right, left)
    if _constant(scope, zero, x) != 0:
        return
    # At 0 itself both are 0, so it does not matter on which side it falls.
    if compare.op_type.startswith("Greater") != (x == left):
        chosen, other = other, chosen
    scaled = _scaled(scope, other)
    if chosen == x and scaled.x == x and scaled.nodes:
        yield x, scaled.factor, nodes | scaled.nodes | {index}


def _masked(scope: Scope, name: str) -> Iterator[_Masked]:
    types = require("onnx", "export").TensorProto
    index, node = _is(scope, name, "Mul")
    for tensor, mask in (node.input, reversed(node.input)) if node is not None else ():
        at, cast = _is(scope, mask, "Cast")
        if cast is None or scope.type(cast.input[0]) != types.BOOL:
            continue
        inverse_at, inverse = _is(scope, cast.input[0], "Not")
        if inverse is None:
            yield _Masked(tensor, cast.input[0], True, frozenset({index, at}))
        else:
            yield _Masked(tensor, inverse.input[0], False, frozenset({index, at, inverse_at}))


def _sum(scope: Scope, node: Any) -> Iterator[_Match]:
    """Add and Sub: two tensors, each with the mask that the other has not; or two ReLUs."""
    sign = 1.0 if node.op_type == "Add" else -1.0
    for first, second in (node.input, reversed(node.input)) if node.op_type == "Add" else (node.input,):
        scaled = _scaled(scope, second)
        at, positive = _is(scope, first, "Relu")
        inner_at, negative = _is(scope, scaled.x, "Relu")
        if positive is not None and negative is not None and scaled.nodes:
            inverse = _scaled(scope, negative.input[0])
            if inverse.factor == -1 and inverse.x == positive.input[0]:
                # alpha * x for x < 0, and what stands there is sign * factor * -x.
                yield inverse.x, -sign * scaled.factor, inverse.nodes | scaled.nodes | {at, inner_at}
        for one in _masked(scope, first) if node.op_type == "Add" else ():
            for other in _masked(scope, second):
                if one.condition == other.condition and one.holds and not other.holds:
                    for x, alpha, nodes in _choice(scope, one.condition, one.tensor, other.tensor):
                        yield x, alpha, nodes | one.nodes | other.nodes


_FINDERS = {"Max": _extremes, "Min": _extremes, "Where": _where, "Add": _sum, "Sub": _sum}
