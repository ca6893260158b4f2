"""ONNX files, looked at without their weights."""

import numpy as np
import pytest
from inspector_samples import ResNet

from tf2trt.errors import OnnxError, UsageError
from tf2trt.inspect import inspect
from tf2trt.inspect.network import Tensor


def save(path, nodes, inputs, outputs, tensors=(), opset=15, **more):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def values(given):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given]

    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors]
    graph = helper.make_graph([helper.make_node(*node[:3], name=node[3], **node[4]) for node in nodes], "g",
                              values(inputs), values(outputs), weights)  # fmt: skip
    opsets = [helper.make_opsetid("", opset), *more.pop("opsets", ())]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path), **more)
    return path


def test_a_network_with_origins(tmp_path):
    sample = ResNet()
    path = sample.save(tmp_path / "resnet.onnx")
    found = inspect(path)
    network = found.network
    assert [layer.name for layer in network.layers] == [name for name, *_ in sample.nodes]
    assert all(layer.keras == (origin[4],) for layer, origin in zip(network.layers, sample.nodes))
    assert network.layers[0].ops == ("resnet50_1/conv1_conv/Conv",)
    conv = network.layers[0]
    assert (conv.kind, conv.precision) == ("Conv", "float32")
    assert conv.inputs == (Tensor("images", "float32", (-1, 3, 224, 224)),)  # weights are no inputs
    assert conv.outputs[0].shape == (-1, 8, 112, 112)
    assert conv.details["weights"] == "8x3x7x7 float32"
    assert conv.details["strides"] == "2, 2"
    assert network.inputs == (Tensor("images", "float32", (-1, 3, 224, 224)),)
    assert network.outputs == (Tensor("logits", "float32", (-1, 10)),)
    readers = {}
    for place, (_, _, inputs, _, _) in enumerate(sample.nodes):
        for name in inputs:
            readers.setdefault(name, []).append(place)
    wanted = {(place, reader) for place, node in enumerate(sample.nodes) for reader in readers.get(node[3], ())}
    assert set(network.edges()) == wanted
    assert found.memory == {"file": path.stat().st_size, "weights": sum(v.nbytes for v in sample.weights.values())}
    assert found.versions == {"written by": "test", "IR": "8", "opset ai.onnx": "15"}
    assert found.summary == f"ONNX: {len(sample.nodes)} nodes; {len(sample.nodes)} float32"
    value = found.to_json()
    assert value["layers"][0]["keras_layers"] == ["conv1_conv"]
    assert value["layers_from"] == "file"
    assert value["notes"] == []


def test_operators_of_another_domain_are_plugins_and_unnamed_nodes_have_the_parsers_names(tmp_path):
    from onnx import helper

    nodes = [("L2Normalize", ["x"], ["n"], "l2", {"domain": "tf2trt", "axes": [1]}), ("Relu", ["n"], ["y"], "", {})]
    path = save(tmp_path / "m.onnx", nodes, [("x", [1, 4])], [("y", [1, 4])], opsets=[helper.make_opsetid("tf2trt", 1)])
    found = inspect(path)
    assert found.plugins == {"tf2trt::L2Normalize": "not an operator of ONNX"}
    assert [layer.plugin for layer in found.network.layers] == [True, False]
    assert [layer.name for layer in found.network.layers] == ["l2", "node_of_y"]
    assert found.network.layers[0].details == {"axes": "1"}


def test_a_quantised_layer_is_int8(tmp_path):
    scale, zero = ("s", np.float32(0.1)), ("z", np.int8(0))
    weights = ("w", np.ones((4, 3), np.int8))
    nodes = [
        ("QuantizeLinear", ["x", "s", "z"], ["q"], "q", {}),
        ("DequantizeLinear", ["q", "s", "z"], ["d"], "d", {}),
        ("DequantizeLinear", ["w", "s", "z"], ["wd"], "wd", {}),
        ("MatMul", ["d", "wd"], ["y"], "dense", {}),
    ]
    path = save(tmp_path / "q.onnx", nodes, [("x", ["n", 4])], [("y", ["n", 3])], [scale, zero, weights])
    found = {layer.name: layer.precision for layer in inspect(path).network.layers}
    assert found == {"q": "float32", "d": "int8", "wd": "float32", "dense": "int8"}


def test_what_a_body_reads_leads_to_its_node(tmp_path):
    import onnx
    from onnx import TensorProto, helper

    def body(name):
        made = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["n", 4])
        return helper.make_graph([helper.make_node("Relu", ["t"], [f"{name}_y"], name)], name, [], [made])

    nodes = [
        helper.make_node("Neg", ["x"], ["t"], "neg"),
        helper.make_node("If", ["c"], ["y"], "choice", then_branch=body("a"), else_branch=body("b")),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    graph = helper.make_graph(nodes, "g", [values[0], condition], [values[1]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(tmp_path / "if.onnx"))
    network = inspect(tmp_path / "if.onnx").network
    assert network.edges() == [(0, 1)]
    assert network.layers[1].details == {"nodes in its bodies": "2"}
    assert network.inputs[1].shape_text == "scalar"


def test_weights_that_are_missing_are_a_note(tmp_path):
    weights = ("w", np.ones((40, 30), np.float32))
    nodes = [("MatMul", ["x", "w"], ["y"], "dense", {})]
    path = save(tmp_path / "m.onnx", nodes, [("x", [1, 40])], [("y", [1, 30])], [weights],
                save_as_external_data=True, location="w.bin", size_threshold=0)  # fmt: skip
    assert inspect(path).notes == ()
    (tmp_path / "w.bin").unlink()
    found = inspect(path)
    assert "w.bin" in found.notes[0]
    assert found.memory["weights"] == 4800
    assert found.network.layers[0].outputs[0].shape == (1, 30)


@pytest.mark.parametrize("content", [None, b"", b"no protobuf \xff\xff", b"\x08\x08"])
def test_files_that_are_not_onnx(tmp_path, content):
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OnnxError, match=r"bad\.onnx"):
        inspect(path)


def test_an_onnx_file_has_no_times(tmp_path):
    with pytest.raises(UsageError, match="profile"):
        inspect(tmp_path / "m.onnx", profile=True)
