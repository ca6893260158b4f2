"""Two files side by side."""

import json
from dataclasses import replace

import pytest
from inspector_samples import ResNet, convolution, information, myelin, reformat

from tf2trt.errors import UsageError
from tf2trt.inspect import Inspection, compare
from tf2trt.inspect.engine_network import network_from_information
from tf2trt.inspect.network import Layer, Network, Tensor


def engine(layers, times=(), **facts):
    text = layers if isinstance(layers, str) else information(layers)
    network, _ = network_from_information(text, "m", (Tensor("x"),), (Tensor("y"),)).timed(times)
    values = {"versions": {"TensorRT": "8.6.0"}, "build": {}, "memory": {"plan": 10}, "plugins": {}, **facts}
    return Inspection("m.engine", "engine", "inspector", network, None, (), times=None, notes=(), **values)


def graph(*layers):
    network = Network("m.onnx", tuple(Layer(name, kind, "float32", nodes=(name,)) for name, kind in layers))
    return Inspection("m.onnx", "onnx", "file", network, None, (), {}, {}, {}, {}, None, ())


def test_layers_that_were_fused_in_another_way_belong_together():
    one = engine(
        [
            reformat("x", "x1", (1,), "Half", "Half"),
            convolution(["a", "b"], [("x1", (1,))], ("t", (1,))),
            convolution(["c"], [("t", (1,))], ("y", (1,))),
        ],
        [("a + b", 2.0), ("c", 1.0)],
    )
    two = engine(
        [
            convolution(["a"], [("x", (1,))], ("t", (1,))),
            myelin("__myl_0", ["b", "c"], [("t", (1,))], [("y", (1,))]),
            convolution(["d"], [("y", (1,))], ("z", (1,))),
        ],
        [("a", 1.0), ("__myl_0", 1.5)],
        versions={"TensorRT": "10.3.0"},
    )
    found = compare(one, two)
    assert [(pair.first, pair.second, pair.differs) for pair in found.pairs] == [
        ((0,), (), True),
        ((1, 2), (0, 1), True),
        ((), (2,), True),
    ]
    assert found.pairs[1].milliseconds == (3.0, 2.5)
    assert found.pairs[0].milliseconds == (None, None)
    assert found.facts == (
        ("TensorRT", "8.6.0", "10.3.0"),
        ("time of all layers", "3.000 ms", "2.500 ms"),
    )
    json.dumps(found.to_json())


def test_an_engine_against_itself():
    sample = ResNet()
    one = engine(sample.information, sample.times)
    found = compare(one, one)
    assert len(found.pairs) == 57
    assert not any(pair.differs for pair in found.pairs)
    assert found.facts == ()
    assert [pair.first for pair in found.pairs] == [(place,) for place in range(57)]


def test_two_precisions():
    one, two = ResNet(), ResNet("float32")
    found = compare(engine(one.information, memory={"plan": 5}), engine(two.information))
    assert len(found.pairs) == 57
    assert all(pair.differs for pair in found.pairs)  # another type, another kernel
    assert found.pairs[0].second == ()  # the reformatting layer
    assert ("layers", "57", "56") in found.facts
    assert ("plan", "5", "10") in found.facts


def test_layers_of_one_name_pair_in_order():
    twice = [reformat("x", "t", (1,), "Half", "Half")] * 2
    found = compare(engine(twice), engine(twice[:1]))
    assert [(pair.first, pair.second) for pair in found.pairs] == [((0,), (0,)), ((1,), ())]


def test_two_onnx_files():
    found = compare(graph(("a", "Conv"), ("b", "Relu"), ("c", "Add")), graph(("n", "Pad"), ("a", "Conv"), ("c", "Sum")))
    assert [(pair.first, pair.second, pair.differs) for pair in found.pairs] == [
        ((), (0,), True),
        ((0,), (1,), False),
        ((1,), (), True),
        ((2,), (2,), True),
    ]
    assert found.facts == ()
    other = graph(("a", "Conv"))
    changed = replace(other, network=replace(other.network, inputs=(Tensor("x", "float32", (-1, 3)),)))
    assert compare(other, changed).facts == (("inputs", "", "x float32 ?x3"),)


def test_files_of_two_kinds_are_refused():
    with pytest.raises(UsageError, match="one kind"):
        compare(graph(("a", "Conv")), engine([]))
