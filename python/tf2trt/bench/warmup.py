"""Calls before the timed ones, until their times no longer change.

Windows of :data:`WINDOW` seconds, of :data:`CALLS` calls at least, are run one after the other. The subject is warm
when the medians of the last :data:`WINDOWS` windows differ by at most :data:`TOLERANCE` of the smallest: clocks are up,
kernels are chosen, CUDA graphs are captured. Where that is not so after :data:`LIMIT` seconds (and one round of windows
at least), it is measured all the same, and the result says that it never became stable.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence

import numpy as np

__all__ = ["CALLS", "LIMIT", "TOLERANCE", "WINDOW", "WINDOWS", "Warm", "warm_up"]

WINDOW = 0.1
CALLS = 3
WINDOWS = 3
TOLERANCE = 0.02
LIMIT = 5.0

Burst = Callable[[float, int], Sequence[float]]
"""Runs for at least so many seconds and calls; gives the milliseconds of each call."""


@dataclass(frozen=True)
class Warm:
    """What a warm-up took, the last window's median, and whether the times were stable in the end."""

    seconds: float
    windows: int
    median_ms: float
    stable: bool


def warm_up(burst: Burst, seconds: Optional[float] = None, clock: Callable[[], float] = time.perf_counter) -> Warm:
    """Runs ``burst`` until its times are stable, or for ``seconds`` where they are given (trtexec's way)."""
    began = clock()
    medians: List[float] = []
    while True:
        medians.append(float(np.median(burst(WINDOW, CALLS))))
        last = medians[-WINDOWS:]
        stable = len(last) == WINDOWS and max(last) - min(last) <= TOLERANCE * min(last)
        spent = clock() - began
        if seconds is not None:
            done = spent >= seconds
        else:
            done = stable or (spent >= LIMIT and len(last) == WINDOWS)
        if done:
            return Warm(spent, len(medians), medians[-1], stable or seconds is not None)
