"""Where the boxes of a drawing stand, and the way of its edges between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Sequence, Set, Tuple

__all__ = ["Layout", "lay_out"]

_BENDS_WIDTH = 14  # between edges that pass a row side by side, in pixels
_PULL = 8  # of a box on its neighbours, against 1 of a bend: edges give way to boxes
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
    """Boxes of one ``size`` in rows by their ``levels``, ``gap`` apart (across, down), so that few edges cross and most
    lead straight down.

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
    above, below = _neighbours(paths.values())
    _order(lines, above, below)

    def width_of(item: object) -> float:
        return size[0] if isinstance(item, int) else _BENDS_WIDTH

    widths = {item: width_of(item) for item in row_of}
    middles = _middles(lines, above, below, widths, gap[0])
    start = min((middles[item] - widths[item] / 2 for item in middles), default=0.0)
    whole = max((middles[item] + widths[item] / 2 for item in middles), default=0.0) - start

    def way(path: Sequence[object]) -> Tuple[Point, ...]:
        points: List[Point] = []
        for place, item in enumerate(path):
            x, y = middles[item] - start, row_of[item] * (size[1] + gap[1])
            points += (
                [(x, y)] if place == len(path) - 1 else [(x, y + size[1])] if place == 0 else [(x, y), (x, y + size[1])]
            )
        return tuple(points)

    height = len(lines) * (size[1] + gap[1]) - gap[1] if lines else 0.0
    corners = tuple(
        (middles[box] - widths[box] / 2 - start, row_of[box] * (size[1] + gap[1])) for box in range(len(levels))
    )
    return Layout(whole, height, corners, {edge: way(path) for edge, path in paths.items()})


Neighbours = Dict[object, List[object]]


def _neighbours(paths: Iterable[Sequence[object]]) -> Tuple[Neighbours, Neighbours]:
    """What stands above and below each item on its paths."""
    above: Neighbours = {}
    below: Neighbours = {}
    for path in paths:
        for first, second in zip(path, path[1:]):
            above.setdefault(second, []).append(first)
            below.setdefault(first, []).append(second)
    return above, below


def _order(lines: List[List[object]], above: Neighbours, below: Neighbours) -> None:
    """Sorts each row by the mean place of its neighbours in the row before, downwards and upwards in turn."""
    place: Dict[object, float] = {}

    def number(line: List[object]) -> None:
        place.update((item, index / max(1, len(line) - 1)) for index, item in enumerate(line))

    for line in lines:
        number(line)
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below

        def mean(item: object) -> float:
            those = neighbours.get(item) or [item]  # noqa: B023 (called at once)
            return sum(place[each] for each in those) / len(those)

        for line in lines if sweep % 2 == 0 else reversed(lines):
            line.sort(key=mean)
            number(line)


def _middles(
    lines: Sequence[Sequence[object]], above: Neighbours, below: Neighbours, widths: Mapping[object, float], gap: float
) -> Dict[object, float]:
    """The middle of each item: as near to its neighbours' as the order of its row and the gaps allow."""
    middles: Dict[object, float] = {}
    for line in lines:
        across = -sum(widths[item] + gap for item in line) / 2
        for item in line:
            middles[item] = across + widths[item] / 2
            across += widths[item] + gap
    for sweep in range(2 * _SWEEPS):
        first, second = (above, below) if sweep % 2 == 0 else (below, above)
        for line in lines if sweep % 2 == 0 else reversed(lines):
            wishes = []
            for item in line:
                those = first.get(item) or second.get(item) or [item]
                weights = [_pull(each) for each in those]
                wishes.append(sum(middles[each] * pull for each, pull in zip(those, weights)) / sum(weights))
            middles.update(zip(line, _apart(line, wishes, widths, gap)))
    return middles


def _apart(line: Sequence[object], wishes: Sequence[float], widths: Mapping[object, float], gap: float) -> List[float]:
    """Middles as near to ``wishes`` as can be, in squares, without an overlap: wishes that are in each other's way are
    granted together, at their mean.
    """
    offsets, across = [], 0.0
    for item in line:
        offsets.append(across + widths[item] / 2)
        across += widths[item] + gap
    blocks: List[List[float]] = []  # of neighbours that touch: the sum of wishes, the weights, how many they are
    for item, wish, offset in zip(line, wishes, offsets):
        pull = _pull(item)
        blocks.append([(wish - offset) * pull, pull, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [mine + its for mine, its in zip(blocks[-1], last)]
    starts = [block[0] / block[1] for block in blocks for _ in range(int(block[2]))]
    return [start + offset for start, offset in zip(starts, offsets)]


def _pull(item: object) -> float:
    return _PULL if isinstance(item, int) else 1.0
