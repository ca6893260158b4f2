"""build_engine: what it checks, hands to the core and writes. TensorRT itself is stood in for."""

import json
import os
from types import SimpleNamespace

import pytest

from tf2trt import _native
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import BuildError, DeviceError, OnnxError, OutputError, PluginError, UsageError
from tf2trt.sidecar import Sidecar, sha256, sidecar_path
from tf2trt.specs import ShapeRange, TensorSpec

onnx = pytest.importorskip("onnx")

PLAN = b"ftrt" + bytes(200)
PROFILE = {"x": ShapeRange((1, 4), (8, 4), (32, 4))}


def library(generation=8, **changes):
    values = {
        "generation": generation,
        "kind": "full",
        "version_text": {8: "8.6.0", 10: "10.3.0", 11: "11.1.0"}[generation],
        "strongly_typed": generation == 11,
        "builds_without_gpu": False,
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture
def model(tmp_path):
    make = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [make("x", onnx.TensorProto.FLOAT, ["n", 4])],
        [make("y", onnx.TensorProto.FLOAT, ["n", 4])],
    )
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph), str(path))
    return path


@pytest.fixture
def core(monkeypatch):
    """The core's builder: records its arguments and gives a fixed plan back."""
    state = SimpleNamespace(built=[], layer_types={"float32": 3}, timing_cache=b"timings", formats=["FP32"] * 3)
    state.plugin_libraries = []

    def build(library, path, options, progress=None):
        state.built.append(SimpleNamespace(library=library, path=path, options=options, progress=progress))
        tensors = [SimpleNamespace(name=name, dtype="float32", shape=(-1, 4)) for name in "xy"]
        return SimpleNamespace(
            plan=memoryview(PLAN),
            inputs=tensors[:1],
            outputs=tensors[1:],
            layer_types=state.layer_types,
            timing_cache=state.timing_cache,
            plugin_libraries=state.plugin_libraries,
            log=["a warning"],
            seconds=1.5,
        )

    def information():
        return json.dumps({"Layers": [{"Outputs": [{"Format/Datatype": text}]} for text in state.formats]})

    engine = SimpleNamespace(deserialize=lambda library, plan: SimpleNamespace(information=information))
    gpu = SimpleNamespace(name="NVIDIA H200", compute_capability=(9, 0))
    monkeypatch.setattr(_native, "build", build, raising=False)
    monkeypatch.setattr(_native, "BuilderOptions", SimpleNamespace, raising=False)
    monkeypatch.setattr(_native, "Engine", engine)
    monkeypatch.setattr(_native, "device", lambda ordinal=0: gpu)
    return state


def test_the_plan_and_its_sidecar_are_written_and_reported(model, tmp_path, core):
    output = tmp_path / "m.engine"
    report = build_engine(model, output, BuildOptions(profiles=[PROFILE]), library=library())
    assert sorted(os.listdir(tmp_path)) == ["m.engine", "m.engine.json", "m.onnx"]
    assert output.read_bytes() == PLAN
    found = Sidecar.read(output)
    assert found == report.sidecar
    assert (found.tensorrt, found.generation, found.kind, found.version_compatible) == ("8.6.0", 8, "full", False)
    assert (found.device_name, found.compute_capability) == ("NVIDIA H200", (9, 0))
    assert found.inputs == (TensorSpec("x", "float32", (-1, 4)),)
    assert found.outputs == (TensorSpec("y", "float32", (-1, 4)),)
    assert found.profiles == (PROFILE,)
    assert (found.precision_asked, found.precision_found) == ("fp32", {"float32": 3})
    assert (found.onnx_file, found.onnx_sha256) == ("m.onnx", sha256(model.read_bytes()))
    assert (found.plan_sha256, found.plan_bytes) == (sha256(PLAN), len(PLAN))
    assert found.created.endswith("+00:00")
    assert (report.engine, report.log, report.seconds) == (output, ("a warning",), 1.5)
    assert json.loads(json.dumps(report.to_json()))["sidecar"]["plan"]["bytes"] == len(PLAN)


def test_every_option_reaches_the_core(model, tmp_path, core):
    cache = tmp_path / "timing.cache"
    cache.write_bytes(b"earlier")
    mine = tmp_path / "libmine.so"
    mine.write_bytes(b"code")
    options = BuildOptions(
        precision="fp16",
        profiles=[PROFILE],
        workspace=1 << 20,
        timing_cache=cache,
        version_compatible=True,
        optimization_level=5,
        plugin_libraries=[mine],
    )

    def progress(*arguments):
        return True

    build_engine(str(model), str(tmp_path / "m.engine"), options, library=library(), progress=progress)
    (call,) = core.built
    assert call.path == str(model)
    assert call.progress is progress
    assert vars(call.options) == {
        "precision": "fp16",
        "profiles": [{"x": ((1, 4), (8, 4), (32, 4))}],
        "workspace": 1 << 20,
        "timing_cache": b"earlier",
        "version_compatible": True,
        "optimization_level": 5,
        "plugin_libraries": [str(mine)],
    }
    assert cache.read_bytes() == b"timings"


def test_the_plugin_libraries_of_a_build_are_recorded(model, tmp_path, core):
    mine = tmp_path / "libmine.so"
    mine.write_bytes(b"code")
    core.plugin_libraries = [str(mine)]
    options = BuildOptions(profiles=[PROFILE], plugin_libraries=[mine])
    report = build_engine(model, tmp_path / "m.engine", options, library=library())
    assert report.sidecar.plugins == ({"file": "libmine.so", "sha256": sha256(b"code")},)
    assert Sidecar.read(tmp_path / "m.engine").plugins == report.sidecar.plugins


def test_a_missing_plugin_library_is_named_before_any_work(model, tmp_path, core):
    options = BuildOptions(profiles=[PROFILE], plugin_libraries=[tmp_path / "libgone.so"])
    with pytest.raises(PluginError, match="libgone"):
        build_engine(model, tmp_path / "m.engine", options, library=library())
    assert core.built == []


def test_options_that_were_not_given_are_left_to_the_core(model, tmp_path, core):
    cache = tmp_path / "timing.cache"
    core.timing_cache = b""  # TensorRT-RTX keeps none
    build_engine(model, tmp_path / "m.engine", BuildOptions(profiles=[PROFILE], timing_cache=cache), library=library())
    given = {"precision", "profiles", "timing_cache", "version_compatible", "plugin_libraries"}
    assert set(vars(core.built[0].options)) == given
    assert core.built[0].options.plugin_libraries == []
    assert core.built[0].options.timing_cache == b""
    assert not cache.exists()


def test_dynamic_inputs_without_shapes_are_named_before_tensorrt_starts(model, tmp_path, core):
    with pytest.raises(UsageError, match="--min-shapes x:1x4"):
        build_engine(model, tmp_path / "m.engine", library=library())
    assert core.built == []


def test_a_missing_model_and_a_truncated_one(model, tmp_path, core):
    with pytest.raises(OnnxError, match="cannot read the ONNX file"):
        build_engine(tmp_path / "missing.onnx", tmp_path / "m.engine", library=library())
    model.write_bytes(model.read_bytes()[:40])
    with pytest.raises(OnnxError, match="not a whole ONNX file"):
        build_engine(model, tmp_path / "m.engine", library=library())
    assert core.built == []


@pytest.mark.parametrize("output", ["missing/m.engine", "m.onnx/m.engine", "."])
def test_an_output_that_cannot_be_written_is_found_first(model, tmp_path, core, output):
    with pytest.raises(OutputError):
        build_engine(model, tmp_path / output, BuildOptions(profiles=[PROFILE]), library=library())
    options = BuildOptions(profiles=[PROFILE], timing_cache=tmp_path / output)
    with pytest.raises(OutputError):
        build_engine(model, tmp_path / "m.engine", options, library=library())
    assert core.built == []


def test_bf16_is_refused_by_name_before_tensorrt_10(model, tmp_path, core):
    options = BuildOptions(precision="bf16", profiles=[PROFILE])
    with pytest.raises(UsageError, match=r"TensorRT 8\.6\.0 has no BF16"):
        build_engine(model, tmp_path / "m.engine", options, library=library())
    build_engine(model, tmp_path / "m.engine", options, library=library(10))


def test_where_types_are_the_graphs_own_a_precision_it_lacks_is_an_error(model, tmp_path, core):
    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    with pytest.raises(BuildError) as caught:
        build_engine(model, tmp_path / "m.engine", options, library=library(11))
    assert "received: 3 layers of float32" in str(caught.value)
    assert "tf2trt.surgery.to_fp16" in str(caught.value)
    assert not (tmp_path / "m.engine").exists()
    core.layer_types = {"float32": 1, "float16": 2}
    report = build_engine(model, tmp_path / "m.engine", options, library=library(11))
    assert report.sidecar.precision_found == {"float32": 1, "float16": 2}


def test_without_a_gpu_only_a_library_that_needs_none_builds(model, tmp_path, core, monkeypatch):
    def no_driver(ordinal=0):
        raise DeviceError("no NVIDIA driver")

    monkeypatch.setattr(_native, "device", no_driver)
    options = BuildOptions(profiles=[PROFILE])
    with pytest.raises(DeviceError):
        build_engine(model, tmp_path / "m.engine", options, library=library())
    assert core.built == []
    rtx = library(11, kind="rtx", version_text="1.7.1", builds_without_gpu=True)
    report = build_engine(model, tmp_path / "m.engine", options, library=rtx)
    assert report.sidecar.to_json()["device"] is None


def test_a_failed_build_leaves_an_earlier_engine_as_it_was(model, tmp_path, core, monkeypatch):
    output = tmp_path / "m.engine"
    build_engine(model, output, BuildOptions(profiles=[PROFILE]), library=library())
    before = output.read_bytes(), sidecar_path(output).read_bytes()

    def refuse(*arguments):
        raise BuildError("TensorRT refused")

    monkeypatch.setattr(_native, "build", refuse)
    with pytest.raises(BuildError):
        build_engine(model, output, BuildOptions(profiles=[PROFILE]), library=library())
    assert (output.read_bytes(), sidecar_path(output).read_bytes()) == before


def test_a_build_is_not_lost_when_its_types_cannot_be_read(model, tmp_path, core, monkeypatch, caplog):
    engine = SimpleNamespace(information=lambda: "no JSON")
    monkeypatch.setattr(_native, "Engine", SimpleNamespace(deserialize=lambda library, plan: engine))
    report = build_engine(model, tmp_path / "m.engine", BuildOptions(profiles=[PROFILE]), library=library(8))
    assert report.engine.read_bytes() == PLAN
    assert report.sidecar.precision_found == {}
    assert "the types of the built layers are not known" in caplog.text


def test_where_tensorrt_chooses_the_types_the_built_engine_is_asked(model, tmp_path, core):
    core.formats = ["Row major linear FP16 format", "Row major linear FP32"]
    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    report = build_engine(model, tmp_path / "m.engine", options, library=library(8))
    assert report.sidecar.precision_found == {"float16": 1, "float32": 1}
