"""rewrite_pad: the same results in ONNX Runtime, and only what TensorRT-RTX's parser takes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import OnnxError
from tf2trt.specs import ShapeRange
from tf2trt.surgery.explicit_shapes import explicit_shapes
from tf2trt.surgery.fold_constants import fold_constants
from tf2trt.surgery.rewrite_pad import rewrite_pad
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT = TensorProto.FLOAT
SHAPE = ("n", 3, 8, 10)


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    found = [each.library for each in libraries.candidates() if each.library is not None and each.library.kind == "rtx"]
    assert found, "the wheel is installed but its library was not found"
    return found[0]


def build(op, shape=SHAPE, opset=19, inputs=None, **attributes):
    constants = {name: np.asarray(value) for name, value in (inputs or {}).items() if value is not None}
    names = ["x", *(name if value is not None else "" for name, value in (inputs or {}).items())]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], name="it", **attributes)],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model, x):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def rewritten(model, *passes, shape=(2, 3, 8, 10)):
    before = onnx.ModelProto()
    before.CopyFrom(model)
    for each in (*passes, rewrite_pad):
        model, report = run_pass(each.__name__, each, model)
    x = rng.standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(run(model, x), run(before, x))
    return model, report.notes


def takes(rtx, folder, model):
    onnx.save(model, str(folder / "m.onnx"))
    least, most = (tuple(dim.dim_value or n for dim in model.graph.input[0].type.tensor_type.shape.dim) for n in (1, 4))
    options = BuildOptions(profiles=[{"x": ShapeRange(least, least, most)}])
    try:
        build_engine(folder / "m.onnx", folder / "m.engine", options, library=rtx)
    except OnnxError:
        return False
    return True


def ops(model):
    return [item.op_type for item in model.graph.node]


PADS = [0, 0, 1, 2, 0, 0, 2, 1]


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("pads", [PADS, [0, 0, -1, 2, 0, 0, 2, -3]])
def test_what_tensorrt_takes_stays(rtx, tmp_path, mode, pads):
    model, notes = rewritten(build("Pad", inputs={"pads": pads}, mode=mode))
    assert ops(model) == ["Pad"]
    assert not notes
    assert takes(rtx, tmp_path, model)


@pytest.mark.parametrize("pads", [PADS, [0, 0, 8, 0, 0, 0, 0, 3], [0, 1, 0, 0, 0, 2, 0, 10]])
def test_wrap(rtx, tmp_path, pads):
    model, notes = rewritten(build("Pad", inputs={"pads": pads}, mode="wrap"))
    assert set(ops(model)) == {"Gather"}
    assert notes == ("1 Pad wrap rewritten",)
    assert takes(rtx, tmp_path, model)


def test_wrap_with_negative_pads():
    """Against what onnx itself says: what is cut off is not there to be repeated."""
    made = build("Pad", inputs={"pads": [0, 0, 0, -2, 0, 0, 0, 3]}, mode="wrap")
    x = rng.standard_normal((2, 3, 8, 10)).astype(np.float32)
    after, _ = run_pass("rewrite_pad", rewrite_pad, made)
    np.testing.assert_array_equal(run(after, x), np.concatenate([x[..., 2:], x[..., 2:5]], axis=3))


def test_wrap_of_an_unknown_extent_stays():
    model, notes = rewritten(build("Pad", ("n", 3, "h", 10), inputs={"pads": PADS}, mode="wrap"))
    assert ops(model) == ["Pad"]
    assert notes == ("left alone, TensorRT may refuse it: it: Pad wrap",)
    model, _ = rewritten(build("Pad", ("n", 3, "h", 10), inputs={"pads": [0, 0, 0, 2, 0, 0, 0, 1]}, mode="wrap"))
    assert ops(model) == ["Gather"]


@pytest.mark.parametrize("value", [None, np.float32(2.5)])
@pytest.mark.parametrize("axes", [[2, 3], [-1, 1]])
def test_axes(rtx, tmp_path, axes, value):
    inputs = {"pads": [1, 2, 3, 0], "value": value, "axes": axes}
    model, notes = rewritten(build("Pad", inputs=inputs))
    assert ops(model) == ["Pad"]
    assert len(model.graph.node[0].input) == (2 if value is None else 3)
    assert notes == ("1 Pad with axes rewritten",)
    assert takes(rtx, tmp_path, model)
    model, notes = rewritten(build("Pad", inputs=inputs, mode="wrap"))
    assert set(ops(model)) == {"Gather"}
    assert sorted(notes) == ["1 Pad with axes rewritten", "1 Pad wrap rewritten"]


def test_compress(rtx, tmp_path):
    made = build("Compress", inputs={"condition": np.array([1, 0, 1, 1, 0, 0, 1], bool)}, axis=2)
    assert not takes(rtx, tmp_path, made)
    model, notes = rewritten(made)
    assert ops(model) == ["Gather"]
    assert notes == ("1 Compress rewritten",)
    assert takes(rtx, tmp_path, model)
    made = build("Compress", ("n", 3), inputs={"condition": np.array([1, 0, 1, 1], bool)})
    made.graph.output[0].type.tensor_type.shape.dim.pop()
    model, notes = rewritten(made, shape=(2, 3))  # of all elements, wherever they are
    assert ops(model) == ["Compress"]
    assert len(notes) == 1


@pytest.mark.parametrize("mode", ["CONSTANT", "REFLECT", "SYMMETRIC"])
def test_what_tensorflow_writes(rtx, tmp_path, mode):
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    spec = [tf.TensorSpec((None, 8, 10, 3), tf.float32, name="x")]
    function = tf.function(
        lambda x: tf.identity(tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]], mode=mode), name="y"), input_signature=spec
    )
    made, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=17)
    assert takes(rtx, tmp_path, made) == (mode != "SYMMETRIC")
    model, _ = rewritten(made, explicit_shapes, fold_constants, shape=(2, 8, 10, 3))
    assert ops(model) == (["Pad", "Pad", "Gather", "Gather"] if mode == "SYMMETRIC" else ["Pad"])
    assert takes(rtx, tmp_path, model)
    x = rng.standard_normal((2, 8, 10, 3)).astype(np.float32)
    np.testing.assert_array_equal(run(model, x), function(x).numpy())
