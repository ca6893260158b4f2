"""Traces: the file against Chrome's Trace Event format, and CUPTI's and TensorRT's events without a GPU."""

import json
import math
import sys
import types

import cupti_standin
import pytest

from tf2trt.bench import nvtx_ranges
from tf2trt.bench.trace import Event, TraceWriter
from tf2trt.bench.trace_cupti import CuptiRecorder
from tf2trt.errors import DeviceError, MissingExtraError, OutputError, UsageError

METADATA = {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}


def check_format(trace):
    """What the Trace Event format asks of a file in its JSON Object form, and that events of a thread are nested."""
    assert isinstance(trace["traceEvents"], list)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    named, threads = set(), {}
    for event in trace["traceEvents"]:
        assert {"name", "ph", "pid", "tid", "args"} <= set(event)
        assert isinstance(event["name"], str)
        assert type(event["pid"]) is type(event["tid"]) is int
        if event["ph"] == "M":
            assert event["name"] in METADATA
            named.add((event["name"], event["pid"], event["tid"]))
        else:
            assert event["ph"] == "X"
            assert {"cat", "ts", "dur"} <= set(event)
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            assert ("process_name", event["pid"], 0) in named  # said before it is used
            assert ("thread_name", event["pid"], event["tid"]) in named
            threads.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for spans in threads.values():
        assert spans == sorted(spans, key=lambda span: (span[0], -span[1]))
        open_spans = []
        for start, end in spans:
            while open_spans and open_spans[-1] <= start + 1e-9:
                open_spans.pop()
            assert not open_spans or end <= open_spans[-1] + 1e-6
            open_spans.append(end)


def names(trace, what):
    return [event["args"]["name"] for event in trace["traceEvents"] if event["name"] == what]


def complete(trace):
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def test_a_file_in_the_trace_event_format(tmp_path):
    writer = TraceWriter()
    # In any order; the second process's names are those of the first; text that is not ASCII.
    writer.add_complete("inner", "kernel", 1500.25, 100.5, "é.engine", "GPU", grid=[1, 2, 3])
    writer.add_complete("call", "call", 1000.125, 2000, "é.engine", "calls", number=0)
    writer.add_complete("call", "call", 1100, 50, "other", "calls")
    writer.add_complete("outer", "call", 1500.25, 400, "é.engine", "GPU")
    writer.describe(gpu="H200")
    writer.write(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_bytes())
    check_format(trace)
    assert names(trace, "process_name") == ["é.engine", "other"]
    assert names(trace, "thread_name") == ["calls", "calls", "GPU"]
    first, second, outer, inner = complete(trace)
    assert (first["ts"], first["dur"], first["cat"], first["args"]) == (0, 2000, "call", {"number": 0})
    assert (second["ts"], second["pid"]) == (99.875, first["pid"] + 1)
    assert (outer["name"], inner["name"], inner["ts"], inner["dur"]) == ("outer", "inner", 500.125, 100.5)
    assert outer["tid"] == inner["tid"] != first["tid"]
    assert trace["otherData"] == {"gpu": "H200", "start_seconds": 1000.125e-6}


def test_what_overlaps_has_rows_of_its_own():
    writer = TraceWriter()
    for start, end in ((0, 10), (5, 15), (9, 12), (10, 20), (12, 14), (12, 14)):
        writer.add_complete("kernel", "kernel", start, end - start, "p", "stream")
    trace = writer.to_json()
    check_format(trace)
    assert names(trace, "thread_name") == ["stream", "stream (2)"]
    assert [event["tid"] for event in complete(trace)] == [1, 2, 2, 1, 1, 1]
    writer.add_complete("long", "kernel", 11, 50, "p", "stream")
    check_format(writer.to_json())


def test_nothing_recorded_is_a_file_too(tmp_path):
    TraceWriter().write(tmp_path / "empty.json")
    trace = json.loads((tmp_path / "empty.json").read_bytes())
    check_format(trace)
    assert trace["traceEvents"] == []


@pytest.mark.parametrize(("start", "duration"), [(math.nan, 1), (0, math.inf), (0, -1e-9)])
def test_times_that_no_trace_can_hold(start, duration):
    writer = TraceWriter()
    with pytest.raises(UsageError, match="'k'"):
        writer.add([Event("fine", "c", 0, 1, "p", "t"), Event("k", "c", start, duration, "p", "t")])
    assert writer.to_json()["traceEvents"] == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError):
        TraceWriter().write(tmp_path / "none" / "trace.json")


def test_an_event_survives_a_pipe():
    event = Event("call", "call", 1.5, 2.5, "p", "t", {"number": 3})
    assert Event(*json.loads(json.dumps(event))) == event


@pytest.fixture
def cupti(monkeypatch):
    standin = cupti_standin.Cupti(offset=10**15)
    monkeypatch.setitem(sys.modules, "cupti", types.ModuleType("cupti"))
    monkeypatch.setitem(sys.modules, "cupti.cupti", standin)
    return standin


def test_cupti_records_become_events(cupti):
    with CuptiRecorder() as recorder:
        assert {kind.name for kind in cupti.enabled} == {"CONCURRENT_KERNEL", "MEMCPY", "MEMSET", "DRIVER"}
        cupti.pending = [cupti.kernel("warm-up", 5, 6)]
        recorder.clear()
        at = cupti.get_timestamp()
        cupti.pending = [
            cupti.driver(514, at, at + 4000),
            cupti.driver(1, at, at + 1, kind=cupti_standin.ActivityKind.RUNTIME),  # not asked for
            cupti.copy(cupti_standin.ActivityMemcpyKind.HTOD, at + 1000, at + 2000, 602112),
            cupti.kernel("gemm", at + 2000, at + 2500),
            cupti.kernel("not timed", 0, 0),
            cupti.memset(at + 2500, at + 2600, 64),
        ]
        events = recorder.events("m.engine")
    assert cupti.enabled == set()
    assert [(event.name, event.category, event.duration_us, event.thread) for event in events] == [
        ("cuGraphLaunch", "driver", 4.0, "CUDA driver, thread 42"),
        ("copy HTOD", "copy", 1.0, "GPU 0, stream 13"),
        ("gemm", "kernel", 0.5, "GPU 0, stream 13"),
        ("memset", "memset", 0.1, "GPU 0, stream 13"),
    ]
    assert events[1].args == {"correlation": 7, "bytes": 602112}
    assert events[2].args == {"correlation": 7, "grid": [132, 1, 1], "block": [256, 1, 1]}
    # CUPTI's clock is 10^15 ns ahead of perf_counter, and that is taken off, to what reading a clock takes.
    assert abs(events[0].start_us - (at - 10**15) / 1e3) < 1e3
    assert events[2].start_us - events[0].start_us == pytest.approx(2.0, abs=0.01)
    writer = TraceWriter()
    writer.add(events)
    check_format(writer.to_json())


@pytest.mark.parametrize("call", ["get_timestamp", "MEMSET"])
@pytest.mark.parametrize("kind", [RuntimeError, cupti_standin.cuptiError])
def test_cupti_that_refuses(cupti, call, kind):
    cupti.refused[call] = kind("only CUDA 13.0 or later driver is supported")
    with pytest.raises(DeviceError, match="only CUDA 13"), CuptiRecorder():
        pass
    assert cupti.enabled == set()  # those before it are off again


def test_without_cupti(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupti", None)
    with pytest.raises(MissingExtraError, match="tf2trt\\[trace\\]"):
        CuptiRecorder()


@pytest.mark.parametrize("body", ["traces_calls_and_layers", "traces_kernels_by_cupti"])
def test_an_engine_on_the_fakes(fake_gpu, body):
    fake_gpu.run(f"trace_bodies.{body}")


def test_ranges_for_nvidias_profilers(monkeypatch):
    marked = []
    nvtx = types.ModuleType("nvtx")
    nvtx.annotate = lambda message, domain: marked.append((message, domain)) or _Block()
    monkeypatch.setitem(sys.modules, "nvtx", nvtx)
    with nvtx_ranges.ranges(False)("nothing"):
        pass
    with nvtx_ranges.ranges(True)("turn 1"):
        pass
    assert marked == [("turn 1", "tf2trt")]
    monkeypatch.setitem(sys.modules, "nvtx", None)
    with pytest.raises(MissingExtraError, match="nvtx"):
        nvtx_ranges.ranges(True)


class _Block:
    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass
