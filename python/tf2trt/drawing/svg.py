"""The few shapes that pictures of graphs are made of, as SVG text."""

from __future__ import annotations

from typing import Sequence, Tuple

from tf2trt.page import escape

__all__ = ["curve", "cut", "text", "tip"]


def curve(points: Sequence[Tuple[float, float]]) -> str:
    """The ``d`` of a path through ``points`` that leaves and reaches each from above or below."""
    path = "M{:.1f} {:.1f}".format(*points[0])
    for start, end in zip(points, points[1:]):
        middle = (start[1] + end[1]) / 2
        path += f"C{start[0]:.1f} {middle:.1f} {end[0]:.1f} {middle:.1f} {end[0]:.1f} {end[1]:.1f}"
    return path


def cut(words: str, letters: int, *, keep_end: bool = False) -> str:
    """At most ``letters`` of ``words``, with an ellipsis where some were left out: the last ones, or the first."""
    if len(words) <= letters:
        return words
    ellipsis = "\N{HORIZONTAL ELLIPSIS}"
    return ellipsis + words[1 - letters :] if keep_end else words[: letters - 1] + ellipsis


def text(x: float, y: float, words: str, size: int = 12, *, weight: str = "normal", anchor: str = "start") -> str:
    """A line of text."""
    more = "" if anchor == "start" else f' text-anchor="{anchor}"'
    more += "" if weight == "normal" else f' font-weight="{weight}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{more}>{escape(words)}</text>'


def tip(name: str, colour: str) -> str:
    """The definition of an edge's arrow head, for ``marker-end="url(#NAME)"``."""
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )
