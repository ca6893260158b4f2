"""What a picture of a segmented graph shows: a box for each segment, and for native nodes that hang together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Dict, FrozenSet, List, Optional, Sequence, Set, Tuple, Union

from tf2trt.hybrid.coverage import FREE
from tf2trt.hybrid.report import HybridReport, NodeReport, SegmentReport
from tf2trt.union import union

__all__ = ["Box", "Drawing", "group_nodes"]

_INPUTS = ("Placeholder", "PlaceholderWithDefault", "Arg", "_Arg")
_MOST = 6  # boxes of native nodes side by side; what is more goes into the last one

Unit = Union[int, str]  # a segment's place in the report, or the name of a native node


@dataclass(frozen=True)
class Box:
    """``kind`` is ``"segment"``, ``"native"`` or ``"input"``; ``level`` its row from 0 on. Edges between boxes go from
    a lower row to a higher one (a loop written with NextIteration excepted).
    """

    kind: str
    level: int
    nodes: Tuple[NodeReport, ...]
    segment: Optional[SegmentReport] = None

    @property
    def operators(self) -> List[Tuple[str, int]]:
        """The operators and how many there are of each, the most frequent first."""
        counts = Counter(node.op for node in self.nodes)
        return sorted(counts.items(), key=lambda item: (item[0] in FREE, -item[1], item[0]))

    @property
    def reasons(self) -> List[Tuple[str, int]]:
        """Why the nodes stay with TensorFlow, and how many by each reason, the most frequent first."""
        counts = Counter(node.reason or "no reason was given" for node in self.nodes)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


@dataclass(frozen=True)
class Drawing:
    """The boxes of one graph and their edges (places in ``boxes``); ``function`` is None for the main graph."""

    function: Optional[str]
    boxes: Tuple[Box, ...]
    edges: FrozenSet[Tuple[int, int]]


def group_nodes(report: HybridReport) -> List[Drawing]:
    """The main graph and the functions' bodies, as far as they hold anything to draw.

    Nodes that compute nothing (constants, identities) are left out, and what they connect is connected; but not what
    only waits for others by way of a NoOp, as most outputs do. Inputs that nothing reads are left out too. Native nodes
    are drawn as one box where they are neighbours and no segment lies between them on any path.
    """
    names = [node.function for segment in report.segments for node in segment.nodes]
    names += [node.function for node in report.native]
    drawings = [_draw(report, name) for name in sorted(set(names), key=lambda name: (name is not None, name or ""))]
    return [drawing for drawing in drawings if any(box.kind != "input" for box in drawing.boxes)]


def _draw(report: HybridReport, function: Optional[str]) -> Drawing:
    units: Dict[Unit, Tuple[NodeReport, ...]] = {}
    unit_of: Dict[str, Unit] = {}
    for index, segment in enumerate(report.segments):
        inside = tuple(node for node in segment.nodes if node.function == function)
        if inside:
            units[index] = inside
            unit_of.update((node.name, index) for node in inside)
    passed_on: Dict[str, Tuple[str, ...]] = {}
    for node in report.native:
        if node.function == function:
            if node.op in FREE and node.op not in _INPUTS:
                passed_on[node.name] = () if node.op == "NoOp" else node.inputs
            else:
                units[node.name], unit_of[node.name] = (node,), node.name
    sources = {unit: _sources(unit, nodes, unit_of, passed_on) for unit, nodes in units.items()}
    kinds = {unit: _kind(unit, nodes) for unit, nodes in units.items()}
    read: Set[Unit] = set().union(*sources.values())
    for unit in [unit for unit, kind in kinds.items() if kind == "input" and unit not in read]:
        del sources[unit], kinds[unit], units[unit]
    levels = _levels(sources, kinds)
    groups = _groups(sources, kinds, levels)
    boxes: List[Box] = []
    box_of: Dict[Unit, int] = {}
    for place, group in enumerate(groups):
        first = group[0]
        box_of.update((unit, place) for unit in group)
        segment_of = report.segments[first] if isinstance(first, int) else None
        boxes.append(
            Box(kinds[first], levels[first], tuple(node for unit in group for node in units[unit]), segment_of)
        )
    edges = {(box_of[source], box_of[unit]) for unit, those in sources.items() for source in those}
    return Drawing(function, tuple(boxes), frozenset(edge for edge in edges if edge[0] != edge[1]))


def _kind(unit: Unit, nodes: Tuple[NodeReport, ...]) -> str:
    if isinstance(unit, int):
        return "segment"
    return "input" if nodes[0].op in _INPUTS else "native"


def _sources(
    unit: Unit, nodes: Sequence[NodeReport], unit_of: Dict[str, Unit], passed_on: Dict[str, Tuple[str, ...]]
) -> Set[Unit]:
    """The other units that this one reads, looked for behind nodes that only pass on."""
    found: Set[Unit] = set()
    waiting = [name for node in nodes for name in node.inputs]
    seen: Set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in unit_of:
            found.add(unit_of[name])
        else:
            waiting.extend(passed_on.get(name, ()))
    return found - {unit}


def _levels(sources: Dict[Unit, Set[Unit]], kinds: Dict[Unit, str]) -> Dict[Unit, int]:
    """Each unit below all that it reads; only native nodes may stand beside native nodes that they read."""
    missing = {unit: len(those) for unit, those in sources.items()}
    readers: Dict[Unit, List[Unit]] = {unit: [] for unit in sources}
    for unit, those in sources.items():
        for source in those:
            readers[source].append(unit)
    ready = [unit for unit in sources if not missing[unit]]
    waiting = dict.fromkeys(unit for unit in sources if missing[unit])
    levels: Dict[Unit, int] = {}
    while ready or waiting:
        if not ready:  # a cycle: it is cut where the least is missing
            ready.append(min(waiting, key=lambda unit: missing[unit]))
            del waiting[ready[0]]
        unit = ready.pop()
        above = [source for source in sources[unit] if source in levels]
        levels[unit] = max((levels[each] + (not kinds[each] == kinds[unit] == "native") for each in above), default=0)
        if not above and kinds[unit] != "input":
            levels[unit] = 1
        for reader in readers[unit]:
            missing[reader] -= 1
            if not missing[reader] and reader in waiting:
                del waiting[reader]
                ready.append(reader)
    return levels


def _groups(sources: Dict[Unit, Set[Unit]], kinds: Dict[Unit, str], levels: Dict[Unit, int]) -> List[List[Unit]]:
    """The units box by box."""
    find, join = union(sources)
    for unit, those in sources.items():
        for source in those:
            if kinds[source] == kinds[unit] == "native" and levels[source] == levels[unit]:
                join(source, unit)
    groups: Dict[Unit, List[Unit]] = {}
    for unit in sources:
        groups.setdefault(find(unit), []).append(unit)
    by_row: Dict[Tuple[int, str], List[List[Unit]]] = {}
    for group in groups.values():
        by_row.setdefault((levels[group[0]], kinds[group[0]]), []).append(group)
    merged: List[List[Unit]] = []
    for (_, kind), row in by_row.items():
        if kind == "segment" or len(row) <= _MOST:
            merged += row
        else:
            row.sort(key=len, reverse=True)
            merged += [*row[: _MOST - 1], [unit for group in row[_MOST - 1 :] for unit in group]]
    return merged
