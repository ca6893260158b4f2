"""Keeps what each node came from through the passes.

The export writes into ``NodeProto.metadata_props`` which Keras layer (``tf2trt.layer``) and which TensorFlow op
(``tf2trt.op``) a node was; onnx-graphsurgeon and most rewrites know nothing of it.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from tf2trt.surgery.nodes import nested

__all__ = ["Origins", "carry_origins", "find_origins"]

Origin = Tuple[Tuple[str, str], ...]
Origins = Dict[str, Origin]
"""What made each tensor, by the tensor's name."""


def find_origins(model: Any) -> Origins:
    """What made each tensor of ``model``, those of subgraphs included; empty where the file says nothing of it."""
    origins: Origins = {}
    for nodes in _graphs(model.graph):
        for node in nodes:
            origin = _origin(node)
            if origin:
                origins.update((name, origin) for name in node.output if name)
    return origins


def carry_origins(model: Any, origins: Origins) -> None:
    """Writes ``origins`` into the nodes of ``model`` that have none.

    A node that makes a tensor of the old graph gets that tensor's origin. A new one gets that of the nearest node which
    reads it, else of the nearest that it reads.
    """
    if not origins:
        return
    for nodes in _graphs(model.graph):
        missing = []
        for node in nodes:
            if _origin(node):
                continue
            known = next((origins[name] for name in node.output if name in origins), None)
            if known:
                _write(node, known)
            else:
                missing.append(node)
        if missing:
            _inherit(nodes, missing)


def _inherit(nodes: List[Any], missing: List[Any]) -> None:
    readers: Dict[str, List[Any]] = {}
    makers: Dict[str, Any] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
        makers.update((name, node) for name in node.output)
    for node in reversed(missing):  # nodes stand in topological order: a reader has its origin by then
        near = (reader for name in node.output for reader in readers.get(name, ()))
        _copy_first(near, node)
    for node in missing:
        if not _origin(node):
            _copy_first((makers[name] for name in node.input if name in makers), node)


def _copy_first(near: Iterator[Any], node: Any) -> None:
    origin = next((found for found in map(_origin, near) if found), None)
    if origin:
        _write(node, origin)


def _origin(node: Any) -> Optional[Origin]:
    return tuple((item.key, item.value) for item in node.metadata_props) or None


def _write(node: Any, origin: Origin) -> None:
    for key, value in origin:
        node.metadata_props.add(key=key, value=value)


def _graphs(graph: Any) -> Iterator[List[Any]]:
    yield list(graph.node)
    for node in graph.node:
        for body in nested(node):
            yield from _graphs(body)
