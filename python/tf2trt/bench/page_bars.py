"""The comparison bars: the subjects of one regime and batch beside each other, the best first."""

from __future__ import annotations

from typing import List, Sequence

from tf2trt.bench import words
from tf2trt.bench.page_parts import MEASURES, Look, Measure, details, figure, looks, mark, value
from tf2trt.bench.results import REGIMES, BenchResult, Row
from tf2trt.page import escape

__all__ = ["bars", "ranked", "times_as_good"]


def bars(result: BenchResult) -> str:
    """A figure for each regime, batch and measure."""
    look = looks(result)
    figures = []
    for regime in words.regimes(result):
        for batch in words.batches(words.rows_of(result, regime)):
            for measure in MEASURES:
                rows = ranked(words.rows_of(result, regime, batch), measure)
                better = "longer" if measure.more_is_better else "shorter"
                caption = f"{measure.title} in {measure.unit}, {REGIMES[regime]}, batch {batch}; {better} is better"
                factors = times_as_good(rows, measure)
                longest = max(map(measure.of, rows)) or 1.0
                items = [_bar(row, look[row.subject], measure, longest, factor) for row, factor in zip(rows, factors)]
                content = ["<ol>", *items, "</ol>"]
                figures.append(figure("bars", caption, content, regime=regime, batch=batch, measure=measure))
    return "\n".join(figures)


def ranked(rows: Sequence[Row], measure: Measure) -> List[Row]:
    """The best first, void rows at the end."""
    sign = -1 if measure.more_is_better else 1
    return sorted(rows, key=lambda row: (bool(row.void), sign * measure.of(row)))


def times_as_good(rows: List[Row], measure: Measure) -> List[str]:
    """For each row how many times as good as the worst that holds it is; empty for void rows and where there is one."""
    holding = [measure.of(row) for row in rows if not row.void]
    if len(holding) < 2 or not min(holding) > 0:
        return [""] * len(rows)
    if measure.more_is_better:
        return ["" if row.void else f"{measure.of(row) / min(holding):.2f}\N{MULTIPLICATION SIGN}" for row in rows]
    return ["" if row.void else f"{max(holding) / measure.of(row):.2f}\N{MULTIPLICATION SIGN}" for row in rows]


def _bar(row: Row, look: Look, measure: Measure, longest: float, factor: str) -> str:
    number = measure.of(row)
    spread = number * row.spread_ms / row.p50_ms if row.p50_ms else 0.0
    low, high = (max(0.0, number - spread) / longest, min(longest * 1.02, number + spread) / longest)
    whisker = f'<i class="whisker" style="left:{low:.2%};width:{high - low:.2%}"></i>'
    badge = '<b class="void">VOID</b> ' if row.void else ""
    return (
        f'<li class="row{" is-void" if row.void else ""}" tabindex="0" data-tip="{escape(details(row))}">'
        f'<span class="named">{mark(look)}<span>{badge}{escape(row.subject)}</span></span>'
        f'<span class="track"><i class="fill" style="width:{number / longest:.2%};--c:{look.colour}"></i>'
        f"{whisker}</span>"
        f'<span class="value">{value(number, measure.text(number))}</span><span class="factor">{factor}</span></li>'
    )
