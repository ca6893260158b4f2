"""Two files side by side: which of their layers do the same work, and what differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from tf2trt.errors import UsageError
from tf2trt.inspect.inspection import Inspection
from tf2trt.inspect.network import Layer, Network
from tf2trt.union import union

__all__ = ["Comparison", "Pair", "compare"]


@dataclass(frozen=True)
class Pair:
    """Layers of the first file and those of the second that are made of the same ONNX nodes; one side may be empty.

    The numbers are places in each network's ``layers``.
    """

    first: Tuple[int, ...]
    second: Tuple[int, ...]
    differs: bool
    milliseconds: Tuple[Optional[float], Optional[float]]


@dataclass(frozen=True)
class Comparison:
    """Two files and their ``pairs`` in the first one's order. ``facts`` are what differs of the whole: what, and the
    two values.
    """

    first: Inspection
    second: Inspection
    pairs: Tuple[Pair, ...]
    facts: Tuple[Tuple[str, str, str], ...]

    def to_json(self) -> Dict[str, Any]:
        """Plain values; ``pairs`` hold the places of layers in the two lists."""
        return {
            "first": self.first.to_json(),
            "second": self.second.to_json(),
            "differences": [{"what": what, "first": one, "second": two} for what, one, two in self.facts],
            "pairs": [
                {
                    "first": list(pair.first),
                    "second": list(pair.second),
                    "differs": pair.differs,
                    "first_ms": pair.milliseconds[0],
                    "second_ms": pair.milliseconds[1],
                }
                for pair in self.pairs
            ],
        }


def compare(first: Inspection, second: Inspection) -> Comparison:
    """Puts two ONNX files or two engines side by side.

    Layers belong together where they have an ONNX node in common, since each engine is fused in its own way; layers of
    which no node is known, where they have the same name.

    Raises:
        UsageError: one is an ONNX file and the other an engine.
    """
    if first.kind != second.kind:
        raise UsageError(
            "only files of one kind are compared",
            received=f"{first.path} and {second.path}",
            expected="two ONNX files or two engines",
        )
    return Comparison(first, second, tuple(_pairs(first.network, second.network)), tuple(_facts(first, second)))


def _pairs(first: Network, second: Network) -> List[Pair]:
    places = [(side, place) for side, network in enumerate((first, second)) for place in range(len(network.layers))]
    find, join = union(places)
    owner: Dict[Tuple[str, str, int], Tuple[int, int]] = {}
    for side, network in enumerate((first, second)):
        seen: Dict[str, int] = {}
        for place, layer in enumerate(network.layers):
            for key in _keys(layer, seen):
                join(owner.setdefault(key, (side, place)), (side, place))
    groups: Dict[Tuple[int, int], Tuple[List[int], List[int]]] = {}
    for item in places:
        groups.setdefault(find(item), ([], []))[item[0]].append(item[1])
    pairs = [_pair(first, second, one, two) for one, two in groups.values()]
    return _ordered(pairs)


def _keys(layer: Layer, seen: Dict[str, int]) -> List[Tuple[str, str, int]]:
    """What a layer is known by. Several of one name are told apart by their order."""
    if layer.nodes:
        return [("node", node, 0) for node in layer.nodes]
    seen[layer.name] = seen.get(layer.name, 0) + 1
    return [("name", layer.name, seen[layer.name])]


def _pair(first: Network, second: Network, one: List[int], two: List[int]) -> Pair:
    mine, others = [first.layers[place] for place in one], [second.layers[place] for place in two]
    differs = [_likeness(layer) for layer in mine] != [_likeness(layer) for layer in others]
    return Pair(tuple(one), tuple(two), differs, (_sum(mine), _sum(others)))


def _likeness(layer: Layer) -> Tuple[object, ...]:
    """What has to be the same for two layers to be alike; their times and the names of tensors may differ."""
    shapes = tuple((tensor.dtype, tensor.shape) for tensor in layer.outputs)
    return layer.kind, layer.precision, layer.tactic, shapes, tuple(sorted(layer.details.items()))


def _sum(layers: Sequence[Layer]) -> Optional[float]:
    times = [layer.milliseconds for layer in layers if layer.milliseconds is not None]
    return sum(times) if times else None


def _ordered(pairs: List[Pair]) -> List[Pair]:
    """In the first file's order; what only the second has stands behind what it has before it."""
    behind = sorted((pair for pair in pairs if not pair.first), key=lambda pair: pair.second)
    found = sorted((pair for pair in pairs if pair.first), key=lambda pair: pair.first)
    for pair in behind:
        at = [place for place, each in enumerate(found) if each.second and each.second[0] < pair.second[0]]
        found.insert(at[-1] + 1 if at else 0, pair)
    return found


def _facts(first: Inspection, second: Inspection) -> Iterator[Tuple[str, str, str]]:
    for what in ("versions", "build", "memory", "plugins"):
        one, two = getattr(first, what), getattr(second, what)
        for name in dict.fromkeys([*one, *two]):
            if one.get(name) != two.get(name):
                yield name, str(one.get(name, "none")), str(two.get(name, "none"))
    for what in ("inputs", "outputs"):
        texts = [
            ", ".join(f"{tensor.name} {tensor.dtype} {tensor.shape_text}" for tensor in getattr(each, what))
            for each in (first, second)
        ]
        if texts[0] != texts[1]:
            yield what, texts[0], texts[1]
    profiles = [str(each.to_json()["profiles"]) for each in (first, second)]
    if profiles[0] != profiles[1]:
        yield "profiles", str(len(first.profiles)), str(len(second.profiles))
    sizes = [len(each.network.layers) for each in (first, second)]
    if sizes[0] != sizes[1]:
        yield ("nodes" if first.kind == "onnx" else "layers"), str(sizes[0]), str(sizes[1])
    times = [each.network.milliseconds for each in (first, second)]
    if times[0] != times[1]:
        one, two = ("not known" if time is None else f"{time:.3f} ms" for time in times)
        yield "time of all layers", one, two
