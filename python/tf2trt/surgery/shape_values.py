"""The values of small integer tensors, as far as they follow from shapes: ``Shape(x)[0]`` is an extent of ``x``."""

from __future__ import annotations

from math import prod
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.scope import Scope

__all__ = ["Extent", "ShapeValues", "as_int", "divide", "extents", "multiply"]

_MOST = 64  # elements; what is longer is no shape


class Extent(NamedTuple):
    """A number times extents that are known by name only: ``6 * n`` is ``Extent(6, ("n",))``."""

    factor: int
    names: Tuple[str, ...] = ()


class Value(NamedTuple):
    """A scalar or a vector; an element that is not known is None."""

    elements: Tuple[Optional[Extent], ...]
    scalar: bool = False


def as_int(extent: Optional[Extent]) -> Optional[int]:
    """The number; None where it depends on an extent that is not known."""
    return extent.factor if extent is not None and not extent.names else None


def multiply(extents: Sequence[Optional[Extent]]) -> Optional[Extent]:
    """The product; None where a factor is not known, 0 where one is 0."""
    known = [extent for extent in extents if extent is not None]
    if any(extent.factor == 0 for extent in known):
        return Extent(0)
    if len(known) < len(extents):
        return None
    names = tuple(sorted(name for extent in known for name in extent.names))
    return Extent(int(prod(extent.factor for extent in known)), names)


def divide(dividend: Optional[Extent], divisor: Optional[Extent]) -> Optional[Extent]:
    """The quotient where it is exact whatever the extents are; else None."""
    if dividend is None or divisor is None or divisor.factor == 0 or dividend.factor % divisor.factor:
        return None
    left = list(dividend.names)
    for name in divisor.names:
        if name not in left:
            return None
        left.remove(name)
    return Extent(dividend.factor // divisor.factor, tuple(left))


def extents(scope: Scope, name: str) -> Optional[List[Extent]]:
    """A tensor's shape. An extent without a name gets one of its own; None where not even the rank is known."""
    dims = scope.dims(name)
    if dims is None:
        return None
    result = []
    for axis, dim in enumerate(dims):
        result.append(Extent(dim) if isinstance(dim, int) else Extent(1, (dim or f"{name}[{axis}]",)))
    return result


class ShapeValues:
    """Values of the tensors of one graph, found in the order of its nodes.

    Args:
        scope: a graph of a model whose shapes were inferred.
        outer: the same of the graph around it, whose tensors it may read.
    """

    def __init__(self, scope: Scope, outer: Optional[ShapeValues] = None) -> None:
        self.scope, self.outer = scope, outer
        self.found: Dict[str, Value] = {}
        for node in scope.nodes:
            rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            results = rule(self, node) if rule is not None else None
            for name, result in zip(node.output, results or []):
                if name and len(result.elements) <= _MOST:
                    self.found[name] = result

    def get(self, name: str) -> Optional[Value]:
        """The value of a tensor, constants included; None where nothing is known, or it is no scalar or vector."""
        if name in self.found:
            return self.found[name]
        types = require("onnx", "export").TensorProto
        tensor = self.scope.tensor(name) if name else None
        if tensor is not None:
            if tensor.data_type not in (types.INT32, types.INT64) or len(tensor.dims) > 1 or prod(tensor.dims) > _MOST:
                return None
            return Value(tuple(Extent(value) for value in self.scope.integers(name) or []), not tensor.dims)
        if self.outer is not None and name and self.scope.producer(name)[1] is None:
            inputs = {value.name for value in self.scope.graph.input}
            return self.outer.get(name) if name not in inputs else None
        return None

    def integers(self, name: str) -> Optional[List[int]]:
        """All elements as numbers; None where one is not known."""
        value = self.get(name)
        numbers = [as_int(element) for element in value.elements] if value is not None else [None]
        return None if None in numbers else [number for number in numbers if number is not None]

    def operands(self, node: Any) -> Optional[List[Value]]:
        """The values of all inputs; None where one is not known at all."""
        values = [self.get(name) for name in node.input]
        return None if None in values else [value for value in values if value is not None]


_Results = Optional[List[Value]]


def _shape(values: ShapeValues, node: Any) -> _Results:
    shape = extents(values.scope, node.input[0])
    if shape is None:
        return None
    return [Value(tuple(shape[slice(attribute(node, "start", 0), attribute(node, "end"))]))]


def _size(values: ShapeValues, node: Any) -> _Results:
    shape = extents(values.scope, node.input[0])
    return None if shape is None else [Value((multiply(shape),), scalar=True)]


def _same(values: ShapeValues, node: Any) -> _Results:
    types = require("onnx", "export").TensorProto
    if node.op_type == "Cast" and attribute(node, "to") not in (types.INT32, types.INT64):
        return None
    return values.operands(node)


def _gather(values: ShapeValues, node: Any) -> _Results:
    data, at = values.get(node.input[0]), values.get(node.input[1])
    indices = values.integers(node.input[1])
    if data is None or at is None or data.scalar or indices is None:
        return None
    if any(not -len(data.elements) <= index < len(data.elements) for index in indices):
        return None
    return [Value(tuple(data.elements[index] for index in indices), at.scalar)]


def _slice(values: ShapeValues, node: Any) -> _Results:
    data = values.get(node.input[0])
    bounds = [values.integers(name) if name else [] for name in node.input[1:]]
    if data is None or data.scalar or any(bound is None for bound in bounds) or len(bounds) < 2:
        return None
    start, end = (bounds[0] or [])[:1], (bounds[1] or [])[:1]
    step = (bounds[3] or [1])[0] if len(bounds) > 3 else 1
    if not start or not end or step != 1:
        return None
    return [Value(data.elements[start[0] : end[0]])]


def _concat(values: ShapeValues, node: Any) -> _Results:
    parts = [values.get(name) for name in node.input]
    result: List[Optional[Extent]] = []
    for name, part in zip(node.input, parts):
        if part is not None and not part.scalar:
            result.extend(part.elements)
            continue
        dims = values.scope.dims(name)  # its length is enough for the others to keep their places
        if part is not None or dims is None or len(dims) != 1 or not isinstance(dims[0], int) or dims[0] > _MOST:
            return None
        result.extend([None] * dims[0])
    return [Value(tuple(result))]


def _split(values: ShapeValues, node: Any) -> _Results:
    data = values.get(node.input[0])
    if data is None or data.scalar:
        return None
    lengths = values.integers(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    if lengths is None:
        if (len(node.input) > 1 and node.input[1]) or len(data.elements) % len(node.output):
            return None
        lengths = [len(data.elements) // len(node.output)] * len(node.output)
    ends = np.cumsum(lengths)
    return [Value(data.elements[end - length : end]) for end, length in zip(ends, lengths)]


def _turn(values: ShapeValues, node: Any) -> _Results:
    """Unsqueeze, Squeeze and Reshape, between a scalar and a vector of one element."""
    data = values.get(node.input[0])
    if data is None:
        return None
    if node.op_type == "Unsqueeze":
        axes = values.integers(node.input[1]) if len(node.input) > 1 else attribute(node, "axes")
        return [Value(data.elements)] if data.scalar and axes is not None and len(axes) == 1 else None
    if node.op_type == "Squeeze":
        return [Value(data.elements, scalar=True)] if len(data.elements) == 1 else None
    target = values.get(node.input[1])
    length = len(data.elements)
    if target is not None and not target.elements and length == 1:
        return [Value(data.elements, scalar=True)]
    if target is not None and values.integers(node.input[1]) in ([-1], [length]) and length:
        return [Value(data.elements)]
    return None


def _arithmetic(values: ShapeValues, node: Any) -> _Results:
    operands = values.operands(node)
    if operands is None or len(operands) != 2:
        return None
    length = max(len(operand.elements) for operand in operands)
    if any(len(operand.elements) not in (1, length) for operand in operands):
        return None
    left, right = (operand.elements * (length if len(operand.elements) == 1 else 1) for operand in operands)
    elements = tuple(_compute(node.op_type, *pair) for pair in zip(left, right))
    return [Value(elements, all(operand.scalar for operand in operands))]


def _compute(op: str, left: Optional[Extent], right: Optional[Extent]) -> Optional[Extent]:
    if op == "Mul":
        return multiply([left, right])
    if op == "Div":
        exact = divide(left, right)
        a, b = as_int(left), as_int(right)
        # ONNX cuts towards zero, Python down: the same where neither is negative.
        return exact if exact is not None or a is None or b is None or a < 0 or b <= 0 else Extent(a // b)
    a, b = as_int(left), as_int(right)
    if a is None or b is None:
        return None
    return Extent({"Add": a + b, "Sub": a - b, "Max": max(a, b), "Min": min(a, b)}[op])


def _product(values: ShapeValues, node: Any) -> _Results:
    data = values.get(node.input[0])
    if (
        data is None
        or data.scalar
        or (len(node.input) > 1 and node.input[1] and values.integers(node.input[1]) is None)
    ):
        return None
    if not (len(node.input) > 1 and node.input[1]) and attribute(node, "noop_with_empty_axes", 0):
        return None
    return [Value((multiply(data.elements),), scalar=not attribute(node, "keepdims", 1))]


_RULES: Dict[str, Callable[[ShapeValues, Any], _Results]] = {
    "Shape": _shape,
    "Size": _size,
    "Identity": _same,
    "Cast": _same,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Split": _split,
    "Unsqueeze": _turn,
    "Squeeze": _turn,
    "Reshape": _turn,
    "ReduceProd": _product,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min"), _arithmetic),
}
