"""Finds the nodes that must stay in FP32 because a small epsilon keeps them from dividing by zero."""

from __future__ import annotations

from typing import Any, Dict, List, Set

import numpy as np

__all__ = ["fragile_nodes"]

_FP16 = np.finfo(np.float16)  # from 6.1e-5, its smallest normal number (TensorRT may flush less to zero), to 65504
_THROUGH = {"Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_REDUCTIONS = {"ReduceMean", "ReduceSum"}
_SQUARES = {"Mul", "Pow", "ReduceL2", "ReduceSumSquare"}  # these overflow from 256 on
_ROOTS = {"Pow", "Reciprocal", "Sqrt"}
_ENDS = {"Div", "Log", "Mul"}  # the result is of ordinary size again


def fragile_nodes(graph: Any) -> List[Any]:
    """The nodes of every ``x / sqrt(max(sum(x * x), epsilon))`` in an onnx-graphsurgeon graph, and of its relatives.

    The mark is a Max, Add or Clip with a positive constant below FP16's smallest normal number, or a Min or Clip with
    one above its largest, beside a Sqrt, Reciprocal, Div, Pow or Log. In FP16 the small constant is 0, and a row of
    zeros gives 1/0. With the mark come the squares and the sum before it, which overflow and underflow, and what
    follows up to the multiplication or division that ends the pattern.

    ``tf.math.l2_normalize`` is Mul, ReduceSum, Max, Sqrt, Reciprocal, Mul; Keras 3's UnitNormalization is Mul,
    ReduceSum, Sqrt, Reciprocal, Min with 1e12, Mul; PyTorch's normalize is ReduceL2, Clip, Div; a layer
    normalisation has an Add.

    The graph's constants must be initializers, not Constant nodes.
    """
    found: Dict[int, Any] = {}
    for node in graph.nodes:
        if _is_mark(node):
            around = [*_before(node), *_after(node)]
            if any(item.op in _ROOTS | {"Div", "Log"} for item in around):
                found.update({id(item): item for item in [node, *around]})
    return list(found.values())


def _is_mark(node: Any) -> bool:
    for tensor in node.inputs:
        values = getattr(tensor, "values", None)  # a graphsurgeon Constant has them
        if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.size == 0:
            continue
        tiny = bool(((values > 0) & (values < _FP16.tiny)).all())
        huge = bool(((values > _FP16.max) & np.isfinite(values)).all())
        if (tiny and node.op in ("Add", "Clip", "Max")) or (huge and node.op in ("Clip", "Min")):
            return True
    return False


def _before(node: Any) -> List[Any]:
    nodes: List[Any] = []
    seen: Set[int] = set()
    waiting = [producer for tensor in node.inputs for producer in tensor.inputs]
    while waiting:
        current = waiting.pop()
        if id(current) in seen or current.op not in _THROUGH | _REDUCTIONS | _SQUARES | _ROOTS:
            continue
        seen.add(id(current))
        nodes.append(current)
        if current.op not in _SQUARES:
            waiting.extend(producer for tensor in current.inputs for producer in tensor.inputs)
    return nodes


def _after(node: Any) -> List[Any]:
    nodes: List[Any] = []
    seen: Set[int] = set()
    waiting = [consumer for tensor in node.outputs for consumer in tensor.outputs]
    while waiting:
        current = waiting.pop()
        if id(current) in seen or current.op not in _THROUGH | _ROOTS | _ENDS:
            continue
        seen.add(id(current))
        nodes.append(current)
        if current.op not in _ENDS:
            waiting.extend(consumer for tensor in current.outputs for consumer in tensor.outputs)
    return nodes
