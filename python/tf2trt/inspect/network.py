"""One graph for both kinds of files: the nodes of an ONNX file, or the layers of an engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from tf2trt.sidecar import Origin

__all__ = ["Layer", "Network", "Tensor"]

_WORDS = 3  # names of origins that a layer's title holds


@dataclass(frozen=True)
class Tensor:
    """What a layer reads or makes. ``shape`` holds -1 where the extent is dynamic and is None where nothing is known of
    it; ``dtype`` is ``""`` where it is not known; ``layout`` is TensorRT's wording of how it lies in memory.
    """

    name: str
    dtype: str = ""
    shape: Optional[Tuple[int, ...]] = None
    layout: str = ""

    @property
    def shape_text(self) -> str:
        """Such as ``"?x224x224x3"``; ``"scalar"``; empty where it is not known."""
        if self.shape is None:
            return ""
        return "x".join("?" if extent < 0 else str(extent) for extent in self.shape) or "scalar"

    def to_json(self) -> Dict[str, Any]:
        """Plain values; what is not known is left out."""
        value: Dict[str, Any] = {"name": self.name}
        if self.dtype:
            value["dtype"] = self.dtype
        if self.shape is not None:
            value["shape"] = list(self.shape)
        if self.layout:
            value["layout"] = self.layout
        return value


@dataclass(frozen=True)
class Layer:
    """A node of an ONNX file, or a layer of an engine, which may be made of several.

    ``kind`` is the operator, or TensorRT's word. ``precision`` is the type that it computes in, ``"unknown"`` where
    that is not told. ``nodes`` are the ONNX nodes that it is made of, ``keras`` and ``ops`` the Keras layers and
    TensorFlow ops that those came from. ``details`` are its other parameters, in words.
    """

    name: str
    kind: str
    precision: str
    inputs: Tuple[Tensor, ...] = ()
    outputs: Tuple[Tensor, ...] = ()
    tactic: str = ""
    milliseconds: Optional[float] = None
    nodes: Tuple[str, ...] = ()
    keras: Tuple[str, ...] = ()
    ops: Tuple[str, ...] = ()
    plugin: bool = False
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def origins(self) -> Tuple[str, ...]:
        """What a user knows it by: the Keras layers, else the TensorFlow ops, else the ONNX nodes."""
        return self.keras or self.ops or self.nodes

    @property
    def title(self) -> str:
        """A short name: what it came from, or its own name where that is not known. Of further names only what differs
        from the first: ``"block1_conv + ...relu"``.
        """
        names = self.origins
        if not names:
            return self.name
        short = [names[0], *(_without_shared(name, names[0]) for name in names[1:_WORDS])]
        return " + ".join(short) + (f" + {len(names) - _WORDS} more" if len(names) > _WORDS else "")

    def from_nodes(self, origins: Mapping[str, Origin]) -> Layer:
        """The same with the Keras layers and TensorFlow ops of its nodes, each once, in order."""
        known = [origins[name] for name in self.nodes if name in origins]
        keras = tuple(dict.fromkeys(layer for layer, _ in known if layer))
        return replace(self, keras=keras, ops=tuple(dict.fromkeys(op for _, op in known if op)))

    def to_json(self) -> Dict[str, Any]:
        """Plain values; what is not known is left out."""
        value: Dict[str, Any] = {"name": self.name, "kind": self.kind, "precision": self.precision}
        value["inputs"] = [tensor.to_json() for tensor in self.inputs]
        value["outputs"] = [tensor.to_json() for tensor in self.outputs]
        if self.tactic:
            value["tactic"] = self.tactic
        if self.milliseconds is not None:
            value["ms"] = round(self.milliseconds, 6)
        value["nodes"], value["keras_layers"], value["ops"] = list(self.nodes), list(self.keras), list(self.ops)
        if self.plugin:
            value["plugin"] = True
        if self.details:
            value["details"] = dict(self.details)
        return value


@dataclass(frozen=True)
class Network:
    """All layers in the order in which they run. ``inputs`` and ``outputs`` are those of the whole; ``title`` says
    what it shows, such as ``"m.onnx, before TensorRT"``.
    """

    title: str
    layers: Tuple[Layer, ...]
    inputs: Tuple[Tensor, ...] = ()
    outputs: Tuple[Tensor, ...] = ()

    @cached_property
    def milliseconds(self) -> Optional[float]:
        """The sum of the layers' times; None where none is known."""
        times = [layer.milliseconds for layer in self.layers if layer.milliseconds is not None]
        return sum(times) if times else None

    @cached_property
    def slowest(self) -> float:
        """The longest time of a layer in milliseconds; 0 where none is known."""
        return max((layer.milliseconds or 0.0 for layer in self.layers), default=0.0)

    def edges(self) -> List[Tuple[int, int]]:
        """Pairs of places in ``layers``: the second reads what the first made. A tensor that several make (the parts of
        a concatenation) leads from each of them; only what stands before a layer is read by it.
        """
        makers: Dict[str, List[int]] = {}
        found: Dict[Tuple[int, int], None] = {}
        for place, layer in enumerate(self.layers):
            for tensor in layer.inputs:
                found.update(((maker, place), None) for maker in makers.get(tensor.name, ()))
            for tensor in layer.outputs:
                makers.setdefault(tensor.name, []).append(place)
        return list(found)

    @property
    def adrift(self) -> List[int]:
        """The layers of which no neighbour is known, in a network where others have some or are at its ends."""
        tied = {place for edge in self.edges() for place in edge}
        ends = {tensor.name for tensor in (*self.inputs, *self.outputs)}
        for place, layer in enumerate(self.layers):
            if any(tensor.name in ends for tensor in (*layer.inputs, *layer.outputs)):
                tied.add(place)
        return [place for place in range(len(self.layers)) if place not in tied] if tied else []

    def with_tensors_of(self, before: Network) -> Network:
        """The same with tensors, where none is known, as the ONNX nodes have them that a layer is made of: those that
        come from without or leave it. Their types are not taken: an engine has its own. What TensorRT calls ``"other"``
        gets the node's operator.
        """
        nodes = {layer.name: layer for layer in before.layers}
        leaving = {tensor.name for tensor in before.outputs}
        readers: Dict[str, Set[str]] = {}
        for node in before.layers:
            for tensor in node.inputs:
                readers.setdefault(tensor.name, set()).add(node.name)
        layers = []
        for layer in self.layers:
            mine = [nodes[name] for name in layer.nodes if name in nodes]
            if layer.inputs or layer.outputs or not mine:
                layers.append(layer)
                continue
            names = {node.name for node in mine}
            made = {tensor.name: tensor for node in mine for tensor in node.outputs}
            read = {tensor.name: tensor for node in mine for tensor in node.inputs if tensor.name not in made}
            given = [replace(tensor, dtype="") for tensor in read.values()]
            left = [
                replace(tensor, dtype="")
                for name, tensor in made.items()
                if name in leaving or readers.get(name, set()) - names
            ]
            kind = mine[0].kind if layer.kind == "other" and len(mine) == 1 else layer.kind
            layers.append(replace(layer, kind=kind, inputs=tuple(given), outputs=tuple(left)))
        return replace(self, layers=tuple(layers))

    def by_precision(self) -> Dict[str, Tuple[int, float]]:
        """How many layers compute in each type and for how many milliseconds, the most frequent first."""
        counts: Dict[str, Tuple[int, float]] = {}
        for layer in self.layers:
            number, time = counts.get(layer.precision, (0, 0.0))
            counts[layer.precision] = (number + 1, time + (layer.milliseconds or 0.0))
        return dict(sorted(counts.items(), key=lambda item: (-item[1][0], item[0])))

    def timed(self, times: Sequence[Tuple[str, float]]) -> Tuple[Network, List[str]]:
        """The same with times in milliseconds, given by name in the order in which the layers ran.

        Returns:
            the network, and the names of what was timed that is no layer of it.
        """
        left: Dict[str, List[float]] = {}
        for name, time in times:
            left.setdefault(name, []).append(time)
        layers = []
        for layer in self.layers:
            mine = left.get(layer.name)
            layers.append(replace(layer, milliseconds=mine.pop(0)) if mine else layer)
        return replace(self, layers=tuple(layers)), [name for name, rest in left.items() if rest]


def _without_shared(name: str, first: str) -> str:
    """``name`` without the scopes or words at its start that ``first`` has too."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, first)))
    end = max(name.rfind(mark, 0, shared) for mark in "/_.") + 1
    return "\N{HORIZONTAL ELLIPSIS}" + name[end:] if end else name
