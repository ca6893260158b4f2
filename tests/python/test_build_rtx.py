"""Real builds, ahead of time with TensorRT-RTX: no GPU needed."""

import threading

import numpy as np
import pytest

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import BuildError, EngineError, EngineVersionError, OnnxError, UsageError
from tf2trt.runtime import Engine
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange, TensorSpec

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto

PROFILE = {"x": ShapeRange((1, 3, 8, 8), (4, 3, 8, 8), (16, 3, 8, 8))}


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    found = [each.library for each in libraries.candidates() if each.library is not None and each.library.kind == "rtx"]
    assert found, "the wheel is installed but its library was not found"
    return found[0]


def save(path, nodes, initializers=(), dtype=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", dtype, None)],
        list(initializers),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def conv(path, dtype=np.float32):
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(dtype)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    kind = TensorProto.FLOAT16 if dtype == np.float16 else TensorProto.FLOAT
    return save(path, nodes, [onnx.numpy_helper.from_array(weights, "w")], kind)


@pytest.fixture(scope="module")
def built(rtx, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rtx")
    return build_engine(conv(folder / "m.onnx"), folder / "m.engine", BuildOptions(profiles=[PROFILE]), library=rtx)


def test_a_dynamic_model_is_built(built, rtx):
    sidecar = Sidecar.read(built.engine)
    assert sidecar == built.sidecar
    assert sidecar.inputs == (TensorSpec("x", "float32", (-1, 3, 8, 8)),)
    assert [spec.name for spec in sidecar.outputs] == ["y"]
    assert (sidecar.kind, sidecar.tensorrt) == ("rtx", rtx.version_text)
    assert sidecar.precision_found.get("float32", 0) >= 2
    assert built.seconds > 0
    assert _native.read_plan_header(built.engine.read_bytes()).version[:3] == rtx.version


def reshape(path):
    """y = Relu(Reshape(x, s)): the values of s are y's shape."""
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "s"], ["z"]), helper.make_node("Relu", ["z"], ["y"])],
        "g",
        [make("x", TensorProto.FLOAT, [2, 6]), make("s", TensorProto.INT64, [2])],
        [make("y", TensorProto.FLOAT, ["a", "b"])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def test_a_shape_tensor_has_values(rtx, tmp_path):
    values = {"s": ShapeRange((-1, 1), (2, 6), (12, 12))}
    options = BuildOptions(profiles=[values])
    report = build_engine(reshape(tmp_path / "m.onnx"), tmp_path / "m.engine", options, library=rtx)
    assert report.sidecar.profiles == (values,)
    assert Sidecar.read(report.engine) == report.sidecar
    assert report.sidecar.inputs[1] == TensorSpec("s", "int64", (2,))


@pytest.mark.parametrize("profiles", [[], [{"x": ShapeRange((2, 6), (2, 6), (2, 6))}]])
def test_a_shape_tensor_without_values_is_named(rtx, tmp_path, profiles):
    with pytest.raises(UsageError, match='"s" is a shape tensor and no values are given') as caught:
        build_engine(reshape(tmp_path / "m.onnx"), tmp_path / "m.engine", BuildOptions(profiles=profiles), library=rtx)
    assert "--min-shapes s:..." in str(caught.value)
    assert not (tmp_path / "m.engine").exists()


# What Python lets pass, since the file does not say which of the two it is.
def test_values_are_for_shape_tensors_only(rtx, tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Neg", ["x"], ["y"])], dtype=TensorProto.INT32)
    graph = onnx.load(str(model))
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, str(model))
    values = ShapeRange((0,) * 192, (0,) * 192, (1,) * 192)
    with pytest.raises(UsageError, match='"x" does not have this shape'):
        build_engine(model, tmp_path / "m.engine", BuildOptions(profiles=[{"x": values}]), library=rtx)


def test_fp16_is_what_the_graph_holds(rtx, tmp_path):
    options = BuildOptions(precision="fp16", profiles=[PROFILE])
    with pytest.raises(BuildError, match="set_precision"):
        build_engine(conv(tmp_path / "fp32.onnx"), tmp_path / "m.engine", options, library=rtx)
    assert not (tmp_path / "m.engine").exists()
    report = build_engine(conv(tmp_path / "fp16.onnx", np.float16), tmp_path / "m.engine", options, library=rtx)
    assert report.sidecar.precision_found["float16"] >= 2
    assert report.sidecar.inputs[0].dtype == "float16"


def test_an_unknown_operator_is_named(rtx, tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Frobnicate", ["x"], ["y"], name="odd", domain="my.ops")])
    with pytest.raises(OnnxError) as caught:
        build_engine(model, tmp_path / "m.engine", BuildOptions(profiles=[PROFILE]), library=rtx)
    assert "Frobnicate" in str(caught.value)
    assert "odd" in str(caught.value)


def test_static_extents_outside_the_profile_are_found_first(rtx, tmp_path):
    wrong = {"x": ShapeRange((1, 3, 8, 9), (1, 3, 8, 9), (1, 3, 8, 9))}
    with pytest.raises(UsageError, match=r"\?x3x8x8"):
        build_engine(conv(tmp_path / "m.onnx"), tmp_path / "m.engine", BuildOptions(profiles=[wrong]), library=rtx)


def test_progress_is_reported_and_the_gil_is_free_meanwhile(rtx, tmp_path):
    calls, ticks, done = [], [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        build_engine(
            conv(tmp_path / "m.onnx"),
            tmp_path / "m.engine",
            BuildOptions(profiles=[PROFILE]),
            library=rtx,
            progress=lambda *call: calls.append(call) or True,
        )
    finally:
        done.set()
        thread.join()
    assert ticks
    for phase, parent, step, steps in calls:
        assert isinstance(phase, str)
        assert isinstance(parent, str)
        assert 0 <= step <= steps


def test_an_engine_with_an_edited_header_is_another_version(built, rtx, tmp_path):
    data = bytearray(built.engine.read_bytes())
    data[24] = 9
    (tmp_path / "m.engine").write_bytes(bytes(data))
    built.sidecar.write(tmp_path / "m.engine")
    with pytest.raises(EngineVersionError, match="9\\.7\\.1"):
        Engine.load(tmp_path / "m.engine", library=rtx)


def test_a_truncated_engine(built, rtx, tmp_path):
    (tmp_path / "m.engine").write_bytes(built.engine.read_bytes()[:-100])
    built.sidecar.write(tmp_path / "m.engine")
    with pytest.raises(EngineError, match="truncated"):
        Engine.load(tmp_path / "m.engine", library=rtx)
