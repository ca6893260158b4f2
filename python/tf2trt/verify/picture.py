"""The distribution of the errors as a picture: one SVG file that needs nothing else."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Tuple

from tf2trt.drawing.svg import text
from tf2trt.verify.metrics import OutputMetrics

__all__ = ["error_picture"]

_WIDTH, _HEIGHT = 760, 210  # of one output's panel, in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 46, 40
_BAR, _WITHIN, _INK, _LINE = "#c0504d", "#4f81bd", "#222222", "#999999"


def error_picture(report: Any) -> str:
    """An SVG with a panel for each output of a :class:`~tf2trt.verify.ComparisonReport`: how many elements differ by
    how much, on logarithmic axes, against the tolerance as a share of the reference's root mean square.
    """
    height = 34 + _HEIGHT * len(report.outputs)
    verdict = "within the tolerance" if report.passed else "past the tolerance"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        text(12, 22, f"{report.candidate}: {verdict}", size=14),
    ]
    for index, output in enumerate(report.outputs):
        parts.append(f'<g transform="translate(0 {34 + _HEIGHT * index})">')
        parts += _panel(output, report.rtol)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _panel(output: OutputMetrics, rtol: Optional[float]) -> List[str]:
    figures = output.mismatch or (
        f"max |difference| {output.max_abs:.3g}, relative error {output.rel_error:.3g}, cosine {output.cosine:.6f}"
    )
    odd = f", {output.nan} NaN, {output.inf} infinite" if output.nan or output.inf else ""
    parts = [text(12, 16, f"{output.name}  ({'x'.join(map(str, output.shape)) or 'scalar'})", weight="bold")]
    parts.append(text(12, 34, figures + odd))
    histogram = output.histogram
    bottom = _HEIGHT - _BOTTOM
    if not histogram.counts:
        return [*parts, text(_LEFT, bottom - 40, f"{histogram.same} elements, none differs by a finite amount")]
    bound = None if rtol is None or not output.rms or not rtol else math.log10(rtol * output.rms)
    low, high = histogram.start, histogram.start + histogram.step * len(histogram.counts)
    if bound is not None and low - 4 < bound < high + 4:  # farther away it would flatten the bars
        low, high = min(low, bound - 0.5), max(high, bound + 0.5)
    low, high = math.floor(low), math.ceil(high)
    tallest = max(histogram.counts)

    def across(exponent: float) -> float:
        return _LEFT + (exponent - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def up(count: float) -> float:
        share = math.log10(1 + count) / math.log10(1 + tallest)
        return bottom - share * (bottom - _TOP)

    for index, count in enumerate(histogram.counts):
        if count:
            start = histogram.start + index * histogram.step
            colour = _WITHIN if bound is None or start + histogram.step <= bound + 1e-9 else _BAR
            left, right, top = across(start), across(start + histogram.step), up(count)
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left - 1:.1f}" height="{bottom - top:.1f}" '
                f'fill="{colour}"><title>{count} elements by 1e{start:g} to 1e{start + histogram.step:g}</title></rect>'
            )
    parts.append(_line((_LEFT, bottom), (_WIDTH - _RIGHT, bottom)))
    step = max(1, (high - low) // 10)
    for exponent in range(low, high + 1, step):
        parts += [
            _line((across(exponent), bottom), (across(exponent), bottom + 4)),
            text(across(exponent), bottom + 17, f"1e{exponent}", anchor="middle"),
        ]
    for power in range(0, math.floor(math.log10(tallest)) + 1, max(1, math.floor(math.log10(tallest)) // 4)):
        parts.append(text(_LEFT - 6, up(10**power) + 4, f"{10**power:g}", anchor="end"))
    parts.append(text(_LEFT, bottom + 34, f"|difference|; {histogram.same} elements without any"))
    if bound is not None and low <= bound <= high:
        x = across(bound)
        parts += [
            _line((x, _TOP - 4), (x, bottom), dash=True),
            text(x + 4, _TOP + 6, f"tolerance x RMS = {10**bound:.2g}"),
        ]
    return parts


def _line(start: Tuple[float, float], end: Tuple[float, float], *, dash: bool = False) -> str:
    style = ' stroke-dasharray="4 3"' if dash else ""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{_INK if dash else _LINE}"{style}/>'
    )
