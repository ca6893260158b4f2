"""Events and the file that they are written to, in Chrome's Trace Event format."""

from __future__ import annotations

import json
import math
import os
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Tuple, Union

from tf2trt.errors import UsageError
from tf2trt.files import atomic_write

__all__ = ["Event", "TraceWriter"]

PathLike = Union[str, "os.PathLike[str]"]

_DIGITS = 3  # of a microsecond: nothing here is measured more finely than in nanoseconds
_MICROSECONDS_PER_SECOND = 1e6


class Event(NamedTuple):
    """Something that began and ended. Plain values: ``Event(*json.loads(json.dumps(event)))`` is the event again.

    ``start_us`` and ``duration_us`` are microseconds of ``time.perf_counter``. ``process`` and ``thread`` are names,
    the rows that a viewer draws. ``args`` are shown with the event.
    """

    name: str
    category: str
    start_us: float
    duration_us: float
    process: str
    thread: str
    args: Mapping[str, Any] = {}  # nobody writes to it


class TraceWriter:
    """Gathers events and writes them to one file::

        writer = TraceWriter()
        writer.add_complete("call", "call", start_us, duration_us, "m.engine", "calls", number=0)
        writer.write("trace.json")

    In the file the earliest event begins at 0. What is on a thread has to be nested there, as the format asks: an event
    that begins within another one and outlasts it, as kernels side by side do, goes to a further thread of that name.
    """

    def __init__(self) -> None:
        self._events: List[Event] = []
        self._facts: Dict[str, Any] = {}

    def add_complete(
        self, name: str, category: str, start_us: float, duration_us: float, process: str, thread: str, **args: Any
    ) -> None:
        """Adds one event; see :class:`Event`.

        Raises:
            UsageError: a time that is not finite, or a negative duration.
        """
        self.add([Event(name, category, start_us, duration_us, process, thread, args)])

    def add(self, events: Iterable[Event]) -> None:
        """Adds events.

        Raises:
            UsageError: a time that is not finite, or a negative duration; of these events none is added.
        """
        new = list(events)
        for event in new:
            if not (math.isfinite(event.start_us) and math.isfinite(event.duration_us) and event.duration_us >= 0):
                raise UsageError(
                    f"the event {event.name!r} has times that a trace cannot hold",
                    received=f"start {event.start_us}, duration {event.duration_us}",
                    expected="finite microseconds, a duration of at least 0",
                )
        self._events += new

    def describe(self, **facts: Any) -> None:
        """Plain values about the whole trace, which viewers show beside it."""
        self._facts.update(facts)

    def to_json(self) -> Dict[str, Any]:
        """The file's contents: an object in the format's JSON Object form."""
        base = min((event.start_us for event in self._events), default=0.0)
        ordered = sorted(self._events, key=lambda event: (event.start_us, -event.duration_us))
        rows = _Rows()
        complete = []
        for event in ordered:
            start, end = (round(value, _DIGITS) for value in _ends(event, base))
            process, thread = rows.place(event, start, end)
            complete.append(
                {
                    "name": event.name,
                    "cat": event.category,
                    "ph": "X",
                    "ts": start,
                    "dur": round(end - start, _DIGITS),
                    "pid": process,
                    "tid": thread,
                    "args": dict(event.args),
                }
            )
        return {
            "traceEvents": [*rows.metadata(), *complete],
            "displayTimeUnit": "ms",
            "otherData": {**self._facts, "start_seconds": base / _MICROSECONDS_PER_SECOND},
        }

    def write(self, path: PathLike) -> None:
        """Writes the file whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        atomic_write(path, json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False).encode())


def _ends(event: Event, base: float) -> Tuple[float, float]:
    start = event.start_us - base
    return start, start + event.duration_us


class _Rows:
    """Numbers for processes and threads, and which thread has room for an event."""

    def __init__(self) -> None:
        self._processes: Dict[str, int] = {}
        self._threads: Dict[Tuple[str, str], List[int]] = {}  # the threads of a name, for what overlaps
        self._open: Dict[int, List[float]] = {}  # where the events end that are not over yet, the innermost last
        self._count = 0

    def place(self, event: Event, start: float, end: float) -> Tuple[int, int]:
        """The numbers of the event's process and thread. Events come in the order of their starts."""
        process = self._processes.setdefault(event.process, len(self._processes) + 1)
        threads = self._threads.setdefault((event.process, event.thread), [])
        for thread in threads:
            ends = self._open[thread]
            while ends and ends[-1] <= start:
                ends.pop()
            if not ends or end <= ends[-1]:
                break
        else:
            self._count += 1
            thread = self._count
            threads.append(thread)
            self._open[thread] = []
        self._open[thread].append(end)
        return process, thread

    def metadata(self) -> List[Dict[str, Any]]:
        """The names, and the order in which they came."""
        events = []
        for name, process in self._processes.items():
            events += [
                _metadata("process_name", process, 0, name=name),
                _metadata("process_sort_index", process, 0, sort_index=process),
            ]
        for (process_name, name), threads in self._threads.items():
            process = self._processes[process_name]
            for number, thread in enumerate(threads):
                shown = name if number == 0 else f"{name} ({number + 1})"
                events += [
                    _metadata("thread_name", process, thread, name=shown),
                    _metadata("thread_sort_index", process, thread, sort_index=thread),
                ]
        return events


def _metadata(what: str, process: int, thread: int, **args: Any) -> Dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": args}
