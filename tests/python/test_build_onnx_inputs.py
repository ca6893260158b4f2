import contextlib

import pytest

from tf2trt.build.onnx_inputs import read_onnx_inputs, read_onnx_origins, read_onnx_types
from tf2trt.errors import OnnxError
from tf2trt.specs import TensorSpec

onnx = pytest.importorskip("onnx")
helper = onnx.helper


@pytest.fixture
def model(tmp_path):
    inputs = [
        helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3, None]),
        helper.make_tensor_value_info("ids", onnx.TensorProto.INT32, [2]),
        helper.make_tensor_value_info("half", onnx.TensorProto.FLOAT16, []),
        helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [3, 1 << 33]),  # an initializer's name: no input
    ]
    weights = helper.make_tensor("w", onnx.TensorProto.FLOAT, [3, 2], [0.0] * 6)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    outputs = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, [weights])), str(path))
    return path


def test_names_types_and_shapes(model):
    assert read_onnx_inputs(model) == (
        TensorSpec("x", "float32", (-1, 3, -1)),
        TensorSpec("ids", "int32", (2,)),
        TensorSpec("half", "float16", ()),
    )


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(OnnxError, match="cannot read the ONNX file") as caught:
            read_onnx_inputs(path)
        assert "hint:" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not an onnx file at all", b"PK\x03\x04" * 8, b"\x08\x08", b"\xff" * 64])
def test_what_is_no_onnx_file(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(OnnxError, match="is not a whole ONNX file"):
        read_onnx_inputs(tmp_path / "m.onnx")


def test_a_truncated_file_is_an_error_wherever_it_ends(model):
    whole = model.read_bytes()
    graph_end = len(whole) - len(onnx.load(str(model)).opset_import[0].SerializeToString()) - 2
    for size in range(graph_end):
        model.write_bytes(whole[:size])
        with pytest.raises(OnnxError):
            read_onnx_inputs(model)


def test_what_the_nodes_came_from(tmp_path):
    nodes = [
        helper.make_node("Relu", [name], [f"{name}y"], each) for name, each in (("a", "one"), ("b", ""), ("c", "three"))
    ]
    for node, origin in zip(
        nodes, ({"tf2trt.layer": "dense", "tf2trt.op": "m/dense/Relu"}, {"tf2trt.op": "m/b"}, {"other": "x"})
    ):
        for key, value in origin.items():
            node.metadata_props.add(key=key, value=value)
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("a", "b", "c", "ay")]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values[:3], values[3:])), str(path))
    assert read_onnx_origins(path) == {"one": ("dense", "m/dense/Relu"), "node_of_by": ("", "m/b")}


def test_a_changed_byte_is_never_another_error(model):
    whole = bytearray(model.read_bytes())
    for at in range(len(whole)):
        for value in (0x00, 0x7F, 0xFF):
            model.write_bytes(bytes(whole[:at]) + bytes([value]) + bytes(whole[at + 1 :]))
            for read in (read_onnx_inputs, read_onnx_origins):
                with contextlib.suppress(OnnxError):
                    read(model)


def quantised(zero_points, as_nodes=False):
    tensors = [helper.make_tensor(f"z{place}", kind, [], [0]) for place, kind in enumerate(zero_points)]
    nodes = [helper.make_node("Constant", [], [each.name], value=each) for each in tensors if as_nodes]
    nodes += [helper.make_node("QuantizeLinear", ["x", "s", each.name], [f"q{each.name}"]) for each in tensors]
    nodes += [] if tensors else [helper.make_node("DequantizeLinear", ["x", "s"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], [] if as_nodes else tensors))


@pytest.mark.parametrize("as_nodes", [False, True])
@pytest.mark.parametrize(
    ("zero_points", "types"),
    [
        ([], ("int8",)),
        ([onnx.TensorProto.INT8], ("int8",)),
        ([onnx.TensorProto.FLOAT8E4M3FN], ("fp8",)),
        ([onnx.TensorProto.INT8, onnx.TensorProto.FLOAT8E4M3FN], ("int8", "fp8")),
    ],
)
def test_what_a_graph_quantises_to(tmp_path, zero_points, types, as_nodes):
    onnx.save(quantised(zero_points, as_nodes), str(tmp_path / "m.onnx"))
    assert read_onnx_types(tmp_path / "m.onnx") == types


def test_a_graph_that_quantises_nothing(model, tmp_path):
    assert read_onnx_types(model) == ()
    with pytest.raises(OnnxError, match="cannot read the ONNX file"):
        read_onnx_types(tmp_path / "missing.onnx")
