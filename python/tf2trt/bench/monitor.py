"""A GPU watched while others measure on it: clocks, power, temperature, memory, and whether it was held back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Sequence, Type, Union

from tf2trt.bench.nvml import NvmlSource
from tf2trt.bench.samples import MEASURED, Sample, UnavailableError
from tf2trt.bench.tegrastats import TegrastatsSource

__all__ = ["GpuMonitor", "open_source"]

Source = Union[TegrastatsSource, NvmlSource]
_SOURCES: Sequence[Callable[[], Source]] = (TegrastatsSource, NvmlSource)  # NVML knows little of a Jetson
_PATIENCE = 0.5  # seconds to wait for a reading


def open_source() -> Source:
    """Where this machine's GPU can be read.

    Raises:
        UnavailableError: nowhere; the message says why for each way.
    """
    reasons = []
    for make in _SOURCES:
        try:
            return make()
        except UnavailableError as error:
            reasons.append(str(error))
    raise UnavailableError("; ".join(reasons))


class GpuMonitor:
    """Reads the GPU's state in a thread, about 20 times a second (a Jetson 10 times), from ``with`` to its end.

    Where nothing can be read, ``reason`` says why, :meth:`summary` has no figures, and :meth:`throttled_between` knows
    of nothing.
    """

    def __init__(self) -> None:
        self.reason: Optional[str] = None
        self._source: Optional[Source] = None
        self._samples: List[Sample] = []
        self._stop = threading.Event()
        self._thread: Optional[threading.Thread] = None

    def __enter__(self) -> GpuMonitor:
        try:
            self._source = open_source()
        except UnavailableError as error:
            self.reason = str(error)
            return self
        self._read()  # there is one at least, however soon the end comes
        self._thread = threading.Thread(target=self._watch, name="gpu-monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._source is not None:
            self._source.close()

    def _watch(self) -> None:
        wait = self._source.wait if self._source else 0.0
        while not self._stop.wait(wait) and self.reason is None:
            self._read()

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and bool(self._samples)

    def _read(self) -> None:
        try:
            if self._source is not None:
                self._samples.append(self._source.read())
        except UnavailableError as error:
            self.reason = str(error)

    def throttled_between(self, start: float, end: float) -> Optional[str]:
        """What held the GPU back between two moments, such as ``"power cap in 3 of 40 readings"``; None: nothing seen.

        The last reading before ``start`` and the first after ``end``, which is waited for, count too, so that no turn
        is too short to be seen. What lasts less than the time between two readings can be missed.

        Args:
            start, end: by ``time.perf_counter()``, in any process of this machine (Linux has one clock for all).
        """
        patience = time.perf_counter() + _PATIENCE
        while self._alive() and self._samples[-1].time <= end and time.perf_counter() < patience:
            time.sleep(0.005)
        samples = list(self._samples)
        before = [each for each in samples if each.time < start][-1:]
        after = [each for each in samples if each.time > end][:1]
        seen = before + [each for each in samples if start <= each.time <= end] + after
        return _words(seen) or None

    def summary(self) -> Dict[str, Any]:
        """All readings in a few figures, for the result's ``environment``: see docs/bench.md."""
        samples = list(self._samples)
        summary: Dict[str, Any] = {
            "source": self._source.name if self._source else None,
            "reason": self.reason,
            "readings": len(samples),
            "throttled": _words(samples) or None,
        }
        for name in MEASURED:
            values = [getattr(each, name) for each in samples if getattr(each, name) is not None]
            figures = {"min": min(values), "mean": sum(values) / len(values), "max": max(values)} if values else None
            summary[name] = figures
        return summary


def _words(samples: Sequence[Sample]) -> str:
    counts = Counter(reason for each in samples for reason in each.throttle)
    return ", ".join(f"{reason} in {count} of {len(samples)} readings" for reason, count in counts.most_common())
