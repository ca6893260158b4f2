"""The timed loops, one for each regime. Python's garbage collector rests in them."""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Dict, Iterator, List, Tuple

from tf2trt.bench.adapter import Adapter, Arrays

__all__ = ["BURSTS", "Burst", "Result"]

_MOST = 200_000  # launches in one turn: their times are in memory

_clock = time.perf_counter


@dataclass
class Result:
    """The milliseconds of each call, what the last one gave, and the seconds from the first to the last.

    ``began`` and ``ended`` are of the clock ``time.perf_counter()``, which all processes of a machine share.
    """

    times: List[float] = field(default_factory=list)
    outputs: Arrays = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0

    @property
    def wall(self) -> float:
        """Seconds between the two."""
        return self.ended - self.began


Burst = Callable[[Adapter, Arrays, int, float, int], Result]
"""Calls of a subject with these inputs, with so many on their way at once (where the regime has several), for at least
so many seconds and calls."""


def _serial(adapter: Adapter, inputs: Arrays, inflight: int, seconds: float, calls: int) -> Result:
    result = Result()
    samples: List[float] = []
    with _timed(result):
        end = _clock() + seconds
        while len(samples) < calls or _clock() < end:
            started = _clock()
            result.outputs = adapter.call(inputs)
            samples.append(_clock() - started)
    result.times = [1e3 * each for each in samples]
    return result


def _pipelined(adapter: Adapter, inputs: Arrays, inflight: int, seconds: float, calls: int) -> Result:
    """A call's time is from its start until its results are there, with the others on their way."""
    inflight = adapter.slots(inflight)
    result = Result()
    samples: List[float] = []
    flying: Deque[Tuple[float, Callable[[], Arrays]]] = deque()

    def land() -> None:
        started, fetch = flying.popleft()
        result.outputs = fetch()
        samples.append(_clock() - started)

    with _timed(result):
        end = _clock() + seconds
        count = 0
        while count < calls or _clock() < end:
            if len(flying) == inflight:
                land()
            flying.append((_clock(), adapter.start(inputs, count % inflight)))
            count += 1
        while flying:
            land()
    result.times = [1e3 * each for each in samples]
    return result


def _gpu(adapter: Adapter, inputs: Arrays, inflight: int, seconds: float, calls: int) -> Result:
    """How many launches fill the time is known from some that are not counted. They seem slow where there are few, as
    the CUDA graph is made anew for them, so there may have to be more rounds.
    """
    adapter.call(inputs)
    started = _clock()
    adapter.gpu_times(calls)
    each = (_clock() - started) / calls
    result = Result()
    with _timed(result):
        end = _clock() + seconds
        left = seconds
        while len(result.times) < calls or (left > 0 and len(result.times) < _MOST):
            most = _MOST - len(result.times)
            started = _clock()
            found = adapter.gpu_times(min(max(calls, math.ceil(left / max(each, 1e-6))), most))
            each = (_clock() - started) / len(found)
            result.times += found
            left = end - _clock()
    result.outputs = adapter.call(inputs)
    return result


@contextlib.contextmanager
def _timed(result: Result) -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    result.began = _clock()
    try:
        yield
    finally:
        result.ended = _clock()
        if collecting:
            gc.enable()


BURSTS: Dict[str, Burst] = {"gpu": _gpu, "serial": _serial, "pipelined": _pipelined}
