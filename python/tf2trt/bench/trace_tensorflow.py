"""Records a TensorFlow model's calls with TensorFlow's own profiler."""

from __future__ import annotations

import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from tf2trt.bench.trace_writer import Event
from tf2trt.errors import DeviceError, UsageError
from tf2trt.export.quiet import import_tensorflow, quiet_loggers, without_chatter
from tf2trt.extras import require

__all__ = ["read_profile", "record_tensorflow"]

_CALL = "tf2trt call"  # what a call is named in TensorFlow's trace: by it the two clocks are brought together
_WARM = 3


def record_tensorflow(call: Callable[[], object], calls: int = 10, *, process: str) -> List[Event]:
    """Makes the calls under TensorFlow's profiler and says what happened when, on the host and on the GPU.

    Args:
        call: calls the model once and waits for its results, as arrays.
        calls: how many are recorded, after some that are not.
        process: the events' process.

    Raises:
        UsageError: fewer than 1 call.
        DeviceError: TensorFlow's profiler is in use, or left no trace.
    """
    if calls < 1:
        raise UsageError("calls", received=calls, expected="at least 1")
    tensorflow = import_tensorflow()
    profiler = tensorflow.profiler.experimental
    for _ in range(_WARM):
        call()
    times = []
    with tempfile.TemporaryDirectory() as folder, quiet_loggers(), without_chatter():
        try:
            options = profiler.ProfilerOptions(host_tracer_level=2, python_tracer_level=0, device_tracer_level=1)
            profiler.start(folder, options=options)
        except tensorflow.errors.OpError as error:
            raise DeviceError("TensorFlow's profiler cannot be started", received=error.message) from error
        try:
            for number in range(calls):
                started = time.perf_counter_ns()
                with profiler.Trace(_CALL, step_num=number, _r=1):
                    call()
                times.append((started / 1e3, (time.perf_counter_ns() - started) / 1e3))
        finally:
            profiler.stop()
        traced = read_profile(folder, process)
    events = [Event("call", "call", *pair, process, "calls", {"number": n}) for n, pair in enumerate(times)]
    offset = _offset([start for start, _ in times], [event.start_us for event in traced if event.name == _CALL])
    return events + [event._replace(start_us=event.start_us + offset) for event in traced if event.name != _CALL]


def read_profile(folder: Any, process: str) -> List[Event]:
    """The events in what ``tf.profiler.experimental`` wrote to ``folder``, by TensorFlow's own clock.

    Some versions write ``*.xplane.pb``, some ``*.trace.json.gz``, some both; the first has all that the second has.
    Events without a duration are left out. Those of a GPU are in rows by stream.

    Raises:
        DeviceError: there is neither.
    """
    files = sorted(Path(folder).rglob("*.xplane.pb"))
    if files:
        return [event for file in files for event in _planes(file, process)]
    files = sorted(Path(folder).rglob("*.trace.json.gz"))
    if files:
        return [event for file in files for event in _trace_events(file, process)]
    raise DeviceError("TensorFlow's profiler left no trace", expected="*.xplane.pb or *.trace.json.gz")


def _planes(file: Path, process: str) -> Iterator[Event]:
    space = require("tensorflow.tsl.profiler.protobuf.xplane_pb2", "export").XSpace()
    space.MergeFromString(file.read_bytes())
    for plane in space.planes:
        is_gpu = plane.name.startswith("/device:GPU")
        for line in plane.lines:
            if is_gpu and not line.name.startswith("Stream"):
                continue  # the same kernels again, added up by operator and the like
            thread = _thread(plane.name, line.display_name or line.name)
            for event in line.events:
                if event.duration_ps:
                    start = line.timestamp_ns / 1e3 + event.offset_ps / 1e6
                    name = plane.event_metadata[event.metadata_id].name
                    yield _event(name, start, event.duration_ps / 1e6, process, thread, is_gpu)


def _trace_events(file: Path, process: str) -> Iterator[Event]:
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    planes: Dict[int, str] = {}
    lines: Dict[Tuple[int, int], str] = {}
    for event in events:
        if event.get("ph") == "M" and event.get("name") == "process_name":
            planes[event["pid"]] = event["args"]["name"]
        elif event.get("ph") == "M" and event.get("name") == "thread_name":
            lines[event["pid"], event["tid"]] = event["args"]["name"]
    for event in events:
        if event.get("ph") == "X" and event.get("dur"):
            plane, line = planes.get(event["pid"], ""), lines.get((event["pid"], event["tid"]), str(event["tid"]))
            is_gpu = "/device:GPU" in plane
            if not is_gpu or line.startswith(("Stream", "stream")):
                yield _event(event["name"], event["ts"], event["dur"], process, _thread(plane, line), is_gpu)


def _thread(plane: str, line: str) -> str:
    return f"TensorFlow {plane.lstrip('/')} {line}"


def _event(name: str, start: float, duration: float, process: str, thread: str, is_gpu: bool) -> Event:
    return Event(name, "kernel" if is_gpu else "tensorflow", start, duration, process, thread)


def _offset(ours: List[float], theirs: List[float]) -> float:
    """Microseconds to add to TensorFlow's times."""
    if len(theirs) != len(ours):
        raise DeviceError(
            "TensorFlow's trace lacks calls that were made", received=f"{len(theirs)}", expected=f"{len(ours)}"
        )
    return statistics.median(our - their for our, their in zip(ours, sorted(theirs)))
