"""Patterns: trees of operators to look for in a graph."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.extras import require

__all__ = ["Found", "Pattern", "find"]

_COMMUTATIVE = {
    *("Add", "Mul", "And", "Or", "Xor", "Equal", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
    *("Max", "Min", "Sum", "Mean"),
}
_PERMUTED = 4  # inputs at most that are tried in every order; of a Sum of more, the order of the file counts
_CLOSE = 1e-6  # relative: a file holds numbers as FP32

Input = Union["Pattern", str, int, float, None]


class Pattern:
    """An operator, and what its inputs are.

    Args:
        op: the operator, such as ``"Mul"``.
        inputs: one for each input of the node, or none at all for whatever it reads. A ``Pattern`` is the node that
            makes the input, with its first output; a string stands for any tensor, and the same string for the same
            tensor; a number for a constant with this one element (to FP32 rounding); None for an input left out. The
            inputs of commutative operators match in any order.
        name: what the node is called in the match.
        domain: the operator's domain, ONNX's own by default.
        shared: the node's results may be read outside of the match too, or be outputs of the graph; the node then
            stays for those.
        attributes: what the node's attributes are; one that the node leaves out has ONNX's default.

    Raises:
        UsageError: an input that is none of these, or a name used for a node and something else.
    """

    def __init__(
        self,
        op: str,
        *inputs: Input,
        name: Optional[str] = None,
        domain: str = "",
        shared: bool = False,
        **attributes: Any,
    ) -> None:
        wrong = [item for item in inputs if not (item is None or isinstance(item, (Pattern, str, int, float)))]
        if not isinstance(op, str) or wrong:
            raise UsageError(
                "pattern",
                received=repr(wrong[0] if wrong else op),
                expected='an operator, then patterns, names, numbers or None: Pattern("Mul", "x", 0.5)',
            )
        self.op = op
        self.inputs = inputs
        self.name = name
        self.domain = "" if domain == "ai.onnx" else domain
        self.shared = shared
        self.attributes = attributes
        nodes = [pattern.name for pattern in self._all() if pattern.name]
        tensors = {item for pattern in self._all() for item in pattern.inputs if isinstance(item, str)}
        if len(set(nodes)) < len(nodes) or not tensors.isdisjoint(nodes):
            raise UsageError("pattern: a node's name is used twice", received=", ".join(nodes))

    def _all(self) -> Iterator[Pattern]:
        yield self
        for item in self.inputs:
            if isinstance(item, Pattern):
                yield from item._all()

    def __repr__(self) -> str:
        options = {"name": self.name, "domain": self.domain, "shared": self.shared, **self.attributes}
        given = [f"{key}={value!r}" for key, value in options.items() if value]
        return f"Pattern({', '.join([repr(self.op), *map(repr, self.inputs), *given])})"


@dataclass(frozen=True)
class Found:
    """A place where a pattern fits: nodes (onnx-graphsurgeon's) with the root first, and tensors and nodes by name."""

    nodes: Tuple[Tuple[Pattern, Any], ...] = ()
    names: Dict[str, Any] = field(default_factory=dict)


def find(pattern: Pattern, node: Any, opset: int, members: Dict[int, Any]) -> Iterator[Found]:
    """Every way in which ``pattern`` fits with its root at ``node``.

    Args:
        opset: the version of ONNX's operators, for the defaults of attributes.
        members: the nodes of the graph by ``id``; what other graphs make is a tensor without a producer.
    """
    return _node(pattern, node, Found(), opset, members)


def _node(pattern: Pattern, node: Any, found: Found, opset: int, members: Dict[int, Any]) -> Iterator[Found]:
    if node.op != pattern.op or _domain(node) != pattern.domain or not _attributes_fit(pattern, node, opset):
        return
    if any(node is other for _, other in found.nodes):
        return  # a tree: two operators of the pattern are two nodes
    names = {**found.names, pattern.name: node} if pattern.name else found.names
    start = Found((*found.nodes, (pattern, node)), names)
    if not pattern.inputs:
        yield start
        return
    given = list(node.inputs)
    while given and given[-1].is_empty() and len(given) > len(pattern.inputs):
        given.pop()
    missing = len(pattern.inputs) - len(given)
    if missing < 0 or any(item is not None for item in pattern.inputs[len(given) :]):
        return
    tensors = [*given, *([None] * missing)]
    for order in _orders(node, tensors):
        yield from _inputs(pattern.inputs, order, 0, start, opset, members)


def _inputs(
    wanted: Sequence[Input], tensors: Sequence[Any], place: int, found: Found, opset: int, members: Dict[int, Any]
) -> Iterator[Found]:
    if place == len(wanted):
        yield found
        return
    for after in _input(wanted[place], tensors[place], tensors, found, opset, members):
        yield from _inputs(wanted, tensors, place + 1, after, opset, members)


def _input(
    item: Input, tensor: Any, beside: Sequence[Any], found: Found, opset: int, members: Dict[int, Any]
) -> Iterator[Found]:
    if item is None or tensor is None or tensor.is_empty():
        if item is None and (tensor is None or tensor.is_empty()):
            yield found
    elif isinstance(item, str):
        if found.names.get(item, tensor) is tensor:
            yield Found(found.nodes, {**found.names, item: tensor})
    elif isinstance(item, Pattern):
        producer = tensor.inputs[0] if tensor.inputs else None
        if producer is not None and id(producer) in members and producer.outputs[0] is tensor:
            yield from _node(item, producer, found, opset, members)
    elif _is_number(tensor, item, beside):
        yield found


def _orders(node: Any, tensors: List[Any]) -> Iterator[Sequence[Any]]:
    if node.op in _COMMUTATIVE and not _domain(node) and len(tensors) <= _PERMUTED:
        return iter(itertools.permutations(tensors))
    return iter([tensors])


def _is_number(tensor: Any, number: float, beside: Sequence[Any]) -> bool:
    """Whether a tensor is a constant of this one element, and does not raise the rank of what it is combined with."""
    values = _one(tensor)
    if values is None or values.dtype.kind not in "fiub":
        return False
    ranks = [
        len(other.shape) for other in beside if other is not None and other is not tensor and other.shape is not None
    ]
    if values.ndim > max(ranks, default=1):
        return False
    value = values.reshape(())
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = float(np.asarray(number).astype(values.dtype)) if values.dtype.kind == "f" else float(number)
    return bool(abs(float(value) - wanted) <= _CLOSE * abs(wanted)) or float(value) == wanted


def _one(tensor: Any) -> Any:
    """The array of a constant of one element, an initializer or a Constant node's; None for all else."""
    producer = tensor.inputs[0] if tensor.inputs else None
    value: Any = tensor
    if producer is not None:
        value = next(iter(producer.attrs.values()), None) if producer.op == "Constant" else None
    if hasattr(value, "values"):
        # Large weights stay unread.
        return np.asarray(value.values) if int(np.prod(value.shape)) == 1 else None
    return np.asarray(value) if isinstance(value, (int, float)) else None


def _attributes_fit(pattern: Pattern, node: Any, opset: int) -> bool:
    for name, wanted in pattern.attributes.items():
        value = node.attrs.get(name, _default(node, name, opset))
        if value is None or not _equal(value, wanted):
            return False
    return True


def _default(node: Any, name: str, opset: int) -> Any:
    onnx = require("onnx", "export")
    if _domain(node) or not onnx.defs.has(node.op, opset):
        return None
    schema = onnx.defs.get_schema(node.op, opset)
    if name not in schema.attributes or not schema.attributes[name].default_value.name:
        return None
    value = onnx.helper.get_attribute_value(schema.attributes[name].default_value)
    return value.decode() if isinstance(value, bytes) else value


def _equal(value: Any, wanted: Any) -> bool:
    value = value.values if hasattr(value, "values") else value
    if isinstance(value, str) or isinstance(wanted, str):
        return bool(value == wanted)
    try:
        got, want = np.asarray(value, np.float64), np.asarray(wanted, np.float64)
    except (TypeError, ValueError):
        return False
    return got.shape == want.shape and bool(np.allclose(got, want, rtol=_CLOSE, atol=0.0))


def _domain(node: Any) -> str:
    return "" if node.domain in (None, "", "ai.onnx") else str(node.domain)
