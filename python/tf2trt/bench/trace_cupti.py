"""What CUDA did, by CUPTI through NVIDIA's package cupti-python: the driver's calls, copies, kernels."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Type

from tf2trt.bench.trace_writer import Event
from tf2trt.errors import DeviceError
from tf2trt.extras import require

__all__ = ["CuptiRecorder"]

_KINDS = ("CONCURRENT_KERNEL", "MEMCPY", "MEMSET", "DRIVER")
_BUFFER_BYTES = 8 << 20
_FORCED = 1  # CUPTI_ACTIVITY_FLAG_FLUSH_FORCED: buffers that are not full, too
_TRIES = 5  # at reading two clocks at the same moment


class _Record(NamedTuple):
    """What is kept of one of CUPTI's records, which live in its own buffer; nanoseconds of CUPTI's clock."""

    kind: str
    start: int
    end: int
    place: Tuple[int, ...]  # device and stream, or a thread
    what: Any  # the kernel's name, the direction of a copy, the number of a driver's function
    args: Mapping[str, Any]


class CuptiRecorder:
    """Records inside its ``with`` block. One at a time in a process: CUPTI serves one subscriber.

    Raises:
        MissingExtraError: cupti-python is not installed.
        DeviceError: CUPTI refuses: no driver, one that is older than it, or another profiler is attached.
    """

    def __init__(self) -> None:
        self._cupti = require("cupti.cupti", "trace")
        self._kinds = [(name, getattr(self._cupti.ActivityKind, name)) for name in _KINDS]
        self._names = {int(kind): name for name, kind in self._kinds}
        self._records: List[_Record] = []
        self._enabled: List[Any] = []
        self._offset = 0

    def __enter__(self) -> CuptiRecorder:
        self._offset = self._ask(self._clock_offset)
        self._ask(self._cupti.activity_register_callbacks, _buffer, self._take)
        try:
            for _, kind in self._kinds:
                self._ask(self._cupti.activity_enable, kind)
                self._enabled.append(kind)
        except DeviceError:
            self._disable()
            raise
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._disable()

    def clear(self) -> None:
        """Forgets what was recorded so far. The GPU has to be idle."""
        self._ask(self._cupti.activity_flush_all, _FORCED)
        self._records.clear()

    def events(self, process: str) -> List[Event]:
        """What was recorded since :meth:`clear`. The GPU has to be idle.

        Categories are ``"kernel"``, ``"copy"``, ``"memset"`` and ``"driver"``.

        Raises:
            DeviceError: CUPTI refuses.
        """
        self._ask(self._cupti.activity_flush_all, _FORCED)
        return [self._event(record, process) for record in self._records]

    def _take(self, activities: Iterable[Any]) -> None:
        """CUPTI's callback for a full buffer, from a thread of its own."""
        for activity in activities:
            kind = self._names.get(int(activity.kind))
            if kind is not None and activity.start and activity.end >= activity.start:  # 0: it was not timed
                self._records.append(_record(kind, activity))

    def _event(self, record: _Record, process: str) -> Event:
        if record.kind == "DRIVER":
            thread, name = f"CUDA driver, thread {record.place[0]}", self._function(record.what)
        else:
            thread, name = "GPU {}, stream {}".format(*record.place), record.what
        if record.kind == "MEMCPY":
            name = f"copy {self._cupti.ActivityMemcpyKind(record.what).name}"  # HTOD, DTOH ...
        category = {"CONCURRENT_KERNEL": "kernel", "MEMCPY": "copy"}.get(record.kind, record.kind.lower())
        start = (record.start + self._offset) / 1e3
        return Event(name, category, start, (record.end - record.start) / 1e3, process, thread, record.args)

    def _function(self, number: int) -> str:
        name: str = self._ask(self._cupti.get_callback_name, self._cupti.CallbackDomain.DRIVER_API, number)
        return name

    def _clock_offset(self) -> int:
        """Nanoseconds to add to CUPTI's clock to have ``time.perf_counter``'s; the best of some readings."""
        readings = []
        for _ in range(_TRIES):
            before = time.perf_counter_ns()
            device = self._cupti.get_timestamp()
            after = time.perf_counter_ns()
            readings.append((after - before, (before + after) // 2 - device))
        return int(min(readings)[1])

    def _disable(self) -> None:
        for kind in self._enabled:
            self._ask(self._cupti.activity_disable, kind)
        self._enabled.clear()

    def _ask(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        except (
            RuntimeError,
            self._cupti.cuptiError,
        ) as error:  # RuntimeError: it cannot be loaded, or the driver's age
            raise DeviceError(
                "CUPTI cannot record",
                received=str(error),
                hint="a cupti-python of the CUDA version that the driver serves, and no other profiler",
            ) from error


def _buffer() -> Tuple[int, int]:
    """CUPTI's callback for a new buffer: its size, and 0 for as many records as fit."""
    return _BUFFER_BYTES, 0


def _record(kind: str, activity: Any) -> _Record:
    place: Tuple[int, ...]
    args: Dict[str, Any] = {"correlation": int(activity.correlation_id)}
    what: Any = "memset"
    if kind == "DRIVER":
        place, what = (int(activity.thread_id),), int(activity.cbid)
    else:
        place = (int(activity.device_id), int(activity.stream_id))
    if kind == "CONCURRENT_KERNEL":
        what = str(activity.name)
        for part in ("grid", "block"):
            args[part] = [int(getattr(activity, f"{part}_{axis}")) for axis in "xyz"]
    elif kind == "MEMCPY":
        what = int(activity.copy_kind)
    if kind in ("MEMCPY", "MEMSET"):
        args["bytes"] = int(activity.bytes)
    return _Record(kind, int(activity.start), int(activity.end), place, what, args)
