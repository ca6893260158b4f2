"""Takes out nodes that hand their input through."""

from __future__ import annotations

from typing import Any, List

from tf2trt.extras import require
from tf2trt.surgery.gs_graph import export_graph, import_graph

__all__ = ["remove_identities"]


def remove_identities(model: Any, notes: List[str]) -> Any:
    """Removes Identity, and Dropout in inference (no ``training_mode``, its mask unused).

    A node stays where it joins a graph input to a graph output, whose two names must both live, or where it makes a
    graph output of a constant.
    """
    gs = require("onnx_graphsurgeon", "export")
    graph = import_graph(model)
    outputs = {id(tensor) for tensor in graph.outputs}
    removed = [bypass(gs, graph, node) for node in list(graph.nodes) if _is_identity(node, outputs)]
    if any(removed):
        notes.append(f"{sum(removed)} removed")
    graph.cleanup().toposort()
    return export_graph(graph)


def bypass(gs: Any, graph: Any, node: Any) -> bool:
    """Joins a node's first input to its first output's users. False, and nothing done, where a name would be lost."""
    source, result = node.inputs[0], node.outputs[0]
    if any(tensor is result for tensor in graph.outputs):
        producer_is_node = isinstance(source, gs.Variable) and len(source.inputs) == 1
        if not producer_is_node or any(tensor is source for tensor in graph.outputs) or _in_subgraph(graph, source):
            return False
        # The output keeps its name: its producer writes it directly, and the other users of `source` read it there.
        producer = source.inputs[0]
        for consumer in list(source.outputs):
            _replace(consumer.inputs, source, result)
        node.outputs.clear()
        node.inputs.clear()
        _replace(producer.outputs, source, result)
        return True
    if _in_subgraph(graph, result):
        return False
    for consumer in list(result.outputs):
        _replace(consumer.inputs, result, source)
    node.outputs.clear()
    return True


def _is_identity(node: Any, outputs: Any) -> bool:
    if node.op == "Identity":
        return True
    if node.op != "Dropout" or (len(node.inputs) > 2 and node.inputs[2].name):
        return False
    return all(not mask.outputs and id(mask) not in outputs for mask in node.outputs[1:])


def _replace(tensors: Any, old: Any, new: Any) -> None:
    for index, tensor in enumerate(tensors):
        if tensor is old:
            tensors[index] = new


def _in_subgraph(graph: Any, tensor: Any) -> bool:
    """Whether the body of an If or Loop reads ``tensor`` by its name from outside; such a name must stay."""
    return any(
        tensor.name in inner.tensors()
        for node in graph.nodes
        for inner in node.attrs.values()
        if hasattr(inner, "nodes") and hasattr(inner, "tensors")
    )
