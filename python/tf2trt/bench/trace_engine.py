"""Records an engine's calls: on the host, and on the GPU by CUPTI, or else by TensorRT's own profiler."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from tf2trt.bench.trace_cupti import CuptiRecorder
from tf2trt.bench.trace_writer import Event
from tf2trt.errors import DeviceError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from tf2trt.runtime import Engine, ExecutionContext

__all__ = ["record_engine"]

CALLS_THREAD = "calls"
_WARM = 3  # the second call captures the CUDA graph, the third replays it
_NO_KERNEL = "CUPTI saw no kernel"


def record_engine(engine: Engine, inputs: Mapping[str, Any], calls: int = 10, *, process: str = "") -> List[Event]:
    """Calls the engine in a context of its own, host to host, and says what happened when.

    There is an event for each call. With NVIDIA's cupti-python there are also CUDA's own calls, copies and kernels;
    without it (it is missing, or the driver is older than it) one more call runs under TensorRT's profiler, and its
    layers are there one after the other, since that tells how long each took and not when. The threads' names say
    which, and why.

    Args:
        engine: a loaded engine.
        inputs: arrays by name, as for a call.
        calls: how many are recorded, after some that are not.
        process: the events' process; by default the name of the engine's file.

    Raises:
        UsageError: fewer than 1 call.
        InputError, DeviceError, EngineError: as for a call.
    """
    if calls < 1:
        raise UsageError("calls", received=calls, expected="at least 1")
    process = process or engine.path.name
    with contextlib.ExitStack() as stack:
        recorder, problem = _open(stack)  # before the context: CUPTI has to see how the CUDA graph is made
        context = stack.enter_context(engine.context())
        for _ in range(_WARM):
            context(inputs)
        if recorder is not None:
            recorder.clear()
        events = [_call(context, inputs, number, process) for number in range(calls)]
        if recorder is not None:
            found = recorder.events(process)
            if any(event.category == "kernel" for event in found):
                return events + found
            problem = _NO_KERNEL
        return events + _layers(context, process, problem)


def _open(stack: contextlib.ExitStack) -> Tuple[Optional[CuptiRecorder], str]:
    """The recorder, or why there is none."""
    try:
        return stack.enter_context(CuptiRecorder()), ""
    except (MissingExtraError, DeviceError) as error:
        return None, "; ".join(line.strip() for line in str(error).splitlines())


def _call(context: ExecutionContext, inputs: Mapping[str, Any], number: int, process: str) -> Event:
    started = time.perf_counter_ns()
    context(inputs)
    ended = time.perf_counter_ns()
    return Event("call", "call", started / 1e3, (ended - started) / 1e3, process, CALLS_THREAD, {"number": number})


def _layers(context: ExecutionContext, process: str, problem: str) -> List[Event]:
    started = time.perf_counter_ns()
    layers = context.profile()
    ended = time.perf_counter_ns()
    events = [Event("profiled call", "call", started / 1e3, (ended - started) / 1e3, process, CALLS_THREAD)]
    at = started / 1e3
    thread = f"layers, one after the other, by TensorRT's profiler ({problem})"
    for name, milliseconds in layers:
        events.append(Event(name, "layer", at, milliseconds * 1e3, process, thread))
        at += milliseconds * 1e3
    return events
