"""A run against an earlier one: what is slower or faster by more than the noise of both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from tf2trt.bench.results import BenchResult, Row
from tf2trt.errors import UsageError

__all__ = ["Change", "compare", "load"]


@dataclass(frozen=True)
class Change:
    """What became of one row of the earlier run.

    ``measure`` is ``"p50_ms"``, in the pipelined regime ``"throughput"``. ``noise`` is what two runs may differ by, in
    its unit. ``verdict`` is ``"same"``, ``"slower"``, ``"faster"``; ``"void"``: the row held and is void now;
    ``"missing"``: this run has no such row, or the earlier one was void.
    """

    subject: str
    batch: int
    regime: str
    measure: str
    before: float
    now: Optional[float]
    noise: float
    verdict: str

    @property
    def regression(self) -> bool:
        """Whether the run is to fail for it."""
        return self.verdict in ("slower", "void")

    @property
    def ratio(self) -> Optional[float]:
        """``now / before``."""
        return self.now / self.before if self.now is not None and self.before else None


def load(path: str) -> BenchResult:
    """The result in a JSON file of ``tf2trt bench --json``.

    Raises:
        UsageError: there is no such file, or it holds something else.
    """
    what, expected = f"the baseline {path}", "a file of tf2trt bench --json"
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the baseline {path}", received=str(error), expected="a file of tf2trt bench --json"
        ) from error
    if not isinstance(values, dict):
        raise UsageError(what, received=type(values).__name__, expected=expected)
    return BenchResult.from_json(values)


def compare(now: BenchResult, before: BenchResult) -> List[Change]:
    """A change for each row of ``before``, in its order.

    A row is slower or faster where the difference is larger than the spread of either run. A subject that failed as a
    whole (``error``) and was measured before is void.

    Raises:
        UsageError: the runs have no row in common, or another GPU or way of measuring: that says nothing.
    """
    for what, new, old in (
        ("GPU", _gpu(now), _gpu(before)),
        ("preset", now.preset, before.preset),
    ):
        if new != old:
            raise UsageError(f"a baseline of another {what}", received=old, expected=new)
    rows = {_key(row): row for row in now.rows}
    failed = {subject.name for subject in now.subjects if subject.error is not None}
    if not any(_key(row) in rows or row.subject in failed for row in before.rows):
        raise UsageError(
            "the baseline and this run have no subject, batch and regime in common",
            received=_names(before),
            expected=_names(now),
        )
    return [_change(row, rows.get(_key(row)), row.subject in failed) for row in before.rows]


def _change(before: Row, now: Optional[Row], failed: bool) -> Change:
    measure = "throughput" if before.regime == "pipelined" else "p50_ms"
    old, noise = _figures(before)
    new = None
    if now is not None:
        new, other = _figures(now)
        noise = max(noise, other)
    if before.void or (now is None and not failed):
        verdict = "missing"
    elif new is None or (now is not None and now.void):
        verdict = "void"
    elif abs(new - old) <= noise:
        verdict = "same"
    else:
        verdict = "faster" if (new > old) == (measure == "throughput") else "slower"
    return Change(before.subject, before.batch, before.regime, measure, old, new, noise, verdict)


def _figures(row: Row) -> Tuple[float, float]:
    """What is compared, and its spread: the throughput's is taken to be the p50's, as a share."""
    if row.regime == "pipelined":
        return row.throughput, row.throughput * row.spread_ms / row.p50_ms if row.p50_ms else 0.0
    return row.p50_ms, row.spread_ms


def _key(row: Row) -> Tuple[str, int, str]:
    return row.subject, row.batch, row.regime


def _gpu(result: BenchResult) -> Optional[str]:
    gpu: Optional[Dict[str, str]] = result.environment.get("gpu")
    return gpu.get("name") if gpu else None


def _names(result: BenchResult) -> str:
    return ", ".join(f"{row.subject} batch {row.batch} {row.regime}" for row in result.rows[:5]) or "no rows"
