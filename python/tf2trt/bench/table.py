"""A result on the terminal. Needs the extra ``cli``, which brings rich."""

from __future__ import annotations

from typing import List, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf2trt.bench import words
from tf2trt.bench.baseline import Change
from tf2trt.bench.results import REGIMES, BenchResult, Row, SubjectFacts

__all__ = ["render", "render_changes"]

_VOID = "bold white on red"


def render(result: BenchResult) -> RenderableType:
    """The machine, a table for each regime, one of the subjects, and a line for each row or subject that must not be
    used.
    """
    machine = words.machine(result.environment)
    parts: List[RenderableType] = [Text(", ".join(machine))] if machine else []
    parts += [_regime(result, regime) for regime in words.regimes(result)]
    parts.append(_subjects(result.subjects))
    for row in result.rows:
        if row.void:
            where = f" {row.subject}, batch {row.batch}, {REGIMES[row.regime]}: {'; '.join(row.void)}"
            parts.append(Text.assemble((" VOID ", _VOID), words.plain(where)))
    for subject in result.subjects:
        if subject.error is not None:
            parts.append(Text.assemble((" FAILED ", _VOID), words.plain(f" {subject.name}: {subject.error}")))
    unwatched = words.unwatched(result.environment)
    if unwatched is not None:
        parts.append(Text(words.plain(unwatched), "yellow"))
    return Group(*parts)


def render_changes(changes: Sequence[Change]) -> RenderableType:
    """A table of what changed since an earlier run."""
    table = _table("Against the baseline", ("subject", "regime"), ("batch", "before", "now", "ratio", "noise"), "")
    styles = {"slower": "bold red", "void": _VOID, "faster": "green", "missing": "yellow"}
    for change in changes:
        show, unit = words.milliseconds, "ms"
        if change.measure == "throughput":
            show, unit = words.samples_per_second, "samples/s"
        table.add_row(
            Text(words.plain(change.subject)),
            REGIMES[change.regime],
            str(change.batch),
            f"{show(change.before)} {unit}",
            "\N{EN DASH}" if change.now is None else f"{show(change.now)} {unit}",
            "\N{EN DASH}" if change.ratio is None else f"{change.ratio:.3f}",
            f"\N{PLUS-MINUS SIGN}{show(change.noise)}",
            Text(change.verdict, styles.get(change.verdict, "")),
        )
    return table


def _regime(result: BenchResult, regime: str) -> Table:
    title = words.regime_title(regime)
    numbers = ("batch", "p50 ms", "p90 ms", "p99 ms", "mean ms", "spread ms", "samples/s", "calls")
    table = _table(title, ("subject",), numbers, "")
    for row in words.rows_of(result, regime):
        table.add_row(
            Text(words.plain(row.subject), _VOID if row.void else ""),
            *_figures(row),
            Text(" VOID " if row.void else "", _VOID),
        )
    return table


def _figures(row: Row) -> List[Text]:
    times = (row.p50_ms, row.p90_ms, row.p99_ms, row.mean_ms)
    cells = [str(row.batch), *(words.milliseconds(value) for value in times)]
    cells += [f"\N{PLUS-MINUS SIGN}{words.milliseconds(row.spread_ms)}", words.samples_per_second(row.throughput)]
    return [Text(cell, "strike" if row.void else "") for cell in [*cells, f"{row.calls:,}"]]


def _subjects(subjects: Sequence[SubjectFacts]) -> Table:
    numbers = ("build", "engine", "load", "first answer", "host peak", "device peak", "in engines")
    table = _table("Subjects", ("subject", "kind", "precision"), numbers, "versions")
    for each in subjects:
        table.add_row(
            Text(words.plain(each.name), _VOID if each.error is not None else ""),
            each.kind,
            each.precision,
            words.seconds(each.build_seconds),
            words.mebibytes(each.engine_bytes),
            words.seconds(each.load_seconds),
            words.seconds(each.first_answer_seconds),
            words.mebibytes(each.host_peak_bytes),
            words.mebibytes(each.device_peak_bytes),
            words.share(each.coverage),
            Text(", ".join(f"{name} {version}" for name, version in each.versions.items())),
        )
    return table


def _table(title: str, names: Sequence[str], numbers: Sequence[str], last: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(last, overflow="fold")
    return table
