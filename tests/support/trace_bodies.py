"""What test_bench_trace.py has done in processes with the fake driver and the fake TensorRT."""

import sys
import types

import pytest
from runtime_bodies import batch, load

from tf2trt.bench.trace import TraceWriter, record_engine
from tf2trt.bench.trace_engine import CALLS_THREAD
from tf2trt.errors import InputError, UsageError


def traces_calls_and_layers():
    with load("double") as engine:
        events = record_engine(engine, {"x": batch(2)}, calls=4)
        for calls, inputs, kind in ((0, {"x": batch(2)}, UsageError), (1, {"q": batch(2)}, InputError)):
            with pytest.raises(kind):
                record_engine(engine, inputs, calls=calls)
    assert {event.process for event in events} == {"m.engine"}
    calls = [event for event in events if event.name == "call"]
    assert [event.args["number"] for event in calls] == [0, 1, 2, 3]
    assert all(before.start_us + before.duration_us <= after.start_us for before, after in zip(calls, calls[1:]))
    (profiled,) = (event for event in events if event.name == "profiled call")
    assert {profiled.thread, *(event.thread for event in calls)} == {CALLS_THREAD}
    layers = [event for event in events if event.category == "layer"]
    assert len(layers) == 2
    assert layers[0].start_us == profiled.start_us >= calls[-1].start_us + calls[-1].duration_us
    assert layers[1].start_us == layers[0].start_us + layers[0].duration_us
    assert "'cupti' is not installed" in layers[0].thread
    writer = TraceWriter()
    writer.add(events)
    assert len([event for event in writer.to_json()["traceEvents"] if event["ph"] == "X"]) == len(events)


def traces_kernels_by_cupti():
    """With a stand-in for cupti-python, which is optional; what comes before the calls is dropped."""
    import cupti_standin

    sys.modules["cupti"] = types.ModuleType("cupti")
    sys.modules["cupti.cupti"] = cupti = cupti_standin.Cupti()
    with load("double") as engine:
        cupti.pending = [cupti.kernel("warm-up", 1, 2)]
        cupti.later = [cupti.kernel("gemm", 1000, 3000)]
        events = record_engine(engine, {"x": batch(2)}, calls=2, process="mine")
        assert [event.name for event in events] == ["call", "call", "gemm"]
        assert {event.process for event in events} == {"mine"}
        assert cupti.enabled == set()
        # Without a kernel the layers are there, and the reason.
        events = record_engine(engine, {"x": batch(2)}, calls=1)
        assert [event.thread for event in events if event.category == "layer"] == [
            "layers, one after the other, by TensorRT's profiler (CUPTI saw no kernel)"
        ] * 2
