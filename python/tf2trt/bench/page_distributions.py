"""How a subject's calls are distributed: each against its own median, so that a slow one and a fast one compare."""

from __future__ import annotations

from typing import List, Tuple

from tf2trt.bench import words
from tf2trt.bench.page_axis import Axis
from tf2trt.bench.page_parts import Look, details, figure, looks, mark
from tf2trt.bench.results import REGIMES, BenchResult, Row
from tf2trt.page import escape

__all__ = ["density", "distributions", "relative_axis"]

_BINS = 72
_WIDEST = (-0.5, 1.0)  # shares of the median: what lies beyond is told, not drawn


def distributions(result: BenchResult) -> str:
    """A figure for each regime and batch."""
    look = looks(result)
    figures = []
    for regime in words.regimes(result):
        for batch in words.batches(words.rows_of(result, regime)):
            rows = words.rows_of(result, regime, batch)
            axis = relative_axis(rows)
            caption = (
                f"calls by their time against the subject's own median, {REGIMES[regime]}, batch {batch}; "
                "lines at p50, p90 and p99 (an arrow: farther right), dots for the median of each turn"
            )
            items = [_row(row, look[row.subject], axis) for row in rows]
            content = ["<ol>", *items, f'<li class="row scale">{_scale(axis)}</li>', "</ol>"]
            figures.append(figure("spreads", caption, content, regime=regime, batch=batch))
    return "\n".join(figures)


def relative_axis(rows: Tuple[Row, ...]) -> Axis:
    """From the 1st to past the 95th percentile of all rows, as shares of their medians: the few calls that are slower
    yet would squeeze all the others.
    """
    low = [row.quantiles_ms[1] / row.p50_ms - 1 for row in rows if row.p50_ms] or [0.0]
    high = [row.quantiles_ms[95] / row.p50_ms - 1 for row in rows if row.p50_ms] or [0.0]
    room = 0.5 * (max(high) - min(low)) or 0.01
    return Axis(max(_WIDEST[0], min(low) - 0.3 * room), min(_WIDEST[1], max(high) + room), False)


def density(row: Row, axis: Axis) -> List[float]:
    """How much of a row's calls lies in each of the bins along the axis; the highest is 1.

    Each step between two of the 101 quantiles holds 1 % of the calls, evenly.
    """
    bins = [0.0] * _BINS
    for low, high in zip(row.quantiles_ms, row.quantiles_ms[1:]):
        start, end = ((each / row.p50_ms - 1 - axis.low) / (axis.high - axis.low) * _BINS for each in (low, high))
        if end - start < 1e-9:
            if 0 <= start < _BINS:
                bins[int(start)] += 1.0
            continue
        for number in range(max(0, int(start)), min(_BINS, int(end) + 1)):
            inside = min(end, number + 1) - max(start, number)
            bins[number] += max(0.0, inside) / (end - start)
    highest = max(bins)
    return [each / highest for each in bins] if highest else bins


def _row(row: Row, look: Look, axis: Axis) -> str:
    badge = '<b class="void">VOID</b> ' if row.void else ""
    start = (
        f'<li class="row{" is-void" if row.void else ""}" tabindex="0" data-tip="{escape(details(row))}">'
        f'<span class="named">{mark(look)}<span>{badge}{escape(row.subject)}</span></span>'
    )
    figures = f"p50 {words.milliseconds(row.p50_ms)}, p99 {words.milliseconds(row.p99_ms)}"
    end = f'<span class="value">{figures}</span></li>'
    if not row.p50_ms:
        return f'{start}<span class="track"></span>{end}'
    heights = density(row, axis)
    # A step for each bin: a smooth curve would show shapes that nobody measured.
    path = "M0 20" + "".join(f"V{20 - 19 * height:.2f}h1" for height in heights) + "V20z"
    parts = [
        f'<svg viewBox="0 0 {_BINS} 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}" style="fill:{look.colour}"/></svg>'
    ]
    for name, time in (("p50", row.p50_ms), ("p90", row.p90_ms), ("p99", row.p99_ms)):
        beyond = " beyond" if time / row.p50_ms - 1 > axis.high else ""
        parts.append(f'<i class="at {name}{beyond}" style="left:{axis.share(time / row.p50_ms - 1):.2%}"></i>')
    for time in row.turns_p50_ms:
        parts.append(f'<i class="turn" style="left:{axis.share(time / row.p50_ms - 1):.2%}"></i>')
    return f'{start}<span class="track">{"".join(parts)}</span>{end}'


def _scale(axis: Axis) -> str:
    ticks = "".join(f'<span style="left:{axis.share(tick):.2%}">{_percent(tick)}</span>' for tick in axis.ticks(5))
    return f'<span class="named"></span><span class="track">{ticks}</span><span class="value"></span>'


def _percent(share: float) -> str:
    text = f"{abs(share) * 100:.4g} %"
    return "p50" if abs(share) < 1e-9 else ("+" if share > 0 else "\N{MINUS SIGN}") + text
