"""A graph as the rewrites look at it: who makes a tensor, who uses it, what is constant, what is known of its shape."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import numpy as np

from tf2trt.surgery.nodes import constant_value, nested
from tf2trt.surgery.weights import array_of

__all__ = ["Dim", "Scope", "scopes"]

Dim = Union[int, str, None]
"""An extent: known, known to be equal to others of that name, or not known."""

_Types = Dict[str, Tuple[int, Optional[Tuple[Dim, ...]]]]


class Scope:
    """One graph of a model whose shapes were inferred: the main graph, or the body of an If, Loop or Scan.

    Nodes are told by their place in ``nodes``; the number stays right while nodes are replaced one for one.
    ``users`` lists by tensor the nodes that read it, one that holds a body which reads it included, and
    :attr:`OUTPUT` where the tensor is an output of the graph.
    """

    OUTPUT = -1

    def __init__(self, graph: Any, outer: Optional[Scope] = None) -> None:
        self.graph = graph
        self.outer = outer
        self.nodes: List[Any] = list(graph.node)
        self.producers = {name: index for index, node in enumerate(self.nodes) for name in node.output if name}
        self.users: Dict[str, List[int]] = {value.name: [self.OUTPUT] for value in graph.output}
        for index, node in enumerate(self.nodes):
            for name in [*node.input, *(name for body in nested(node) for name in _reads(body))]:
                self.users.setdefault(name, []).append(index)
        inputs = {value.name for value in graph.input}
        # An initializer that is an input as well is a default value, which a caller may replace.
        self.initializers = {item.name: item for item in graph.initializer if item.name not in inputs}
        self._types: _Types = {}
        for value in [*graph.value_info, *graph.input, *graph.output]:
            if value.type.HasField("tensor_type"):
                self._types[value.name] = _type(value.type.tensor_type)
        self._types.update({item.name: (item.data_type, tuple(item.dims)) for item in graph.initializer})

    def producer(self, name: str) -> Tuple[int, Any]:
        """The place and the node that makes ``name`` in this very graph; (-1, None) where there is none."""
        index = self.producers.get(name, -1)
        return index, self.nodes[index] if index >= 0 else None

    def tensor(self, name: str) -> Any:
        """The constant tensor called ``name`` (a TensorProto), here or in a graph around this one; else None."""
        node = self.producer(name)[1]
        if node is not None:
            return constant_value(node)
        if name in self.initializers:
            return self.initializers[name]
        return self.outer.tensor(name) if self.outer is not None and name not in self._types else None

    def array(self, name: str) -> Any:
        """The constant called ``name`` as an array, None where it is not one."""
        tensor = self.tensor(name)
        return None if tensor is None else array_of(tensor)

    def scalar(self, name: str) -> Optional[float]:
        """The one element of the constant called ``name``; None where it is no constant or has more."""
        tensor = self.tensor(name)
        if tensor is None or int(np.prod(tensor.dims)) != 1:
            return None
        return float(self.array(name).reshape(()))

    def integers(self, name: str) -> Optional[List[int]]:
        """The elements of a constant of integers; None where it is not one."""
        array = self.array(name)
        return None if array is None else [int(value) for value in array.ravel()]

    def type(self, name: str) -> int:
        """ONNX's number of a tensor's element type, 0 where it is not known."""
        if name in self._types or self.outer is None:
            return self._types.get(name, (0, None))[0]
        return self.outer.type(name)

    def dims(self, name: str) -> Optional[Tuple[Dim, ...]]:
        """A tensor's shape; None where not even the rank is known."""
        if name in self._types or self.outer is None:
            return self._types.get(name, (0, None))[1]
        return self.outer.dims(name)


def scopes(model: Any) -> Iterator[Scope]:
    """The main graph, and the bodies of If, Loop and Scan after the graph that holds them."""
    waiting: List[Scope] = [Scope(model.graph)]
    while waiting:
        scope = waiting.pop(0)
        yield scope
        waiting.extend(Scope(body, scope) for node in scope.nodes for body in nested(node))


def _reads(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for body in nested(node):
            yield from _reads(body)
    yield from (value.name for value in graph.output)


def _type(tensor: Any) -> Tuple[int, Optional[Tuple[Dim, ...]]]:
    if not tensor.HasField("shape"):
        return tensor.elem_type, None
    dims: List[Dim] = []
    for dim in tensor.shape.dim:
        dims.append(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None)
    return tensor.elem_type, tuple(dims)
