"""A place where a user's pattern was found, and how something else comes there."""

from __future__ import annotations

from typing import Any, List, Optional

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.bindings import unused_name
from tf2trt.surgery.pattern import Found

__all__ = ["Match", "put_in_place", "why_not"]


class Match:
    """A place where the pattern was found.

    ``match["x"]`` is the tensor (or, by a pattern's ``name=``, the node) of that name, ``match.node`` the pattern's
    root, ``match.graph`` the graph around it: all are onnx-graphsurgeon's own.
    """

    def __init__(self, graph: Any, found: Found, taken: Any) -> None:
        self.graph = graph
        self.node = found.nodes[0][1]
        self._names = found.names
        self._taken = taken
        self.made: List[Any] = []

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(f"{name!r}: the pattern has {', '.join(sorted(self._names)) or 'no names'}")
        return self._names[name]

    def make(self, op: str, *inputs: Any, domain: str = "", **attributes: Any) -> Any:
        """A new node, named after the root; returns its output.

        Args:
            inputs: tensors, arrays, numbers (of the type of the first tensor), or None for an input left out.
            attributes: those of the operator.
        """
        gs = require("onnx_graphsurgeon", "export")
        name = self.new_name(op)
        tensors = [item for item in inputs if isinstance(item, gs.Tensor)]
        dtype = tensors[0].dtype if tensors else None
        output = gs.Variable(name)
        given = [self._tensor(gs, item, dtype, f"{name}/input{place}") for place, item in enumerate(inputs)]
        node = gs.Node(op, name, attributes, given, [output], domain=domain or None)
        self.made.append(node)
        return output

    def new_name(self, what: str) -> str:
        """A name that nothing has yet, derived from the root's."""
        base = self.node.name or self.node.outputs[0].name
        name = unused_name(f"{base}/{what}", self._taken)
        self._taken.add(name)
        return name

    def _tensor(self, gs: Any, item: Any, dtype: Any, name: str) -> Any:
        if isinstance(item, gs.Tensor):
            return item
        if item is None:
            return gs.Variable.empty()
        if isinstance(item, (bool, int, float)):
            fallback = np.float32 if isinstance(item, float) else np.int64
            item = np.asarray(item, fallback if dtype is None or isinstance(dtype, int) else dtype)
        name = unused_name(name, self._taken)
        self._taken.add(name)
        return gs.Constant(name, np.asarray(item))

    def drop(self) -> None:
        """Takes back what was made."""
        for node in self.made:
            node.inputs.clear()
            node.outputs.clear()
        self.made.clear()


def why_not(place: Any, found: Found) -> str:
    """Why a place that fits cannot be replaced; "" where it can."""
    inside = [node for _, node in found.nodes]
    outputs = {id(tensor) for tensor in place.outputs}
    for position, (pattern, node) in enumerate(found.nodes):
        for index, tensor in enumerate(node.outputs):
            if tensor.is_empty() or (position == 0 and index == 0) or (position > 0 and pattern.shared):
                continue
            if id(tensor) in outputs:
                return f"{tensor.name!r} is an output of the graph"
            if any(all(reader is not node for node in inside) for reader in tensor.outputs):
                return f"{tensor.name!r} is read elsewhere too"
    return ""


def put_in_place(gs: Any, match: Match, found: Found, result: Any) -> None:
    """Puts the tensor ``result`` where the root's first output was, and takes out the nodes that nothing reads then.

    Where ``result`` was made by the match, it gets the name of what it replaces.
    """
    match.graph.nodes.extend(match.made)
    _replace(gs, match, result)
    _remove_unread(match.graph, [node for _, node in found.nodes])


def _replace(gs: Any, match: Match, result: Any) -> None:
    root, old = match.node, match.node.outputs[0]
    maker: Optional[Any] = next((node for node in match.made if any(out is result for out in node.outputs)), None)
    if maker is None and _keeps_name(match.graph, old):
        maker = gs.Node(
            "Identity", match.new_name("Identity"), inputs=[result], outputs=[gs.Variable(f"{old.name}/new")]
        )
        match.graph.nodes.append(maker)
        result = maker.outputs[0]
    root.outputs[0] = gs.Variable(f"{old.name}/replaced")
    if maker is None:
        for consumer in list(old.outputs):
            _swap(consumer.inputs, old, result)
        return
    for consumer in list(result.outputs):
        _swap(consumer.inputs, result, old)
    _swap(maker.outputs, result, old)


def _keeps_name(graph: Any, tensor: Any) -> bool:
    inner = (body for node in graph.nodes for body in node.subgraphs(recursive=True))
    return any(out is tensor for out in graph.outputs) or any(tensor.name in body.tensors() for body in inner)


def _swap(tensors: Any, old: Any, new: Any) -> None:
    for index, tensor in enumerate(tensors):
        if tensor is old:
            tensors[index] = new


def _remove_unread(graph: Any, nodes: List[Any]) -> None:
    """Takes out those of ``nodes`` whose results nothing reads, so that they do not count as readers any more."""
    outputs = {id(tensor) for tensor in graph.outputs}
    unread = nodes
    while unread:
        unread = [
            node
            for node in nodes
            if node.outputs and not any(tensor.outputs or id(tensor) in outputs for tensor in node.outputs)
        ]
        for node in unread:
            node.inputs.clear()
            node.outputs.clear()
    gone = {id(node) for node in nodes if not node.outputs}
    graph.nodes[:] = [node for node in graph.nodes if id(node) not in gone]
