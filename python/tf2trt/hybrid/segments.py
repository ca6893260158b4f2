"""Cuts a graph into the largest pieces that can each become one node.

A piece may become one node where it is convex: no path leaves it and comes back. Several pieces may where the graph of
pieces and remaining nodes has no cycle, which is more: two convex pieces can wait for each other.

Nodes are first put together by level, the number of times that the longest way to a node changes between supported and
unsupported nodes: what is connected within a level is convex, since a way out and back would have changed twice, and
no edge goes down. That takes linear time and misses only pieces that start late, such as a branch that meets the rest
behind an unsupported node. So neighbouring pieces are then merged while that makes no cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, Dict, List, Optional, Sequence, Set, Tuple

from tf2trt.errors import UsageError
from tf2trt.hybrid.graph import Node, topological_order
from tf2trt.union import union

__all__ = ["Segment", "find_segments"]


@dataclass(frozen=True)
class Segment:
    """A piece of a graph: the names of its nodes, each after all that it needs."""

    nodes: Tuple[str, ...]


def find_segments(nodes: Sequence[Node], supported: Collection[str], minimum: int) -> List[Segment]:
    """The segments of at least ``minimum`` nodes, in an order in which they can run.

    Each holds nodes of ``supported`` only, connected by edges (control edges included), and is as large as can be:
    no two segments with an edge between them can be merged without a cycle. Replacing each by one node makes
    no cycle.

    Raises:
        UsageError: ``minimum`` is less than 1, or the graph has a cycle or a name twice.
    """
    if minimum < 1:
        raise UsageError("minimum segment size", received=minimum, expected="1 or more")
    order = topological_order(nodes)
    by_name = {node.name: node for node in nodes}
    sources = {name: _sources(by_name[name], by_name) for name in order}
    accepted = set(supported)
    pieces = _Pieces(order, sources, _level_pieces(order, sources, accepted), accepted)
    pieces.merge_all()
    place = {name: index for index, name in enumerate(order)}
    found = [sorted(piece, key=place.__getitem__) for piece in pieces.in_order()]
    return [Segment(tuple(piece)) for piece in found if len(piece) >= minimum]


def _sources(node: Node, known: Dict[str, Node]) -> Tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in (*node.inputs, *node.controls) if name in known))


def _level_pieces(order: Sequence[str], sources: Dict[str, Tuple[str, ...]], accepted: Set[str]) -> Dict[str, str]:
    """For each node the node that stands for its piece; an unsupported node is a piece of its own."""
    level: Dict[str, int] = {}
    for name in order:  # even: supported
        least = 0 if name in accepted else 1
        level[name] = max(
            (level[source] + ((source in accepted) != (name in accepted)) for source in sources[name]), default=least
        )
    find, join = union(order)
    for name in order:
        if name in accepted:
            for source in sources[name]:
                if source in accepted and level[source] == level[name]:
                    join(source, name)
    return {name: find(name) for name in order}


class _Pieces:
    """The graph of the pieces, with an order of them that is kept valid as they are merged."""

    def __init__(
        self, order: Sequence[str], sources: Dict[str, Tuple[str, ...]], piece_of: Dict[str, str], accepted: Set[str]
    ) -> None:
        self.members: Dict[str, List[str]] = {}
        for name in order:
            self.members.setdefault(piece_of[name], []).append(name)
        self.after: Dict[str, Set[str]] = {piece: set() for piece in self.members}
        self.before: Dict[str, Set[str]] = {piece: set() for piece in self.members}
        for name in order:
            for source in sources[name]:
                first, second = piece_of[source], piece_of[name]
                if first != second:
                    self.after[first].add(second)
                    self.before[second].add(first)
        self.accepted = accepted
        # A merge leaves a hole in the order, so that nothing outside the stretch between the two has to move.
        self.order: List[Optional[str]] = []
        self.order += topological_order([Node(piece, tuple(self.before[piece])) for piece in self.members])
        self.place = {piece: index for index, piece in enumerate(self.order) if piece is not None}

    def in_order(self) -> List[List[str]]:
        """The members of each piece of supported nodes."""
        return [self.members[piece] for piece in self.order if piece is not None and piece in self.accepted]

    def merge_all(self) -> None:
        """Merges neighbours, those that give the largest pieces first, until no two can be.

        A pair that cannot be merged now can be later only where what lies between them was merged with one of them, so
        few rounds are needed.
        """
        changed = True
        while changed:
            changed = False
            merged_into: Dict[str, str] = {}
            for first, second in self._neighbours():
                while first in merged_into:
                    first = merged_into[first]
                while second in merged_into:
                    second = merged_into[second]
                if first == second:
                    continue
                between = self._reached_before(first, second)
                if between is not None:
                    self._merge(first, second, between)
                    merged_into[second] = first
                    changed = True

    def _neighbours(self) -> List[Tuple[str, str]]:
        pairs = [
            (first, second)
            for first in self.members
            if first in self.accepted
            for second in self.after[first]
            if second in self.accepted
        ]
        size = {piece: len(members) for piece, members in self.members.items()}
        return sorted(
            pairs, key=lambda pair: (-size[pair[0]] - size[pair[1]], self.place[pair[0]], self.place[pair[1]])
        )

    def _reached_before(self, first: str, second: str) -> Optional[Set[str]]:
        """What ``first`` leads to ahead of ``second``; None where that leads to ``second``, which forbids a merge."""
        end = self.place[second]
        reached: Set[str] = set()
        waiting = [piece for piece in self.after[first] if piece != second and self.place[piece] < end]
        while waiting:
            piece = waiting.pop()
            if piece in reached:
                continue
            reached.add(piece)
            if second in self.after[piece]:
                return None
            waiting += [after for after in self.after[piece] if self.place[after] < end]
        return reached

    def _merge(self, first: str, second: str, behind: Set[str]) -> None:
        """Makes ``second`` part of ``first``; ``behind`` is what ``first`` leads to ahead of ``second``."""
        start, end = self.place[first], self.place[second]
        # What `first` leads to goes behind the merged piece, the rest of the stretch before it. Nothing in `behind` is
        # needed by that rest, or the rest would be among what `first` leads to.
        stretch = [piece for piece in self.order[start + 1 : end] if piece is not None]
        moved = [piece for piece in stretch if piece not in behind]
        moved += [first, *(piece for piece in stretch if piece in behind)]
        for index, piece in enumerate(moved, start):
            self.place[piece] = index
        self.order[start : end + 1] = [*moved, *[None] * (end + 1 - start - len(moved))]
        self.members[first] += self.members.pop(second)
        del self.place[second]
        for piece in self.after.pop(second):
            self.before[piece].discard(second)
            self.before[piece].add(first)
            self.after[first].add(piece)
        for piece in self.before.pop(second):
            self.after[piece].discard(second)
            if piece != first:
                self.after[piece].add(first)
                self.before[first].add(piece)
