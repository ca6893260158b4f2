"""fold_batch_norm: the same results before and after in ONNX Runtime, from fewer nodes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.numerics import relative_error
from tf2trt.surgery.fold_batch_norm import fold_batch_norm
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"node of {outputs[0]}", **attributes)


def normal(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def norm(source, result, channels, constants, dtype=np.float32, **attributes):
    """A BatchNormalization and its four constants."""
    names = [f"{result}_{what}" for what in ("scale", "shift", "mean", "variance")]
    constants.update({name: normal(channels, dtype=dtype) for name in names})
    constants[names[3]] = rng.uniform(0.1, 3, channels).astype(dtype)
    return node("BatchNormalization", [source, *names], [result], **{"epsilon": 1e-3, **attributes})


def build(nodes, shape, constants, outputs=("y",), kind=FLOAT, opset=15):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})


def rewritten(model, *shape, tolerance=1e-6):
    before = onnx.ModelProto()
    before.CopyFrom(model)
    after, report = run_pass("fold_batch_norm", fold_batch_norm, model)
    x = normal(*shape, dtype=helper.tensor_dtype_to_np_dtype(before.graph.input[0].type.tensor_type.elem_type))
    for wanted, got in zip(run(before, x), run(after, x)):
        assert relative_error(got, wanted) < tolerance
    return after, report.notes


def ops(model):
    return [item.op_type for item in model.graph.node]


CONVS = [
    ("Conv", (6, 4, 3, 3), {}),
    ("Conv", (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1]}),
    ("Conv", (4, 1, 3, 3), {"group": 4}),
    ("Conv", (8, 1, 3, 3), {"group": 4, "dilations": [2, 1]}),
    ("ConvTranspose", (4, 6, 3, 3), {}),
    ("ConvTranspose", (4, 3, 3, 2), {"group": 2, "strides": [2, 2]}),
    ("ConvTranspose", (4, 1, 3, 3), {"group": 4, "output_padding": [1, 0], "strides": [2, 1]}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("op", "weights", "attributes"), CONVS)
def test_convolutions(op, weights, attributes, bias):
    channels = weights[0] if op == "Conv" else weights[1] * attributes.get("group", 1)
    constants = {"w": normal(*weights), **({"b": normal(channels)} if bias else {})}
    nodes = [node(op, ["x", *constants], ["c"], **attributes), norm("c", "y", channels, constants)]
    model, notes = rewritten(build(nodes, ["n", 4, "h", 10], constants), 2, 4, 9, 10)
    assert ops(model) == [op]
    assert model.graph.node[0].name == "node of c"
    assert len(model.graph.initializer) == 2
    assert notes == ("1 batch normalisations folded, 0 stay",)


@pytest.mark.parametrize("dims", [1, 3])
def test_other_ranks(dims):
    constants = {"w": normal(5, 4, *[3] * dims)}
    nodes = [node("Conv", ["x", "w"], ["c"]), norm("c", "y", 5, constants)]
    model, _ = rewritten(build(nodes, ["n", 4, *[7] * dims], constants), 2, 4, *[7] * dims)
    assert ops(model) == ["Conv"]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [None, (1, 6), (6,), ()])
def test_gemm(transposed, bias):
    constants = {"w": normal(*((6, 4) if transposed else (4, 6)))}
    if bias is not None:
        constants["b"] = normal(*bias)
    gemm = node("Gemm", ["x", *constants], ["c"], transB=transposed, alpha=0.5, beta=0.25)
    nodes = [gemm, norm("c", "y", 6, constants)]
    model, _ = rewritten(build(nodes, ["n", 4], constants), 3, 4)
    assert ops(model) == ["Gemm"]


@pytest.mark.parametrize("bias", [False, True])
def test_matmul(bias):
    """Its channels are the last axis; a BatchNormalization's are the second. They meet where there are two."""
    constants = {"w": normal(4, 6), "b": normal(6), "s": normal(6), "t": normal(1, 6)}
    nodes = [node("MatMul", ["x", "w"], ["m"]), *([node("Add", ["b", "m"], ["c"])] if bias else [])]
    for tail, shape in (
        ([norm("c" if bias else "m", "y", 6, constants)], [3, 4]),
        ([node("Mul", ["s", "c" if bias else "m"], ["p"]), node("Add", ["p", "t"], ["y"])], [2, 3, 4]),
    ):
        model, _ = rewritten(build([*nodes, *tail], ["n", *shape[1:]], constants), *shape)
        assert ops(model) == ["MatMul", "Add"]
    model, _ = rewritten(build([*nodes, norm(nodes[-1].output[0], "y", 3, constants)], ["n", 3, 4], constants), 2, 3, 4)
    assert ops(model)[-1] == "BatchNormalization"


def test_products_and_sums_by_channel():
    """As tf2onnx writes some: Mul and Add; and in every other form, one after the other."""
    constants = {"w": normal(6, 4, 3, 3), "s": normal(1, 6, 1, 1), "t": normal(6, 1, 1), "u": np.float32(2.5)}
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Mul", ["c", "s"], ["c1"]),
        node("Add", ["t", "c1"], ["c2"]),
        node("Sub", ["u", "c2"], ["c3"]),
        node("Div", ["c3", "u"], ["c4"]),
        norm("c4", "c5", 6, constants),
        node("Sub", ["c5", "s"], ["y"]),
    ]
    model, notes = rewritten(build(nodes, ["n", 4, 8, 8], constants), 2, 4, 8, 8, tolerance=3e-6)
    assert ops(model) == ["Conv"]
    assert notes == ("1 batch normalisations folded, 0 stay", "5 Mul, Div, Add or Sub by channel folded")


@pytest.mark.parametrize(
    ("op", "shape"),
    [("Mul", (6, 1)), ("Add", (6,)), ("Mul", (1, 1, 1, 1, 1)), ("Add", (2, 1, 1, 1)), ("Mul", (6, 6, 6))],
)
def test_constants_that_are_not_by_channel_stay(op, shape):
    constants = {"w": normal(6, 4, 3, 3), "s": normal(*shape)}
    nodes = [node("Conv", ["x", "w"], ["c"]), node(op, ["c", "s"], ["y"])]
    model, notes = rewritten(build(nodes, ["n", 4, 8, 8], constants), 2, 4, 8, 8)
    assert ops(model) == ["Conv", op]
    assert not notes


def test_what_cannot_be_folded_stays():
    constants = {"w": normal(6, 4, 3, 3), "v": normal(4, 6, 1, 1), "z": np.zeros((1, 6, 1, 1), np.float32)}
    cases = [
        [norm("x", "c", 4, constants), node("Conv", ["c", "w"], ["y"], pads=[1] * 4)],  # before
        [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), norm("r", "y", 6, constants)],
        [node("Conv", ["x", "w"], ["c"]), norm("c", "d", 6, constants), node("Add", ["c", "d"], ["y"])],  # read twice
        [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "c"], ["y"])],
        [node("Neg", ["w"], ["k"]), node("Conv", ["x", "k"], ["c"]), norm("c", "y", 6, constants)],
        [node("Conv", ["x", "w"], ["c"]), node("Div", ["z", "c"], ["y"])],
    ]
    for nodes in cases:
        wanted = [item.op_type for item in nodes]
        model, notes = rewritten(build(nodes, ["n", 4, 8, 8], constants), 2, 4, 8, 8)
        assert ops(model) == wanted
        assert notes == (("0 batch normalisations folded, 1 stay",) if "BatchNormalization" in wanted else ())
    nodes = [node("Conv", ["x", "w"], ["c"]), norm("c", "y", 6, constants)]
    model, _ = rewritten(build(nodes, ["n", 4, 8, 8], constants, outputs=("y", "c")), 2, 4, 8, 8)
    assert ops(model) == ["Conv", "BatchNormalization"]


def test_training_mode_stays():
    constants = {"w": normal(6, 4, 3, 3)}
    batch_norm = norm("c", "y", 6, constants, training_mode=1)
    batch_norm.output.extend(["mean", "variance"])
    model, notes = rewritten(
        build([node("Conv", ["x", "w"], ["c"]), batch_norm], ["n", 4, 8, 8], constants), 2, 4, 8, 8
    )
    assert ops(model) == ["Conv", "BatchNormalization"]
    assert notes == ("0 batch normalisations folded, 1 stay",)


def test_shared_weights_are_copied():
    constants = {"w": normal(4, 4, 3, 3)}
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        norm("c", "d", 4, constants),
        node("Conv", ["d", "w"], ["y"], pads=[1] * 4),
    ]
    model, _ = rewritten(build(nodes, ["n", 4, 8, 8], constants), 2, 4, 8, 8)
    assert ops(model) == ["Conv", "Conv"]
    kept = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    np.testing.assert_array_equal(kept["w"], constants["w"])


def test_fp16():
    constants = {"w": normal(6, 4, 3, 3, dtype=np.float16)}
    nodes = [node("Conv", ["x", "w"], ["c"]), norm("c", "y", 6, constants, np.float16)]
    model, _ = rewritten(build(nodes, ["n", 4, 8, 8], constants, kind=HALF), 2, 4, 8, 8, tolerance=5e-3)
    assert ops(model) == ["Conv"]
    assert {item.data_type for item in model.graph.initializer} == {HALF}
    for factor in (60000, 1e-7):  # too large for FP16, and too small
        constants = {"w": normal(6, 4, 3, 3, dtype=np.float16), "s": np.full((6, 1, 1), factor, np.float16)}
        nodes = [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "s"], ["y"])]
        after, report = run_pass("fold", fold_batch_norm, build(nodes, ["n", 4, 8, 8], constants, kind=HALF))
        assert ops(after) == ["Conv", "Mul"]
        assert report.notes == ("left alone: node of y: the folded weights do not fit their type",)


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_a_network_of_keras(generation):
    """Convolution, depthwise and transposed convolution and dense layers, each with batch normalisation."""
    keras = pytest.importorskip(generation)
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            *(layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()),
            *(layers.DepthwiseConv2D(3), layers.BatchNormalization(scale=False), layers.ReLU()),
            *(layers.Conv2DTranspose(5, 3, strides=2), layers.BatchNormalization(), layers.ReLU()),
            *(layers.Flatten(), layers.Dense(6), layers.BatchNormalization()),
        ]
    )
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                weight.assign(rng.uniform(0.5, 2, weight.shape))
    spec = [tf.TensorSpec((None, 12, 12, 3), tf.float32, name="x")]
    function = tf.function(lambda x: model(x, training=False), input_signature=spec)
    made, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=15)
    after, _ = rewritten(made, 2, 12, 12, 3, tolerance=1e-5)
    kinds = ops(after)
    print(kinds)
    assert "BatchNormalization" not in kinds
    assert kinds.count("Mul") == 0
