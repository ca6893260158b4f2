"""The layers of an ONNX graph as a user knows them, and what they pass to each other."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Any, Container, Dict, FrozenSet, List, Sequence, Set, Tuple

from tf2trt.verify.bisect.marks import fp32_ranks

__all__ = ["Layer", "Layers", "read_layers"]

_LAYER = "tf2trt.layer"  # what the export writes into NodeProto.metadata_props
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Layer:
    """A Keras layer, or a node where none is known.

    ``nodes`` are the names of its ONNX nodes, and so of TensorRT's layers; ``patterns`` match these and no others.
    ``tensors`` are the FP32 tensors that others read of it, or that are outputs of the model. ``before`` are the
    positions of the layers that it reads.
    """

    name: str
    operators: Tuple[str, ...]
    nodes: Tuple[str, ...]
    patterns: Tuple[str, ...]
    tensors: Tuple[str, ...]
    before: FrozenSet[int]


class Layers:
    """All layers in the order in which they are computed; ``maker`` has the position of each output's layer."""

    def __init__(self, layers: Sequence[Layer], maker: Dict[str, int]) -> None:
        self.all = tuple(layers)
        self.maker = maker

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, position: int) -> Layer:
        return self.all[position]

    def up_to(self, position: int) -> List[int]:
        """A layer and all that it depends on, in order."""
        seen: Set[int] = set()
        waiting = [position]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(self.all[current].before)
        return sorted(seen)

    def rules(self, positions: Container[int]) -> Tuple[Tuple[str, str], ...]:
        """The ``--layer-precision`` list that puts these layers into FP32."""
        chosen = [layer for index, layer in enumerate(self.all) if index in positions]
        if len(chosen) == len(self.all):
            return (("*", "fp32"),)
        return tuple((pattern, "fp32") for layer in chosen for pattern in layer.patterns)


def read_layers(model: Any, known: Container[str]) -> Layers:
    """The layers of an ``onnx.ModelProto`` that compute something from its inputs.

    A layer is all nodes with the same origin (``tf2trt.layer``), else one node. QuantizeLinear and DequantizeLinear
    belong to none: they stand between layers.

    Args:
        known: the tensors that can be compared; others are not looked at.
    """
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    computed = {value.name for value in graph.input} - {tensor.name for tensor in graph.initializer}
    alive = []
    for node in nodes:
        if any(name in computed for name in node.input):
            computed.update(node.output)
            alive.append(node)
    groups: Dict[str, List[Any]] = {}
    for node in alive:
        if node.op_type not in _QUANTIZERS:
            groups.setdefault(_origin(node) or _name(node), []).append(node)
    place = {id(node): index for index, node in enumerate(alive)}
    ordered = sorted(groups.items(), key=lambda item: place[id(item[1][-1])])
    single = set(fp32_ranks(model))
    leaving = _leaving(model, alive, groups, single)
    measured = [(key, [name for name in leaving[key] if name in known]) for key, _ in ordered]
    positions = {key: index for index, (key, _) in enumerate(pair for pair in measured if pair[1])}
    owners = _owners(alive, positions)
    all_names = [_name(node) for node in nodes if node.op_type not in _QUANTIZERS]
    layers = []
    for key, tensors in measured:
        if key not in positions:
            continue
        mine = groups[key]
        names = tuple(_name(node) for node in mine)
        reads: Set[int] = set()
        for node in mine:
            reads.update(*(owners.get(name, frozenset()) for name in node.input))
        operators = tuple(dict.fromkeys(node.op_type for node in mine))
        before = frozenset(reads - {positions[key]})
        # Where each is named, only those that are sure to be layers of TensorRT's: sums of extents are computed away.
        computing = tuple(_name(node) for node in mine if single & set(node.output))
        patterns = _patterns(key, names, computing, all_names)
        layers.append(Layer(key, operators, names, patterns, tuple(tensors), before))
    maker = {
        value.name: min(owners[value.name])
        for value in graph.output
        if len(owners.get(value.name, ())) == 1  # an output that no layer makes cannot be to blame
    }
    return Layers(layers, maker)


def _leaving(model: Any, alive: Sequence[Any], groups: Dict[str, List[Any]], single: Set[str]) -> Dict[str, List[str]]:
    """The FP32 tensors that each group makes and others read, or that are outputs."""
    from tf2trt.surgery.bindings import node_reads

    group_of = {id(node): key for key, nodes in groups.items() for node in nodes}
    wanted: Dict[str, Set[Any]] = {}
    for node in alive:
        for name in node_reads(node):
            wanted.setdefault(name, set()).add(group_of.get(id(node)))
    outputs = {value.name for value in model.graph.output}
    leaving: Dict[str, List[str]] = {}
    for key, nodes in groups.items():
        made = [name for node in nodes for name in node.output if name in single]
        leaving[key] = [name for name in made if name in outputs or wanted.get(name, set()) - {key}]
    return leaving


def _owners(alive: Sequence[Any], positions: Dict[str, int]) -> Dict[str, FrozenSet[int]]:
    """The layer that makes each tensor; where it is none, the layers behind it."""
    from tf2trt.surgery.bindings import node_reads

    owners: Dict[str, FrozenSet[int]] = {}
    for node in alive:
        key = _origin(node) or _name(node)
        if key in positions and node.op_type not in _QUANTIZERS:
            mine = frozenset((positions[key],))
        else:
            mine = frozenset().union(*(owners.get(name, frozenset()) for name in node_reads(node)))
        owners.update((name, mine) for name in node.output)
    return owners


def _patterns(
    key: str, names: Tuple[str, ...], computing: Tuple[str, ...], all_names: Sequence[str]
) -> Tuple[str, ...]:
    """The shortest way to name these nodes and no others; a layer's path where that does."""
    wanted = set(names)
    scopes = [name.split("/")[:-1] for name in names]
    shared = "/".join(parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*scopes)))
    escaped = glob.escape(key)
    tries = [f"{escaped}/*", f"*/{escaped}/*"] + ([f"{glob.escape(shared)}/*"] if shared else [])
    if names != (key,):
        for pattern in tries:
            if {name for name in all_names if fnmatchcase(name, pattern)} == wanted:
                return (pattern,)
    return tuple(glob.escape(name) for name in computing)


def _origin(node: Any) -> str:
    return next((str(entry.value) for entry in node.metadata_props if entry.key == _LAYER), "")


def _name(node: Any) -> str:
    """The node's name, or the one that TensorRT's parser gives to one that has none."""
    return str(node.name) or f"node_of_{node.output[0]}"
