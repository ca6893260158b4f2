"""narrow_types: FLOAT inside for DOUBLE, the same results up to FP32; constants that do not fit are named."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.errors import SurgeryError
from tf2trt.numerics import relative_error
from tf2trt.surgery.narrow_types import narrow_types
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"node of {outputs[0]}", **attributes)


def build(nodes, inputs, outputs, constants=None, opset=17):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, ["n", 4]) for name, kind in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model, feed):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)


def rewritten(model, tolerance=1e-6):
    before = onnx.ModelProto()
    before.CopyFrom(model)
    after, report = run_pass("narrow_types", narrow_types, model)
    onnx.checker.check_model(after, full_check=True)
    feed = {}
    for value in before.graph.input:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        feed[value.name] = (rng.standard_normal((3, 4)) * 5).astype(dtype)
    for wanted, got in zip(run(before, feed), run(after, feed)):
        assert got.dtype == wanted.dtype
        assert relative_error(got, wanted) <= tolerance
    return after, report.notes


def kinds(model):
    """The element types inside the model, by name."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}


def test_double_inside():
    nodes = [
        node("Cast", ["x"], ["wide"], to=DOUBLE),
        node("Mul", ["wide", "pi"], ["product"]),
        node("Constant", [], ["half"], value=numpy_helper.from_array(np.float64(0.1))),
        node("Add", ["product", "half"], ["sum"]),
        node("Shape", ["sum"], ["shape"]),
        node("ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(np.ones(1))),
        node("Sub", ["sum", "ones"], ["less"]),
        node("Cast", ["less"], ["y"], to=FLOAT),
    ]
    made = build(nodes, [("x", FLOAT)], [("y", FLOAT)], {"pi": np.float64(3.14159265358979)})
    model, notes = rewritten(made)
    assert DOUBLE not in kinds(model).values()
    assert [item.op_type for item in model.graph.node] == [item.op_type for item in nodes]
    assert "3 constants made FLOAT" in notes[0]
    assert notes[1].startswith("constants rounded by at most ")
    assert 1e-9 < float(notes[1].split()[5]) < 6e-8


def test_double_inputs_and_outputs_keep_their_type():
    nodes = [node("Neg", ["x"], ["y"]), node("Mul", ["y", "x"], ["z"]), node("Add", ["z", "f64"], ["w"])]
    made = build(nodes, [("x", DOUBLE)], [("y", DOUBLE), ("w", DOUBLE)], {"f64": np.array([1.5])})
    model, notes = rewritten(made)
    assert sorted(item.op_type for item in model.graph.node) == ["Add", "Cast", "Cast", "Cast", "Mul", "Neg"]
    assert set(kinds(model).values()) == {FLOAT}
    assert len(notes) == 1  # 1.5 is exact
    model, _ = rewritten(build([node("Neg", ["x"], ["y"])], [("x", DOUBLE)], [("y", DOUBLE)]))
    assert [item.op_type for item in model.graph.node] == ["Cast", "Neg", "Cast"]


def test_double_in_a_body():
    branches = {
        name: helper.make_graph(
            [node(op, ["wide", "c"], [f"{name} r"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name} r", DOUBLE, None)],
        )
        for name, op in (("then_branch", "Add"), ("else_branch", "Sub"))
    }
    nodes = [
        *(node("Cast", ["x"], ["wide"], to=DOUBLE), node("ReduceMax", ["wide"], ["most"], keepdims=0)),
        *(node("Greater", ["most", "c"], ["is"]), node("If", ["is"], ["r"], **branches)),
        node("Cast", ["r"], ["y"], to=FLOAT),
    ]
    model, _ = rewritten(build(nodes, [("x", FLOAT)], [("y", FLOAT)], {"c": np.float64(0.3)}))
    assert DOUBLE not in kinds(model).values()
    assert b"wide" in model.SerializeToString()


@pytest.mark.parametrize("value", [1e300, -1e39, 1e-300])
def test_double_out_of_range(value):
    nodes = [node("Add", ["x", "huge"], ["y"])]
    made = build(nodes, [("x", DOUBLE)], [("y", DOUBLE)], {"huge": np.array([1.0, value])})
    with pytest.raises(SurgeryError) as caught:
        run_pass("narrow_types", narrow_types, made)
    assert "'huge'" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_infinity_and_zero_are_in_range():
    nodes = [node("Min", ["x", "top"], ["y"])]
    model, notes = rewritten(build(nodes, [("x", DOUBLE)], [("y", DOUBLE)], {"top": np.array([np.inf, 0, 1, -np.inf])}))
    assert FLOAT in {item.data_type for item in model.graph.initializer}
    assert len(notes) == 1


def test_double_of_another_domain_stays():
    made = build([node("Gelu", ["x"], ["y"])], [("x", DOUBLE)], [("y", DOUBLE)])
    made.graph.node[0].domain = "com.microsoft"
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", DOUBLE, ["n", 4]))
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model, report = run_pass("narrow_types", narrow_types, made)
    assert [item.op_type for item in model.graph.node] == ["Gelu"]
    assert report.notes == ("DOUBLE left alone: Gelu 'node of y' may want it",)


def test_models_without_either_stay():
    made = build([node("Neg", ["x"], ["y"])], [("x", FLOAT)], [("y", FLOAT)])
    wanted = made.SerializeToString()
    model, notes = rewritten(made)
    assert (
        model.SerializeToString()
        == onnx.shape_inference.infer_shapes(onnx.load_from_string(wanted)).SerializeToString()
    )
    assert not notes


def test_bounds_of_slices():
    limits = np.iinfo(np.int64)
    constants = {
        "from": np.array([1]),
        "end": np.array([limits.max]),
        "last": np.array([limits.max - 7]),
        "begin": np.array([limits.min]),
        "axis": np.array([1]),
        "back": np.array([-1]),
    }
    nodes = [
        node("Slice", ["x", "from", "end", "axis"], ["rest"]),
        node("Slice", ["rest", "last", "begin", "axis", "back"], ["y"]),
    ]
    model, notes = rewritten(build(nodes, [("x", FLOAT)], [("y", FLOAT)], constants), 0)
    assert notes == ("3 bounds of Slice clamped to INT32",)
    values = [numpy_helper.to_array(item) for item in model.graph.initializer]
    assert max(value.max() for value in values) == np.iinfo(np.int32).max
    assert min(value.min() for value in values) == np.iinfo(np.int32).min


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**62])
def test_int64_out_of_range(value):
    nodes = [node("Cast", ["x"], ["i"], to=INT64), node("Add", ["i", "big"], ["y"])]
    made = build(nodes, [("x", FLOAT)], [("y", INT64)], {"big": np.array([3, value, 1, 1])})
    with pytest.raises(SurgeryError) as caught:
        run_pass("narrow_types", narrow_types, made)
    for words in ("'big'", str(value), "node of y"):
        assert words in str(caught.value)


def test_int64_in_range_stays():
    nodes = [node("ArgMax", ["x"], ["i"], axis=1), node("Add", ["i", "most"], ["y"])]
    model, notes = rewritten(build(nodes, [("x", FLOAT)], [("y", INT64)], {"most": np.array([2**31 - 1])}), 0)
    assert set(kinds(model).values()) == {INT64}
    assert not notes


def test_what_tensorflow_writes():
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")

    def compute(x):
        wide = tf.cast(x, tf.float64)
        mean = tf.reduce_mean(wide, axis=1, keepdims=True)
        return tf.cast(tf.nn.softmax(wide * 0.3 - mean) + tf.math.l2_normalize(wide, axis=1), tf.float32)

    spec = [tf.TensorSpec((None, 4), tf.float32, name="x")]
    made, _ = tf2onnx.convert.from_function(tf.function(compute, input_signature=spec), input_signature=spec, opset=17)
    assert DOUBLE in kinds(made).values()
    model, _ = rewritten(made, 1e-6)
    assert DOUBLE not in kinds(model).values()
