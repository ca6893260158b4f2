"""TensorFlow's own profiler, on its CPU, and the files that other versions of it write."""

import gzip
import json

import numpy as np
import pytest

from tf2trt.bench.trace import TraceWriter, record_tensorflow
from tf2trt.bench.trace_tensorflow import read_profile
from tf2trt.errors import DeviceError, UsageError
from tf2trt.export.quiet import import_tensorflow


@pytest.fixture(scope="module")
def tensorflow():
    return import_tensorflow()


def test_calls_and_operators(tensorflow):
    made = []
    square = tensorflow.function(lambda x: tensorflow.nn.relu(tensorflow.matmul(x, x)))
    x = np.ones((128, 128), np.float32)

    def call():
        made.append(square(x).numpy())

    events = record_tensorflow(call, 3, process="model")
    assert len(made) == 3 + 3  # those before the trace too
    calls = [event for event in events if event.name == "call"]
    assert [event.args["number"] for event in calls] == [0, 1, 2]
    assert {event.process for event in events} == {"model"}
    products = [event for event in events if event.name.split(":")[0] == "MatMul"]
    assert len(products) == 3
    for call_event, product in zip(calls, sorted(products, key=lambda event: event.start_us)):
        # Brought to one clock, which begins hours before the other one; a tenth of a second is for a busy machine.
        assert abs(product.start_us - call_event.start_us) < 1e5
        assert product.thread.startswith("TensorFlow host:CPU ")
    writer = TraceWriter()
    writer.add(events)
    rows = writer.to_json()["traceEvents"]
    assert {event["ph"] for event in rows} == {"X", "M"}
    with pytest.raises(UsageError):
        record_tensorflow(call, 0, process="model")


def test_a_profiler_that_is_in_use(tensorflow, tmp_path):
    tensorflow.profiler.experimental.start(str(tmp_path))
    try:
        with pytest.raises(DeviceError, match="cannot be started"):
            record_tensorflow(lambda: None, 1, process="model")
    finally:
        tensorflow.profiler.experimental.stop()


def gpu_trace():
    return [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "/device:GPU:0 (pid 1)"}},
        {"ph": "M", "pid": 1, "tid": 2, "name": "thread_name", "args": {"name": "Stream #13(Compute)"}},
        {"ph": "M", "pid": 1, "tid": 3, "name": "thread_name", "args": {"name": "TensorFlow Ops"}},
        {"ph": "M", "pid": 7, "name": "process_name", "args": {"name": "/host:CPU (pid 7)"}},
        {"ph": "X", "pid": 1, "tid": 2, "ts": 10.5, "dur": 2.25, "name": "sgemm"},
        {"ph": "X", "pid": 1, "tid": 3, "ts": 10.5, "dur": 2.25, "name": "MatMul"},
        {"ph": "X", "pid": 7, "tid": 4, "ts": 9, "dur": 4, "name": "MatMul:MatMul"},
        {"ph": "X", "pid": 7, "tid": 4, "ts": 9, "dur": 0, "name": "an instant"},
        {},
    ]


def test_a_trace_json_of_another_version(tmp_path):
    folder = tmp_path / "plugins" / "profile" / "run"
    folder.mkdir(parents=True)
    (folder / "host.trace.json.gz").write_bytes(gzip.compress(json.dumps({"traceEvents": gpu_trace()}).encode()))
    events = read_profile(tmp_path, "model")
    assert [(event.name, event.category, event.start_us, event.duration_us, event.thread) for event in events] == [
        ("sgemm", "kernel", 10.5, 2.25, "TensorFlow device:GPU:0 (pid 1) Stream #13(Compute)"),
        ("MatMul:MatMul", "tensorflow", 9, 4, "TensorFlow host:CPU (pid 7) 4"),
    ]


def test_planes_with_a_gpu(tensorflow, tmp_path):
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    plane = space.planes.add(name="/device:GPU:0")
    plane.event_metadata[5].name = "sgemm"
    for name in ("Stream #13(Compute)", "TensorFlow Ops"):
        line = plane.lines.add(name=name, timestamp_ns=2000)
        line.events.add(metadata_id=5, offset_ps=500_000, duration_ps=1_500_000)
        line.events.add(metadata_id=5, offset_ps=500_000, duration_ps=0)
    (tmp_path / "host.xplane.pb").write_bytes(space.SerializeToString())
    (event,) = read_profile(tmp_path, "model")
    assert event[:6] == ("sgemm", "kernel", 2.5, 1.5, "model", "TensorFlow device:GPU:0 Stream #13(Compute)")


def test_no_trace(tmp_path):
    with pytest.raises(DeviceError, match="left no trace"):
        read_profile(tmp_path, "model")
