"""The tables of a benchmark's page: every figure, the subjects, the machine."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Tuple

from tf2trt.bench import words
from tf2trt.bench.page_parts import Look, looks, mark, value
from tf2trt.bench.results import BenchResult, Row, SubjectFacts
from tf2trt.page import escape

__all__ = ["environment_table", "regime_tables", "subject_table"]

_UNITS = {"_bytes": "MiB", "_mhz": "MHz", "_w": "W", "_c": "\N{DEGREE SIGN}C"}
_FIGURES = ("p50_ms", "p90_ms", "p99_ms", "mean_ms", "spread_ms")
_HEADS = ("batch", "p50 ms", "p90 ms", "p99 ms", "mean ms", "spread ms", "95 % interval", "samples/s", "calls")


def regime_tables(result: BenchResult) -> str:
    """A table for each regime, which its heading names, batch by batch."""
    look = looks(result)
    parts = []
    for regime in words.regimes(result):
        rows = words.rows_of(result, regime)
        lines = []
        for batch in words.batches(rows):
            of_batch = words.rows_of(result, regime, batch)
            lines += [_row(row, look[row.subject], row is of_batch[0]) for row in of_batch]
        table = _table(["subject"], _HEADS, lines, f'class="figures" data-regime="{escape(regime)}"')
        parts.append(f"<h3>{escape(words.regime_title(regime))}</h3>\n{table}")
    return "\n".join(parts)


def subject_table(subjects: Sequence[SubjectFacts]) -> str:
    """What is known of each subject beside its times."""
    heads = ("build", "engine file", "load", "first answer", "host peak", "device peak", "in engines")
    lines = []
    for each in subjects:
        numbers: List[Tuple[Any, str]] = [
            (each.build_seconds, words.seconds(each.build_seconds)),
            (each.engine_bytes, words.mebibytes(each.engine_bytes)),
            (each.load_seconds, words.seconds(each.load_seconds)),
            (each.first_answer_seconds, words.seconds(each.first_answer_seconds)),
            (each.host_peak_bytes, words.mebibytes(each.host_peak_bytes)),
            (each.device_peak_bytes, words.mebibytes(each.device_peak_bytes)),
            (each.coverage, words.share(each.coverage)),
        ]
        cells = "".join(f'<td class="number">{text if v is None else value(v, text)}</td>' for v, text in numbers)
        versions = ", ".join(f"{name} {version}" for name, version in each.versions.items())
        failed = "" if each.error is None else f'<b class="void">FAILED</b> {escape(each.error)}<br>'
        lines.append(
            f'<tr{"" if each.error is None else " class=is-void"}><td class="name">{escape(each.name)}</td>{cells}'
            f'<td>{failed}{escape(each.kind)}, {escape(each.precision)}<br><span class="dim">{escape(versions)}</span>'
            f'<br><span class="code">{escape(each.source)}</span></td></tr>'
        )
    return _table(["subject"], heads, lines, 'class="subjects"', "what it is")


def environment_table(environment: Mapping[str, Any]) -> str:
    """The machine: whatever was recorded, by its key."""
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in _flat(environment)]
    return '<table class="environment"><tbody>' + "\n".join(lines) + "</tbody></table>"


def _row(row: Row, look: Look, first: bool) -> str:
    numbers = [value(row.batch, str(row.batch))]
    numbers += [value(getattr(row, name), words.milliseconds(getattr(row, name))) for name in _FIGURES]
    low, high = (value(each, words.milliseconds(each)) for each in row.interval_ms)
    numbers += [f"{low} \N{EN DASH} {high}", value(row.throughput, words.samples_per_second(row.throughput))]
    numbers.append(value(row.calls, f"{row.calls:,}"))
    cells = "".join(f'<td class="number">{each}</td>' for each in numbers)
    badge = '<b class="void">VOID</b>' if row.void else ""
    kind = " ".join(name for name, holds in (("first-of-batch", first), ("is-void", bool(row.void))) if holds)
    name = f'<span class="named">{mark(look)}<span class="subject">{escape(row.subject)}</span>{badge}</span>'
    reasons = escape("; ".join(row.void))
    return f'<tr class="{kind}"><td class="name">{name}</td>{cells}<td class="reason">{reasons}</td></tr>'


def _table(names: Sequence[str], numbers: Sequence[str], lines: Sequence[str], attributes: str, last: str = "") -> str:
    heads = "".join(f'<th class="name">{escape(name)}</th>' for name in names)
    heads += "".join(f'<th class="number">{escape(name)}</th>' for name in numbers)
    body = "\n".join(lines)
    return (
        f'<div class="panel scroll" tabindex="0"><table {attributes}><thead><tr>{heads}<th>{escape(last)}</th></tr>'
        f"</thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _flat(values: Mapping[str, Any], above: str = "") -> List[Tuple[str, str]]:
    """``{"a": {"b_mhz": 1}}`` as ``[("a b", "1 MHz")]``; the versions of libraries in one line."""
    found = []
    for name, each in values.items():
        ending = next((ending for ending in _UNITS if name.endswith(ending)), "")
        title = f"{above} {name[: len(name) - len(ending)]}".strip().replace("_", " ")
        if name == "libraries" and isinstance(each, Mapping):
            found.append((title, ", ".join(f"{library} {version}" for library, version in each.items())))
        elif isinstance(each, Mapping) and set(each) == {"min", "mean", "max"}:
            low, mean, high = (_text(each[key], ending) for key in ("min", "mean", "max"))
            found.append((title, f"{mean} ({low} to {high})"))
        elif isinstance(each, Mapping):
            found += _flat(each, title)
        elif each is not None:
            found.append((title, _text(each, ending)))
    return found


def _text(value: Any, ending: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value)) or "none"
    if ending == "_bytes":
        return words.mebibytes(value)
    return f"{value:,.6g} {_UNITS[ending]}" if ending else str(value)
