"""FP16 in the graph: what becomes FP16, what stays FP32, and rows of zeros through normalisations."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.surgery import to_fp16
from tf2trt.verify import OnnxReference, relative_error

rng = np.random.default_rng()
FLOAT = TensorProto.FLOAT
DENSE = ("MatMul", ["x", "w"], ["h"])

# x / ||x|| as it is written by: tf.math.l2_normalize, Keras 3's UnitNormalization, PyTorch, a sum instead of a maximum.
NORMALISATIONS = {
    "tensorflow": [
        ("Mul", ["h", "h"], ["sq"]),
        ("ReduceSum", ["sq", "axis"], ["sum"]),
        ("Max", ["sum", "eps"], ["max"]),
        ("Sqrt", ["max"], ["root"]),
        ("Reciprocal", ["root"], ["inverse"]),
        ("Mul", ["h", "inverse"], ["n"]),
    ],
    "keras 3": [
        ("Mul", ["h", "h"], ["sq"]),
        ("ReduceSum", ["sq", "axis"], ["sum"]),
        ("Sqrt", ["sum"], ["root"]),
        ("Reciprocal", ["root"], ["inverse"]),
        ("Min", ["inverse", "huge"], ["min"]),
        ("Mul", ["h", "min"], ["n"]),
    ],
    "pytorch": [
        ("ReduceL2", ["h"], ["norm"]),
        ("Clip", ["norm", "eps"], ["max"]),
        ("Expand", ["max", "shape"], ["wide"]),
        ("Div", ["h", "wide"], ["n"]),
    ],
    "sum": [
        ("Pow", ["h", "two"], ["sq"]),
        ("ReduceSum", ["sq", "axis"], ["sum"]),
        ("Add", ["sum", "eps"], ["max"]),
        ("Pow", ["max", "minus_half"], ["inverse"]),
        ("Mul", ["inverse", "h"], ["n"]),
    ],
}
CONSTANTS = {
    "w": rng.standard_normal((6, 8)).astype(np.float32),
    "v": rng.standard_normal((8, 3)).astype(np.float32),
    "eps": np.float32(1e-12),
    "huge": np.float32(1e12),
    "axis": np.array([1]),
    "two": np.float32(2),
    "minus_half": np.float32(-0.5),
    "shape": np.array([1, 8]),
}


def save(path, steps, as_nodes=False, outputs=("n", "y"), extra=None):
    """A Dense layer, ``steps`` on it and another Dense layer; constants as initializers or as Constant nodes."""
    nodes = []
    for index, (op, inputs, names) in enumerate([DENSE, *steps, ("MatMul", ["n", "v"], ["y"])]):
        attributes = {"axes": [1]} if op == "ReduceL2" else {}
        nodes.append(helper.make_node(op, inputs, names, name=f"node {index}", **attributes))
    used = {name for item in nodes for name in item.input}
    constants = {name: value for name, value in {**CONSTANTS, **(extra or {})}.items() if name in used}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    if as_nodes:
        nodes = [helper.make_node("Constant", [], [t.name], name=f"const {t.name}", value=t) for t in tensors] + nodes
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 6])],
        [helper.make_tensor_value_info(name, FLOAT, ["batch", 3 if name == "y" else 8]) for name in outputs],
        [] if as_nodes else tensors,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    return path


def types(path):
    """Each tensor's element type, as ONNX infers it."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(path)), strict_mode=True).graph
    values = {
        value.name: value.type.tensor_type.elem_type for value in [*graph.value_info, *graph.input, *graph.output]
    }
    return {**values, **{tensor.name: tensor.data_type for tensor in graph.initializer}}


@pytest.mark.parametrize("as_nodes", [False, True])
@pytest.mark.parametrize("kind", list(NORMALISATIONS))
@pytest.mark.parametrize("scale", [1.0, 1e-4, 300.0])  # squares of the last two leave FP16's range
def test_a_normalisation_survives(tmp_path, kind, as_nodes, scale):
    source = save(tmp_path / "in.onnx", NORMALISATIONS[kind], as_nodes)
    report = to_fp16(source, tmp_path / "out.onnx")
    assert report.name == "to_fp16"
    x = (rng.standard_normal((5, 6)) * scale).astype(np.float32)
    x[2] = 0
    wanted, results = OnnxReference(source)({"x": x}), OnnxReference(tmp_path / "out.onnx")({"x": x})
    # With rows of zeros Keras's and PyTorch's ways divide by a clipped norm too: zeros come out everywhere.
    assert not results["n"][2].any()
    assert not results["y"][2].any()
    for name in ("n", "y"):
        assert results[name].dtype == np.float32
        assert relative_error(results[name], wanted[name]) < 5e-3
    found = types(tmp_path / "out.onnx")
    assert found["x"] == found["y"] == found["n"] == FLOAT
    assert found["w"] == found["v"] == TensorProto.FLOAT16  # the work is done in FP16
    assert {found[name] for name in ("eps", "huge") if name in found} == {FLOAT}


def test_what_changed_and_what_kept_its_name(tmp_path):
    source = save(tmp_path / "in.onnx", NORMALISATIONS["tensorflow"])
    report = to_fp16(source, tmp_path / "out.onnx")
    model = onnx.load(str(tmp_path / "out.onnx"))
    kinds = types(tmp_path / "out.onnx")
    half = [n for n in model.graph.node if any(kinds.get(name) == TensorProto.FLOAT16 for name in n.output)]
    assert report.changed == len(half) > 0
    assert {f"node {index}" for index in range(8)} <= {n.name for n in model.graph.node}
    assert [value.name for value in model.graph.input] == ["x"]
    assert [value.name for value in model.graph.output] == ["n", "y"]
    assert model.ir_version == 8
    # Nothing goes to FP16 and back inside the normalisation.
    for name in ("sq", "sum", "max", "root", "inverse"):
        producers = [n for n in model.graph.node if any(name in output for output in n.output)]
        assert [n.op_type for n in producers if n.op_type == "Cast"] == []


def test_a_constant_shared_with_fp16_nodes(tmp_path):
    steps = [("Add", ["h", "eps"], ["h2"]), *NORMALISATIONS["tensorflow"]]
    source = save(tmp_path / "in.onnx", steps, outputs=("n", "y", "h2"))
    to_fp16(source, tmp_path / "out.onnx")
    # Squares of about 1e-9: an epsilon rounded up to FP16's 6e-8 would take the place of their sum.
    x = (rng.standard_normal((4, 6)) * 1e-5).astype(np.float32)
    x[1] = 0
    wanted, results = OnnxReference(source)({"x": x}), OnnxReference(tmp_path / "out.onnx")({"x": x})
    assert not results["n"][1].any()
    assert relative_error(results["n"], wanted["n"]) < 5e-2


def test_an_ordinary_maximum_and_addition_become_fp16(tmp_path):
    steps = [("Max", ["h", "floor"], ["m"]), ("Add", ["m", "floor"], ["a"]), ("Sqrt", ["a"], ["n"])]
    source = save(tmp_path / "in.onnx", steps, extra={"floor": np.float32(0.25)})
    to_fp16(source, tmp_path / "out.onnx")
    kinds = types(tmp_path / "out.onnx")
    assert {kinds[name] for name in ("h", "m", "a")} == {TensorProto.FLOAT16}


def test_a_converted_file_comes_out_as_it_is(tmp_path):
    source = save(tmp_path / "in.onnx", NORMALISATIONS["tensorflow"])
    assert to_fp16(source, tmp_path / "once.onnx").changed > 0
    assert to_fp16(tmp_path / "once.onnx", tmp_path / "twice.onnx").changed == 0
    assert onnx.load(str(tmp_path / "twice.onnx")) == onnx.load(str(tmp_path / "once.onnx"))


def test_integers_are_left_alone(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"], name="add")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT32, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n"])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(tmp_path / "in.onnx")
    )
    assert to_fp16(tmp_path / "in.onnx", tmp_path / "out.onnx").changed == 0
