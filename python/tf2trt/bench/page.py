"""A result as one HTML page: bars, curves, distributions and every figure, in a file that needs nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

from tf2trt.bench import words
from tf2trt.bench.page_bars import bars
from tf2trt.bench.page_curves import curves
from tf2trt.bench.page_distributions import distributions
from tf2trt.bench.page_parts import MEASURES, Measure, value
from tf2trt.bench.page_picture import picture
from tf2trt.bench.page_tables import environment_table, regime_tables, subject_table
from tf2trt.bench.results import REGIMES, BenchResult, Row
from tf2trt.files import atomic_write
from tf2trt.page import document, escape

__all__ = ["html", "picture", "write"]

_TERMS = {
    "spread": "the p50 of a second run differs by less, 19 times of 20; from how much turns of this run differ",
    "95 % interval": "where the p50 lies, by this run",
    "void": "a fallback, a build, a NaN or throttling was seen while it was timed: it says nothing of the subject",
}


def write(result: BenchResult, path: Union[str, os.PathLike[str]]) -> None:
    """Writes the page whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    atomic_write(path, html(result).encode())


def html(result: BenchResult) -> str:
    """The page's text."""
    body = [_facts(result), _notices(result), _best(result)]
    if result.rows:
        body += [
            '<section class="charts">',
            _choices(result),
            '<p class="panel nothing" hidden>That was not measured.</p>',
            "<h2>Comparison</h2>",
            '<p class="dim">The thin line is the spread: what a second run may differ by. '
            "\N{MULTIPLICATION SIGN} compares with the last of those that hold.</p>",
            bars(result),
            "<h2>Over the batch</h2>" + curves(result) if curves(result) else "",
            "<h2>Distribution</h2>",
            distributions(result),
            "</section>",
            "<h2>Figures</h2>",
            regime_tables(result),
        ]
    body += ["<h2>Subjects</h2>", subject_table(result.subjects), "<h2>Machine</h2>"]
    body += [f'<div class="panel scroll" tabindex="0">{environment_table(result.environment)}</div>', _reading()]
    folder = Path(__file__).parent
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("page_style.css", "page_script.js"))
    return document(_title(result), "\n".join(part for part in body if part), style=style, script=script)


def _title(result: BenchResult) -> str:
    gpu = result.environment.get("gpu")
    return f"Benchmark on {gpu['name']}" if gpu and gpu.get("name") else "Benchmark"


def _facts(result: BenchResult) -> str:
    facts = [phrase for phrase in words.machine(result.environment) if phrase not in _title(result)]
    facts += [f"{result.created[:16].replace('T', ' ')} UTC", f"preset {result.preset}", f"tf2trt {result.tf2trt}"]
    line = " \N{MIDDLE DOT} ".join(facts)
    return f'<p class="dim facts">{escape(line)}</p><p class="dim"><code>{escape(result.command)}</code></p>'


def _notices(result: BenchResult) -> str:
    """What must not be used, before all charts."""
    items = [
        f'<li><b class="void">FAILED</b> {escape(each.name)}: {escape(each.error)}</li>'
        for each in result.subjects
        if each.error is not None
    ]
    for row in result.rows:
        if row.void:
            where = f"{row.subject}, batch {row.batch}, {REGIMES[row.regime]}"
            items.append(f'<li><b class="void">VOID</b> {escape(where)}: {escape("; ".join(row.void))}</li>')
    unwatched = words.unwatched(result.environment)
    told = f'<p class="panel warned">{escape(unwatched)}</p>' if unwatched else ""
    if not items:
        return told
    return told + '<div class="panel notice" role="alert"><b>Not to be used:</b><ul>' + "\n".join(items) + "</ul></div>"


def _best(result: BenchResult) -> str:
    """The lowest latency of each regime of single calls, and the highest throughput of all."""
    holding = [row for row in result.rows if not row.void]
    latency, throughput = MEASURES
    cards: List[str] = []
    for regime in ("serial", "gpu"):
        rows = [row for row in holding if row.regime == regime]
        if rows:
            cards.append(_card(f"lowest latency, {REGIMES[regime]}", min(rows, key=latency.of), latency))
    if holding:
        best = max(holding, key=throughput.of)
        cards.append(_card(f"highest throughput, {REGIMES[best.regime]}", best, throughput))
    return '<div class="cards">' + "".join(cards) + "</div>" if cards else ""


def _card(title: str, row: Row, measure: Measure) -> str:
    number = measure.of(row)
    return (
        f'<div class="panel card"><p class="dim">{escape(title)}</p>'
        f'<p class="large">{value(number, measure.text(number))} <small>{measure.unit}</small></p>'
        f'<p>{escape(row.subject)} <span class="dim">batch {row.batch}</span></p></div>'
    )


def _choices(result: BenchResult) -> str:
    """The buttons by which the script shows and hides charts; without a script all are shown."""
    regimes = words.regimes(result)
    groups = [
        _group("regime", [(regime, REGIMES[regime]) for regime in regimes], "serial" if "serial" in regimes else None),
        _group("batch", [(str(batch), str(batch)) for batch in words.batches(result.rows)], None),
        _group("measure", [(measure.name, measure.unit) for measure in MEASURES], None),
    ]
    return f'<nav class="choices" aria-label="What the charts show">{"".join(groups)}</nav>'


def _group(name: str, choices: Sequence[Tuple[str, str]], first: Optional[str]) -> str:
    buttons = "".join(
        f'<button type="button" data-choose="{name}" data-value="{escape(key)}" '
        f'aria-pressed="{"true" if key == (first or choices[0][0]) else "false"}">{escape(text)}</button>'
        for key, text in choices
    )
    return f'<div class="group" role="group" aria-label="{name}"><span class="dim">{name}</span>{buttons}</div>'


def _reading() -> str:
    lines = [f"<dt>{escape(REGIMES[key])}</dt><dd>{escape(text)}</dd>" for key, text in words.REGIME_MEANINGS.items()]
    lines += [f"<dt>{name}</dt><dd>{text}</dd>" for name, text in _TERMS.items()]
    return f'<h2>How to read it</h2><dl class="panel">{"".join(lines)}</dl>'
