"""The elements of a small vector of integers that a graph computes from shapes."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.scope import Dim, Scope

__all__ = ["vector"]


def vector(scope: Scope, name: str) -> Optional[List[Dim]]:
    """What is known of the elements of ``name``: of an extent of some tensor its name at least; None for no vector.

    ONNX's shape inference follows such vectors too, but, before opset 15, not through all of these operators.
    """
    constant = scope.integers(name)
    if constant is not None:
        return list(constant)
    node = scope.producer(name)[1]
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _RULES:
        return None
    return _RULES[node.op_type](scope, node)


def _same(scope: Scope, node: Any) -> Optional[List[Dim]]:
    return vector(scope, node.input[0])


def _shape(scope: Scope, node: Any) -> Optional[List[Dim]]:
    dims = scope.dims(node.input[0])
    return None if dims is None or node.attribute else list(dims)


def _concat(scope: Scope, node: Any) -> Optional[List[Dim]]:
    result: List[Dim] = []
    for name in node.input:
        part = vector(scope, name)
        if part is None:
            return None
        result.extend(part)
    return result


def _gather(scope: Scope, node: Any) -> Optional[List[Dim]]:
    elements, indices = vector(scope, node.input[0]), scope.integers(node.input[1])
    if elements is None or indices is None or attribute(node, "axis", 0) != 0:
        return None
    return [elements[index] for index in indices] if all(index < len(elements) for index in indices) else None


def _slice(scope: Scope, node: Any) -> Optional[List[Dim]]:
    elements = vector(scope, node.input[0])
    bounds = [scope.integers(name) if name else [1] for name in [*node.input[1:3], *node.input[4:5]]]
    if elements is None or not all(bound is not None and len(bound) == 1 for bound in bounds) or len(bounds) < 2:
        return None
    start, end, *step = [bound[0] for bound in bounds if bound]
    return elements[start:end] if step in ([], [1]) else None


_RULES: Dict[str, Callable[[Scope, Any], Optional[List[Dim]]]] = {
    "Cast": _same,
    "Concat": _concat,
    "Gather": _gather,
    "Identity": _same,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _same,
    "Unsqueeze": _same,
}
