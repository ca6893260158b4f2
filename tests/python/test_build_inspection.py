"""The types that a built engine's layers have, as TensorRT's inspector words them."""

import json

import pytest

from tf2trt.build.inspection import count_layer_types


def _information(*formats):
    layers = [
        {"Name": f"layer {i}", "Outputs": [{"Name": "y", "Format/Datatype": text}]} for i, text in enumerate(formats)
    ]
    return json.dumps({"Layers": layers, "Bindings": ["x", "y"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Row major linear FP32", "float32"),
        ("Row major linear FP16 format", "float16"),
        ("Channel major FP16 format where channel % 8 == 0", "float16"),
        ("Two wide channel vectorized row major FP16 format", "float16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Row major linear INT32", "int32"),
        ("Half", "float16"),
        ("Float", "float32"),
        ("BFloat16", "bfloat16"),
        ("N/A due to dynamic shapes", "other"),
    ],
)
def test_each_wording(text, expected):
    assert count_layer_types(_information(text)) == {expected: 1}


def test_layers_are_counted_by_their_first_output():
    assert count_layer_types(_information("Row major linear FP32", "Half", "Half")) == {"float16": 2, "float32": 1}


def test_control_characters_as_tensorrt_8_leaves_them():
    text = _information("Half").replace("layer 0", "[ONNX Layer: conv]\x1e[ONNX Layer: relu]")
    assert count_layer_types(text) == {"float16": 1}


def test_layers_without_outputs_or_details_count_as_other():
    assert count_layer_types('{"Layers": ["conv", {"Name": "a", "Outputs": []}]}') == {"other": 2}
    assert count_layer_types('{"Layers": []}') == {}
