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
    state.network_layers = []
    state.capability = (9, 0)

    def build(library, path, options, progress=None):
        state.built.append(SimpleNamespace(library=library, path=path, options=options, progress=progress))
        tensors = [SimpleNamespace(name=name, dtype="float32", shape=(-1, 4)) for name in "xy"]
        return SimpleNamespace(
            plan=memoryview(PLAN),
            inputs=tensors[:1],
            outputs=tensors[1:],
            layer_types=state.layer_types,
            network_layers=state.network_layers,
            timing_cache=state.timing_cache,
            plugin_libraries=state.plugin_libraries,
            log=["a warning"],
            seconds=1.5,
        )

    def information():
        return json.dumps({"Layers": [{"Outputs": [{"Format/Datatype": text}]} for text in state.formats]})

    engine = SimpleNamespace(deserialize=lambda library, plan: SimpleNamespace(information=information))

    def device(ordinal=0):
        return SimpleNamespace(name="NVIDIA H200", compute_capability=state.capability)

    monkeypatch.setattr(_native, "build", build, raising=False)
    monkeypatch.setattr(_native, "BuilderOptions", SimpleNamespace, raising=False)
    monkeypatch.setattr(_native, "Engine", engine)
    monkeypatch.setattr(_native, "device", device)
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
    assert "tf2trt.surgery.set_precision" in str(caught.value)
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


CONV = SimpleNamespace(
    name="conv", kind="convolution", inputs=[("x", "float32"), ("w", "float32")], outputs=[("y", "float32")]
)


def inspected(name, text):
    return [{"Name": name, "LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": text}]}]


def use_inspector(monkeypatch, layers):
    engine = SimpleNamespace(information=lambda: json.dumps({"Layers": layers}))
    monkeypatch.setattr(_native, "Engine", SimpleNamespace(deserialize=lambda library, plan: engine))


@pytest.fixture
def quantised(tmp_path):
    """A network with scales."""
    tensors = [
        onnx.helper.make_tensor("s", onnx.TensorProto.FLOAT, [], [0.1]),
        onnx.helper.make_tensor("z", onnx.TensorProto.INT8, [], [0]),
    ]
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in "xy"]
    path = tmp_path / "quantised.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", values[:1], values[1:], tensors)), str(path))
    return path


def test_an_engine_that_is_not_what_was_asked_leaves_nothing(model, tmp_path, core, monkeypatch):
    core.network_layers = [CONV]
    use_inspector(monkeypatch, inspected("conv", "Row major linear FP32"))
    options = {"precision": "fp16", "profiles": [PROFILE]}
    with pytest.raises(BuildError, match="conv: float32"):
        build_engine(model, tmp_path / "m.engine", BuildOptions(**options), library=library())
    assert os.listdir(tmp_path) == ["m.onnx"]
    taken = BuildOptions(**options, allow_fallback=True)
    report = build_engine(model, tmp_path / "m.engine", taken, library=library())
    assert Sidecar.read(tmp_path / "m.engine").proof.share == 0
    assert report.to_json()["sidecar"]["precision"]["proof"]["layers"][0]["asked"] is False


def test_the_proof_and_the_layers_times_are_in_the_sidecar(model, tmp_path, core, monkeypatch):
    core.network_layers = [CONV]
    use_inspector(monkeypatch, inspected("conv", "Row major linear FP16 format"))
    asked = []

    def timer(library, plan):
        asked.append(bytes(plan))
        return [("conv", 0.125)]

    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    build_engine(model, tmp_path / "m.engine", options, library=library(), timer=timer)
    proof = Sidecar.read(tmp_path / "m.engine").proof
    assert asked == [PLAN]
    assert (proof.source, proof.share, proof.time_share) == ("engine", 1, 1)
    (found,) = proof.layers
    assert (found.name, found.precision, found.asked, found.milliseconds) == ("conv", "float16", True, 0.125)


def test_where_types_are_the_graphs_own_times_come_from_the_engine(model, tmp_path, core, monkeypatch):
    half = [("x", "float16"), ("w", "float16")]
    core.network_layers = [SimpleNamespace(name="conv", kind="convolution", inputs=half, outputs=half[:1])]
    use_inspector(monkeypatch, [*inspected("conv", "Half"), *inspected("another", "Float")])
    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    times = [("conv", 0.75), ("another", 0.25)]
    build = {"library": library(11), "timer": lambda library, plan: times}
    proof = build_engine(model, tmp_path / "m.engine", options, **build).sidecar.proof
    assert (proof.source, proof.share, proof.time_share) == ("network", 1, 0.75)
    assert [layer.name for layer in proof.layers] == ["conv"]


def test_a_build_is_not_lost_when_its_layers_cannot_be_timed(model, tmp_path, core, monkeypatch, caplog):
    core.network_layers = [CONV]
    use_inspector(monkeypatch, inspected("conv", "Half"))

    def timer(library, plan):
        raise DeviceError("out of memory")

    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    report = build_engine(model, tmp_path / "m.engine", options, library=library(), timer=timer)
    assert (report.sidecar.proof.share, report.sidecar.proof.time_share) == (1, None)
    assert "the built layers were not timed: out of memory" in caplog.text


def test_a_gpu_without_the_type_is_refused_before_any_work(model, quantised, tmp_path, core):
    core.capability = (5, 3)
    with pytest.raises(UsageError, match="INT8"):
        build_engine(quantised, tmp_path / "m.engine", BuildOptions(precision="int8"), library=library())
    with pytest.raises(UsageError, match="a graph that holds INT8"):
        build_engine(quantised, tmp_path / "m.engine", library=library())
    options = BuildOptions(precision="bf16", profiles=[PROFILE])
    with pytest.raises(UsageError, match="BF16"):
        build_engine(model, tmp_path / "m.engine", options, library=library(10))
    assert core.built == []
    taken = BuildOptions(precision="int8", allow_fallback=True)
    build_engine(quantised, tmp_path / "m.engine", taken, library=library())
    assert len(core.built) == 1


def test_rules_for_layers_reach_a_core_that_chooses_types(model, tmp_path, core):
    rules = (("conv*", "fp32"), ("dense", "fp16"))
    options = BuildOptions(precision="fp16", profiles=[PROFILE], layer_precision=rules)
    report = build_engine(model, tmp_path / "m.engine", options, library=library(8))
    assert core.built[-1].options.layer_precision == list(rules)
    assert Sidecar.read(tmp_path / "m.engine") == report.sidecar
    assert report.sidecar.layer_precision == rules
    core.layer_types = {"float16": 1}
    build_engine(model, tmp_path / "m.engine", options, library=library(11))
    assert "layer_precision" not in vars(core.built[-1].options)  # there the graph has the types


def test_int8_without_scales(model, quantised, tmp_path, core):
    options = {"precision": "int8", "profiles": [PROFILE]}
    for each, words in ((library(8), "--calib"), (library(11), "a quantised network\n")):
        with pytest.raises(UsageError, match="needs scales, and the network has none") as caught:
            build_engine(model, tmp_path / "m.engine", BuildOptions(**options), library=each)
        assert words in str(caught.value)
    assert core.built == []
    calibration = object()
    build_engine(model, tmp_path / "m.engine", BuildOptions(**options, calibration=calibration), library=library(8))
    assert core.built[-1].options.calibrator is calibration
    assert core.built[-1].options.precision == "int8"
    with pytest.raises(UsageError, match="has no calibrators"):
        build_engine(
            model, tmp_path / "m.engine", BuildOptions(**options, calibration=calibration), library=library(11)
        )
    build_engine(quantised, tmp_path / "m.engine", BuildOptions(precision="int8"), library=library(8))
    assert "calibrator" not in vars(core.built[-1].options)


def test_where_tensorrt_chooses_the_types_the_built_engine_is_asked(model, tmp_path, core):
    core.formats = ["Row major linear FP16 format", "Row major linear FP32"]
    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    report = build_engine(model, tmp_path / "m.engine", options, library=library(8))
    assert report.sidecar.precision_found == {"float16": 1, "float32": 1}
