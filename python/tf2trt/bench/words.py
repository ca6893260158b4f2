"""A result's figures and labels as people read them: one spelling for the terminal's tables and the page's."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from tf2trt.bench.results import REGIMES, BenchResult, Row

__all__ = [
    "REGIME_MEANINGS",
    "batches",
    "machine",
    "mebibytes",
    "milliseconds",
    "plain",
    "regime_title",
    "regimes",
    "rows_of",
    "samples_per_second",
    "seconds",
    "share",
    "unwatched",
]

REGIME_MEANINGS = {
    "gpu": "CUDA events around each launch, the inputs on the GPU already",
    "serial": "one call after the other, from arrays to arrays",
    "pipelined": "several calls on their way at once, from arrays to arrays",
}


def milliseconds(value: float) -> str:
    """Four digits or more: ``"0.3012"``, ``"12.35"``, ``"1,234"``."""
    return f"{value:,.{_decimals(value, 4)}f}"


def samples_per_second(value: float) -> str:
    """Three digits or more: ``"7.25"``, ``"126,034"``."""
    return f"{value:,.{_decimals(value, 3)}f}"


def seconds(value: Optional[float]) -> str:
    """``"1.23 s"``, and a dash for what was not measured."""
    return "\N{EN DASH}" if value is None else f"{value:,.{_decimals(value, 3)}f} s"


def mebibytes(count: Optional[float]) -> str:
    """``"49.2 MiB"``, and a dash for what was not measured."""
    return "\N{EN DASH}" if count is None else f"{count / 2**20:,.{_decimals(count / 2**20, 3)}f} MiB"


def share(value: Optional[float]) -> str:
    """``"97.5 %"``, and a dash for what was not measured."""
    return "\N{EN DASH}" if value is None else f"{value:.1%}".replace("%", " %")


def machine(environment: Mapping[str, Any]) -> List[str]:
    """What ran it and how it went, in short phrases; empty where nothing is known of a GPU."""
    gpu, monitor = environment.get("gpu") or {}, environment.get("monitor") or {}
    said = [str(gpu["name"])] if gpu.get("name") else []
    said += [f"{title} {gpu[key]}" for title, key in (("driver", "driver"), ("CUDA", "cuda")) if gpu.get(key)]
    for key, unit in (("sm_clock_mhz", "MHz"), ("power_w", "W"), ("temperature_c", "\N{DEGREE SIGN}C")):
        if monitor.get(key):
            said.append(f"{monitor[key]['mean']:,.0f} {unit}")
    return said


def unwatched(environment: Mapping[str, Any]) -> Optional[str]:
    """Why throttling would not have been seen; None where the GPU was watched to the end."""
    monitor = environment.get("monitor") or {}
    reason = monitor.get("reason")
    return f"the GPU was not watched, so that throttling was not looked for: {reason}" if reason else None


def plain(text: object) -> str:
    """Without the control characters by which a name could steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def regime_title(regime: str) -> str:
    """The regime's name with what it means."""
    return f"{REGIMES[regime]}: {REGIME_MEANINGS[regime]}"


def regimes(result: BenchResult) -> List[str]:
    """Those that were measured, in the order of :data:`~tf2trt.bench.results.REGIMES`."""
    found = {row.regime for row in result.rows}
    return [regime for regime in REGIMES if regime in found]


def batches(rows: Sequence[Row]) -> List[int]:
    """Those that were measured, small to large."""
    return sorted({row.batch for row in rows})


def rows_of(result: BenchResult, regime: str, batch: Optional[int] = None) -> Tuple[Row, ...]:
    """The rows of one regime (and batch), in the result's order."""
    return tuple(row for row in result.rows if row.regime == regime and batch in (None, row.batch))


def _decimals(value: float, digits: int) -> int:
    """How many decimals show ``digits`` digits of a value; four at most."""
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return max(0, min(4, digits - whole))
