"""A plain graph to reason about: names and edges, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

from tf2trt.errors import UsageError

__all__ = ["Node", "topological_order"]


@dataclass(frozen=True)
class Node:
    """A node: its name, the names of the nodes whose tensors it reads, and of those that only have to run before it."""

    name: str
    inputs: Tuple[str, ...] = ()
    controls: Tuple[str, ...] = ()


def topological_order(nodes: Sequence[Node]) -> List[str]:
    """The names of ``nodes``, each after all that it needs; else in the order given. Names of others are no edges.

    Raises:
        UsageError: the graph has a cycle, or a name twice.
    """
    known = {node.name for node in nodes}
    if len(known) != len(nodes):
        raise UsageError("a graph's nodes must have names of their own", received=f"{len(nodes) - len(known)} repeated")
    missing: Dict[str, int] = {}
    readers: Dict[str, List[str]] = {}
    for node in nodes:
        sources = {name for name in (*node.inputs, *node.controls) if name in known}
        missing[node.name] = len(sources)
        for source in sources:
            readers.setdefault(source, []).append(node.name)
    place = {node.name: index for index, node in enumerate(nodes)}
    order = [node.name for node in nodes if not missing[node.name]]
    for name in order:  # grows as it is read
        for reader in sorted(readers.get(name, ()), key=place.__getitem__):
            missing[reader] -= 1
            if not missing[reader]:
                order.append(reader)
    if len(order) != len(nodes):
        held = [node.name for node in nodes if missing[node.name]]
        raise UsageError("the graph has a cycle", received=f"among {', '.join(held[:5])}")
    return order
