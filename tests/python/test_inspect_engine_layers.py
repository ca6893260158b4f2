"""The layers of an engine as TensorRT's inspector words them, and as a graph."""

import json
from dataclasses import replace

import pytest
from inspector_samples import CHANNELS, LINEAR, ResNet, convolution, information, metadata, myelin, reformat, tensor

from tf2trt.inspect.engine_network import network_from_information
from tf2trt.inspect.network import Layer, Network, Tensor

X = (Tensor("x", "float32", (1, 3, 8, 8)),)
Y = (Tensor("y", "float32", (1, 8, 8, 8)),)


def read(layers, order=()):
    return network_from_information(information(layers), "m.engine", X, Y, order)


def test_layers_of_tensorrt_8():
    shape = (1, 8, 8, 8)
    network = read(
        [
            reformat("x", "x turned", (1, 3, 8, 8), LINEAR["float32"], CHANNELS["float16"]),
            convolution(["stem/Conv", "stem/Relu"], [("x turned", (1, 3, 8, 8))], ("y", shape), weights=216),
        ]
    )
    turned, conv = network.layers
    assert (turned.kind, turned.nodes, turned.tactic) == ("Reformat", (), "0x00000000000003e8")
    assert (turned.inputs[0].dtype, turned.outputs[0].dtype) == ("float32", "float16")
    assert conv.nodes == ("stem/Conv", "stem/Relu")
    assert (conv.kind, conv.precision) == ("CaskConvolution", "float16")
    assert conv.outputs == (Tensor("y", "float16", shape, CHANNELS["float16"]),)
    assert conv.tactic.startswith("sm80_xmma_fprop_implicit_gemm_f16f16")
    assert conv.details["operation"] == "Convolution"
    assert conv.details["Kernel"] == "3x3"
    assert conv.details["Weights"] == "Type Half, Count 216"
    assert conv.details["TacticValue"] == "0xa1c540a5038e4190"
    assert "AllowSparse" not in conv.details
    assert network.edges() == [(0, 1)]


def test_layers_of_tensorrt_10():
    network = read([myelin("__myl_ConvRelu_myl0_1", ["stem/Conv", "stem/Relu"], [("x", (1, 3))], [("y", (1, 8))])])
    (layer,) = network.layers
    found = layer.from_nodes({"stem/Conv": ("stem", "m/stem/Conv2D"), "stem/Relu": ("stem_relu", "m/stem/Relu")})
    assert (found.keras, found.ops) == (("stem", "stem_relu"), ("m/stem/Conv2D", "m/stem/Relu"))
    assert found.title == "stem + stem_relu"
    assert found.precision == "float16"
    assert found.to_json()["keras_layers"] == ["stem", "stem_relu"]
    assert layer.title == "stem/Conv + \N{HORIZONTAL ELLIPSIS}Relu"


def test_an_engine_that_tells_names_alone():
    network = read(["stem/Conv + stem/Relu", "other"], order=["stem/Conv", "stem/Relu", "head"])
    assert [layer.nodes for layer in network.layers] == [("stem/Conv", "stem/Relu"), ()]
    assert [(layer.kind, layer.precision) for layer in network.layers] == [("", "unknown")] * 2
    assert network.edges() == []
    assert network.adrift == []


def test_an_answer_that_is_no_json():
    with pytest.raises(ValueError, match="Expecting"):
        network_from_information("not here", "m.engine", X, Y)


def test_parts_of_a_concatenation_all_lead_on():
    parts = [convolution([f"c{place}"], [("x", (1, 3, 8, 8))], ("joined", (1, 4, 8, 8))) for place in range(2)]
    last = convolution(["c2"], [("joined", (1, 8, 8, 8))], ("y", (1, 8, 8, 8)))
    assert read([*parts, last]).edges() == [(0, 2), (1, 2)]


def test_a_name_that_is_used_again_leads_only_onward():
    again = [convolution([name], [("t", (1,))], ("t", (1,))) for name in "ab"]
    assert read(again).edges() == [(0, 1)]


def test_a_plugin_is_marked_and_control_characters_do_not_disturb():
    value = convolution(["l2"], [("x", (1, 3))], ("y", (1, 3)))
    value.update(LayerType="PluginV2DynamicExt", Name="a\x1eb", PluginType="L2Normalize")
    text = information([value]).replace("\\u001e", "\x1e")
    (layer,) = network_from_information(text, "m", X, Y).layers
    assert layer.plugin
    assert layer.name == "a\x1eb"
    assert layer.to_json()["plugin"] is True
    json.dumps(layer.to_json())


def test_shapes_that_are_not_known_before_the_run():
    value = convolution(["c"], [], ("y", (-1, 8)))
    value["Outputs"] = [tensor("y", (-1, 8), "N/A due to dynamic shapes")]
    (layer,) = read([value]).layers
    assert (layer.outputs[0].dtype, layer.outputs[0].shape_text) == ("", "?x8")
    assert layer.precision == "float16"  # its weights tell


def test_times_by_name_and_by_order():
    network = Network("m", tuple(Layer(name, "k", "float32") for name in ("a", "b", "a", "c")))
    timed, others = network.timed([("a", 1.0), ("b", 2.0), ("a", 3.0), ("a", 9.0), ("z", 4.0)])
    assert [layer.milliseconds for layer in timed.layers] == [1.0, 2.0, 3.0, None]
    assert others == ["a", "z"]
    assert (timed.milliseconds, timed.slowest) == (6.0, 3.0)
    assert network.milliseconds is None
    assert timed.by_precision() == {"float32": (4, 6.0)}


def test_tensors_of_the_network_before():
    nodes = [
        Layer("c", "Conv", "float32", (Tensor("x", "float32", (1,)),), (Tensor("t", "float32", (2,)),), nodes=("c",)),
        Layer("r", "Relu", "float32", (Tensor("t", "float32", (2,)),), (Tensor("u", "float32", (2,)),), nodes=("r",)),
        Layer("d", "Gemm", "float32", (Tensor("u", "float32", (2,)),), (Tensor("y", "float32", (3,)),), nodes=("d",)),
    ]
    before = Network("m.onnx", tuple(nodes), nodes[0].inputs, nodes[2].outputs)
    layers = [Layer(name, "k", "float16", nodes=nodes) for name, nodes in (("r1", ()), ("c + r", "cr"), ("d", "d"))]
    layers[2] = replace(layers[2], kind="other")
    found = Network("m.engine", tuple(layers)).with_tensors_of(before)
    assert found.layers[1].inputs == (Tensor("x", "", (1,)),)
    assert found.layers[1].outputs == (Tensor("u", "", (2,)),)  # t stays inside
    assert found.layers[2].kind == "Gemm"
    assert found.edges() == [(1, 2)]
    assert found.adrift == [0]


def test_a_whole_engine():
    sample = ResNet()
    network = network_from_information(sample.information, "r", (Tensor("images"),), (Tensor("logits"),))
    assert len(network.layers) == 57
    assert {name for layer in network.layers for name in layer.nodes} == set(sample.origins)
    assert len(network.edges()) == 72
    timed, others = network.timed(sample.times)
    assert not others
    assert timed.milliseconds == pytest.approx(sum(time for _, time in sample.times))


def test_metadata_of_a_region_names_all_its_nodes():
    value = myelin("{ForeignNode[a...c]}", ["a", "b", "c"], [("x", (1,))], [("y", (1,))])
    value.update(LayerType="Myelin", Metadata=metadata("abc"))
    (layer,) = read([value]).layers
    assert layer.nodes == ("a", "b", "c")
    assert layer.title == "a + b + c"
