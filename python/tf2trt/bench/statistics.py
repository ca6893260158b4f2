"""From the times of calls, turn by turn, to a row of the result: percentiles, throughput, and how far to trust them.

What moves a benchmark is seldom the noise of single calls, of which there are thousands: it is the clock, the heat and
the neighbours, which differ from turn to turn. So the turns are what is counted. With ``s`` the standard deviation of
the medians of ``n`` turns and ``t`` Student's 97.5 % quantile for ``n - 1`` degrees of freedom:

    error    = sqrt(pi / 2 * v / n * (n - 1) / (n - v)) * s     standard error of the p50
    interval = p50 -+ t * error                                 95 % confidence interval of the p50
    spread   = sqrt(2 * (t * error)^2 + (share * p50)^2)        at least one tick of the clock

``pi / 2``: where turns differ by more than calls do, the p50 of all calls is the median of the turns' medians, whose
variance is at most that much larger than their mean's. ``v`` is 1 where turns are independent; where each is like the
one before (a GPU that warms up slowly), the mean's variance is ``v`` times as large and ``s`` is too small:
``v = 1 + 2 sum((1 - i / n) r^i)`` over ``i`` from 1 to ``n - 1``, with ``r`` the medians' correlation with the next,
plus ``1 / n`` for what its estimate lacks, within 0 and 0.9. ``2``: two runs differ by the errors of both. ``share`` is
:data:`PROCESS_SHARE`: a new process gets other memory and another core, which no turn of this one can show.
"""

from __future__ import annotations

import math
from typing import Optional, Sequence

import numpy as np

from tf2trt.bench.results import Row
from tf2trt.errors import UsageError

__all__ = ["PROCESS_SHARE", "make_row", "t_quantile"]

PROCESS_SHARE = 0.01
_BLOCKS = 8  # a single turn is cut into as many

# Student's t, 97.5 %, for 1 to 10 degrees of freedom.
_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
_NORMAL = 1.959964


def make_row(
    subject: str,
    batch: int,
    regime: str,
    turns: Sequence[Sequence[float]],
    *,
    samples_per_call: int,
    wall_seconds: Optional[Sequence[float]] = None,
    void: Sequence[str] = (),
) -> Row:
    """Sums up one subject at one batch size in one regime.

    Args:
        subject, batch, regime, void: as in :class:`~tf2trt.bench.results.Row`.
        turns: the milliseconds of each call, turn by turn. One turn alone is cut into blocks, which see less of what
            moves a machine than turns do, that other subjects' turns lie between.
        samples_per_call: how many samples a call answers.
        wall_seconds: how long each turn took, for calls that overlap: the throughput comes from it. Otherwise it comes
            from the calls' own times.

    Raises:
        UsageError: fewer than two calls, a turn without one, a time that is not finite or below 0, or not one wall time
            above 0 for each turn.
    """
    times = [np.asarray(turn, dtype=np.float64).ravel() for turn in turns]
    calls = np.concatenate(times) if times else np.empty(0)
    if calls.size < 2 or not all(turn.size for turn in times):
        received = f"{calls.size} calls in {len(times)} turns"
        raise UsageError(f"times of {subject}", received=received, expected="two calls at least, and one in each turn")
    if not np.isfinite(calls).all() or calls.min() < 0:
        raise UsageError(f"times of {subject}", received="a negative, infinite or NaN time", expected="milliseconds")
    seconds = float(calls.sum()) / 1e3
    if wall_seconds is not None:
        if len(wall_seconds) != len(times) or not all(0 < each < math.inf for each in wall_seconds):
            received = ", ".join(f"{each:g}" for each in wall_seconds)
            raise UsageError(f"wall times of {subject}", received=received, expected=f"{len(times)} above 0")
        seconds = float(sum(wall_seconds))
    quantiles = np.percentile(calls, np.arange(101))
    p50 = float(quantiles[50])
    half = _half_interval(times)
    spread = math.hypot(math.sqrt(2) * half, PROCESS_SHARE * p50)
    return Row(
        subject=subject,
        batch=batch,
        regime=regime,
        calls=int(calls.size),
        p50_ms=p50,
        p90_ms=float(quantiles[90]),
        p99_ms=float(quantiles[99]),
        mean_ms=float(calls.mean()),
        throughput=samples_per_call * calls.size / seconds if seconds else 0.0,
        turns_p50_ms=tuple(float(np.median(turn)) for turn in times),
        interval_ms=(max(0.0, p50 - half), p50 + half),
        spread_ms=max(spread, _tick(calls)),
        quantiles_ms=tuple(float(value) for value in quantiles),
        void=tuple(void),
    )


def t_quantile(degrees: int) -> float:
    """Student's t at 97.5 % for ``degrees`` (1 or more) degrees of freedom, right to 0.0003."""
    if degrees <= len(_T):
        return _T[degrees - 1]
    z = _NORMAL  # Cornish and Fisher's expansion about the normal distribution
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )


def _half_interval(turns: Sequence[np.ndarray]) -> float:
    """``t * error`` of this file's docstring."""
    if len(turns) == 1:
        turns = np.array_split(turns[0], min(_BLOCKS, turns[0].size))
    medians = np.array([np.median(turn) for turn in turns])
    n, off = medians.size, medians - medians.mean()
    squares = float(off @ off)
    if squares == 0:
        return 0.0
    r = min(max(float(off[1:] @ off[:-1]) / squares + 1 / n, 0.0), 0.9)
    v = 1 + 2 * sum((1 - lag / n) * r**lag for lag in range(1, n))
    error = math.sqrt(math.pi / 2 * v / n * squares / (n - v))
    return t_quantile(n - 1) * error


def _tick(calls: np.ndarray) -> float:
    """The smallest step between two times that were measured: a clock's, which no repetition can show.

    CUDA's events give single-precision milliseconds, so that is the step where all times are the same.
    """
    distinct = np.unique(calls)
    single = float(np.spacing(np.float32(distinct[-1])))
    return max(single, float(np.diff(distinct).min())) if distinct.size > 1 else single
