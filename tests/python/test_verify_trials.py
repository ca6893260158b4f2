"""Engines as trials, without a GPU: the builder and the runtime are replaced by ONNX files in ONNX Runtime."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from verify_models import hostile, overflowing

from tf2trt import conversion, runtime
from tf2trt.build import BuildOptions
from tf2trt.errors import BuildError, UsageError
from tf2trt.sidecar import sha256
from tf2trt.specs import ShapeRange
from tf2trt.surgery import set_precision
from tf2trt.verify import Candidate, OnnxReference
from tf2trt.verify.bisect import EngineTrial, OnnxTrial, bisect, open_trial
from tf2trt.verify.candidate import load_rounded

rng = np.random.default_rng()
PROFILE = {"x": ShapeRange((1, 32), (8, 32), (8, 32))}


@pytest.fixture
def builds(monkeypatch):
    """What was asked of the builder: (the marked model, the options), build by build."""
    asked = []

    def build_for(path, engine, options, *, library=None):
        asked.append((onnx.load(str(path)), options))
        set_precision(path, engine, options.precision, options.layer_precision)

    @contextlib.contextmanager
    def load(path, *, library=None, plugin_libraries=(), split_batches=False):
        loaded = load_rounded(onnx.load(str(path)))

        class Engine:
            outputs = loaded.outputs
            inputs = tuple(replace(spec, dtype=spec.dtype.replace("int64", "int32")) for spec in loaded.inputs)

            def __call__(self, feed):
                assert {spec.name: spec.dtype for spec in self.inputs} == {
                    name: a.dtype.name for name, a in feed.items()
                }
                results = loaded({spec.name: feed[spec.name].astype(spec.dtype) for spec in loaded.inputs})
                return results if len(results) > 1 else next(iter(results.values()))  # as an engine has it

        yield Engine()

    monkeypatch.setattr(conversion, "build_for", build_for)
    monkeypatch.setattr(runtime, "Engine", SimpleNamespace(load=load))
    return asked


def feeds():
    arrays = [{"x": rng.standard_normal((8, 32)).astype(np.float32)}]
    return lambda: arrays


def test_engines_are_built_with_the_rules(builds, tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=30, loud=11)
    options = BuildOptions(precision="fp16", profiles=(PROFILE,), layer_precision=(("*", "fp16"),))
    found = bisect(path, EngineTrial(path, options), feeds(), rtol=2e-2)
    assert found.fp32_layers == ("dense_11", "dense_12")
    assert found.trials == len(builds)
    marks = [len(model.graph.output) for model, _ in builds]
    assert marks[:3] == [1, 1, 2]  # as it is, all in FP32, and with the tensor half-way
    assert all(asked.layer_precision[0] == ("*", "fp16") for _, asked in builds)
    assert builds[1][1].layer_precision == (("*", "fp16"), ("*", "fp32"))
    assert {asked.precision for _, asked in builds} == {"fp16"}
    assert all(asked.profiles == (PROFILE,) and asked.allow_fallback for _, asked in builds)
    assert builds[0][1].timing_cache is not None
    assert len({str(asked.timing_cache) for _, asked in builds}) == 1


def test_an_engine_takes_int32_where_the_model_takes_int64(builds, tmp_path):
    """As TensorRT 8 has it."""
    rows = onnx.numpy_helper.from_array(rng.standard_normal((10, 4)).astype(np.float32), "rows")
    node = onnx.helper.make_node("Gather", ["rows", "x"], ["y"], name="look_up")
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.INT64, ["n"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 4])
    graph = onnx.helper.make_graph([node], "g", [x], [y], [rows])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(tmp_path / "m.onnx"))
    feed = {"x": np.arange(5)}
    ((_, results),) = zip([feed], EngineTrial(tmp_path / "m.onnx", BuildOptions()).run((), (), [feed]))
    np.testing.assert_array_equal(results["y"], onnx.numpy_helper.to_array(rows)[:5])


def test_every_int8_build_is_calibrated(builds, tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=3)
    made = []
    trial = EngineTrial(
        path, BuildOptions(precision="int8"), calibrate=lambda onnx_file: made.append(onnx_file) or f"data {len(made)}"
    )
    for _ in range(2):
        list(trial.run((), (), feeds()()))
    assert [asked.calibration for _, asked in builds] == ["data 1", "data 2"]
    assert made[0].suffix == ".onnx"


def test_a_build_that_fails_is_told(monkeypatch, tmp_path):
    def build_for(*arguments, **named):
        raise BuildError("no tactic")

    monkeypatch.setattr(conversion, "build_for", build_for)
    path = overflowing(tmp_path / "m.onnx", layers=3)
    with pytest.raises(BuildError, match="no tactic"):
        bisect(path, EngineTrial(path, BuildOptions(precision="fp16")), feeds(), rtol=2e-2)


def candidate(precision, onnx_file=None, rules=()):
    """An engine as its sidecar describes it."""
    sidecar = SimpleNamespace(
        precision_asked=precision,
        profiles=(PROFILE,),
        layer_precision=rules,
        onnx_sha256=sha256(onnx_file.read_bytes()) if onnx_file else "",
        onnx_file="m.onnx",
    )
    return Candidate(lambda feed: feed, (), (), "m.engine", precision, sidecar=sidecar)


def test_an_engine_is_built_again_as_its_sidecar_says(builds, tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=3)
    rules = (("*", "fp16"),)
    reference, trial, notes = open_trial(path, "m.engine", candidate("fp16", path, rules), tmp_path)
    assert (reference, trial.precision, notes) == (path, "fp16", ())
    list(trial.run((), (), feeds()()))
    assert builds[0][1].profiles == (PROFILE,)
    assert builds[0][1].layer_precision == rules
    other = overflowing(tmp_path / "other.onnx", layers=4)
    assert "is not the very file" in open_trial(path, "m.engine", candidate("fp16", other), tmp_path)[2][0]


def test_the_graph_that_an_int8_engine_is_built_from(tmp_path):
    path, quantised = tmp_path / "m.onnx", tmp_path / "q.onnx"
    hostile(path, quantised, layers=3, outlier=1)
    with pytest.raises(UsageError, match="without its scales"):
        open_trial(path, "m.engine", candidate("int8", path), tmp_path)
    reference, trial, notes = open_trial(path, "m.engine", candidate("int8", quantised), tmp_path, built_from=quantised)
    assert (reference, notes) == (path, ())
    assert any(node.op_type == "DequantizeLinear" for node in trial.source.graph.node)
    calibrated = open_trial(path, "m.engine", candidate("int8", path), tmp_path, calibrate=lambda onnx_file: None)
    assert isinstance(calibrated[1], EngineTrial)


@pytest.mark.parametrize("precision", ["fp32", "tf32", None])
def test_engines_that_have_nothing_to_set_to_fp32(tmp_path, precision):
    path = overflowing(tmp_path / "m.onnx", layers=3)
    with pytest.raises(UsageError, match="nothing to set to FP32"):
        open_trial(path, "m.engine", candidate(precision, path), tmp_path)


def test_a_trial_in_onnx_runtime_gives_the_marked_tensors(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=4)
    (feed,) = feeds()()
    (results,) = OnnxTrial(path, "fp16").run((("*", "fp32"),), ["t1"], [feed])
    assert sorted(results) == ["t1", "t3"]
    assert np.allclose(results["t3"], OnnxReference(path)(feed)["t3"], atol=1e-6)
