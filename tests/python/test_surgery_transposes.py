"""Transposes meet and cancel, and the model computes the same; what looks alike but is not stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.export.convert import io_specs
from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.transposes import transposes
from tf2trt.verify import random_inputs, relative_error

FLOAT, BOOL, INT64 = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64
TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
X = [("x", FLOAT, ["n", 3, 4, 5])]  # NCHW; behind t(...) it is NHWC: n, 4, 5, 3


@pytest.fixture
def rng():
    seed = int(np.random.default_rng().integers(1 << 31))
    print("seed", seed)
    return np.random.default_rng(seed)


def node(op, inputs, outputs, **attributes):
    inputs, outputs = inputs.split(), outputs.split()
    name = attributes.pop("name", f"the {op} of {outputs[0]}")
    return helper.make_node(op, ["" if i == "-" else i for i in inputs], outputs, name=name, **attributes)


def t(source, result, perm):
    return node("Transpose", source, result, perm=perm)


def make(nodes, outputs, constants=None, inputs=X, opset=15):
    """``outputs`` as names of FP32 tensors of four axes, or as (name, type, shape)."""
    values = [item if isinstance(item, tuple) else (item, FLOAT, ["n", "b", "c", "d"]) for item in outputs]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*item) for item in inputs],
        [helper.make_tensor_value_info(*item) for item in values],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def ops(model):
    return Counter(item.op_type for item in model.graph.node)


def run(path, feed):
    """Without ONNX Runtime's optimisations, which move Transposes too, and not always well."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([item.name for item in session.get_outputs()], session.run(None, feed)))


def rewritten(model, tmp_path, left, tolerance=1e-6):
    """The model after the pass, with ``left`` Transposes, compared with the one before for two sizes of batch."""
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(model, str(before))
    result, report = run_pass("transposes", transposes, onnx.load(str(before)))
    onnx.save(result, str(after))
    old, new = ops(model)["Transpose"], ops(result)["Transpose"]
    assert new == left
    assert report.notes == ((f"{old} Transpose before, {new} after",) if old != new else ())
    names = [item.name for item in result.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert list(result.graph.input) == list(model.graph.input)
    assert list(result.graph.output) == list(infer_shapes(model).graph.output)
    for batch in (1, 3):
        feed = random_inputs(io_specs(onnx, model.graph.input), batch)
        wanted = run(before, feed)
        for name, value in run(after, feed).items():
            assert value.dtype == wanted[name].dtype
            assert relative_error(value, wanted[name]) <= tolerance, name
    return result


def unchanged(model, tmp_path):
    result = rewritten(model, tmp_path, ops(model)["Transpose"])
    for old, new in zip(model.graph.node, result.graph.node):
        assert (old.op_type, old.name, old.input, old.output) == (new.op_type, new.name, new.input, new.output)
        assert old.op_type == "If" or old.attribute == new.attribute
    assert len(result.graph.node) == len(model.graph.node)


def between(*nodes, to=FLOAT):
    """``nodes`` on NHWC, from a to b, with a Transpose to each side."""
    return [t("x", "a", TO_NHWC), *nodes, t("b", "y", TO_NCHW)], [("y", to, ["n", "b", "c", "d"])]


UNARY = "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Neg Relu Sigmoid Sin Softplus Tanh"


@pytest.mark.parametrize("op", UNARY.split())
def test_unary(op, tmp_path):
    assert not ops(rewritten(make(*between(node(op, "a", "b"))), tmp_path, 0))["Identity"] or op == "Identity"


def ones(*shape):
    return np.ones(shape, np.float32)


RNG = np.random.default_rng(7)  # the constants of the table; inputs are fresh
BIAS, MAP = RNG.random(3).astype(np.float32) + 0.5, RNG.random((4, 5, 3)).astype(np.float32) + 0.5
SIZE = {"low": np.float32(0.1), "high": np.float32(0.7)}
EVERY = np.float32(2)
# Operators on NHWC from a to b; the constants; the operator set.
RULES = {
    "clip": ([node("Clip", "a low high", "b")], SIZE, 15),
    "clip above": ([node("Clip", "a - high", "b")], {"high": SIZE["high"]}, 15),
    "cast": ([node("Cast", "a", "h", to=TensorProto.DOUBLE), node("Cast", "h", "b", to=FLOAT)], {}, 15),
    "bias": ([node("Add", "a c", "b")], {"c": BIAS}, 15),
    "bias first": ([node("Sub", "c a", "b")], {"c": BIAS}, 15),
    "map": ([node("Mul", "a c", "b")], {"c": MAP}, 15),
    "full constant": ([node("Div", "a c", "b")], {"c": MAP[np.newaxis]}, 15),
    "scalar": ([node("Pow", "a c", "b")], {"c": EVERY}, 15),
    "scalar of one axis": ([node("Mul", "c a", "b")], {"c": ones(1)}, 15),
    "scalar of four axes": ([node("Mul", "c a", "b")], {"c": ones(1, 1, 1, 1)}, 15),
    "scalar that is computed": (
        [node("ReduceSum", "x", "s", keepdims=0), node("Mul", "a s", "b")], {}, 15,
    ),
    "itself": ([node("Mul", "a a", "b")], {}, 15),
    "three": ([node("Max", "a c d", "b")], {"c": BIAS, "d": MAP}, 15),
    "where": ([node("Greater", "a low", "p"), node("Where", "p a c", "b")], {**SIZE, "c": BIAS}, 15),
    "prelu": ([node("PRelu", "a c", "b")], {"c": BIAS.reshape(1, 1, 3)}, 15),
    "batch": (
        [node("BatchNormalization", "a c d c d", "b")], {"c": np.arange(1, 5, dtype=np.float32), "d": ones(4)}, 15,
    ),
    "softmax": ([node("Softmax", "a", "b")], {}, 15),
    "softmax of the second": ([node("LogSoftmax", "a", "b", axis=1)], {}, 13),
    "mean, kept, 13": ([node("ReduceMean", "a", "s", axes=[1, 2]), node("Sub", "a s", "b")], {}, 13),
    "mean, kept, 18": ([node("ReduceMean", "a i", "s"), node("Sub", "a s", "b")], {"i": np.array([-1])}, 18),
    "sum, kept": ([node("ReduceSum", "a i", "s"), node("Add", "a s", "b")], {"i": np.array([-2, 1])}, 13),
    "maximum of all": (
        [node("ReduceMax", "a", "s", axes=[1, 2]), node("ReduceMax", "s", "u"), node("Sub", "a u", "b")], {}, 13,
    ),
    "concat": ([node("Neg", "a", "m"), node("Concat", "a m", "b", axis=-1)], {}, 15),
    "concat with a constant": ([node("Concat", "a c", "b", axis=0)], {"c": MAP[np.newaxis]}, 15),
    "split": ([node("Split", "a i", "p q", axis=2), node("Concat", "q p", "b", axis=2)], {"i": np.array([2, 3])}, 13),
    "split in halves": ([node("Split", "a", "p q", axis=1), node("Mul", "p q", "b")], {}, 13),
    "slice": ([node("Slice", "a s e i k", "b")],
              {"s": np.array([1, 0]), "e": np.array([4, 9]), "i": np.array([1, -2]), "k": np.array([1, 2])}, 15),
    "slice of the first axes": (
        [node("Slice", "a s e", "b")], {"s": np.array([0, 1], np.int32), "e": np.array([9, 3], np.int32)}, 15,
    ),
    "slice with steps": (
        [node("Slice", "a s e - k", "b")], {"s": np.array([0, 3]), "e": np.array([9, -9]), "k": np.array([1, -1])}, 15,
    ),
    "pad": ([node("Pad", "a p v", "b")], {"p": np.array([0, 1, 2, 0, 0, 3, 4, 5]), "v": np.float32(3)}, 15),
    "pad, reflected": ([node("Pad", "a p", "b", mode="reflect")], {"p": np.array([0, 1, 2, 0, 0, 3, 1, 0])}, 13),
    "pad of axes": ([node("Pad", "a p - i", "b")], {"p": np.array([1, 2, 3, 4]), "i": np.array([-1, 1])}, 18),
    "resize by scales": ([node("Resize", "a - s", "b", mode="nearest")], {"s": np.array([1, 2, 3, 1], np.float32)}, 13),
    "resize to sizes": (
        [node("Resize", "a - - s", "b", mode="linear", axes=[1, 2])], {"s": np.array([7, 9])}, 18,
    ),
    "resize linearly": ([node("Resize", "a - s", "b", mode="linear")], {"s": np.array([1, 2, 1.5, 1], np.float32)}, 15),
    "resize a region": (
        [node("Resize", "a r s", "b", mode="linear", coordinate_transformation_mode="tf_crop_and_resize")],
        {"r": np.array([0, 0.1, 0.2, 0, 1, 0.8, 0.9, 1], np.float32), "s": np.array([1, 2, 3, 1], np.float32)}, 15,
    ),
    "expand": (
        [node("ReduceMean", "a", "s", axes=[1, 2]), node("Expand", "s i", "b")], {"i": np.array([1, 2, 3, 1])}, 13,
    ),
    "tile": ([node("Tile", "a i", "b")], {"i": np.array([1, 2, 1, 3])}, 13),
    "gather": ([node("Gather", "a i", "b", axis=-1)], {"i": np.array([2, 0])}, 13),
    "cumsum": ([node("CumSum", "a i", "b")], {"i": np.array(2)}, 14),
    "layer normalisation of the middle": (
        [node("LayerNormalization", "p c", "q", axis=-1)], {"c": RNG.random(5).astype(np.float32)}, 17,
    ),
    "l2 normalisation": ([node("LpNormalization", "a", "b", axis=-1)], {}, 13),
    "instance": ([node("InstanceNormalization", "p c d", "q")], {"c": BIAS, "d": BIAS}, 13),
    "quantised": (
        [node("QuantizeLinear", "a s z", "q", axis=3), node("DequantizeLinear", "q s z", "b", axis=3)],
        {"s": BIAS / 50, "z": np.array([0, 1, 2], np.int8)}, 13,
    ),
    "quantised by one scale": (
        [node("QuantizeLinear", "a s", "q"), node("DequantizeLinear", "q s", "b")], {"s": np.float32(0.05)}, 13,
    ),
    "top": ([node("TopK", "a k", "b i", axis=3)], {"k": np.array([2])}, 13),
}  # fmt: skip


@pytest.mark.parametrize("case", RULES)
def test_rules(case, tmp_path):
    nodes, constants, opset = RULES[case]
    made, outputs = between(*nodes)
    left = 0
    if case.startswith("layer"):  # of the last axis, which stays: NCHW to NHCW and back
        made = [t("x", "p", [0, 2, 1, 3]), *nodes, t("q", "y", [0, 2, 1, 3])]
    elif case == "instance":  # the axes behind the channels turned round
        made = [t("x", "p", [0, 1, 3, 2]), *nodes, t("q", "y", [0, 1, 3, 2])]
    elif case == "batch":  # of NHWC's second axis; it cannot be NCHW's
        left = 2
    rewritten(make(made, outputs, constants, opset=opset), tmp_path, left)


def test_batch_normalisation_of_channels(tmp_path, rng):
    """The one that may stay where it is: its axis 1 does not move."""
    nodes = [t("x", "a", [0, 1, 3, 2]), node("BatchNormalization", "a c d c d", "b"), t("b", "y", [0, 1, 3, 2])]
    constants = {"c": rng.standard_normal(3).astype(np.float32), "d": rng.random(3).astype(np.float32)}
    rewritten(make(nodes, ["y"], constants), tmp_path, 0, 1e-5)


@pytest.mark.parametrize("opset", [13, 18])
def test_axes_that_are_not_kept(opset, tmp_path):
    """Global pooling of NHWC: with N and C in their order nothing is left to transpose behind it."""
    axes = {"axes": [1, 2]} if opset == 13 else {}
    reduce = node("ReduceMean", "a" if axes else "a i", "y", keepdims=0, **axes)
    constants = {} if axes else {"i": np.array([1, 2])}
    model = make([t("x", "a", TO_NHWC), reduce], [("y", FLOAT, ["n", 3])], constants, opset=opset)
    result = rewritten(model, tmp_path, 0)
    assert [item.name for item in result.graph.node] == ["the ReduceMean of y"]


@pytest.mark.parametrize(
    ("nodes", "constants", "shape"),
    [
        ([node("ReduceMax", "a", "y", axes=[0, 1, 2, 3], keepdims=0)], {}, []),
        ([node("ReduceSum", "a", "y", keepdims=0)], {}, []),
        ([node("ReduceMean", "a", "s", axes=[1, 2]), node("Squeeze", "s i", "y")], {"i": np.array([1, 2])}, ["n", 3]),
        ([node("ArgMax", "a", "s", axis=-1, keepdims=0), node("Cast", "s", "y", to=FLOAT)], {}, ["n", 4, 5]),
        (
            [node("ArgMin", "a", "s", axis=3), node("Cast", "s", "k", to=FLOAT), t("k", "y", TO_NCHW)], {},
            ["n", 1, 4, 5],
        ),
        ([node("Gather", "a i", "y", axis=3)], {"i": np.array(1)}, ["n", 4, 5]),
        ([node("Size", "a", "s"), node("Cast", "s", "y", to=FLOAT)], {}, []),
        ([node("Shape", "a", "s"), node("Cast", "s", "y", to=FLOAT)], {}, [4]),
        ([node("Shape", "a", "s", start=1, end=-1), node("Cast", "s", "y", to=FLOAT)], {}, [2]),
        ([node("Shape", "a", "s", end=1), node("Cast", "s", "y", to=FLOAT)], {}, [1]),
    ],
)  # fmt: skip
def test_fewer_axes(nodes, constants, shape, tmp_path):
    model = make([t("x", "a", TO_NHWC), *nodes], [("y", FLOAT, shape)], constants, opset=15)
    rewritten(model, tmp_path, 0, 1e-5)


def test_fewer_axes_in_another_order(tmp_path):
    """What a reduction leaves has to be transposed in its turn; as many as before, so nothing is done."""
    nodes = [t("x", "a", TO_NHWC), node("ReduceMean", "a", "y", axes=[1], keepdims=0)]
    unchanged(make(nodes, [("y", FLOAT, ["n", 5, 3])], opset=13), tmp_path)
    # Here the two cancel, though they differ in rank.
    nodes = [t("x", "a", TO_NHWC), node("ReduceMean", "a", "b", axes=[1], keepdims=0), t("b", "y", [0, 2, 1])]
    rewritten(make(nodes, [("y", FLOAT, ["n", 3, 5])], opset=13), tmp_path, 0)
    nodes = [t("x", "a", [0, 2, 1]), node("Unsqueeze", "a i", "b"), t("b", "y", [0, 1, 3, 2])]
    model = make(nodes, ["y"], {"i": np.array([1])}, [("x", FLOAT, ["n", 3, 4])])
    rewritten(model, tmp_path, 0)


def conv(source, result, weights="w", **attributes):
    return node("Conv", f"{source} {weights}", result, **attributes)


def kernel(rng, outputs=3, inputs=3, size=1):
    return rng.standard_normal((outputs, inputs, size, size)).astype(np.float32)


def squeeze_and_excite(rng, how):
    """Global pooling to (n, c), back to (n, 1, 1, c) by ``how``, a convolution, a product: as Keras writes it."""
    nodes = [
        t("x", "a", TO_NHWC),
        node("ReduceMean", "a", "m", axes=[1, 2], keepdims=0),
        how,
        t("r", "rc", TO_NCHW),
        conv("rc", "k"),
        t("k", "kn", TO_NHWC),
        node("Sigmoid", "kn", "s"),
        node("Mul", "a s", "b"),
        t("b", "bc", TO_NCHW),
        conv("bc", "y"),
    ]
    return nodes, {
        "w": kernel(rng),
        "i": np.array([1, 2]),
        "target": np.array([-1, 1, 1, 3]),
        "same": np.array([0, 1, 1, 3]),
    }


@pytest.mark.parametrize(
    "how", [node("Reshape", "m target", "r"), node("Reshape", "m same", "r"), node("Unsqueeze", "m i", "r")]
)
def test_squeeze_and_excite(how, tmp_path, rng):
    nodes, constants = squeeze_and_excite(rng, how)
    rewritten(make(nodes, ["y"], constants, opset=13), tmp_path, 0, 1e-5)


def test_in_a_row(tmp_path):
    nodes = [t("x", "a", [0, 2, 3, 1]), t("a", "b", [3, 0, 1, 2]), t("b", "c", [1, 2, 3, 0]), node("Neg", "c", "y")]
    result = rewritten(make(nodes, ["y"]), tmp_path, 1)
    order = next(item for item in result.graph.node if item.op_type == "Transpose").attribute[0].ints
    assert list(order) == [0, 2, 3, 1]
    assert [item.name for item in result.graph.node][-1] == "the Neg of y"


def test_through_another_order(tmp_path, rng):
    """A Transpose to a third order takes its operand in any order, and gives its result in any."""
    constants = {"w": kernel(rng), "m": rng.standard_normal((3, 3)).astype(np.float32)}
    nodes = [
        conv("x", "a"), t("a", "b", TO_NHWC), node("Relu", "b", "c"), t("c", "d", TO_NCHW), conv("d", "y"),
        t("c", "e", [0, 2, 1, 3]), node("MatMul", "e m", "z"),
    ]  # fmt: skip
    rewritten(make(nodes, ["y", "z"], constants), tmp_path, 1, 1e-5)
    nodes = [
        conv("x", "a"), t("a", "b", [0, 3, 2, 1]), node("Relu", "b", "c"), t("c", "d", TO_NCHW), conv("d", "y"),
        node("Add", "d d", "e"), t("e", "f", TO_NHWC), node("Mul", "f c", "z"),
    ]  # fmt: skip
    rewritten(make(nodes, ["y", "z"], constants), tmp_path, 2, 1e-5)


def test_without_perm(tmp_path):
    nodes = [node("Transpose", "x", "a"), node("Relu", "a", "b"), node("Transpose", "b", "y")]
    rewritten(make(nodes, ["y"]), tmp_path, 0)


def test_inputs_and_outputs_keep_their_names(tmp_path):
    cancelled = rewritten(make([t("x", "a", TO_NHWC), t("a", "y", TO_NCHW)], ["y"]), tmp_path, 0)
    assert ops(cancelled) == {"Identity": 1}  # the input and the output are two names
    nodes = [node("Relu", "x", "r"), t("r", "a", TO_NHWC), t("a", "y", TO_NCHW), t("a", "z", TO_NCHW)]
    assert ops(rewritten(make(nodes, ["y", "z"]), tmp_path, 0)) == {"Relu": 1, "Identity": 1}
    assert ops(rewritten(make(nodes, ["y", "r"]), tmp_path, 0)) == {"Relu": 1, "Identity": 1}
    twice = [t("x", "y", TO_NHWC), t("x", "z", TO_NHWC)]
    unchanged(make(twice, ["y", "z"]), tmp_path)
    inner = [t("x", "a", TO_NHWC), node("Relu", "a", "b"), t("b", "y", TO_NCHW)]
    assert ops(rewritten(make(inner, ["y", "a"]), tmp_path, 1)) == {"Relu": 1, "Transpose": 1}  # which makes a
    rewritten(make([*inner, node("Neg", "b", "z0"), t("z0", "z", TO_NCHW)], ["y", "a", "z"]), tmp_path, 1)


def test_transposed_constants(tmp_path, rng):
    nodes = [t("c", "d", TO_NCHW), node("Add", "x d", "y")]
    result = rewritten(make(nodes, ["y"], {"c": rng.random((1, 4, 5, 3)).astype(np.float32)}), tmp_path, 0)
    assert ops(result) == {"Add": 1}
    value = numpy_helper.from_array(rng.random((1, 4, 5, 3)).astype(np.float32))
    nodes = [node("Constant", "", "c", value=value), *nodes]
    assert ops(rewritten(make(nodes, ["y"]), tmp_path, 0)) == {"Add": 1}


def test_a_constant_read_in_two_orders(tmp_path, rng):
    nodes, _ = between(node("Add", "a c", "b"))
    nodes += [node("Mul", "x2 c", "z")]
    inputs = [*X, ("x2", FLOAT, ["n", 4, 5, 3])]
    model = make(nodes, ["y", "z"], {"c": rng.random((4, 5, 3)).astype(np.float32)}, inputs)
    result = rewritten(model, tmp_path, 0)
    assert {tuple(item.dims) for item in result.graph.initializer} == {(4, 5, 3), (1, 3, 4, 5)}


def test_residual(tmp_path, rng):
    nodes = [
        t("x", "a", TO_NCHW), conv("a", "b"), t("b", "c", TO_NHWC), node("Relu", "c", "d"),
        t("d", "e", TO_NCHW), conv("e", "f"), t("f", "g", TO_NHWC), node("Add", "d g", "h"), node("Relu", "h", "i"),
        t("i", "j", TO_NCHW), conv("j", "k"), t("k", "l", TO_NHWC), node("Add", "l i", "m"), node("Relu", "m", "n_"),
        node("ReduceMean", "n_", "y", axes=[1, 2], keepdims=0),
    ]  # fmt: skip
    model = make(nodes, [("y", FLOAT, ["n", 3])], {"w": kernel(rng)}, [("x", FLOAT, ["n", 6, 7, 3])], 13)
    result = rewritten(model, tmp_path, 1, 1e-5)
    assert {item.name for item in result.graph.node} < {item.name for item in nodes}  # names stay


def test_three_branches(tmp_path, rng):
    nodes = [
        node("Relu", "x", "in"), t("in", "p", TO_NHWC), node("Abs", "p", "a"),
        conv("in", "k1"), t("k1", "q", TO_NHWC), node("Sigmoid", "q", "b"),
        conv("in", "k2", kernel_shape=[1, 1]), t("k2", "c", TO_NHWC),
        node("Concat", "a b c", "all", axis=3), node("Add", "all bias", "h"), t("h", "nchw", TO_NCHW),
        node("MaxPool", "nchw", "y", kernel_shape=[2, 2]),
    ]  # fmt: skip
    constants = {"w": kernel(rng), "bias": rng.random(9).astype(np.float32)}
    rewritten(make(nodes, ["y"], constants), tmp_path, 0, 1e-5)


def test_one_transpose_for_many(tmp_path, rng):
    """Readers that want NCHW, readers that want NHWC: one Transpose stays, and only one."""
    nodes = [
        t("x", "a", TO_NHWC), node("Relu", "a", "b"), t("b", "c1", TO_NCHW), t("b", "c2", TO_NCHW),
        conv("c1", "y1"), conv("c2", "y2"), node("MatMul", "b m", "z1"), node("MatMul", "b m", "z2"),
    ]  # fmt: skip
    constants = {"w": kernel(rng), "m": rng.standard_normal((3, 3)).astype(np.float32)}
    rewritten(make(nodes, ["y1", "y2", "z1", "z2"], constants), tmp_path, 1, 1e-5)


def test_as_many_as_before_is_no_reason(tmp_path, rng):
    constants = {"w": kernel(rng), "m": rng.standard_normal((3, 3)).astype(np.float32)}
    # Each of these has one Transpose between an NCHW and an NHWC reader, wherever it stands.
    unchanged(
        make(
            [conv("x", "a"), t("a", "b", TO_NHWC), node("Relu", "b", "c"), node("MatMul", "c m", "y")], ["y"], constants
        ),
        tmp_path,
    )
    unchanged(
        make(
            [conv("x", "a"), node("Relu", "a", "b"), t("b", "c", TO_NHWC), node("MatMul", "c m", "y")], ["y"], constants
        ),
        tmp_path,
    )
    # Its other operand is a matrix product: the sum can lie on either side.
    nodes = [conv("x", "a"), t("a", "b", TO_NHWC), node("MatMul", "b m", "c"), node("Add", "b c", "y")]
    unchanged(make(nodes, ["y"], constants), tmp_path)


def test_channel_last_networks(tmp_path, rng):
    """Between matrix products the few NCHW operators go over to NHWC."""
    nodes = [
        node("MatMul", "x m", "a"), t("a", "b", TO_NCHW), node("Relu", "b", "c"), t("c", "d", TO_NHWC),
        node("MatMul", "d m", "e"), t("e", "f", TO_NCHW), node("Softmax", "f", "g", axis=1), t("g", "y", TO_NHWC),
    ]  # fmt: skip
    constants = {"m": rng.standard_normal((3, 3)).astype(np.float32)}
    rewritten(make(nodes, ["y"], constants, [("x", FLOAT, ["n", 4, 5, 3])]), tmp_path, 0, 1e-5)


def test_an_entry_turned_round(tmp_path, rng):
    """An input made NCHW: the Transpose behind it meets the one at the entry, through what lies between them."""
    nodes = [
        t("x", "nhwc", TO_NHWC), node("Sub", "nhwc mean", "s"), node("Div", "s deviation", "d"),
        t("d", "c", TO_NCHW), conv("c", "k"), node("Relu", "k", "y"),
    ]  # fmt: skip
    constants = {
        "w": kernel(rng, 4),
        "mean": rng.random(3).astype(np.float32),
        "deviation": 1 + rng.random(3).astype(np.float32),
    }
    rewritten(make(nodes, ["y"], constants), tmp_path, 0, 1e-5)
    rewritten(make([t("x", "nhwc", TO_NHWC), t("nhwc", "c", TO_NCHW), *nodes[-2:]], ["y"], constants), tmp_path, 0)


@pytest.mark.parametrize("head", ["matmul", "gemm", "gemm transposed", "flatten", "zeros", "two heads"])
def test_flatten_before_a_dense_layer(head, tmp_path, rng):
    """The weights' rows take the order of NCHW."""
    weights = rng.standard_normal((60, 6)).astype(np.float32)
    target = np.array([0, -1] if head == "zeros" else [-1, 60])
    flat = node("Flatten", "a", "f") if head == "flatten" else node("Reshape", "a target", "f")
    dense = [node("MatMul", "f w", "y")]
    if head.startswith("gemm"):
        dense = [node("Gemm", "f w bias", "y", transB=int(head == "gemm transposed"), alpha=0.5)]
        weights = weights.T if head == "gemm transposed" else weights
    outputs = [("y", FLOAT, ["n", 6])]
    if head == "two heads":
        dense += [node("MatMul", "f w2", "z"), node("MatMul", "f w", "u")]
        outputs += [("z", FLOAT, ["n", 2]), ("u", FLOAT, ["n", 6])]
    constants = {
        "w": weights,
        "target": target,
        "bias": rng.random(6).astype(np.float32),
        "w2": rng.random((60, 2)).astype(np.float32),
    }
    model = make([t("x", "a", TO_NHWC), flat, *dense], outputs, constants)
    rewritten(model, tmp_path, 0, 1e-5)


def test_flatten_that_stays(tmp_path, rng):
    weights = {"w": rng.random((60, 6)).astype(np.float32), "v": rng.random((12, 6)).astype(np.float32)}
    weights.update(target=np.array([-1, 60]), rows=np.array([-1, 12]))
    start = [t("x", "a", TO_NHWC), node("Reshape", "a target", "f")]
    y = ("y", FLOAT, ["n", "k"])
    unchanged(make([*start, node("Relu", "f", "y")], [y], weights), tmp_path)
    unchanged(
        make([*start, node("MatMul", "f w", "y"), node("Relu", "f", "z")], [y, ("z", FLOAT, ["n", 60])], weights),
        tmp_path,
    )
    unchanged(make([*start, node("MatMul", "f w", "y")], [y, ("f", FLOAT, ["n", 60])], weights), tmp_path)
    computed = [node("Relu", "w", "v2"), *start, node("MatMul", "f v2", "y")]
    unchanged(make(computed, [y], weights), tmp_path)
    rows = [t("x", "a", TO_NHWC), node("Reshape", "a rows", "f"), node("MatMul", "f v", "y")]
    unchanged(make(rows, [y], weights), tmp_path)  # not all axes but the first are merged
    turned = [t("x", "a", [2, 0, 3, 1]), node("Flatten", "a", "f"), node("Relu", "f", "y")]
    unchanged(make(turned, [y], weights), tmp_path)


def test_reshapes_that_keep_the_order(tmp_path):
    inputs = [("x", FLOAT, ["n", 3, 1, 1])]
    flat = {"target": np.array([-1, 3])}
    model = make([t("x", "a", TO_NHWC), node("Reshape", "a target", "y")], [("y", FLOAT, ["n", 3])], flat, inputs)
    rewritten(model, tmp_path, 0)
    model = make([t("x", "a", TO_NHWC), node("Flatten", "a", "y")], [("y", FLOAT, ["n", 3])], {}, inputs)
    rewritten(model, tmp_path, 0)
    # A 0 that would take over another extent.
    zeros = {"target": np.array([0, 0, 3])}
    model = make([t("x", "a", TO_NHWC), node("Reshape", "a target", "y")], [("y", FLOAT, ["n", 1, 3])], zeros, inputs)
    unchanged(model, tmp_path)


X2 = ("z", FLOAT, ["n", 5, 3])
LOOK_ALIKE = {
    "matrix product": ([node("MatMul", "a m", "b")], {"m": np.eye(3, dtype=np.float32)}, 15, ()),
    "batch normalisation of rows": ([node("BatchNormalization", "a c c c c", "b")], {"c": ones(4)}, 15, ()),
    "layer normalisation": ([node("LayerNormalization", "a c", "b")], {"c": ones(3)}, 17, ()),
    "three axes": ([node("Add", "a z", "b")], {}, 15, (("z", FLOAT, [4, 5, 3]),)),
    "softmax of all behind": ([node("Softmax", "a", "b", axis=1)], {}, 11, ()),
    "axes that are computed": ([node("ReduceSum", "a i", "b")], {}, 13, (("i", INT64, [1]),)),
    "pads that are computed": ([node("Pad", "a p", "b")], {}, 13, (("p", INT64, [8]),)),
    "depth to space": ([node("DepthToSpace", "a", "b", blocksize=2)], {}, 13, ()),
    "reshape of rows and columns": ([node("Reshape", "a s", "b")], {"s": np.array([-1, 5, 4, 3])}, 15, ()),
    "two indices": (
        [node("Gather", "a i", "g", axis=1), node("Squeeze", "g k", "b")],
        {"i": np.array([[1, 2]]), "k": np.array([1])}, 13, (),
    ),
    "another's operator": ([helper.make_node("Gelu", ["a"], ["b"], "theirs", domain="com.microsoft")], {}, 15, ()),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOK_ALIKE)
def test_look_alikes(case, tmp_path):
    nodes, constants, opset, more = LOOK_ALIKE[case]
    made, outputs = between(*nodes)
    model = make(made, outputs, constants, [("x", FLOAT, ["n", 3, 4, 5]), *more], opset)
    if case == "depth to space":
        model = make(made, outputs, constants, [("x", FLOAT, ["n", 3, 4, 6])], opset)
    if case in ("axes that are computed", "pads that are computed"):
        result, report = run_pass("transposes", transposes, model)  # any numbers would not do as axes and pads
        assert (ops(result)["Transpose"], report.notes) == (2, ())
        return
    if case == "depth to space":
        made[1].input[0] = "a"
    unchanged(model, tmp_path)


def test_interpolation_stays_behind_the_channels(tmp_path, rng):
    """NHWC would be one Transpose less, but runtimes interpolate over the last axes only."""
    nodes = [
        t("x", "a", TO_NCHW), node("Resize", "a - s", "b", mode="linear"), t("b", "y", TO_NHWC),
    ]  # fmt: skip
    constants = {"s": np.array([1, 1, 2, 2], np.float32)}
    inputs = [("x", FLOAT, ["n", 4, 5, 3])]
    unchanged(make(nodes, ["y"], constants, inputs), tmp_path)
    nodes[1] = node("Resize", "a - s", "b", mode="nearest")
    rewritten(make(nodes, ["y"], constants, inputs), tmp_path, 0)


def test_orders_that_contradict_each_other(tmp_path):
    """A sum of a square tensor and its own transpose is neither in one order nor in the other."""
    inputs = [("x", FLOAT, ["n", 4, 4])]
    nodes = [node("Relu", "x", "a"), t("a", "b", [0, 2, 1]), node("Add", "a b", "c"), t("c", "y", [0, 2, 1])]
    result = rewritten(make(nodes, [("y", FLOAT, ["n", 4, 4])], inputs=inputs), tmp_path, 2)
    assert ops(result) == {"Relu": 1, "Transpose": 2, "Add": 1}


def test_an_unknown_rank(tmp_path):
    nodes = [t("x", "a", TO_NHWC), node("Reshape", "a s", "r"), node("Relu", "r", "q"), t("q", "y", TO_NCHW)]
    model = make(nodes, ["y"], {}, [("x", FLOAT, ["n", 3, 4, 5]), ("s", INT64, ["k"])])
    result, report = run_pass("transposes", transposes, model)
    assert (ops(result)["Transpose"], report.notes) == (2, ())


def body(nodes, inputs, outputs):
    values = [[helper.make_tensor_value_info(*item) for item in items] for items in (inputs, outputs)]
    return helper.make_graph(nodes, "body", *values)


def test_what_a_body_reads_stays(tmp_path):
    four = ["n", 4, 5, 3]
    then = body([node("Neg", "b", "p")], [], [("p", FLOAT, four)])
    other = body([node("Identity", "a", "q")], [], [("q", FLOAT, four)])
    choice = helper.make_node("If", ["flag"], ["r"], "choice", then_branch=then, else_branch=other)
    nodes = [t("x", "a", TO_NHWC), node("Relu", "a", "b"), t("b", "y", TO_NCHW), choice]
    inputs = [("x", FLOAT, ["n", 3, 4, 5]), ("flag", BOOL, [])]
    unchanged(make(nodes, ["y", ("r", FLOAT, four)], {}, inputs), tmp_path)
    # What it makes goes on as it is: the two last cancel, the first feeds the body.
    nodes = [*nodes[:2], choice, t("r", "k", TO_NCHW), node("Abs", "k", "l"), t("l", "y", TO_NHWC)]
    result = rewritten(make(nodes, [("y", FLOAT, four)], {}, inputs), tmp_path, 1)
    assert "b" in {name for item in result.graph.node for name in item.output}


def test_inside_a_body(tmp_path, rng):
    """The Transposes of a body cancel too; those that lie on both sides of its border do not."""
    made, _ = between(node("Add", "a c", "b"))
    inner = [node("Abs", "outer", "x_"), *made]
    inner[1].input[0] = "x_"
    then = body(inner, [], [("y", FLOAT, ["n", 3, 4, 5])])
    other = body([t("nhwc", "q", TO_NCHW)], [], [("q", FLOAT, ["n", 3, 4, 5])])
    choice = helper.make_node("If", ["flag"], ["r"], "choice", then_branch=then, else_branch=other)
    nodes = [node("Relu", "x", "outer"), t("x", "nhwc", TO_NHWC), choice]
    inputs = [("x", FLOAT, ["n", 3, 4, 5]), ("flag", BOOL, [])]
    model = make(nodes, ["r"], {"c": rng.random(3).astype(np.float32)}, inputs)
    result, report = run_pass("transposes", transposes, onnx.ModelProto.FromString(model.SerializeToString()))
    assert report.notes == ("4 Transpose before, 2 after",)
    bodies = {item.name: Counter(inner.op_type for inner in item.g.node) for item in result.graph.node[-1].attribute}
    assert bodies == {"then_branch": {"Abs": 1, "Add": 1}, "else_branch": {"Transpose": 1}}
    for name, item in (("a", model), ("b", result)):
        onnx.save(item, str(tmp_path / f"{name}.onnx"))
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    for flag in (True, False):
        feed = {"x": x, "flag": np.array(flag)}
        wanted, got = (run(tmp_path / f"{name}.onnx", feed)["r"] for name in "ab")
        assert relative_error(got, wanted) <= 1e-6


def test_a_second_time_nothing_is_left_to_do(tmp_path, rng):
    nodes, constants = squeeze_and_excite(rng, node("Reshape", "m target", "r"))
    once = rewritten(make(nodes, ["y"], constants, opset=13), tmp_path, 0, 1e-5)
    unchanged(once, tmp_path)
