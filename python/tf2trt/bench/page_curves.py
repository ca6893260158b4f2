"""The curves over the batch: time of a call and throughput, a line for each subject."""

from __future__ import annotations

from typing import List, Sequence

from tf2trt.bench import words
from tf2trt.bench.page_axis import Axis, axis
from tf2trt.bench.page_bars import ranked
from tf2trt.bench.page_parts import MEASURES, Look, Measure, figure, looks, mark
from tf2trt.bench.results import REGIMES, BenchResult, Row
from tf2trt.page import escape

__all__ = ["batch_axis", "curves"]


def curves(result: BenchResult) -> str:
    """A figure for each regime and measure; empty where only one batch was measured."""
    if len(words.batches(result.rows)) < 2:
        return ""
    look = looks(result)
    figures = []
    for regime in words.regimes(result):
        rows = words.rows_of(result, regime)
        for measure in MEASURES:
            across, up = batch_axis(words.batches(rows)), axis([measure.of(row) for row in rows])
            scale = "; logarithmic upwards" if up.logarithmic else ""
            caption = f"{measure.title} in {measure.unit} over the batch, {REGIMES[regime]}{scale}"
            subjects = [name for name in look if any(row.subject == name for row in rows)]
            plot = [_grid(across, up, words.batches(rows), measure)]
            for name in subjects:
                of_subject = sorted((row for row in rows if row.subject == name), key=lambda row: row.batch)
                plot.append(_line(of_subject, look[name], across, up, measure))
            plot.append(_columns(rows, across, regime, measure))
            legend = [_entry(name, look[name]) for name in subjects]
            content = [
                '<div class="plot">', *plot, "</div>", '<p class="across">batch</p>',
                '<ul class="legend">', *legend, "</ul>",
            ]  # fmt: skip
            figures.append(figure("curves", caption, content, regime=regime, measure=measure))
    return "\n".join(figures)


def batch_axis(batches: List[int]) -> Axis:
    """Logarithmic, as batches double, with some room on both sides."""
    return Axis(batches[0] / 1.15, batches[-1] * 1.15, True)


def _entry(name: str, look: Look) -> str:
    """A line of the legend."""
    return f'<li class="named" data-series="{look.number}">{mark(look)}<span>{escape(name)}</span></li>'


def _grid(across: Axis, up: Axis, batches: List[int], measure: Measure) -> str:
    parts = []
    for tick in up.ticks(6):
        text = f"{tick:,.6g}" if tick < 1e5 else f"{tick / 1e3:,.6g}k"
        parts.append(f'<span class="tick up" style="top:{1 - up.share(tick):.2%}"><span>{text}</span></span>')
    last = -1.0
    for batch in batches:
        place = across.share(batch)
        # Batches that lie too close for their numbers keep the line alone.
        text, last = (f"<span>{batch}</span>", place) if place - last > 0.07 else ("", last)
        parts.append(f'<span class="tick across" style="left:{place:.2%}">{text}</span>')
    return "".join(parts)


def _line(rows: List[Row], look: Look, across: Axis, up: Axis, measure: Measure) -> str:
    """The points, and the line through those that hold; a void one breaks it."""
    places = [(100 * across.share(row.batch), 100 * (1 - up.share(measure.of(row)))) for row in rows]
    path, letter = "", "M"
    for row, (x, y) in zip(rows, places):
        path += "" if row.void else f"{letter}{x:.2f} {y:.2f}"
        letter = "M" if row.void else "L"
    parts = [
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true" data-series="{look.number}">'
        f'<path d="{path}" fill="none" stroke-width="2" vector-effect="non-scaling-stroke" '
        f'style="stroke:{look.colour}"/></svg>'
    ]
    for row, (x, y) in zip(rows, places):
        kind = "point is-void" if row.void else "point"
        style = f"left:{x:.2f}%;top:{y:.2f}%"
        parts.append(f'<span class="{kind}" data-series="{look.number}" style="{style}">{mark(look)}</span>')
    return "".join(parts)


def _columns(rows: Sequence[Row], across: Axis, regime: str, measure: Measure) -> str:
    """What is pointed at or tapped: a batch with all its figures, since points lie on each other."""
    batches = words.batches(rows)
    places = [across.share(batch) for batch in batches]
    edges = [0.0, *((left + right) / 2 for left, right in zip(places, places[1:])), 1.0]
    parts = []
    for batch, left, right in zip(batches, edges, edges[1:]):
        lines = [f"batch {batch}, {REGIMES[regime]}, {measure.unit}"]
        for row in ranked([row for row in rows if row.batch == batch], measure):
            lines.append(f"{measure.text(measure.of(row))}  {row.subject}{' (VOID)' if row.void else ''}")
        parts.append(
            f'<b class="column" tabindex="0" style="left:{left:.2%};width:{right - left:.2%}" '
            f'data-tip="{escape(chr(10).join(lines))}"></b>'
        )
    return "".join(parts)
