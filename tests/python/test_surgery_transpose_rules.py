"""How a transpose goes by each operator, and the model computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from transpose_graphs import FLOAT, TO_NCHW, TO_NHWC, between, make, node, ones, ops, rewritten, t, unchanged


@pytest.fixture
def rng():
    seed = int(np.random.default_rng().integers(1 << 31))
    print("seed", seed)
    return np.random.default_rng(seed)


UNARY = "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Neg Relu Sigmoid Sin Softplus Tanh"


@pytest.mark.parametrize("op", UNARY.split())
def test_unary(op, tmp_path):
    assert not ops(rewritten(make(*between(node(op, "a", "b"))), tmp_path, 0))["Identity"] or op == "Identity"


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
