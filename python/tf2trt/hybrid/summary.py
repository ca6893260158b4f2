"""The report as lines of text, in the shape of TF-TRT's own summary."""

from __future__ import annotations

from collections import Counter
from typing import Iterator, Sequence

from tf2trt.errors import UsageError
from tf2trt.hybrid.report import HybridReport, SegmentReport, format_ranges

__all__ = ["summary_lines"]

_LEAST = 160
_COLUMNS = (("Engine", 0.20), ("# Nodes", 0.06), ("# Engines", 0.07), ("Build s", 0.07), ("Shapes, or why not", 0.60))


def summary_lines(report: HybridReport, line_length: int = _LEAST, detailed: bool = True) -> Iterator[str]:
    """A line for each engine of each segment, the operators in it, the totals, and what stays native.

    Raises:
        UsageError: ``line_length`` is under 160.
    """
    if line_length < _LEAST:
        raise UsageError("summary: line_length", received=line_length, expected=f"{_LEAST} or more")
    yield _row([title for title, _ in _COLUMNS], line_length)
    yield "=" * line_length
    for segment in report.segments:
        yield from (_row(row, line_length) for row in _rows(segment))
        if detailed:
            yield ""
            counts = Counter(node.op for node in segment.nodes)
            yield from (f"\t- {op}: {count}x" for op, count in sorted(counts.items()))
        yield ""
    yield "=" * line_length
    built = sum(engine.built for segment in report.segments for engine in segment.engines)
    tried = sum(len(segment.engines) for segment in report.segments)
    yield f"[*] Total number of TensorRT engines: {built}" + (f" ({tried - built} failed)" if tried > built else "")
    coverage = report.coverage
    yield f"[*] % of OPs Converted: {coverage.node_share:.2%} [{coverage.converted}/{coverage.nodes}]"
    if coverage.time_share is not None:
        yield f"[*] % of native time converted: {coverage.time_share:.2%}"
    for reason, count in report.native_reasons.items():
        yield f"[*] native: {count}x {reason}"
    yield from (f"[*] {note}" for note in report.notes)


def _rows(segment: SegmentReport) -> Iterator[Sequence[str]]:
    built = [engine for engine in segment.engines if engine.built]
    first = [segment.name, str(len(segment.nodes)), str(len(built))]
    if not segment.engines:
        yield [*first, "", segment.why_not or ""]
    for engine in segment.engines:
        shapes = format_ranges(engine.shapes)
        yield [*first, f"{engine.seconds:.1f}", shapes if engine.built else f"{shapes}: {engine.reason}"]
        first = ["", "", ""]


def _row(fields: Sequence[str], line_length: int) -> str:
    widths = [int(line_length * share) for _, share in _COLUMNS]
    # The last column is never cut: a reason that is not whole is of no use.
    cut = [field[: width - 1].ljust(width) for field, width in zip(fields[:-1], widths)]
    return "".join([*cut, fields[-1]]).rstrip()
