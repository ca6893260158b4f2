"""find_leaky_relu: every form becomes one node that computes the same in ONNX Runtime; look-alikes stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.numerics import relative_error
from tf2trt.surgery.find_leaky_relu import find_leaky_relu
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT, HALF, BOOL = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BOOL
ALPHA = 0.2


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"node of {outputs[0]}", **attributes)


def build(nodes, outputs=("y",), kind=FLOAT, **constants):
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    constants = {"a": ALPHA, "na": -ALPHA, "big": 1.5, "zero": 0, "one": 1, "minus": -1, **constants}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", 4]), helper.make_tensor_value_info("z", kind, ["n", 4])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value, dtype), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)


def run(model, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {value.name: feed[value.name] for value in session.get_inputs()})


def rewritten(model, tolerance=0.0, shape=(5, 4)):
    """The model after the pass, compared on random values with zeros of both signs among them."""
    before = onnx.ModelProto()
    before.CopyFrom(model)
    after, report = run_pass("find_leaky_relu", find_leaky_relu, model)
    dtype = helper.tensor_dtype_to_np_dtype(before.graph.input[0].type.tensor_type.elem_type)
    feed = {name: rng.standard_normal(shape).astype(dtype) for name in ("x", "z")}
    feed["x"].ravel()[:2] = 0.0, -0.0
    for wanted, got in zip(run(before, feed), run(after, feed)):
        assert relative_error(got, wanted) <= tolerance
    return after, report.notes


def ops(model):
    return [item.op_type for item in model.graph.node]


def alpha_of(model):
    (item,) = model.graph.node
    assert item.op_type == "LeakyRelu"
    assert item.name == "node of y"
    return item.attribute[0].f


SCALED = node("Mul", ["x", "a"], ["ax"])
RELUS = [node("Relu", ["x"], ["p"]), node("Neg", ["x"], ["m"]), node("Relu", ["m"], ["q"])]
MASKS = [
    node("Not", ["is"], ["isnt"]),
    node("Cast", ["is"], ["one_if"], to=FLOAT),
    node("Cast", ["isnt"], ["one_else"], to=FLOAT),
]
FORMS = {
    "max": [SCALED, node("Max", ["x", "ax"], ["y"])],
    "max turned round": [node("Mul", ["a", "x"], ["ax"]), node("Max", ["ax", "x"], ["y"])],
    "greater": [SCALED, node("Greater", ["x", "zero"], ["is"]), node("Where", ["is", "x", "ax"], ["y"])],
    "not less": [SCALED, node("GreaterOrEqual", ["x", "zero"], ["is"]), node("Where", ["is", "x", "ax"], ["y"])],
    "less": [SCALED, node("Less", ["x", "zero"], ["is"]), node("Where", ["is", "ax", "x"], ["y"])],
    "not greater": [SCALED, node("LessOrEqual", ["x", "zero"], ["is"]), node("Where", ["is", "ax", "x"], ["y"])],
    "zero first": [SCALED, node("Less", ["zero", "x"], ["is"]), node("Where", ["is", "x", "ax"], ["y"])],
    "not": [
        *(SCALED, node("Less", ["x", "zero"], ["lt"]), node("Not", ["lt"], ["is"])),
        node("Where", ["is", "x", "ax"], ["y"]),
    ],
    "masks": [
        *(SCALED, node("Greater", ["x", "zero"], ["is"]), *MASKS),
        *(node("Mul", ["one_if", "x"], ["f"]), node("Mul", ["ax", "one_else"], ["g"]), node("Add", ["g", "f"], ["y"])),
    ],
    "relus": [*RELUS, node("Mul", ["a", "q"], ["aq"]), node("Sub", ["p", "aq"], ["y"])],
    "relus added": [*RELUS, node("Mul", ["q", "na"], ["aq"]), node("Add", ["aq", "p"], ["y"])],
    "relu of a product": [
        *(node("Relu", ["x"], ["p"]), node("Mul", ["x", "minus"], ["m"]), node("Relu", ["m"], ["q"])),
        *(node("Mul", ["a", "q"], ["aq"]), node("Sub", ["p", "aq"], ["y"])),
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form):
    model, notes = rewritten(build(FORMS[form]))
    assert alpha_of(model) == np.float32(ALPHA)
    assert not model.graph.initializer
    assert notes == ("1 leaky ReLU found",)


@pytest.mark.parametrize("form", [name for name in FORMS if name != "masks"])
def test_fp16(form):
    model, _ = rewritten(build(FORMS[form], kind=HALF))
    assert alpha_of(model) == np.float16(ALPHA)


def test_other_alphas():
    assert alpha_of(rewritten(build(FORMS["max"], a=0.0))[0]) == 0
    assert alpha_of(rewritten(build(FORMS["max"], a=1.0))[0]) == 1
    assert alpha_of(rewritten(build(FORMS["greater"], a=1.5))[0]) == 1.5
    assert alpha_of(rewritten(build([*RELUS, *FORMS["relus"][3:]], a=-0.5))[0]) == -0.5
    assert alpha_of(rewritten(build([SCALED, node("Min", ["x", "ax"], ["y"])], a=1.5))[0]) == 1.5
    assert alpha_of(rewritten(build(FORMS["relus added"], na=np.full((1, 1), -0.25)))[0]) == 0.25


def test_two_in_a_row_and_one_in_a_body():
    again = [node("Mul", ["y1", "a"], ["ay"]), node("Max", ["y1", "ay"], ["y"])]
    first = [SCALED, node("Max", ["x", "ax"], ["y1"])]
    model, notes = rewritten(build([*first, *again]))
    assert ops(model) == ["LeakyRelu", "LeakyRelu"]
    assert notes == ("2 leaky ReLUs found",)
    branches = {
        name: helper.make_graph(
            [node("Mul", ["x", "a"], [f"{name} ax"]), node("Max", ["x", f"{name} ax"], [f"{name} y"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name} y", FLOAT, ["n", 4])],
        )
        for name in ("then_branch", "else_branch")
    }
    nodes = [
        *(node("ReduceMax", ["x"], ["m"], keepdims=0), node("Greater", ["m", "zero"], ["is"])),
        node("If", ["is"], ["y"], **branches),
    ]
    model, _ = rewritten(build(nodes))
    assert [[inner.op_type for inner in item.g.node] for item in model.graph.node[-1].attribute] == [["LeakyRelu"]] * 2


@pytest.mark.parametrize(
    "nodes",
    [
        [SCALED, node("Max", ["z", "ax"], ["y"])],
        [node("Mul", ["x", "big"], ["ax"]), node("Max", ["x", "ax"], ["y"])],
        [node("Mul", ["x", "na"], ["ax"]), node("Max", ["x", "ax"], ["y"])],
        [SCALED, node("Min", ["x", "ax"], ["y"])],
        [SCALED, node("Max", ["x", "ax", "z"], ["y"])],
        [node("Mul", ["x", "z"], ["ax"]), node("Max", ["x", "ax"], ["y"])],
        [SCALED, node("Greater", ["x", "one"], ["is"]), node("Where", ["is", "x", "ax"], ["y"])],
        [SCALED, node("Greater", ["z", "zero"], ["is"]), node("Where", ["is", "x", "ax"], ["y"])],
        [SCALED, node("Greater", ["x", "zero"], ["is"]), node("Where", ["is", "ax", "x"], ["y"])],
        [SCALED, node("Less", ["x", "zero"], ["is"]), node("Where", ["is", "x", "ax"], ["y"])],
        [SCALED, node("Less", ["x", "zero"], ["is"]), *MASKS, *FORMS["masks"][-3:]],
        [*RELUS, node("Mul", ["a", "p"], ["ap"]), node("Sub", ["q", "ap"], ["y"])],
        [*RELUS, node("Sub", ["p", "q"], ["y"])],
        [*RELUS[:1], node("Relu", ["z"], ["q"]), node("Mul", ["a", "q"], ["aq"]), node("Sub", ["p", "aq"], ["y"])],
        [*RELUS, node("Mul", ["a", "q"], ["aq"]), node("Sub", ["aq", "p"], ["y"])],
    ],
)
def test_look_alikes_stay(nodes):
    wanted = [item.op_type for item in nodes]
    model, notes = rewritten(build(nodes))
    if wanted[-1] == "Sub" and nodes[-1].input[0] == "q":  # alpha * Relu(x) - Relu(-x) is none, its opposite sign is
        assert "LeakyRelu" not in ops(model)
    assert ops(model) == wanted
    assert not notes


def test_what_something_else_reads_stays():
    for form in ("max", "greater", "relus", "masks"):
        for read in {name for item in FORMS[form][:-1] for name in item.output}:
            kind = "Cast" if read in ("is", "isnt") else "Neg"
            extra = node(kind, [read], ["other"], **({"to": FLOAT} if kind == "Cast" else {}))
            model, notes = rewritten(build([*FORMS[form], extra], outputs=("y", "other")))
            assert "LeakyRelu" not in ops(model), (form, read)
            assert not notes


def test_an_alpha_that_adds_an_axis_stays():
    model, _ = rewritten(build(FORMS["max"], a=np.full((1, 1, 1), 0.2)))
    assert ops(model) == ["Mul", "Max"]
    model, _ = rewritten(build(FORMS["max"], a=[0.1, 0.2, 0.3, 0.4]))
    assert ops(model) == ["Mul", "Max"]


@pytest.mark.parametrize("generation", ["keras", "tf_keras"])
def test_what_tensorflow_and_keras_write(generation):
    """A PReLU with an alpha for each channel stays; all others are one LeakyRelu after the pass."""
    keras = pytest.importorskip(generation)
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    slope = {"negative_slope": 0.2} if generation == "keras" else {"alpha": 0.2}
    layer = keras.layers.LeakyReLU(**slope)
    one_alpha = keras.layers.PReLU(shared_axes=[1, 2, 3], alpha_initializer=keras.initializers.Constant(0.2))
    alphas = keras.layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.RandomUniform(0.1, 0.9))
    cases = [
        (lambda x: tf.nn.leaky_relu(x, 0.2), tf.float32),
        (lambda x: tf.nn.leaky_relu(x, 0.2), tf.float16),
        (lambda x: tf.maximum(x, 0.2 * x), tf.float32),
        (lambda x: tf.where(x > 0, x, 0.2 * x), tf.float32),
        (lambda x: tf.nn.relu(x) - 0.2 * tf.nn.relu(-x), tf.float32),
        (lambda x: keras.activations.relu(x, **slope), tf.float32),
        (layer, tf.float32),
        (one_alpha, tf.float32),
        (alphas, tf.float32),
    ]
    for call, dtype in cases:
        if isinstance(call, keras.layers.Layer):
            call(np.zeros((1, 4, 5, 3), np.float32))  # makes its weights
        spec = [tf.TensorSpec((None, 4, 5, 3), dtype, name="x")]
        function = tf.function(lambda x, call=call: call(x), input_signature=spec)
        made, _ = tf2onnx.convert.from_function(function, input_signature=spec, opset=17)
        model, _ = rewritten(made, shape=(2, 4, 5, 3))
        if call is alphas:
            assert ops(model) == ["Relu", "Neg", "Relu", "Mul", "Add"]
        else:
            assert ops(model) == ["LeakyRelu"]
            assert abs(model.graph.node[0].attribute[0].f - 0.2) < 1e-4
