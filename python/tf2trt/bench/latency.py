"""Latency of single calls, one after the other: the time that a caller who waits for each answer sees."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Sequence

import numpy as np

from tf2trt.errors import UsageError

if TYPE_CHECKING:
    from tf2trt.runtime import Engine

__all__ = ["Latency", "measure", "measure_gpu", "time_calls"]


@dataclass(frozen=True)
class Latency:
    """Percentiles, mean and standard deviation of ``iterations`` calls, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    stdev_ms: float
    iterations: int

    @classmethod
    def from_samples(cls, milliseconds: Sequence[float]) -> Latency:
        """Summarises the time of each call.

        Raises:
            UsageError: there is none.
        """
        if not len(milliseconds):
            raise UsageError("latency", received="0 calls", expected="at least 1")
        p50, p90, p99 = (float(value) for value in np.percentile(milliseconds, (50, 90, 99)))
        return cls(p50, p90, p99, float(np.mean(milliseconds)), float(np.std(milliseconds)), len(milliseconds))

    def __str__(self) -> str:
        return f"p50 {self.p50_ms:.3f} ms, p90 {self.p90_ms:.3f} ms, p99 {self.p99_ms:.3f} ms, {self.iterations} runs"

    def to_json(self) -> Dict[str, Any]:
        """The values by name."""
        return asdict(self)


def time_calls(call: Callable[[], object], *, warmup: int, iterations: int) -> Latency:
    """Times ``iterations`` calls, each by itself, after ``warmup`` untimed ones; Python's garbage collector rests."""
    for _ in range(warmup):
        call()
    samples = np.empty(iterations)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for index in range(iterations):
            started = time.perf_counter()
            call()
            samples[index] = time.perf_counter() - started
    finally:
        if collecting:
            gc.enable()
    return Latency.from_samples(samples * 1e3)  # type: ignore[arg-type]  # an array is a sequence enough


def measure(engine: Engine, inputs: Mapping[str, Any], *, warmup: int = 10, iterations: int = 100) -> Latency:
    """Host to host: from NumPy arrays to fresh NumPy arrays, copies to and from the GPU included."""
    return time_calls(lambda: engine(inputs), warmup=warmup, iterations=iterations)


def measure_gpu(engine: Engine, inputs: Mapping[str, Any], *, warmup: int = 10, iterations: int = 100) -> Latency:
    """On the GPU alone: the inputs lie there already, and CUDA events stand around each launch."""
    for _ in range(max(warmup, 2)):  # the second call captures the CUDA graph
        engine(inputs)
    return Latency.from_samples(engine.time_launches(iterations))
