"""remove_training: nodes without effect go, those with one stay; the same results in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.surgery.remove_training import remove_training
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT = TensorProto.FLOAT
ONE, ZERO = np.float32(1), np.float32(0)
MAX = np.iinfo(np.int64).max


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"node of {outputs[0]}", **attributes)


def build(nodes, constants=None, shape=("n", 4, 1), rank=3, opset=18, outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(name, FLOAT, [None] * rank) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model, x):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})


def rewritten(model, shape=(3, 4, 1)):
    before = onnx.ModelProto()
    before.CopyFrom(model)
    after, report = run_pass("remove_training", remove_training, model)
    x = rng.standard_normal(shape).astype(np.float32)
    for wanted, got in zip(run(before, x), run(after, x)):
        np.testing.assert_array_equal(got, wanted)
    return after, report.notes


def ops(model):
    return [item.op_type for item in model.graph.node]


def between(op, constants=None, attributes=None, x_first=True, **kwargs):
    """A node with its constants between two that stay, so that its result is no output."""
    names = list(constants or {})
    inputs = ["a", *names] if x_first else [*names, "a"]
    nodes = [node("Neg", ["x"], ["a"]), node(op, inputs, ["b"], **(attributes or {})), node("Exp", ["b"], ["y"])]
    return build(nodes, constants, **kwargs)


WITHOUT = [
    ("Mul", {"c": ONE}, {}),
    ("Mul", {"c": np.ones((4, 1), np.float32)}, {}),
    ("Div", {"c": np.ones(1, np.float32)}, {}),
    ("Add", {"c": ZERO}, {}),
    ("Sub", {"c": np.zeros((1, 1, 1), np.float32)}, {}),
    ("Pow", {"c": ONE}, {}),
    ("Transpose", {}, {"perm": [0, 1, 2]}),
    ("Reshape", {"s": np.array([-1, 4, 1])}, {}),
    ("Reshape", {"s": np.array([0, -1, 1])}, {}),
    ("Expand", {"s": np.array([4, 1])}, {}),
    ("Expand", {"s": np.array([1, 1, 1])}, {}),
    ("Pad", {"p": np.zeros(6, np.int64)}, {}),
    ("Slice", {"s": np.array([0, 0]), "e": np.array([MAX, 4])}, {}),
    ("Slice", {"s": np.array([0]), "e": np.array([4]), "at": np.array([-2]), "t": np.array([1])}, {}),
    ("Tile", {"r": np.array([1, 1, 1])}, {}),
    *((op, {}, {}) for op in ("Sum", "Max", "Min", "Mean")),
    ("Concat", {}, {"axis": 1}),
    ("ReduceMax", {"a2": np.array([2])}, {}),
    ("ReduceSum", {}, {"noop_with_empty_axes": 1}),
    ("ReduceMean", {"a2": np.array([], np.int64)}, {"noop_with_empty_axes": 1}),
    ("Dropout", {}, {}),
    ("Dropout", {"r": np.float32(0.5), "t": np.bool_(False)}, {}),
    ("Dropout", {"r": ZERO, "t": np.bool_(True)}, {}),
]
WITH = [
    ("Mul", {"c": np.ones((1, 1, 1, 1), np.float32)}, {"rank": 4}),
    ("Mul", {"c": np.ones((4, 4), np.float32)}, {}),
    ("Mul", {"c": np.array([[1], [1], [1], [2]], np.float32)}, {}),
    ("Add", {"c": ONE}, {}),
    ("Add", {"c": np.zeros((4, 5), np.float32)}, {}),
    ("Pow", {"c": np.float32(2)}, {}),
    ("Transpose", {}, {"perm": [0, 2, 1]}),
    ("Transpose", {}, {}),
    ("Reshape", {"s": np.array([-1, 1, 4])}, {}),
    ("Reshape", {"s": np.array([-1, 4])}, {"rank": 2}),
    ("Expand", {"s": np.array([4, 2])}, {}),
    ("Expand", {"s": np.array([1, 1, 1, 1])}, {"rank": 4}),
    ("Pad", {"p": np.array([0, 0, 0, 0, 0, 1])}, {}),
    ("Slice", {"s": np.array([1]), "e": np.array([MAX]), "at": np.array([0])}, {}),
    ("Slice", {"s": np.array([0]), "e": np.array([2]), "at": np.array([0])}, {}),
    ("Slice", {"s": np.array([0]), "e": np.array([MAX]), "at": np.array([1]), "t": np.array([2])}, {}),
    ("Tile", {"r": np.array([1, 1, 2])}, {}),
    ("ReduceMax", {"a2": np.array([2])}, {"keepdims": 0, "rank": 2}),
    ("ReduceSum", {"a2": np.array([0])}, {}),
    ("ReduceSum", {}, {}),
]


@pytest.mark.parametrize(("op", "constants", "attributes"), WITHOUT)
def test_without_effect(op, constants, attributes):
    model, notes = rewritten(between(op, constants, attributes))
    assert ops(model) == ["Neg", "Exp"]
    assert not model.graph.initializer
    assert notes == (f"without effect and removed: 1 {op}",)


@pytest.mark.parametrize(("op", "constants", "attributes"), WITH)
def test_with_effect(op, constants, attributes):
    attributes = dict(attributes)
    rank = attributes.pop("rank", 3)
    model, notes = rewritten(between(op, constants, attributes, rank=rank))
    assert ops(model) == ["Neg", op, "Exp"]
    assert not notes


def test_the_constant_first():
    for op, value, left in (("Mul", ONE, 2), ("Add", ZERO, 2), ("Sub", ZERO, 3), ("Div", ONE, 3), ("Pow", ONE, 3)):
        assert len(ops(rewritten(between(op, {"c": value}, x_first=False))[0])) == left


def test_at_the_border():
    """The names of inputs and outputs live."""
    model, _ = rewritten(build([node("Mul", ["x", "c"], ["y"])], {"c": ONE}))
    assert ops(model) == ["Mul"]
    model, _ = rewritten(build([node("Neg", ["x"], ["a"]), node("Mul", ["a", "c"], ["y"])], {"c": ONE}))
    assert ops(model) == ["Neg"]
    nodes = [node("Neg", ["x"], ["z"]), node("Mul", ["z", "c"], ["y"])]
    model, _ = rewritten(build(nodes, {"c": ONE}, outputs=("y", "z")))
    assert ops(model) == ["Neg", "Mul"]
    nodes = [*(node("Mul", ["x", "c"], ["a"]), node("Add", ["a", "o"], ["b"])), node("Neg", ["b"], ["y"])]
    model, notes = rewritten(build(nodes, {"c": ONE, "o": ZERO}))
    assert ops(model) == ["Neg"]
    assert notes == ("without effect and removed: 1 Add, 1 Mul",)


def test_a_chain_that_ends_in_an_output():
    nodes = [
        *(node("Neg", ["x"], ["a"]), node("Mul", ["a", "c"], ["b"]), node("Add", ["b", "o"], ["d"])),
        node("Dropout", ["d"], ["y"]),
    ]
    model, _ = rewritten(build(nodes, {"c": ONE, "o": ZERO}))
    assert ops(model) == ["Neg"]


def test_a_body_that_reads_the_result():
    branches = {
        name: helper.make_graph(
            [node(op, ["a"], [f"{name} r"])], name, [], [helper.make_tensor_value_info(f"{name} r", FLOAT, ["n", 4, 1])]
        )
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    nodes = [
        *(node("Mul", ["x", "c"], ["a"]), node("ReduceMax", ["x"], ["m"], keepdims=0)),
        *(node("Greater", ["m", "c"], ["is"]), node("If", ["is"], ["y"], **branches)),
    ]
    model, _ = rewritten(build(nodes, {"c": ONE}))
    assert ops(model) == ["Mul", "ReduceMax", "Greater", "If"]


def test_what_still_trains_is_named():
    names = ["scale", "shift", "mean", "variance"]
    constants = {name: rng.uniform(0.5, 1, 4).astype(np.float32) for name in names}
    nodes = [
        node("BatchNormalization", ["x", *names], ["a", "new mean", "new variance"], training_mode=1),
        node("Dropout", ["a", "ratio", "training"], ["y"]),
    ]
    made = build(nodes, {**constants, "ratio": np.float32(0.5), "training": np.bool_(True)})
    model, report = run_pass("remove_training", remove_training, made)
    assert ops(model) == ["BatchNormalization", "Dropout"]
    assert report.notes == (
        "still in training mode, which TensorRT lacks: BatchNormalization 'node of a'",
        "still in training mode, which TensorRT lacks: Dropout 'node of y'",
    )


def test_a_mask_that_is_read_stays():
    nodes = [
        *(node("Neg", ["x"], ["a"]), node("Dropout", ["a"], ["b", "mask"]), node("Cast", ["mask"], ["z"], to=FLOAT)),
        node("Exp", ["b"], ["y"]),
    ]
    model, _ = rewritten(build(nodes, outputs=("y", "z")))
    assert "Dropout" in ops(model)
