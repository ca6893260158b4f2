"""Where the boxes of a drawing stand, and the way of its edges between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Sequence, Set, Tuple

__all__ = ["Layout", "lay_out"]

_BENDS_WIDTH = 14  # between edges that pass a row side by side, in pixels
_SWEEPS = 6
Point = Tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """``corners`` are the boxes' upper left corners, ``lines`` the points of each edge, in pixels."""

    width: float
    height: float
    corners: Tuple[Point, ...]
    lines: Mapping[Tuple[int, int], Tuple[Point, ...]]


def lay_out(levels: Sequence[int], edges: Set[Tuple[int, int]], size: Point, gap: Point) -> Layout:
    """Boxes of one ``size`` in rows by their ``levels``, ``gap`` apart (across, down), so that few edges cross.

    Edges that skip rows pass between the boxes there. One that leads upwards or stays in its row is a straight line.
    """
    rows = {level: row for row, level in enumerate(sorted(set(levels)))}
    row_of: Dict[object, int] = {box: rows[level] for box, level in enumerate(levels)}
    paths: Dict[Tuple[int, int], List[object]] = {}
    for source, target in sorted(edges):
        bends: List[object] = [(source, target, row) for row in range(row_of[source] + 1, row_of[target])]
        row_of.update((bend, row_of[source] + 1 + place) for place, bend in enumerate(bends))
        paths[source, target] = [source, *bends, target]
    lines: List[List[object]] = [[] for _ in rows]
    for item, row in row_of.items():
        lines[row].append(item)
    _order(lines, paths.values())

    def width_of(item: object) -> float:
        return size[0] if isinstance(item, int) else _BENDS_WIDTH

    widths = [sum(map(width_of, line)) + gap[0] * (len(line) - 1) for line in lines]
    whole = max(widths, default=0.0)
    left: Dict[object, Point] = {}
    for row, line in enumerate(lines):
        across = (whole - widths[row]) / 2
        for item in line:
            left[item] = (across, row * (size[1] + gap[1]))
            across += width_of(item) + gap[0]

    def way(path: Sequence[object]) -> Tuple[Point, ...]:
        points: List[Point] = []
        for place, item in enumerate(path):
            x, y = left[item][0] + width_of(item) / 2, left[item][1]
            points += (
                [(x, y)] if place == len(path) - 1 else [(x, y + size[1])] if place == 0 else [(x, y), (x, y + size[1])]
            )
        return tuple(points)

    height = len(lines) * (size[1] + gap[1]) - gap[1] if lines else 0.0
    corners = tuple(left[box] for box in range(len(levels)))
    return Layout(whole, height, corners, {edge: way(path) for edge, path in paths.items()})


def _order(lines: List[List[object]], paths: Iterable[Sequence[object]]) -> None:
    """Sorts each row by the mean place of its neighbours in the row before, downwards and upwards in turn."""
    above: Dict[object, List[object]] = {}
    below: Dict[object, List[object]] = {}
    for path in paths:
        for first, second in zip(path, path[1:]):
            above.setdefault(second, []).append(first)
            below.setdefault(first, []).append(second)
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for line in lines if sweep % 2 == 0 else reversed(lines):
            place = {item: index / max(1, len(each) - 1) for each in lines for index, item in enumerate(each)}

            def mean(item: object) -> float:
                those = neighbours.get(item) or [item]  # noqa: B023 (called at once)
                return sum(place[each] for each in those) / len(those)  # noqa: B023

            line.sort(key=mean)
