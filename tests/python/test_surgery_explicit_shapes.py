"""explicit_shapes: the same results before and after in ONNX Runtime, and shapes that are constants."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.surgery.explicit_shapes import explicit_shapes
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT, INT64, INT32 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"node of {outputs[0]}", **attributes)


def build(nodes, shape, rank, constants=None, opset=17, y=FLOAT):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", y, [None] * rank)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, x):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def rewritten(model, *shapes):
    """The rewritten model, which gives the same on inputs of these shapes; and the notes."""
    before = onnx.ModelProto()
    before.CopyFrom(model)
    after, report = run_pass("explicit_shapes", explicit_shapes, model)
    for shape in shapes:
        x = rng.standard_normal(shape).astype(np.float32)
        np.testing.assert_array_equal(run(before, x), run(after, x))
    return after, report.notes


def ops(model):
    return sorted(item.op_type for item in model.graph.node)


def shape_of(model):
    """The constant shape of the only Reshape."""
    (reshape,) = (item for item in model.graph.node if item.op_type == "Reshape")
    (shape,) = (item for item in model.graph.initializer if item.name == reshape.input[1])
    assert shape.data_type == INT64
    assert not reshape.attribute
    return numpy_helper.to_array(shape).tolist()


def box3d_chain(cast):
    """Reshape to (batch, 6, 2), the batch from Shape; tf2onnx does the arithmetic in INT32."""
    shaped = [node("Shape", ["x"], ["s"])]
    if cast:
        shaped.append(node("Cast", ["s"], ["s32"], to=INT32))
    shaped += [
        node("Slice", ["s32" if cast else "s", "zero", "one", "zero"], ["batch"]),
        node("Concat", ["batch", "bins", "two"], ["wanted"], axis=0),
    ]
    if cast:
        shaped.append(node("Cast", ["wanted"], ["wanted64"], to=INT64))
    kind = np.int32 if cast else np.int64
    constants = {"zero": np.array([0]), "one": np.array([1]), "bins": np.array([6], kind), "two": np.array([2], kind)}
    return [*shaped, node("Reshape", ["x", "wanted64" if cast else "wanted"], ["y"])], constants


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize(("batch", "expected"), [("n", [-1, 6, 2]), (None, [-1, 6, 2]), (5, [5, 6, 2])])
def test_a_reshape_whose_batch_is_computed(cast, batch, expected):
    nodes, constants = box3d_chain(cast)
    model, notes = rewritten(build(nodes, [batch, 12], 3, constants), (5, 12))
    assert ops(model) == ["Reshape"]
    assert shape_of(model) == expected
    assert len(model.graph.initializer) == 1
    assert "1 Reshape with a constant shape now" in notes
    assert [item.name for item in model.graph.node] == ["node of y"]


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [
        (["n", 3, 4, 5], 1, [-1, 60]),
        ([2, 3, 4, 5], 1, [2, 60]),
        ([2, 3, 4, 5], 0, [1, 120]),
        (["n", 3, 4, 5], 0, [1, -1]),
        ([2, 3, 4, 5], 4, [120, 1]),
        ([2, 3, 4, 5], -1, [24, 5]),
        ([2, "h", 4, 5], 2, [-1, 20]),
        (["n", 3, "w", 5], 1, [0, -1]),
    ],
)
def test_flatten(shape, axis, expected):
    real = [extent if isinstance(extent, int) else 3 for extent in shape]
    model, notes = rewritten(build([node("Flatten", ["x"], ["y"], axis=axis)], shape, 2), real)
    assert ops(model) == ["Reshape"]
    assert shape_of(model) == expected
    assert notes == ("1 Flatten made Reshape",)


def test_a_flatten_that_needs_two_unknown_extents_stays():
    model, notes = rewritten(build([node("Flatten", ["x"], ["y"], axis=2)], ["n", 3, "w", 5], 2), (2, 3, 4, 5))
    assert ops(model) == ["Flatten"]
    assert notes == ("shape known only at run time: node of y",)


@pytest.mark.parametrize(
    ("shape", "asked", "expected"),
    [
        ([4, 6], [-1, 3], [8, 3]),
        (["n", 6], [0, -1, 2], [-1, 3, 2]),
        (["n", 6], [-1, 6], [-1, 6]),
        (["n", 8, 6], [0, 0, 3, -1], [-1, 8, 3, 2]),
        (["n", "t", 6], [0, 0, 3, -1], [0, 0, 3, 2]),
        (["n", "t", 6], [0, -1, 3, 2], [0, 0, 3, 2]),
        (["n", "t", 6], [-1, 6], [-1, 6]),
        (["n", "t", 6], [0, -1], [0, -1]),
    ],
)
def test_constant_shapes(shape, asked, expected):
    real = [extent if isinstance(extent, int) else 4 for extent in shape]
    made = build([node("Reshape", ["x", "s"], ["y"])], shape, len(asked), {"s": np.array(asked)})
    model, notes = rewritten(made, real)
    assert shape_of(model) == expected
    assert bool(notes) == (asked != expected)


def test_allowzero():
    """With it a 0 is an extent of 0: the node stays. Without zeros in the shape it means nothing."""
    made = build([node("Reshape", ["x", "s"], ["y"], allowzero=1)], ["n", 0], 2, {"s": np.array([0, 3])})
    model, notes = rewritten(made, (2, 0))
    assert model.graph.node[0].attribute[0].i == 1
    assert not notes
    made = build([node("Reshape", ["x", "s"], ["y"], allowzero=1)], [2, 6], 2, {"s": np.array([-1, 3])})
    assert shape_of(rewritten(made, (2, 6))[0]) == [4, 3]


def test_arithmetic_on_shapes():
    """(n, h * w, c) from Gather, Mul, Squeeze, Unsqueeze, as PyTorch writes it."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        *(node("Gather", ["s", f"i{axis}"], [f"d{axis}"], axis=0) for axis in range(4)),
        node("Mul", ["d2", "d3"], ["hw"]),
        *(node("Unsqueeze", [name, "zero"], [f"{name}u"]) for name in ("d0", "d1", "hw")),
        node("Concat", ["d0u", "d1u", "hwu"], ["wanted"], axis=0),
        node("Reshape", ["x", "wanted"], ["y"]),
    ]
    constants = {"zero": np.array([0]), **{f"i{axis}": np.array(axis) for axis in range(4)}}
    model, _ = rewritten(build(nodes, ["n", 3, 4, 5], 3, constants), (2, 3, 4, 5))
    assert ops(model) == ["Reshape"]
    assert shape_of(model) == [-1, 3, 20]
    model, _ = rewritten(build(nodes, ["n", 3, "h", "w"], 3, constants), (2, 3, 4, 5), (1, 3, 2, 7))
    assert shape_of(model) == [0, 3, -1]


def test_other_users_of_a_known_shape():
    """ConstantOfShape gets a constant, and only the extents that are known are one; a graph output stays computed."""
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Split", ["s", "parts"], ["batch", "rest"]),
        node("ConstantOfShape", ["rest"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
        node("Add", ["x", "ones"], ["sum"]),
        node("Expand", ["sum", "s"], ["y"]),
    ]
    model, notes = rewritten(build(nodes, ["n", 3, 4], 3, {"parts": np.array([1, 2])}), (2, 3, 4))
    assert ops(model) == ["Add", "ConstantOfShape", "Expand", "Shape"]
    assert notes == ("1 computed shapes that are known became constants",)
    model, _ = rewritten(build([node("Shape", ["x"], ["y"])], [2, 3], 1, y=INT64), (2, 3))
    assert ops(model) == ["Shape"]


def test_a_shape_given_from_outside_stays():
    nodes = [node("Cast", ["x"], ["s"], to=INT64), node("Reshape", ["k", "s"], ["y"])]
    made = build(nodes, [2], 2, {"k": np.ones(6, np.float32)})
    model, report = run_pass("explicit_shapes", explicit_shapes, made)
    assert ops(model) == ["Cast", "Reshape"]
    assert report.notes == ("shape known only at run time: node of y",)
    assert run(model, np.array([2, 3], np.float32)).shape == (2, 3)


def test_a_body_reads_a_known_shape():
    """The body of an If reshapes by a shape that the main graph computes."""
    branches = {}
    for name, op in (("then_branch", "Neg"), ("else_branch", "Abs")):
        branches[name] = helper.make_graph(
            [node(op, ["x"], [f"{op}1"]), node("Reshape", [f"{op}1", "wanted"], [f"{op}2"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{op}2", FLOAT, [None] * 3)],
        )
    nodes, constants = box3d_chain(cast=False)
    nodes[-1:] = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Greater", ["most", "limit"], ["is"]),
        node("If", ["is"], ["y"], **branches),
    ]
    constants["limit"] = np.float32(0)
    model, _ = rewritten(build(nodes, ["n", 12], 3, constants), (2, 12))
    assert ops(model) == ["Greater", "If", "ReduceMax"]
    for item in model.graph.node[-1].attribute:
        assert shape_of(helper.make_model(item.g)) == [-1, 6, 2]


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_what_keras_layers_become(generation):
    layers = pytest.importorskip(f"{generation}.layers")
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    reshape, flatten = layers.Reshape((6, -1)), layers.Flatten()
    spec = [tf.TensorSpec((None, 8, 9, 2), tf.float32, name="x")]
    function = tf.function(lambda x: tf.identity(flatten(tf.nn.relu(reshape(x))), name="y"), input_signature=spec)
    made, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=17)
    model, _ = rewritten(made, (3, 8, 9, 2))
    assert set(ops(model)) == {"Relu", "Reshape"}
    shapes = [numpy_helper.to_array(item).tolist() for item in model.graph.initializer]
    assert sorted(shapes) in ([[-1, 6, 24], [-1, 144]], [[-1, 144]])
