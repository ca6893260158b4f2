"""Nodes of domain tf2trt: what their functions compute, and the way back to standard operators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tf2trt.errors import OnnxError, SurgeryError
from tf2trt.surgery import lower_plugins, needs_plugins
from tf2trt.surgery.plugins import functions
from tf2trt.surgery.plugins.lower import lower_model
from tf2trt.verify import OnnxReference, relative_error

rng = np.random.default_rng()
FLOAT, HALF, DOUBLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE


def read(path):
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    return model


def ops(path):
    return [node.op_type for node in read(path).graph.node]


def run(path, x):
    return OnnxReference(path)({"x": x})


def ours(*nodes, kind=FLOAT, shape=("n", 6), opset=15):
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "g", values[:1], values[1:])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("tf2trt", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


# FP32 only before opset 15.
@pytest.mark.parametrize(
    ("kind", "opset"),
    [(FLOAT, 13), (FLOAT, 14), (FLOAT, 15), (HALF, 15), (DOUBLE, 15), (FLOAT, 18), (HALF, 18), (DOUBLE, 18)],
)
@pytest.mark.parametrize("lp", [0, 1])
def test_what_the_function_computes(tmp_path, kind, opset, lp):
    node = functions.make_node("L2Normalize", "x", "y", "norm", axes=[1], epsilon=0.25, lp_normalization=lp)
    model = ours(node, kind=kind, shape=["n", 5, 2], opset=opset)
    functions.add_functions(model, ["L2Normalize", "L2Normalize"])
    functions.add_functions(model, ["L2Normalize"])
    assert len(model.functions) == 1
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type
    assert [dim.dim_param or dim.dim_value for dim in inferred.shape.dim] == ["n", 5, 2]
    x = rng.standard_normal((4, 5, 2)).astype(helper.tensor_dtype_to_np_dtype(kind))
    x[0], x[1, 2, 0] = 0, np.nan
    x[2] *= 0.1  # below the epsilon
    x[3] *= 100 if kind == HALF else 1e6  # squares that FP16 would not hold
    onnx.save(model, str(tmp_path / "m.onnx"))
    y = run(tmp_path / "m.onnx", x)["y"]
    wide = x.astype(np.float64)
    total = np.sum(wide * wide, 1, keepdims=True)
    wanted = wide / np.sqrt(np.maximum(total, 1e-30 if lp else 0.25))
    assert y.dtype == x.dtype
    assert not y[0].any()
    assert np.isnan(y[1, :, 0]).all()
    assert not np.isnan(y[1, :, 1]).any()
    assert relative_error(y[2:], wanted[2:]) < (1e-3 if kind == HALF else 1e-6)


def test_the_function_in_bfloat16_is_valid():
    model = ours(functions.make_node("L2Normalize", "x", "y", "norm", axes=[1]), kind=TensorProto.BFLOAT16)
    functions.add_functions(model, ["L2Normalize"])
    onnx.checker.check_model(model, full_check=True)


def test_lowering_a_file_without_functions(tmp_path):
    # Written by hand: no function, and only the attributes that matter.
    model = ours(
        helper.make_node("LeakyReLU", ["x"], ["t"], domain="tf2trt", name="leak", alpha=0.5),
        helper.make_node("L2Normalize", ["t"], ["y"], domain="tf2trt", name="norm"),
    )
    onnx.save(model, str(tmp_path / "in.onnx"))
    assert needs_plugins(tmp_path / "in.onnx") == needs_plugins(model) == ("L2Normalize", "LeakyReLU")
    report = lower_plugins(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert [step.name for step in report.passes] == ["lower_plugins"]
    assert (report.nodes_before, report.nodes_after) == (2, 7)
    assert ops(tmp_path / "out.onnx") == ["LeakyRelu", "Mul", "ReduceSum", "Max", "Sqrt", "Reciprocal", "Mul"]
    assert needs_plugins(tmp_path / "out.onnx") == ()
    x = rng.standard_normal((4, 6)).astype(np.float32)
    leaked = np.where(x < 0, x / 2, x)
    wanted = leaked / np.linalg.norm(leaked, axis=1, keepdims=True)
    assert relative_error(run(tmp_path / "out.onnx", x)["y"], wanted) < 1e-6
    lower_plugins(tmp_path / "out.onnx", tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()


def test_lowering_what_is_unknown(tmp_path):
    onnx.save(ours(helper.make_node("Nms", ["x"], ["y"], domain="tf2trt")), str(tmp_path / "in.onnx"))
    with pytest.raises(SurgeryError, match=r"received: Nms[\s\S]*L2Normalize or LeakyReLU, or a function"):
        lower_plugins(tmp_path / "in.onnx", tmp_path / "out.onnx")
    # With a function in the file, any operator will do.
    model = ours(helper.make_node("Twice", ["x"], ["y"], domain="tf2trt"))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    imports = [helper.make_opsetid("", 15)]
    model.functions.append(helper.make_function("tf2trt", "Twice", ["a"], ["b"], body, imports))
    assert [node.op_type for node in lower_model(model, []).graph.node] == ["Add"]


def test_lowering_inside_a_function_of_others(tmp_path):
    body = [helper.make_node("L2Normalize", ["a"], ["b"], domain="tf2trt", axes=[1])]
    model = ours(helper.make_node("Unit", ["x"], ["y"], domain="theirs"))
    model.opset_import.add(domain="theirs", version=1)
    imports = [helper.make_opsetid("", 15), helper.make_opsetid("tf2trt", 1)]
    model.functions.append(helper.make_function("theirs", "Unit", ["a"], ["b"], body, imports))
    onnx.save(model, str(tmp_path / "in.onnx"))
    assert needs_plugins(tmp_path / "in.onnx") == ("L2Normalize",)
    lower_plugins(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert needs_plugins(tmp_path / "out.onnx") == ()
    x = rng.standard_normal((2, 6)).astype(np.float32)
    wanted = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert relative_error(run(tmp_path / "out.onnx", x)["y"], wanted) < 1e-6


def test_lowering_inside_a_branch(tmp_path):
    def branch(op, **given):
        node = helper.make_node(op, ["x"], [op], domain="tf2trt" if given else "", **given)
        return helper.make_graph([node], op, [], [helper.make_tensor_value_info(op, FLOAT, ["n", 6])])

    choice = helper.make_node(
        "If", ["c"], ["y"], then_branch=branch("L2Normalize", axes=[1]), else_branch=branch("Neg")
    )
    model = ours(choice)
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    assert needs_plugins(model) == ("L2Normalize",)
    lowered = lower_model(model, [])
    assert needs_plugins(lowered) == ()
    onnx.checker.check_model(lowered, full_check=True)
    x = rng.standard_normal((2, 6)).astype(np.float32)
    onnx.save(lowered, str(tmp_path / "out.onnx"))
    result = OnnxReference(tmp_path / "out.onnx")({"x": x, "c": np.array(True)})["y"]
    assert relative_error(result, x / np.linalg.norm(x, axis=1, keepdims=True)) < 1e-6


@pytest.mark.parametrize("content", [None, b"not ONNX at all"])
def test_needs_plugins_of_what_is_no_model(tmp_path, content):
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(OnnxError, match=r"bad\.onnx"):
        needs_plugins(tmp_path / "bad.onnx")


def test_needs_plugins_reads_no_weights(tmp_path):
    model = ours(helper.make_node("Add", ["x", "w"], ["y"]))
    model.graph.initializer.append(helper.make_tensor("w", FLOAT, [6], np.arange(6, dtype=np.float32).tobytes(), True))
    onnx.save(model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.bin", size_threshold=0)
    (tmp_path / "m.bin").unlink()
    assert needs_plugins(str(tmp_path / "m.onnx")) == ()
