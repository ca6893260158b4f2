"""One call from Keras to an engine, built for real by TensorRT-RTX where there is no GPU."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions
from tf2trt.conversion import build_for, convert, why_not_run
from tf2trt.errors import DeviceError, OnnxError, OutputError, UsageError
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange

PROFILE = {"x": ShapeRange((1, 6), (4, 6), (8, 6))}


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    x = keras.Input((6,), name="x")
    hidden = keras.layers.LeakyReLU()(keras.layers.Dense(16)(x))
    model = keras.Model(x, keras.layers.Dense(3, name="y")(hidden))
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def report(keras_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    options = BuildOptions(profiles=(PROFILE,))
    return convert(keras_file, folder / "m.engine", options, keep_onnx=folder / "kept.onnx")


def test_every_stage_reports(report):
    assert report.export.max_rel_error < 1e-4
    assert report.surgery.nodes_after <= report.surgery.nodes_before
    assert report.surgery.max_rel_error < 1e-5
    assert report.support.supported
    assert report.build.sidecar == Sidecar.read(report.build.engine)
    assert [spec.name for spec in report.build.sidecar.inputs] == ["x"]
    assert (report.verify is None) == (report.not_run is not None)
    assert set(json.loads(json.dumps(report.to_json()))) == {
        "export",
        "surgery",
        "support",
        "build",
        "verify",
        "not_run",
        "no_plugins",
    }


def test_nothing_but_what_was_asked_for_is_left(report):
    folder = report.build.engine.parent
    assert sorted(path.name for path in folder.iterdir()) == ["kept.onnx", "m.engine", "m.engine.json"]


def test_the_kept_graph_is_the_one_that_was_built(report):
    import hashlib

    kept = (report.build.engine.parent / "kept.onnx").read_bytes()
    assert hashlib.sha256(kept).hexdigest() == report.build.sidecar.onnx_sha256


def test_the_command(cli, keras_file, tmp_path):
    shapes = ("--min-shapes", "x:1x6", "--max-shapes", "x:8x6", "--opt-shapes", "x:2x6")
    result = cli("convert", keras_file, "-o", tmp_path / "m.engine", *shapes, "--precision", "fp16")
    assert result.status == 0, result.err
    assert "relative to the model" in result.out
    assert "fp16 asked" in result.out
    assert Sidecar.read(tmp_path / "m.engine").precision_found["float16"] > 0
    library = libraries.find(need_builder=True)
    assert ("Built, but not run" if why_not_run(library) else "Compared with ONNX Runtime") in result.out


def test_fixed_shapes_need_no_profile(cli, keras_file, tmp_path):
    result = cli("convert", keras_file, "-o", tmp_path / "m.engine", "--inputs", "x:2x6", "--json")
    value = json.loads(result.out)
    assert value["build"]["sidecar"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [2, 6]}]


def test_a_dynamic_batch_without_shapes_is_explained(cli, keras_file, tmp_path):
    result = cli("convert", keras_file, "-o", tmp_path / "m.engine")
    assert (result.status, result.out) == (2, "")
    assert "--min-shapes x:1x6" in result.err
    assert list(tmp_path.iterdir()) == []


def test_the_output_is_checked_before_any_work(tmp_path):
    for keywords in ({"output": tmp_path / "no" / "m.engine"}, {"output": tmp_path / "m", "keep_onnx": tmp_path}):
        with pytest.raises(OutputError):
            convert("never looked at", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_fp16_of_a_missing_file_is_an_onnx_error(tmp_path):
    for precision in ("fp32", "fp16"):
        with pytest.raises(OnnxError, match=r"no\.onnx"):
            build_for(tmp_path / "no.onnx", tmp_path / "m.engine", BuildOptions(precision=precision))


def test_fp16_leaves_the_users_file_alone(small_onnx, tmp_path):
    before = small_onnx.read_bytes()
    options = BuildOptions(precision="fp16", profiles=({"x": ShapeRange((1, 4), (2, 4), (4, 4))},))
    report = build_for(small_onnx, tmp_path / "m.engine", options)
    assert report.sidecar.precision_found["float16"] > 0
    assert small_onnx.read_bytes() == before


def device(capability):
    return lambda ordinal=0: SimpleNamespace(name="a GPU", compute_capability=capability)


RTX = SimpleNamespace(kind="rtx", version_text="1.7.1")
FULL = SimpleNamespace(kind="full", version_text="8.6.0")


@pytest.mark.parametrize(
    ("library", "capability", "runs"),
    [(RTX, (8, 9), True), (RTX, (12, 0), True), (RTX, (9, 0), False), (FULL, (9, 0), True), (FULL, (5, 3), True)],
)
def test_where_an_engine_runs(monkeypatch, library, capability, runs):
    monkeypatch.setattr(_native, "device", device(capability))
    reason = why_not_run(library)
    assert (reason is None) == runs
    assert runs or "compute capability 9.0" in reason


def test_where_there_is_no_gpu(monkeypatch):
    def none(ordinal=0):
        raise DeviceError("no usable GPU: no NVIDIA driver (libcuda.so.1: cannot open)", hint="install one")

    monkeypatch.setattr(_native, "device", none)
    assert why_not_run(FULL) == "no usable GPU: no NVIDIA driver"


def test_the_public_name_is_the_function_whatever_was_imported_before():
    code = "import tf2trt, tf2trt.conversion, tf2trt.cli.convert; print(callable(tf2trt.convert))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True"


def test_wrong_values_of_the_export_are_usage_errors(keras_file, tmp_path):
    with pytest.raises(UsageError):
        convert(keras_file, tmp_path / "m.engine", opset=3)
    assert np.size(list(tmp_path.iterdir())) == 0


def test_what_is_written_into_the_graph_for_each_tensorrt(tmp_path, monkeypatch):
    """TensorRT 8 keeps rules itself, but of a layer that has scales these are taken out; on 11 the graph has it all."""
    import onnx
    from quantised_graphs import network

    from tf2trt import conversion

    seen = []

    def build_engine(path, output, options, *, library, progress, timer):
        graph = onnx.load(str(path)).graph
        types = {tensor.data_type for tensor in graph.initializer}
        quantised = {node.name.split("/")[0] for node in graph.node if node.op_type == "DequantizeLinear"}
        seen.append((sorted(quantised), onnx.TensorProto.FLOAT16 in types))
        return conversion.BuildReport(output, None, (), 0.0)

    monkeypatch.setattr(conversion, "build_engine", build_engine)
    full = {"kind": "full", "generation": 8, "builds_without_gpu": False}
    eight = SimpleNamespace(strongly_typed=False, version_text="8.6.0", **full)
    eleven = SimpleNamespace(strongly_typed=True, version_text="11.1.0", **{**full, "generation": 11})
    plain, quantised = network(tmp_path / "p.onnx"), network(tmp_path / "q.onnx", quantise=True)
    rules = (("conv1", "fp16"),)
    for library in (eight, eleven):
        for source, precision, given in (
            (plain, "fp16", ()),
            (plain, "fp32", rules),
            (quantised, "int8", ()),
            (quantised, "int8+fp16", ()),
            (quantised, "int8", rules),
        ):
            build_for(
                source,
                tmp_path / "m.engine",
                BuildOptions(precision=precision, layer_precision=given),
                library=library,
            )
    every, others = ["conv0", "conv1", "conv2"], ["conv0", "conv2"]
    assert seen[:5] == [([], False), ([], False), (every, False), (every, False), (others, False)]
    assert seen[5:] == [([], True), ([], True), (every, False), (every, True), (others, True)]


def test_a_gpu_without_the_type_is_refused_before_the_export(tmp_path, monkeypatch):
    nano = SimpleNamespace(name="Jetson Nano", compute_capability=(5, 3))
    monkeypatch.setattr(_native, "device", lambda ordinal=0: nano)
    eight = SimpleNamespace(kind="full", generation=8, strongly_typed=False, version_text="8.2.1")
    with pytest.raises(UsageError, match="Jetson Nano does not compute in INT8"):
        convert(tmp_path / "never_read.keras", tmp_path / "m.engine", BuildOptions(precision="int8"), library=eight)
