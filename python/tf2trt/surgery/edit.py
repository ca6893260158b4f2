"""How passes change a graph: constants and nodes under names of their own, and nothing left that nobody reads."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence, Set

from tf2trt.extras import require
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.weights import tensor_of

__all__ = ["Editor", "all_nodes", "drop_unused"]


class Editor:
    """Changes to a model whose graphs are looked at through :class:`~tf2trt.surgery.plugins.scope.Scope`.

    Nodes are replaced when :meth:`finish` is called, so the places in ``Scope.nodes`` stay right until then.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._names: Set[str] = set()
        for graph in _graphs(model.graph):
            values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
            self._names.update(value.name for value in values)
            for node in graph.node:
                self._names.update([node.name, *node.input, *node.output])
        self._replaced: Dict[int, Any] = {}  # by id(graph): the graph, and by place what stands there now

    def name(self, base: str) -> str:
        """``base``, with a number behind it where something is called so already; taken from now on."""
        name, number = base, 1
        while not name or name in self._names:
            number += 1
            name = f"{base}_{number}"
        self._names.add(name)
        return name

    def constant(self, scope: Any, base: str, value: Any) -> str:
        """Adds a constant (anything NumPy takes; its dtype is the tensor's) to the scope's graph; returns its name."""
        name = self.name(base)
        scope.graph.initializer.append(tensor_of(value, name))
        return name

    def node(self, op: str, inputs: Sequence[str], outputs: Sequence[str], base: str, **attributes: Any) -> Any:
        """A node of ONNX's own operators, called ``base`` or, where that is taken, much like it."""
        make = require("onnx.helper", "export").make_node
        return make(op, list(inputs), list(outputs), name=self.name(base), **attributes)

    def replace(self, scope: Any, index: int, nodes: Sequence[Any]) -> None:
        """Puts ``nodes``, none or many, in the place of ``scope.nodes[index]``, in this order."""
        self._replaced.setdefault(id(scope.graph), (scope.graph, {}))[1][index] = list(nodes)

    def finish(self) -> Any:
        """Does what was asked for; returns the model, without nodes and constants that nothing reads."""
        for graph, places in self._replaced.values():
            nodes: List[Any] = []
            for index, node in enumerate(graph.node):
                nodes.extend(places.get(index, [node]))
            kept = [_copy(node) for node in nodes]
            del graph.node[:]
            graph.node.extend(kept)
        self._replaced = {}
        drop_unused(self.model)
        return self.model


def drop_unused(model: Any) -> None:
    """Takes out nodes whose results nobody reads, and constants and shapes that belong to nothing, bodies included."""
    _clean(model.graph)


def all_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the bodies that they hold."""
    for inner in _graphs(graph):
        yield from inner.node


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for body in nested(node):
            yield from _graphs(body)


def _clean(graph: Any) -> Set[str]:
    """Cleans one graph; returns the names that it reads."""
    read = {value.name for value in graph.output}
    for index in range(len(graph.node) - 1, -1, -1):  # nodes stand in order: whoever reads a result comes later
        node = graph.node[index]
        if any(name in read for name in node.output if name):
            read.update(node.input)
            for body in nested(node):
                read.update(_clean(body))
        else:
            del graph.node[index]
    inputs = {value.name for value in graph.input}
    made = {name for node in graph.node for name in node.output}
    for items, needed in ((graph.initializer, read | inputs), (graph.value_info, made)):
        for index in range(len(items) - 1, -1, -1):
            if items[index].name not in needed:
                del items[index]
    return read


def _copy(node: Any) -> Any:
    copy = type(node)()
    copy.CopyFrom(node)
    return copy
