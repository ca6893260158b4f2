"""The comparison as one SVG file, for a README: subjects down, batches across, in light and in dark."""

from __future__ import annotations

import os
from typing import List, Sequence, Union

from tf2trt.bench import words
from tf2trt.bench.page_bars import ranked, times_as_good
from tf2trt.bench.page_parts import MEASURES, details, looks
from tf2trt.bench.results import BenchResult, Row
from tf2trt.errors import UsageError
from tf2trt.files import atomic_write
from tf2trt.page import SERIES, colours, escape

__all__ = ["picture", "svg"]

_WIDTH, _NAMES, _MARGIN, _FIGURES = 960, 236, 24, 112  # in pixels; _FIGURES: beside a bar
_HEAD, _LINE, _BAR, _FOOT = 118, 27, 15, 40
_BATCHES, _LETTERS = 4, 32  # columns, letters of a name
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"


def picture(result: BenchResult, path: Union[str, os.PathLike[str]]) -> None:
    """Writes :func:`svg` whole or not at all.

    Raises:
        UsageError: the result has no row.
        OutputError: the file cannot be written.
    """
    atomic_write(path, svg(result).encode())


def svg(result: BenchResult) -> str:
    """Host to host where that was measured, else the first regime: bars of the time of a call, each batch with a scale
    of its own, and how many times as fast as the slowest a subject is.

    Raises:
        UsageError: the result has no row.
    """
    regimes = words.regimes(result)
    if not regimes:
        raise UsageError("a benchmark's picture", received="a result without rows", expected="one row at least")
    regime = "serial" if "serial" in regimes else regimes[0]
    rows = words.rows_of(result, regime)
    batches = _spread_out(words.batches(rows))
    names = list(dict.fromkeys(row.subject for batch in batches for row in _ranked(result, regime, batch)))
    height = _HEAD + _LINE * len(names) + _FOOT
    gpu = (result.environment.get("gpu") or {}).get("name")
    title = f"Time of a call, {words.regime_title(regime)}"
    below = [f"p50 in milliseconds, shorter is better; {result.created[:10]}, tf2trt {result.tf2trt}"]
    below += [f"preset {result.preset}"] if result.preset != "tf2trt" else []
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="{_FONT}" font-size="14" role="img" aria-label="{escape(title)}">',
        _style(),
        f'<rect class="panel" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="12"/>',
        _text(_MARGIN, 36, gpu or "Benchmark", "title"),
        _text(_MARGIN, 58, title, "dim"),
    ]
    width = (_WIDTH - _NAMES - _MARGIN) / len(batches)
    for number, name in enumerate(names):
        y = _HEAD + _LINE * number
        short = name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
        parts.append(_text(_MARGIN, y + 12, short, "name"))
    for column, batch in enumerate(batches):
        parts += _column(result, regime, batch, names, _NAMES + width * column, width - _FIGURES)
    parts.append(_text(_MARGIN, height - 18, "; ".join(below), "small"))
    return "\n".join([*parts, "</svg>", ""])


def _spread_out(batches: List[int]) -> List[int]:
    """The first, the last, and what lies evenly between."""
    if len(batches) <= _BATCHES:
        return batches
    return [batches[round(number * (len(batches) - 1) / (_BATCHES - 1))] for number in range(_BATCHES)]


def _ranked(result: BenchResult, regime: str, batch: int) -> List[Row]:
    return ranked(words.rows_of(result, regime, batch), MEASURES[0])


def _column(
    result: BenchResult, regime: str, batch: int, names: Sequence[str], left: float, longest: float
) -> List[str]:
    rows = _ranked(result, regime, batch)
    look = looks(result)
    slowest = max(row.p50_ms for row in rows) or 1.0
    parts = [_text(left, _HEAD - 18, f"batch {batch}", "head")]
    for row, factor in zip(rows, times_as_good(rows, MEASURES[0])):
        y, width = _HEAD + _LINE * names.index(row.subject), max(2.0, longest * row.p50_ms / slowest)
        kind = "void" if row.void else f"s{look[row.subject].number % SERIES}"
        figure = words.milliseconds(row.p50_ms)
        parts.append(
            f'<g><title>{escape(details(row))}</title><rect class="{kind}" x="{left:.1f}" y="{y}" '
            f'width="{width:.1f}" height="{_BAR}" rx="3"/>'
            f'<text class="{"bad" if row.void else "value"}" x="{left + width + 7:.1f}" y="{y + 12}">{figure}'
            + ('<tspan dx="7">VOID</tspan>' if row.void else f'<tspan class="small" dx="7">{factor}</tspan>')
            + "</text></g>"
        )
    return parts


def _style() -> str:
    """Light colours, and the dark ones for those who look at dark pages."""
    sheets = []
    for dark in (0, 1):
        colour = {name: pair[dark] for name, pair in colours().items()}
        sheets.append(
            f".panel{{fill:{colour['panel']};stroke:{colour['line']}}}text{{fill:{colour['ink']}}}"
            f".dim,.small,.head{{fill:{colour['dim']}}}.bad{{fill:{colour['bad']}}}"
            f".void{{fill:none;stroke:{colour['bad']};stroke-dasharray:3 3}}"
            + "".join(f".s{number}{{fill:{colour[f'series-{number}']}}}" for number in range(SERIES))
        )
    fonts = ".title{font-size:22px;font-weight:650}.value,.bad,.head{font-weight:600}"
    fonts += ".small{font-size:12.5px;font-weight:400}"
    return f"<style>{fonts}{sheets[0]}@media (prefers-color-scheme: dark){{{sheets[1]}}}</style>"


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
