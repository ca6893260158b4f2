"""tf2trt bench on a GPU: a profile for each batch of an ONNX file, what is kept, trtexec's ways of measuring."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import libraries
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.run import run_bench
from tf2trt.build import BuildOptions, build_engine
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange

QUICK = {"repeats": 2, "seconds": 0.1}


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    """Two convolutions with ReLUs, of a dynamic batch."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(scale=0.1, size=(32, channels, 3, 3)).astype(np.float32) for channels in (3, 32)]
    nodes, last = [], "x"
    for layer, name in enumerate(("a", "y")):
        nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [name]))
        last = name
    graph = helper.make_graph(
        nodes,
        "subjects",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 32, 64, 64])],
        [numpy_helper.from_array(values, f"w{layer}") for layer, values in enumerate(weights)],
    )
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def engine(onnx_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("engine") / "m.engine"
    limits = ShapeRange((1, 3, 64, 64), (4, 3, 64, 64), (8, 3, 64, 64))
    library = libraries.find(need_builder=True)
    return build_engine(onnx_file, path, BuildOptions(profiles=({"x": limits},)), library=library).engine


def own(row):
    """Why the row is void, but for the GPU's own doing."""
    return [reason for reason in row.void if not reason.startswith("throttled")]


def test_an_onnx_file_has_a_profile_for_each_batch_and_what_is_kept_is_measured_again(onnx_file, tmp_path):
    batches = (1, 4, 16)
    kept = {"keep": str(tmp_path), "timing_cache": str(tmp_path / "timings")}
    result = run_bench(BenchOptions((str(onnx_file),), batches=batches, precisions=("fp32", "fp16"), **kept, **QUICK))
    assert [(facts.name, facts.precision, facts.error) for facts in result.subjects] == [
        ("m.onnx fp32", "fp32", None),
        ("m.onnx fp16", "fp16", None),
    ]
    for facts in result.subjects:
        assert facts.build_seconds > 0
        assert facts.engine_bytes > 0
        assert facts.device_peak_bytes
        assert facts.versions["tensorrt"]
    assert {(row.subject, row.batch, row.regime) for row in result.rows} == {
        (facts.name, batch, regime)
        for facts in result.subjects
        for batch in batches
        for regime in ("gpu", "serial", "pipelined")
    }
    assert not any(own(row) for row in result.rows)
    engines = [str(tmp_path / f"m.onnx-{precision}.engine") for precision in ("fp32", "fp16")]
    again = run_bench(BenchOptions(tuple(engines), batches=batches, regimes=("gpu",), **QUICK))
    assert [(facts.precision, facts.build_seconds, facts.error) for facts in again.subjects] == [
        ("fp32", None, None),
        ("fp16", None, None),
    ]
    assert len(again.rows) == 6


@pytest.mark.parametrize(("preset", "regimes"), [("trtexec-10", ("gpu", "pipelined")), ("trtexec-11", ("gpu",))])
def test_as_trtexec_measures(engine, preset, regimes):
    result = run_bench(BenchOptions((str(engine),), batches=(4,), preset=preset))
    assert [row.regime for row in result.rows] == list(regimes)
    assert all(row.calls >= 10 and not own(row) for row in result.rows)


def test_runs_without_a_graph_and_launches_queued_ahead(engine):
    x = np.random.default_rng(0).normal(size=(4, 3, 64, 64)).astype(np.float32)
    results = []
    for graphs in (True, False):
        with Engine.load(engine, graphs=graphs) as loaded, loaded.context() as context:
            results += [context(x) for _ in range(3)]
            for ahead in (0, 1, 3):
                times = context.time_launches(20, ahead=ahead)
                assert len(times) == 20
                assert min(times) > 0
            results.append(context(x))
    assert all(np.array_equal(results[0], each) for each in results[1:])
