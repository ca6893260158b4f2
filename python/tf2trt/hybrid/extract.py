"""A segment as a graph of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Set, Tuple

from tf2trt.extras import require
from tf2trt.hybrid.frozen import Body, is_constant, tensor_name

__all__ = ["Piece", "extract"]


@dataclass(frozen=True)
class Piece:
    """A segment's nodes and the constants that they read, behind placeholders.

    ``reads`` are the tensors of the whole graph that the segment needs, ``inputs`` the names of the placeholders for
    them; ``gives`` are the tensors that others need of it, under the same names here.
    """

    nodes: Tuple[str, ...]
    graph_def: Any
    reads: Tuple[str, ...]
    inputs: Tuple[str, ...]
    gives: Tuple[str, ...]
    waits_for: Tuple[str, ...]
    """Nodes outside that have to run before."""


def extract(body: Body, nodes: Sequence[str]) -> Piece:
    """Cuts ``nodes`` out of ``body``. The placeholders have the dtypes and shapes that the tensors have there.

    Control edges between the nodes go: none of them has an effect.
    """
    members = set(nodes)
    placeholders: Dict[str, str] = {}
    taken = set(body.node_defs)
    constants: Dict[str, None] = {}
    waits: Dict[str, None] = {}
    graph_def = require("tensorflow", "export").compat.v1.GraphDef()
    graph_def.versions.CopyFrom(body.graph_def.versions)
    copies = []
    for name in nodes:
        copy = type(body.node_defs[name])()
        copy.CopyFrom(body.node_defs[name])
        del copy.input[:]
        copy.device = ""
        for given in body.node_defs[name].input:
            if given.startswith("^"):
                if given[1:] not in members and given[1:] in body.worth_waiting_for:
                    waits[given[1:]] = None
                continue
            source = tensor_name(given)
            owner = source.split(":")[0]
            if owner in members:
                copy.input.append(source)
            elif is_constant(body.node_defs[owner]):
                constants[owner] = None
                copy.input.append(source)
            else:
                if source not in placeholders:
                    placeholders[source] = _argument(source, taken)
                copy.input.append(placeholders[source])
        copies.append(copy)
    for source, placeholder in placeholders.items():
        tensor = body.tensor(source)
        node = graph_def.node.add(name=placeholder, op="Placeholder")
        node.attr["dtype"].type = tensor.dtype.base_dtype.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(tensor.shape.as_proto())
    for name in constants:
        constant = graph_def.node.add()
        constant.CopyFrom(body.node_defs[name])
        del constant.input[:]
        constant.device = ""
    graph_def.node.extend(copies)
    reads, inputs = tuple(placeholders), tuple(placeholders.values())
    return Piece(tuple(nodes), graph_def, reads, inputs, tuple(_given(body, members)), tuple(waits))


def _given(body: Body, members: Set[str]) -> List[str]:
    """The tensors of ``members`` that something outside reads."""
    read = {
        tensor_name(name)
        for node in body.graph_def.node
        if node.name not in members
        for name in node.input
        if not name.startswith("^")
    }
    order = [f"{name}:{index}" for name in body.node_defs if name in members for index in range(_outputs(body, name))]
    return [tensor for tensor in order if tensor in read or tensor in body.outputs]


def _outputs(body: Body, name: str) -> int:
    return len(body.graph.get_operation_by_name(name).outputs)


def _argument(source: str, taken: Set[str]) -> str:
    """A name that a function's argument may have, and that no node has."""
    stem = "in_" + re.sub(r"\W+", "_", source[:-2] if source.endswith(":0") else source).strip("_").lower()
    name, count = stem, 0
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name
