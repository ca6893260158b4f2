"""tf2trt bench on models of TensorFlow's: called, built from, watched; and the whole command on a CPU."""

import json
import os
import statistics
import sys
from dataclasses import replace
from functools import partial

import bench_results
import hybrid_models
import numpy as np
import pytest

import tf2trt.hybrid
from tf2trt.bench import run
from tf2trt.bench.adapter import make_inputs
from tf2trt.bench.building import build
from tf2trt.bench.results import BenchResult
from tf2trt.bench.tensorflow_models import HybridAdapter, KerasAdapter, SavedModelAdapter, TfTrtAdapter
from tf2trt.bench.timing import BURSTS
from tf2trt.build.onnx_inputs import read_onnx_types
from tf2trt.errors import BuildError
from tf2trt.hybrid.report import HybridReport
from tf2trt.numerics import relative_error
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange

tf = hybrid_models.tf
SEED = int(np.random.default_rng().integers(1 << 30))
JOB = {
    "tf32": True,
    "precision": "fp32",
    "shapes": {},
    "seed": SEED,
    "plugin_libraries": [],
    "timing_cache": None,
    "batches": [1, 3],
}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "convolutions"
    hybrid_models.save(hybrid_models.convolutions(SEED), path)
    return path


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(SEED)
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    scores = keras.layers.Dense(3, name="scores")(keras.layers.Concatenate()([first, second]))
    path = tmp_path_factory.mktemp("keras") / "net.keras"
    keras.Model([first, second], {"scores": keras.layers.Dropout(0.5)(scores)}).save(path)
    return path


def test_models_are_called_from_arrays_to_arrays(saved_model, keras_file):
    import keras

    original = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    network = keras.models.load_model(keras_file, compile=False)
    for adapter, wanted in (
        (SavedModelAdapter({**JOB, "path": str(saved_model)}), lambda x: original(**x)["scores"]),
        (KerasAdapter({**JOB, "path": str(keras_file)}), lambda x: network([x["first"], x["second"]])["scores"]),
    ):
        assert adapter.facts() == {"versions": {"tensorflow": tf.__version__}}
        for batch in (1, 3):
            inputs = make_inputs(adapter.inputs, {}, batch, SEED)
            result = adapter.call(inputs)
            assert list(result) == ["scores"]
            assert isinstance(result["scores"], np.ndarray)
            expected = wanted({name: tf.constant(array) for name, array in inputs.items()}).numpy()
            assert relative_error(result["scores"], expected) < 1e-5, SEED
            np.testing.assert_array_equal(adapter.start(inputs, 0)()["scores"], result["scores"])
        with adapter.watched(1, timed=True) as watched:
            done = BURSTS["pipelined"](adapter, inputs, 2, 0.0, 5)
        assert watched.reasons == []
        assert len(done.times) == 5
        assert done.wall > 0
        assert relative_error(done.outputs["scores"], result["scores"]) == 0


def test_an_engine_of_an_onnx_file_has_a_profile_for_each_batch(small_onnx, tmp_path):
    output = tmp_path / "m.engine"
    cache = tmp_path / "timings"
    job = {"build": "onnx", "path": str(small_onnx), "output": str(output), "timing_cache": str(cache)}
    found = build({**JOB, **job, "batches": [1, 8, 32]})
    assert cache.stat().st_size > 0
    sidecar = Sidecar.read(output)
    assert [profile["x"] for profile in sidecar.profiles] == [ShapeRange(*[(n, 4)] * 3) for n in (1, 8, 32)]
    assert found["build_seconds"] == sidecar.seconds
    assert sidecar.precision_asked == "fp32"


def test_an_engine_of_a_keras_file_and_its_onnx_serves_the_next_precision(keras_file, tmp_path):
    onnx = tmp_path / "model.onnx"
    job = {**JOB, "build": "convert", "path": str(keras_file), "onnx": str(onnx)}
    build({**job, "output": str(tmp_path / "a.engine")})
    written = onnx.stat().st_mtime_ns
    build({**job, "output": str(tmp_path / "b.engine"), "precision": "tf32"})
    assert onnx.stat().st_mtime_ns == written
    sidecars = [Sidecar.read(tmp_path / name) for name in ("a.engine", "b.engine")]
    assert [sidecar.precision_asked for sidecar in sidecars] == ["fp32", "tf32"]
    assert {spec.name for spec in sidecars[0].inputs} == {"first", "second"}
    assert len(sidecars[0].profiles) == 2


def test_int8_is_calibrated_once_for_all_that_needs_it(keras_file, tmp_path):
    rng = np.random.default_rng(SEED)
    calib = tmp_path / "samples.npz"
    np.savez(calib, **{name: rng.normal(size=(20, 4)).astype(np.float32) for name in ("first", "second")})
    onnx = tmp_path / "model.onnx"
    job = {**JOB, "build": "convert", "path": str(keras_file), "onnx": str(onnx), "calib": str(calib)}
    build({**job, "output": str(tmp_path / "a.engine"), "precision": "int8"})
    quantised = onnx.with_suffix(".int8.onnx")
    assert read_onnx_types(quantised) == ("int8",)
    written = quantised.stat().st_mtime_ns
    build({**job, "output": str(tmp_path / "b.engine"), "precision": "int8+fp16"})
    assert quantised.stat().st_mtime_ns == written
    assert Sidecar.read(tmp_path / "b.engine").precision_asked == "int8+fp16"


def test_a_hybrid_s_calibration_gets_whole_batches(tmp_path, saved_model, monkeypatch):
    samples = np.random.default_rng(SEED).normal(size=(20, 8, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", image=samples)
    asked = {}

    def convert(source, out, **options):
        asked.update(options, batches=[batch["image"] for batch in options["calibration_input_fn"]()])
        return HybridReport("tf-trt", "INT8", {}, (), ())

    monkeypatch.setattr(tf2trt.hybrid, "convert", convert, raising=False)
    job = {**JOB, "build": "tf-trt", "path": str(saved_model), "output": "out", "calib": str(tmp_path / "samples.npz")}
    with pytest.raises(BuildError):  # of this report
        build({**job, "precision": "int8+fp16"})
    assert (asked["precision_mode"], asked["backend"]) == ("INT8", "tf-trt")
    assert [batch.shape[0] for batch in asked["batches"]] == [8, 8]
    np.testing.assert_array_equal(np.concatenate(asked["batches"]), samples[:16])


def test_a_hybrid_that_falls_back_is_found_out(saved_model, tmp_path):
    """Without a GPU the op's engines cannot run: every call is a fallback, and is counted as one."""
    job = {**JOB, "build": "hybrid", "path": str(saved_model), "output": str(tmp_path / "hybrid"), "name": "hybrid"}
    found = build(job)
    assert 0 < found["coverage"] <= 1
    assert found["build_seconds"] > 0
    adapter = HybridAdapter({**JOB, "path": job["output"]})
    facts = adapter.facts()
    assert facts["precision"] == "fp32"
    assert facts["coverage"] == found["coverage"]
    engines = list((tmp_path / "hybrid" / "assets").glob("*.engine"))
    assert facts["engine_bytes"] == sum(engine.stat().st_size for engine in engines) > 0
    assert set(facts["versions"]) == {"tensorflow", "tensorrt"}
    inputs = make_inputs(adapter.inputs, {}, 3, SEED)
    with adapter.watched(3, timed=True) as watched:
        for _ in range(4):
            adapter.call(inputs)
    assert len(watched.reasons) == 1
    assert watched.reasons[0].startswith("fallback: ")
    assert watched.reasons[0].endswith("ran natively in 4 calls")


def test_a_keras_file_becomes_a_saved_model_for_the_hybrid(keras_file, tmp_path):
    job = {**JOB, "build": "hybrid", "path": str(keras_file), "saved_model": str(tmp_path / "saved")}
    assert build({**job, "output": str(tmp_path / "hybrid")})["coverage"] == 1
    inputs = None
    for path in ("saved", "hybrid"):
        adapter = (SavedModelAdapter if path == "saved" else HybridAdapter)({**JOB, "path": str(tmp_path / path)})
        inputs = make_inputs(adapter.inputs, {}, 3, SEED)
        expected = KerasAdapter({**JOB, "path": str(keras_file)}).call(inputs)["scores"]
        assert relative_error(adapter.call(inputs)["scores"], expected) < 1e-5, SEED


def test_a_hybrid_without_an_engine_is_refused(tmp_path):
    module = tf.Module()
    module.call = tf.function(lambda x: {"y": tf.nn.relu(x)}, input_signature=[tf.TensorSpec([None, 4], name="x")])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.call)
    with pytest.raises(BuildError, match="no part of the model is in an engine"):
        build({**JOB, "build": "hybrid", "path": str(tmp_path / "saved"), "output": str(tmp_path / "hybrid")})


class Watch:
    """Stands in for a look into TF-TRT's cache: what was built since the last one."""

    def __init__(self, made):
        self.builds, self.looks, self._made = {}, 0, made

    def before(self, shapes):
        self.looks += 1

    def after(self, shapes):
        from tf2trt.hybrid.tftrt_engines import Build

        self.looks += 1
        self.builds = {"TRTEngineOp_000": [Build((), tuple(self._made))]}


@pytest.fixture
def tf_trt(monkeypatch):
    """A TF-TRT adapter without its model; ``made`` are the engines that its cache holds more than before."""
    from tf2trt.bench import tensorflow_models

    def make(made=()):
        watch = Watch(made)
        monkeypatch.setattr(tensorflow_models, "EngineWatch", lambda *arguments: watch)
        adapter = TfTrtAdapter.__new__(TfTrtAdapter)
        adapter._failed, adapter._ran, adapter._logged = {}, set(), 0
        adapter._module, adapter._names, adapter._watch = None, [], watch
        return adapter, watch

    return make


FALLBACK = (
    "2026-01-01 20:36:48.227138: W tensorflow/compiler/tf2tensorrt/kernels/trt_engine_op.cc:83] TF-TRT Warning: Engine "
    "retrieval for input shapes: [[8,3]] failed. Running native segment for PartitionedCall/TRTEngineOp_000_000\n"
)


def seen(adapter, batch, timed=True, lines=0, times=(1.0, 1.0, 1.0)):
    with adapter.watched(batch, timed) as watched:
        os.write(2, (FALLBACK * lines).encode())
        watched.times = times
    return watched.reasons


def test_fallbacks_of_tf_trt_are_in_its_log(tf_trt):
    adapter, _ = tf_trt()
    reason = ["fallback: TRTEngineOp_000_000: no engine for input shapes [[8,3]]"]
    assert seen(adapter, 1) == []
    assert seen(adapter, 8, timed=False, lines=2) == reason
    assert seen(adapter, 8) == reason  # said in the warm-up, and not again
    assert seen(adapter, 1) == []
    assert seen(adapter, 32, lines=3) == reason
    assert seen(adapter, 1) == ["fallback: cannot be ruled out: TF-TRT stops to log after five of them"]


def test_a_batch_that_ran_in_its_engines_before_tf_trt_stopped_to_log(tf_trt):
    adapter, _ = tf_trt()
    assert seen(adapter, 1, timed=False) == []
    assert seen(adapter, 8, timed=False, lines=5)
    assert seen(adapter, 16, timed=False)
    assert seen(adapter, 1) == []
    assert seen(adapter, 16)


def test_builds_of_tf_trt_are_in_its_cache_which_is_read_where_a_call_was_slow_enough(tf_trt):
    adapter, watch = tf_trt(made=[((8, 3),)])
    assert seen(adapter, 8, timed=False) == []
    assert watch.looks == 1
    assert seen(adapter, 8, times=(40.0, 41.0, 60.0)) == []
    assert watch.looks == 1
    assert seen(adapter, 8, times=(1.0, 1.0, 800.0)) == ["build: 1 engines were built"]
    assert watch.looks == 3


def test_the_whole_command_on_a_cpu(cli, saved_model, tmp_path, monkeypatch):
    program = "from tf2trt.bench import warmup, worker; warmup.LIMIT = 0.05; worker.main()"
    quick = partial(run.run_bench, command=(sys.executable, "-c", program))
    monkeypatch.setattr(run, "run_bench", quick)
    files = {name: tmp_path / f"result.{name}" for name in ("json", "csv", "html")}
    trace = tmp_path / "trace.json"
    given = ["--backend", "native", "--batch", "1,2", "--seconds", "0.02", "--repeats", "3"]
    outputs = [argument for name, path in files.items() for argument in (f"--{name}", path)]
    result = cli("bench", saved_model, *given, *outputs, "--trace", trace)
    assert result.status == 0, result.err
    for text in ("convolutions native fp32", "host to host", "pipelined", "GPU only: not for what runs in TensorFlow"):
        assert text in result.out
    found = BenchResult.from_json(json.loads(files["json"].read_text()))
    assert [(row.batch, row.regime) for row in found.rows] == [
        (batch, regime) for batch in (1, 2) for regime in ("serial", "pipelined")
    ]
    (subject,) = found.subjects
    assert subject.versions == {"tensorflow": tf.__version__}
    assert subject.load_seconds > 0
    for row in found.rows:
        assert row.p50_ms == pytest.approx(statistics.median(row.turns_p50_ms), rel=1.0)
        assert row.void == ()
    assert files["csv"].read_text().count("\n") == 5
    assert "convolutions native fp32" in files["html"].read_text()
    assert {event["name"] for event in json.loads(trace.read_text())["traceEvents"]} >= {"call", "process_name"}


def test_a_baseline_that_was_faster_fails_and_json_alone_is_the_only_output(cli, tmp_path, monkeypatch):
    """The results are made up: what the command makes of them is what is tested."""
    now = bench_results.make_result(void=False)
    now = replace(now, subjects=tuple(replace(each, error=None) for each in now.subjects), preset="tf2trt")
    now = replace(now, environment={**now.environment, "notes": ["one thing to know"]})
    monkeypatch.setattr(run, "run_bench", lambda options, progress: now)
    before = tmp_path / "before.json"

    def compared(factor):
        plain = json.loads(json.dumps(now.to_json()))
        for row in plain["rows"]:
            row["p50_ms"] *= factor
            row["throughput"] /= factor
        before.write_text(json.dumps(plain))
        return cli("bench", "m.onnx", "--baseline", before)

    same, slower = compared(1.0), compared(0.1)
    assert same.status == 0, same.err
    assert "Against the baseline" in same.out
    assert "one thing to know" in same.out
    assert slower.status == 1
    assert "slower" in slower.out
    printed = cli("bench", "m.onnx", "--json")
    assert BenchResult.from_json(json.loads(printed.out)).rows == now.rows
    assert printed.status == 0
    void = replace(now, rows=(replace(now.rows[0], void=("NaN in the output y",)), *now.rows[1:]))
    monkeypatch.setattr(run, "run_bench", lambda options, progress: void)
    assert cli("bench", "m.onnx").status == 1
    failed = replace(now, subjects=(replace(now.subjects[0], error="it died"), *now.subjects[1:]))
    monkeypatch.setattr(run, "run_bench", lambda options, progress: failed)
    assert cli("bench", "m.onnx").status == 1


def test_wrong_usage(cli, tmp_path):
    for arguments, words in (
        (["--json", "m.engine", "n.engine"], "put --json at the end"),
        (["m.onnx", "--batch", "1,x"], "--batch"),
        (["m.onnx", "--baseline", tmp_path / "none.json"], "baseline"),
        (["m.onnx", "--preset", "trtexec-9"], "trtexec-10"),
        (["m.onnx", "--csv", tmp_path / "no" / "a.csv"], "mkdir"),
        ([], "SUBJECT"),
    ):
        result = cli("bench", *arguments)
        assert result.status in (1, 2)
        assert words in result.err
        assert result.out == ""
