"""A graph as the pass ``transposes`` works on it: orders of axes, who makes and who reads a tensor, new names."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.gs_graph import new_constant, values_of
from tf2trt.surgery.remove_identities import bypass

__all__ = [
    "Names",
    "Perm",
    "TransposeGraph",
    "compose",
    "constant",
    "dims",
    "integers",
    "inverse",
    "is_constant",
    "is_standard",
    "is_transpose",
    "perm_of",
]

Perm = Tuple[int, ...]
"""An order of axes as ONNX writes it: axis ``i`` of the result is axis ``perm[i]`` of the operand."""


def compose(first: Perm, second: Perm) -> Perm:
    """The one order for two Transposes, ``first`` the earlier."""
    return tuple(first[axis] for axis in second)


def inverse(perm: Perm) -> Perm:
    """The order that undoes ``perm``."""
    return tuple(perm.index(axis) for axis in range(len(perm)))


class Names:
    """Names of tensors and nodes that are free in a model, the bodies of If and Loop included."""

    def __init__(self, graphs: Iterable[Any]) -> None:
        self._used: Set[str] = set()
        for graph in graphs:
            self._used.update(graph.tensors())
            self._used.update(node.name for node in graph.nodes)

    def new(self, wanted: str) -> str:
        """``wanted``, with a number behind it if it is taken; taken from now on."""
        name, count = wanted, 1
        while name in self._used:
            count += 1
            name = f"{wanted}_{count}"
        self._used.add(name)
        return name


class TransposeGraph:
    """One graph of a model (a ``gs.Graph``), and the changes that the pass makes in it.

    A node that was taken out has no outputs any more; ``graph.cleanup()`` drops it.
    """

    def __init__(self, graph: Any, names: Names) -> None:
        self.gs = require("onnx_graphsurgeon", "export")
        self.graph = graph
        self.opset: int = graph.opset
        self.names = names
        self._mine = {id(node) for node in graph.nodes}
        self._outputs = {id(tensor) for tensor in graph.outputs}
        self._read_by_bodies = {name for body in graph.subgraphs(recursive=True) for name in body.tensors()}
        self._constants: Dict[Any, Any] = {}

    def transposes(self) -> List[Any]:
        """The Transposes that are in use."""
        return [node for node in self.graph.nodes if node.outputs and is_transpose(node)]

    def keeps(self, tensor: Any) -> bool:
        """Whether a tensor's name must live: an output of the graph, or read in the body of an If or Loop."""
        return id(tensor) in self._outputs or tensor.name in self._read_by_bodies

    def producer(self, tensor: Any) -> Any:
        """The node of this very graph that makes ``tensor``; None for inputs, constants and outer tensors."""
        return next((node for node in tensor.inputs if id(node) in self._mine), None)

    def readers(self, tensor: Any) -> Iterator[Tuple[Any, int]]:
        """The nodes of this very graph that read ``tensor``, and at which place; bodies are not among them."""
        for node in {id(node): node for node in tensor.outputs if id(node) in self._mine}.values():
            yield from ((node, place) for place, value in enumerate(node.inputs) if value is tensor)

    def add(self, op: str, name: str, inputs: Sequence[Any], outputs: Sequence[Any], **attributes: Any) -> None:
        """A new node, called ``name`` or, where that is taken, like it."""
        new = self.gs.Node(op, self.names.new(name), attributes, list(inputs), list(outputs))
        self._mine.add(id(new))
        self.graph.nodes.append(new)

    def variable(self, name: str, like: Any, perm: Optional[Perm] = None) -> Any:
        """A new tensor of the type of ``like``, and of its shape with the axes in the order ``perm``."""
        shape = dims(like)
        known = None if perm is None or shape is None else [shape[axis] for axis in perm]
        return self.gs.Variable(self.names.new(name), like.dtype, known)

    def permuted_constant(self, tensor: Any, perm: Perm) -> Any:
        """A constant with axes of extent 1 in front until it has as many as ``perm``, its axes in that order.

        The same tensor for the same constant and order.
        """
        key = (id(tensor), perm)
        if key not in self._constants:
            values = constant(tensor)
            full = values.reshape((1,) * (len(perm) - values.ndim) + values.shape)
            self._constants[key] = tensor, self.new_constant(f"{tensor.name}/transposed", full.transpose(perm))
        return self._constants[key][1]  # the old tensor stands beside it to keep its id from being used again

    def new_constant(self, name: str, values: Any, shape: Optional[Sequence[int]] = None) -> Any:
        """A constant of ``values``, an array or a list of integers, which becomes INT64; in ``shape``, or its own."""
        array = values if isinstance(values, np.ndarray) else np.array(values, np.int64)
        return new_constant(self.names.new(name), array, array.shape if shape is None else shape)

    def permute_input(self, node: Any, place: int, perm: Perm) -> None:
        """Puts a Transpose before an input of ``node``."""
        old = node.inputs[place]
        new = self.variable(f"{old.name}/transposed", old, perm)
        self.add("Transpose", f"{node.name or old.name}/transpose", [old], [new], perm=list(perm))
        node.inputs[place] = new

    def permute_output(self, node: Any, place: int, perm: Perm) -> None:
        """Lets ``node`` make its result with the axes in the order ``perm``; a Transpose behind it undoes that."""
        old = node.outputs[place]
        new = self.variable(f"{old.name}/transposed", old, perm)
        node.outputs[place] = new
        self.add("Transpose", f"{node.name or old.name}/transpose", [new], [old], perm=list(inverse(perm)))

    def tidy(self) -> None:
        """Merges Transposes of Transposes and those that are alike; takes out those without effect or readers."""
        changes = 1
        while changes:
            first: Dict[Any, Any] = {}
            changes = sum(self._tidy(node, first) for node in self.transposes())

    def _tidy(self, node: Any, first: Dict[Any, Any]) -> bool:
        perm, source, result = perm_of(node), node.inputs[0], node.outputs[0]
        if perm is None:
            return False
        if not self.keeps(result) and not any(True for _ in self.readers(result)):
            return self._remove(node)
        before = self.producer(source)
        if before is not None and is_transpose(before) and perm_of(before) is not None:
            node.inputs[0] = before.inputs[0]
            node.attrs["perm"] = list(compose(perm_of(before) or (), perm))
            return True
        if perm == tuple(range(len(perm))):
            return self._join(node)
        if self.keeps(result):
            return False
        folded = self.permuted_constant(source, perm) if is_constant(source) else None
        twin = first.setdefault((id(source), perm), (node, source))[0]  # the source too, for its id to stay its own
        if folded is None and twin is node:
            return False
        return self._replace(node, twin.outputs[0] if folded is None else folded)

    def _join(self, node: Any) -> bool:
        """Takes out a Transpose without effect. Where two names must live, Identity is what stays."""
        source, result = node.inputs[0], node.outputs[0]
        if not self.keeps(result):
            return self._replace(node, source)
        renames = id(result) in self._outputs and self.producer(source) is not None and not self.keeps(source)
        if not renames or not bypass(self.gs, self.graph, node):
            node.op = "Identity"
            node.attrs.clear()
        return True

    def _replace(self, node: Any, tensor: Any) -> bool:
        for reader, place in list(self.readers(node.outputs[0])):
            reader.inputs[place] = tensor
        return self._remove(node)

    @staticmethod
    def _remove(node: Any) -> bool:
        node.inputs.clear()
        node.outputs.clear()
        return True


def is_standard(node: Any) -> bool:
    """Whether an operator is one of ONNX's own."""
    return node.domain in (None, "", "ai.onnx")


def is_transpose(node: Any) -> bool:
    """Whether a node is ONNX's Transpose."""
    return bool(node.op == "Transpose" and is_standard(node))


def perm_of(node: Any) -> Optional[Perm]:
    """The order of a Transpose; None where it has none written and the rank is not known."""
    if "perm" in node.attrs:
        return tuple(node.attrs["perm"])
    shape = dims(node.inputs[0])
    return None if shape is None else tuple(range(len(shape)))[::-1]


def dims(tensor: Any) -> Optional[Tuple[Any, ...]]:
    """A tensor's shape, an extent that is not known as a name or None; None where the rank is not known."""
    return None if tensor.shape is None else tuple(tensor.shape)


def is_constant(tensor: Any) -> bool:
    """Whether a tensor is an initializer, or made by a Constant that holds a tensor, of a type that NumPy has."""
    held = _held(tensor)
    return held is not None and not isinstance(held.dtype, int) and np.dtype(held.dtype).kind in "biuf"


def constant(tensor: Any) -> Any:
    """The values of a constant as an array; None for other tensors."""
    return values_of(_held(tensor)) if is_constant(tensor) else None


def integers(tensor: Any) -> Optional[List[int]]:
    """The elements of a constant of integers; None where it is not one."""
    values = constant(tensor)
    return None if values is None else [int(value) for value in values.ravel()]


def _held(tensor: Any) -> Any:
    constant_type = require("onnx_graphsurgeon", "export").Constant
    if isinstance(tensor, constant_type):
        return tensor
    makers = [node.attrs.get("value") for node in tensor.inputs if node.op == "Constant" and is_standard(node)]
    return makers[0] if makers and isinstance(makers[0], constant_type) else None
