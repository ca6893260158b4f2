"""Opset 18 written in 17."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.numerics import relative_error
from tf2trt.surgery import simplify
from tf2trt.surgery.lower_opset import lower_opset

REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"]


def model_of(nodes, constants=(), opset=18, rank=3):
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 6])]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"y{axis}" for axis in range(rank)])
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    graph = helper.make_graph(nodes, "g", values, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def lowered(model):
    notes = []
    result = lower_opset(model, notes)
    onnx.checker.check_model(result, full_check=True)
    return result, notes


@pytest.mark.parametrize("kind", REDUCTIONS)
@pytest.mark.parametrize("axes", [[1], [0, -1], None])
def test_reductions_have_their_axes_as_an_attribute(kind, axes):
    node = helper.make_node(f"Reduce{kind}", ["x", "axes"] if axes else ["x"], ["y"], name="r", keepdims=1)
    model = model_of([node], {"axes": np.array(axes)} if axes else {})
    x = np.random.default_rng().uniform(0.5, 2, (3, 4, 6)).astype(np.float32)
    wanted = run(model, x)
    result, notes = lowered(model)
    assert notes == ["opset 17 in place of 18"]
    assert [item.version for item in result.opset_import] == [17]
    assert list(result.graph.node[0].input) == ["x"]
    assert not result.graph.initializer
    assert relative_error(run(result, x), wanted) == 0


@pytest.mark.parametrize(
    ("node", "constants", "why"),
    [
        (helper.make_node("ReduceMean", ["x"], ["y"], name="r", noop_with_empty_axes=1), {}, "over no axis"),
        (helper.make_node("Split", ["x"], ["y", "z"], name="s", axis=1, num_outputs=2), {}, "how large its parts are"),
        (helper.make_node("Mish", ["x"], ["y"], name="m"), {}, "Mish 'm' is new there"),
        (helper.make_node("Pad", ["x", "p", "", "a"], ["y"], name="p"), {"p": [1, 1], "a": [1]}, "Pad 'p' has axes"),
    ],
)
def test_what_17_cannot_say_stays(node, constants, why):
    model = model_of([node], constants)
    before = model.SerializeToString()
    result, (note,) = lowered(model)
    assert result.SerializeToString() == before
    assert why in note
    assert "TensorRT 8.6" in note


@pytest.mark.parametrize("opset", [13, 17, 19])
def test_other_opsets_stay(opset):
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], opset=opset)
    result, notes = lowered(model)
    assert (result.opset_import[0].version, notes) == (opset, [])


def test_pooling_as_pytorch_writes_it_through_surgery(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Size", ["s"], ["rank"]),
        helper.make_node("Sub", ["rank", "one"], ["last"]),
        helper.make_node("Unsqueeze", ["last", "zero"], ["axes"]),
        helper.make_node("ReduceMean", ["x", "axes"], ["y"], name="pool", keepdims=0),
    ]
    onnx.save(model_of(nodes, {"one": np.array(1), "zero": np.array([0])}, rank=2), str(tmp_path / "in.onnx"))
    report = simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert [(node.op_type, list(node.input)) for node in model.graph.node] == [("ReduceMean", ["x"])]
    assert model.opset_import[0].version == 17
    assert report.max_rel_error == 0
