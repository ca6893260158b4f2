"""Minimum cut: which of two layouts each of a number of nodes should have, so that as few edges as may be change it."""

from __future__ import annotations

from collections import deque
from typing import Deque, Dict, Hashable, Iterable, List, Set, Tuple

__all__ = ["Cut"]


class Cut:
    """A network with directed edges between hashable names; :attr:`A` and :attr:`B` are its two ends."""

    A = "A"
    B = "B"

    def __init__(self) -> None:
        self._room: Dict[Hashable, Dict[Hashable, int]] = {}

    def edge(self, tail: Hashable, head: Hashable, cost: int) -> None:
        """Adds what it costs to have ``tail`` on the side of A and ``head`` on that of B."""
        if tail == head:
            return
        room = self._room.setdefault(tail, {})
        room[head] = room.get(head, 0) + cost
        self._room.setdefault(head, {}).setdefault(tail, 0)

    def tie(self, one: Hashable, others: Iterable[Hashable], cost: int, name: Hashable) -> None:
        """Adds ``cost``, once, where any of ``others`` is not on the side of ``one``; ``name`` is used for this only.

        A chain through two nodes of its own, one for each direction: the edges behind them are too dear to be cut.
        """
        after, before = (name, "after"), (name, "before")
        never = cost << 40
        self.edge(one, after, cost)
        self.edge(before, one, cost)
        for other in others:
            self.edge(after, other, never)
            self.edge(other, before, never)

    def side_of_a(self) -> Set[Hashable]:
        """The names on the side of A in a cheapest cut (Edmonds and Karp's maximum flow)."""
        room = self._room
        while True:
            came: Dict[Hashable, Hashable] = {self.A: self.A}
            waiting: Deque[Hashable] = deque([self.A])
            while waiting and self.B not in came:
                here = waiting.popleft()
                for there, left in room.get(here, {}).items():
                    if left and there not in came:
                        came[there] = here
                        waiting.append(there)
            if self.B not in came:
                return set(came)
            path: List[Tuple[Hashable, Hashable]] = []
            here = self.B
            while here != self.A:
                path.append((came[here], here))
                here = came[here]
            least = min(room[tail][head] for tail, head in path)
            for tail, head in path:
                room[tail][head] -= least
                room[head][tail] += least
