"""The segmented graph as a picture: one SVG file that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import List, Tuple

from tf2trt.drawing.layout import lay_out
from tf2trt.drawing.svg import curve, cut, text, tip
from tf2trt.hybrid.coverage import count_nodes
from tf2trt.hybrid.picture_groups import Box, Drawing, group_nodes
from tf2trt.hybrid.report import HybridReport, format_ranges

__all__ = ["graph_picture"]

_BOX, _GAP, _MARGIN = (236, 66), (22, 44), 20  # in pixels
_HEAD, _TITLE = 78, 30  # above all drawings, above each
_LETTERS, _SMALL_LETTERS = 27, 38  # that fit into a box's line
_TOLD = 40  # nodes in a box's tooltip
_INK, _LINE = "#222222", "#8a8a8a"
_FILLS = {"engine": "#cfe8cf", "no engine": "#f6cf9f", "native": "#e6e6e6", "input": "#ffffff"}
_LEGEND = {
    "engine": "segment with its engines",
    "no engine": "segment without: runs natively",
    "native": "native nodes",
    "input": "input",
}


def graph_picture(report: HybridReport) -> str:
    """An SVG of the main graph, and below it of the functions' bodies that hold nodes: segments and native nodes as
    boxes, data from top to bottom. What a box holds and why is its tooltip too.
    """
    panels, width, height = [], 560.0, float(_HEAD)
    for drawing in group_nodes(report):
        inner, size = _panel(drawing, report)
        panels.append(f'<g transform="translate({_MARGIN} {height:.0f})">{inner}</g>')
        width, height = max(width, size[0] + 2 * _MARGIN), height + size[1] + _MARGIN
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    title = f"{report.backend} {report.precision}: {report.coverage.text} in engines"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" fill="{_INK}">',
            f"<defs>{tip('tip', _LINE)}</defs>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            text(_MARGIN, 22, title, 14, weight="bold"),
            text(_MARGIN, 40, versions, 11),
            *_legend(),
            *panels,
            "</svg>",
            "",
        ]
    )


def _legend() -> List[str]:
    parts, across = [], _MARGIN
    for kind, words in _LEGEND.items():
        parts.append(f'<rect x="{across}" y="51" width="12" height="12" fill="{_FILLS[kind]}" stroke="{_LINE}"/>')
        parts.append(text(across + 17, 61, words, 11))
        across += 30 + 6 * len(words)
    return parts


def _panel(drawing: Drawing, report: HybridReport) -> Tuple[str, Tuple[float, float]]:
    layout = lay_out([box.level for box in drawing.boxes], set(drawing.edges), _BOX, _GAP)
    seconds = report.coverage.seconds
    parts = [text(0, 14, "graph" if drawing.function is None else f"function {drawing.function}", 12, weight="bold")]
    parts.append(f'<g transform="translate(0 {_TITLE})">')
    for points in layout.lines.values():
        parts.append(f'<path d="{curve(points)}" fill="none" stroke="{_LINE}" marker-end="url(#tip)"/>')
    for box, corner in zip(drawing.boxes, layout.corners):
        parts.append(_box(box, corner, seconds))
    parts.append("</g>")
    return "".join(parts), (layout.width, layout.height + _TITLE)


def _box(box: Box, corner: Tuple[float, float], seconds: object) -> str:
    heading, small = _words(box)
    if isinstance(seconds, float) and seconds > 0 and box.kind != "input":
        heading += f", {sum(node.seconds or 0.0 for node in box.nodes) / seconds:.1%} of the time"
    x, y = corner
    # A name says most at its end, behind all scopes.
    shown = cut(heading, _LETTERS, keep_end=box.segment is None and len(box.nodes) == 1)
    lines = [text(x + 8, y + 18, shown, 12, weight="bold")]
    lines += [text(x + 8, y + 36 + 16 * place, cut(words, _SMALL_LETTERS), 10) for place, words in enumerate(small)]
    return (
        f'<g><title>{escape(_tooltip(box, heading))}</title><rect x="{x:.1f}" y="{y:.1f}" width="{_BOX[0]}" '
        f'height="{_BOX[1]}" rx="{4 if box.segment else 14}" fill="{_FILLS[_fill(box)]}" stroke="{_INK}"/>'
        + "".join(lines)
        + "</g>"
    )


def _fill(box: Box) -> str:
    if box.segment is not None:
        return "engine" if box.segment.built else "no engine"
    return box.kind


def _words(box: Box) -> Tuple[str, List[str]]:
    """The heading, and two lines of smaller letters."""
    number = count_nodes(box.nodes)
    count = f"{number} node{'' if number == 1 else 's'}"
    if box.kind == "input":
        return ", ".join(node.name for node in box.nodes), []
    operators = ", ".join(op if times == 1 else f"{op} x{times}" for op, times in box.operators)
    if box.segment is None:
        return (box.nodes[0].name if len(box.nodes) == 1 else f"{count} native"), [operators, _first(box.reasons)]
    engines = box.segment.engines
    files = [engine.file for engine in engines if engine.file]
    built = files[0] if len(files) == len(engines) == 1 else f"{len(engines)} engine{'' if len(engines) == 1 else 's'}"
    return f"{box.segment.name}, {count}", [operators, box.segment.why_not or built]


def _first(reasons: List[Tuple[str, int]]) -> str:
    return reasons[0][0] if len(reasons) == 1 else f"+{len(reasons) - 1} more: {reasons[0][0]}"


def _tooltip(box: Box, heading: str) -> str:
    lines = [heading]
    if box.segment is not None:
        lines += [f"not built: {box.segment.why_not}"] if not box.segment.built else []
        for engine in box.segment.engines:
            state = (
                f"not built: {engine.reason}" if engine.reason else f"{engine.file or 'engine'}, {engine.seconds:.1f} s"
            )
            lines.append(f"{format_ranges(engine.shapes) or 'any shape'}: {state}")
    elif box.kind == "native":
        lines += [f"{number}: {reason}" for reason, number in box.reasons]
    lines += [f"{node.name} ({node.op})" for node in box.nodes[:_TOLD]]
    if len(box.nodes) > _TOLD:
        lines.append(f"and {len(box.nodes) - _TOLD} more")
    return "\n".join(lines)
