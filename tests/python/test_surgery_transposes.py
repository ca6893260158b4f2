"""Transposes meet and cancel, and the model computes the same; what looks alike but is not stays."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from transpose_graphs import (
    BOOL,
    FLOAT,
    INT64,
    TO_NCHW,
    TO_NHWC,
    X,
    between,
    make,
    node,
    ones,
    ops,
    rewritten,
    run,
    t,
    unchanged,
)

from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.transposes import transposes
from tf2trt.verify import relative_error


@pytest.fixture
def rng():
    seed = int(np.random.default_rng().integers(1 << 31))
    print("seed", seed)
    return np.random.default_rng(seed)


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
