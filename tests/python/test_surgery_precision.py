"""Types written into a graph: FP16, BF16, single layers in FP32, quantised layers; compared in ONNX Runtime."""

import warnings

import numpy as np
import pytest
from small_graphs import build, node

from tf2trt.errors import OutputError, SurgeryError, UsageError
from tf2trt.numerics import relative_error
from tf2trt.surgery import set_precision, to_fp16
from tf2trt.surgery.precision_bf16 import bf16_bits
from tf2trt.surgery.precision_opset import raise_opset
from tf2trt.verify import OnnxReference

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
from quantised_graphs import images, network  # noqa: E402 - it imports onnx

TensorProto = onnx.TensorProto
FLOAT, HALF, BF16, INT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8


def operands(path):
    """The element type of each named node's first input, as ONNX infers it, strictly."""
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types.update({tensor.name: tensor.data_type for tensor in graph.initializer})
    return {each.name: types[each.input[0]] for each in graph.node}


def run(path, x):
    return OnnxReference(path)({"x": x})["y"]


def test_fp16_everywhere(tmp_path):
    source = network(tmp_path / "m.onnx")
    report = set_precision(source, tmp_path / "out.onnx", "fp16")
    types = operands(tmp_path / "out.onnx")
    assert {types[name] for name in ("conv0", "conv1", "conv2", "dense", "pool")} == {HALF}
    assert report.name == "set_precision"
    assert report.changed == 9  # 8 nodes and the cast of the input
    x = images()
    assert relative_error(run(tmp_path / "out.onnx", x), run(source, x)) < 1e-2
    assert to_fp16(source, tmp_path / "same.onnx").name == "to_fp16"
    assert onnx.load(str(tmp_path / "same.onnx")) == onnx.load(str(tmp_path / "out.onnx"))


@pytest.mark.parametrize(
    ("precision", "rules", "halves"),
    [
        ("fp16", [("conv1", "fp32")], {"conv0", "conv2", "pool", "dense"}),
        ("fp16", [("conv*", "fp32")], {"pool", "dense"}),
        ("fp16", [("*", "fp32"), ("conv2", "fp16")], {"conv2"}),
        ("fp32", [("conv?", "fp16")], {"conv0", "conv1", "conv2"}),
        ("tf32", [("dense", "fp16")], {"dense"}),
        ("fp16", [("*", "fp32")], set()),
        ("fp32", [], set()),
    ],
)
def test_single_layers(tmp_path, precision, rules, halves):
    source = network(tmp_path / "m.onnx")
    set_precision(source, tmp_path / "out.onnx", precision, rules)
    types = operands(tmp_path / "out.onnx")
    named = ("conv0", "conv1", "conv2", "pool", "dense")
    assert {name for name in named if types[name] == HALF} == halves
    assert {name for name in named if types[name] == FLOAT} == set(named) - halves
    x = images()
    error = relative_error(run(tmp_path / "out.onnx", x), run(source, x))
    assert error < (1e-2 if halves else 1e-6)


def test_between_two_fp32_layers_nothing_goes_through_fp16(tmp_path):
    x = (np.random.default_rng().standard_normal((4, 8)) * 1e3).astype(np.float32)
    weights = {"w": np.eye(8, dtype=np.float32) * 1e3, "v": np.eye(8, dtype=np.float32) * 1e-6}
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "v"], ["y"])]
    source = tmp_path / "m.onnx"
    onnx.save(build(nodes, [("x", FLOAT, ["n", 8])], [("y", FLOAT, ["n", 8])], weights), str(source))
    set_precision(source, tmp_path / "half.onnx", "fp16")
    assert not np.isfinite(as_written(tmp_path / "half.onnx", x)).all()  # 1e6 is past what FP16 holds
    rules = [("the h", "fp32"), ("the y", "fp32")]
    set_precision(source, tmp_path / "out.onnx", "fp16", rules)
    assert relative_error(as_written(tmp_path / "out.onnx", x), run(source, x)) < 1e-6
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert [tuple(each.output) for each in model.graph.node] == [("h",), ("y",)]  # tensors have their names


def as_written(path, x):
    """Node by node, each tensor in its type; ONNX Runtime would keep h in FP32, since its MatMul on the CPU is FP32."""
    with np.errstate(over="ignore", invalid="ignore"):
        return reference.ReferenceEvaluator(str(path)).run(None, {"x": x})[0]


def test_a_node_without_a_name_goes_by_its_output(tmp_path):
    source = network(tmp_path / "m.onnx")
    report = set_precision(source, tmp_path / "out.onnx", "fp16", [("node_of_r1", "fp32")])
    assert "1 nodes stay FP32" in report.notes
    assert operands(tmp_path / "out.onnx")["node_of_r1"] == FLOAT


def test_a_rule_for_fp16_goes_before_the_guard_of_epsilons(tmp_path):
    nodes = [
        node("Mul", ["x", "x"], ["sq"]),
        node("ReduceSum", ["sq", "axis"], ["sum"], keepdims=1),
        node("Max", ["sum", "eps"], ["max"]),
        node("Sqrt", ["max"], ["root"]),
        node("Div", ["x", "root"], ["y"]),
    ]
    constants = {"eps": np.float32(1e-12), "axis": np.array([1])}
    source = tmp_path / "m.onnx"
    onnx.save(build(nodes, [("x", FLOAT, ["n", 8])], [("y", FLOAT, ["n", 8])], constants), str(source))
    set_precision(source, tmp_path / "kept.onnx", "fp16")
    set_precision(source, tmp_path / "ruled.onnx", "fp16", [("the y", "fp16")])
    assert operands(tmp_path / "kept.onnx")["the y"] == FLOAT
    assert operands(tmp_path / "ruled.onnx")["the y"] == HALF


def test_bf16(tmp_path):
    source = network(tmp_path / "m.onnx")
    report = set_precision(source, tmp_path / "out.onnx", "bf16", [("conv1", "fp32")])
    types = operands(tmp_path / "out.onnx")
    assert {name: types[name] for name in ("conv0", "conv1", "conv2", "pool", "dense")} == {
        "conv0": BF16,
        "conv1": FLOAT,
        "conv2": BF16,
        "pool": BF16,
        "dense": BF16,
    }
    assert report.changed > 5
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert HALF not in {tensor.data_type for tensor in model.graph.initializer}
    assert model.opset_import[0].version == 22
    assert [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)] == [FLOAT, FLOAT]
    # Weights are FP32's own, rounded once; not those of FP16.
    before = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(str(source)).graph.initializer}
    after = {tensor.name: tensor for tensor in model.graph.initializer}
    assert after["w0"].raw_data == bf16_bits(before["w0"]).tobytes()
    # What BF16 does, done in FP32: ONNX Runtime has no kernels in BF16 on the CPU.
    x = images()
    wide = tmp_path / "wide.onnx"
    onnx.save(_widened(model), str(wide))
    assert 0 < relative_error(run(wide, x), run(source, x)) < 2e-2


def _widened(model):
    """The same graph with its BF16 tensors and casts in FP32: weights keep their rounding."""
    for tensor in model.graph.initializer:
        if tensor.data_type == BF16:
            bits = np.frombuffer(tensor.raw_data, "<u2").astype(np.uint32) << 16
            tensor.CopyFrom(onnx.numpy_helper.from_array(bits.view(np.float32).reshape(tensor.dims), tensor.name))
    for each in model.graph.node:
        for item in each.attribute:
            if item.name == "to" and item.i == BF16:
                item.i = FLOAT
    model.graph.ClearField("value_info")
    return model


def test_rounding_to_bf16():
    values = np.array([1.0, 1.00390625, 1.01171875, -3.4e38, 1e-40, np.inf, 0.1], np.float32)
    bits = bf16_bits(values).astype(np.uint32) << 16
    assert bits.view(np.float32)[:3].tolist() == [1.0, 1.0, 1.015625]  # ties go to the even one
    assert np.isinf(bits.view(np.float32)[5])
    assert abs(bits.view(np.float32)[6] - 0.1) < 0.1 / 256
    assert np.isnan((bf16_bits(np.float32([np.nan])).astype(np.uint32) << 16).view(np.float32)).all()


@pytest.mark.parametrize("integer_weights", [True, False])
def test_fp16_around_int8(tmp_path, integer_weights):
    source = network(tmp_path / "m.onnx", quantise=True, integer_weights=integer_weights)
    set_precision(source, tmp_path / "out.onnx", "int8+fp16")
    types = operands(tmp_path / "out.onnx")
    assert {types[name] for name in ("conv0", "conv2", "dense", "conv0/x/Q")} == {HALF}
    assert {types[name] for name in ("conv0/x/DQ", "conv0/w/DQ")} == {INT8}
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert model.opset_import[0].version == 19
    kinds = [each.op_type for each in model.graph.node]
    assert kinds.count("Cast") == 2  # the input and the output: none stands between a Q/DQ node and its layer
    assert kinds.count("QuantizeLinear") == (3 if integer_weights else 6)
    x = images()
    assert relative_error(run(tmp_path / "out.onnx", x), run(source, x)) < 2e-2


@pytest.mark.parametrize("integer_weights", [True, False])
@pytest.mark.parametrize(("precision", "kind"), [("int8", FLOAT), ("int8+fp16", FLOAT)])
def test_a_layer_that_is_quantised_no_longer(tmp_path, precision, kind, integer_weights):
    source = network(tmp_path / "m.onnx", quantise=True, integer_weights=integer_weights)
    report = set_precision(source, tmp_path / "out.onnx", precision, [("conv1", "fp32")])
    assert "1 nodes quantised no longer: conv1" in report.notes
    types = operands(tmp_path / "out.onnx")
    assert types["conv1"] == kind
    assert {"conv1/x/Q", "conv1/x/DQ", "conv1/w/Q", "conv1/w/DQ"}.isdisjoint(types)
    assert {"conv0/x/Q", "conv2/w/DQ"} <= set(types)
    x = images()
    assert relative_error(run(tmp_path / "out.onnx", x), run(source, x)) < 5e-2


def test_without_all_its_scales_a_trained_network_is_what_it_was(tmp_path):
    source = network(tmp_path / "m.onnx", quantise=True, integer_weights=False, seed=3)
    plain = network(tmp_path / "plain.onnx", seed=3)
    report = set_precision(source, tmp_path / "out.onnx", "int8", [("*", "fp32")])
    assert report.changed == 3
    x = images()
    assert relative_error(run(tmp_path / "out.onnx", x), run(plain, x)) < 1e-6


def test_a_rule_for_int8_leaves_the_scales(tmp_path):
    source = network(tmp_path / "m.onnx", quantise=True)
    set_precision(source, tmp_path / "out.onnx", "int8", [("conv*", "fp32"), ("conv1", "int8")])
    types = operands(tmp_path / "out.onnx")
    assert "conv1/x/DQ" in types
    assert "conv0/x/DQ" not in types


def test_scales_that_fp16_cannot_hold_stay_fp32(tmp_path):
    source = network(tmp_path / "m.onnx", quantise=True, scale=1e-6)
    report = set_precision(source, tmp_path / "out.onnx", "int8+fp16")
    assert "6 QuantizeLinear and DequantizeLinear nodes stay FP32: FP16 cannot hold their scales" in report.notes
    types = operands(tmp_path / "out.onnx")
    assert (types["conv1/x/Q"], types["conv1"]) == (FLOAT, HALF)
    x = images() * np.float32(1e-4)
    assert relative_error(run(tmp_path / "out.onnx", x), run(source, x)) < 2e-2


def test_a_graph_that_cannot_go_to_a_newer_opset_keeps_its_scales(tmp_path):
    source = network(tmp_path / "m.onnx", quantise=True)
    model = onnx.load(str(source))
    model.graph.node.append(onnx.helper.make_node("Split", ["y"], ["y1", "y2"], name="split", axis=0))
    model.graph.output.append(onnx.helper.make_tensor_value_info("y1", FLOAT, [1, 5]))
    onnx.save(model, str(source))
    report = set_precision(source, tmp_path / "out.onnx", "int8+fp16")
    assert any(note.startswith("opset 17 stays") and "has no sizes" in note for note in report.notes)
    types = operands(tmp_path / "out.onnx")
    assert (types["conv0/x/Q"], types["conv0"]) == (FLOAT, HALF)
    x = images()
    assert relative_error(run(tmp_path / "out.onnx", x), run(source, x)) < 2e-2


@pytest.mark.parametrize(("opset", "version"), [(13, 19), (17, 22), (18, 22), (22, 19)])
def test_a_newer_opset_means_the_same(tmp_path, opset, version):
    source = network(tmp_path / "m.onnx", opset=opset)
    model = onnx.load(str(source))
    notes = []
    assert raise_opset(model, version, "tests", notes)
    assert notes == []
    assert model.opset_import[0].version == max(opset, version)
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(tmp_path / "out.onnx"))
    x = images()
    assert relative_error(run(tmp_path / "out.onnx", x), run(source, x)) < 1e-6


def test_what_cannot_work(tmp_path):
    source = network(tmp_path / "m.onnx")
    out = tmp_path / "out.onnx"
    with pytest.raises(UsageError, match="conv9=fp32"):
        set_precision(source, out, "fp16", [("conv9", "fp32")])
    with pytest.raises(UsageError, match="FP16 and BF16 in one graph"):
        set_precision(source, out, "fp16", [("conv1", "bf16")])
    with pytest.raises(UsageError, match="int8\\+fp16"):
        set_precision(source, out, "half")
    with pytest.raises(OutputError):
        set_precision(source, tmp_path / "missing" / "out.onnx", "fp16")
    set_precision(source, tmp_path / "half.onnx", "fp16")
    with pytest.raises(SurgeryError, match="start from the FP32 file"):
        set_precision(tmp_path / "half.onnx", out, "fp16", [("conv1", "fp32")])
    model = onnx.load(str(source))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.float16), "half"))
    onnx.save(model, str(source))
    with pytest.raises(SurgeryError, match="cannot be made BF16"):
        set_precision(source, out, "bf16")
    assert not out.exists()


def test_a_file_may_be_rewritten_in_place(tmp_path):
    source = network(tmp_path / "m.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        set_precision(source, source, "fp16")
        assert set_precision(source, source, "fp16").changed == 0
    assert operands(source)["conv0"] == HALF
