"""The proof of an engine's precision, from the inspector's words and from the parsed network's types."""

import json
from types import SimpleNamespace

import pytest

from tf2trt.build.inspection import read_layers
from tf2trt.build.proof import MINIMUM_SHARE, prove, refuse_fallback
from tf2trt.errors import BuildError

TENSORRT_8 = SimpleNamespace(version_text="8.6.0", strongly_typed=False)
RTX = SimpleNamespace(version_text="1.7.1", strongly_typed=True)

FP16 = "Channel major FP16 format where channel % 8 == 0"
INT8 = "Thirty-two wide channel vectorized row major Int8 format"
FP32 = "Row major linear FP32"
XMMA = "sm80_xmma_fprop_implicit_gemm_{}_nhwckrsc_nhwc_tilesize64x64x32_stage3"


def tensors(*formats):
    return [{"Name": f"t{place}", "Dimensions": [1, 8], "Format/Datatype": text} for place, text in enumerate(formats)]


def built(name, kind, given, made=FP32, tactic="", **more):
    inputs = [given] if isinstance(given, str) else given
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": tensors(*inputs),
        "Outputs": tensors(made),
        "TacticName": tactic,
        **more,
    }


def information(*layers):
    return json.dumps({"Layers": list(layers), "Bindings": ["x", "y"]})


def layer(name, kind, inputs=(), outputs=()):
    return SimpleNamespace(name=name, kind=kind, inputs=list(inputs), outputs=list(outputs))


def network(*names, kind="convolution", dtype="float32"):
    return [layer(name, kind, [(f"{name}.x", dtype), (f"{name}.w", dtype)], [(f"{name}.y", dtype)]) for name in names]


def quantised(name, dtype="float32"):
    """A convolution of this name between DequantizeLinear nodes, its weights turned round on the way."""
    return [
        layer(f"{name}/xdq", "dequantize", [(f"{name}.xq", "int8"), ("s", dtype)], [(f"{name}.xd", dtype)]),
        layer(f"{name}/wdq", "dequantize", [(f"{name}.wq", "int8"), ("s", dtype)], [(f"{name}.wd", dtype)]),
        layer(f"{name}/turn", "shuffle", [(f"{name}.wd", dtype)], [(f"{name}.wt", dtype)]),
        layer(name, "convolution", [(f"{name}.xd", dtype), (f"{name}.wt", dtype)], [(f"{name}.y", dtype)]),
    ]


@pytest.mark.parametrize(
    ("value", "precision"),
    [
        (built("c", "CaskConvolution", FP16), "float16"),
        (built("c", "CaskConvolution", INT8, made=FP16), "int8"),
        (built("c", "CaskConvolution", FP32, tactic=XMMA.format("tf32f32_tf32f32_f32")), "tf32"),
        (built("c", "CaskConvolution", FP32, tactic=XMMA.format("f32f32_f32f32_f32")), "float32"),
        (built("c", "gemm", ["Half", "Half"], made="Float"), "float16"),  # TensorRT 10
        (built("c", "gemm", "BFloat16"), "bfloat16"),
        # Shapes that are not known leave the weights, and where there are none the kernel's name.
        (built("c", "CaskConvolution", "N/A due to dynamic shapes", Weights={"Type": "Half", "Count": 9}), "float16"),
        (built("c", "CaskConvolution", [], "", tactic=XMMA.format("f16f16_f16f16_f16")), "float16"),
        (built("c", "CaskConvolution", [], "", tactic=XMMA.format("i8i8_i8i32_f32")), "int8"),
        (built("c", "CaskConvolution", [], "", tactic="ampere_h16816cudnn_128x128_ldg8_relu_nhwc_tn_v1"), "float16"),
        (built("c", "CaskConvolution", [], "", tactic="ampere_scudnn_128x64_relu_medium_nn_v1"), "float32"),
        (built("c", "CaskConvolution", [], "", tactic=XMMA.format("bf16bf16_f32")), "bfloat16"),
        (built("c", "CaskConvolution", [], FP16), "float16"),
        (built("c", "CaskConvolution", [], ""), "unknown"),
    ],
)
def test_the_type_of_a_layers_operands(value, precision):
    (found,) = read_layers(information(value), {}, ())
    assert (found.precision, found.heavy) == (precision, True)


@pytest.mark.parametrize(
    ("value", "heavy"),
    [
        (built("c + relu", "CaskConvolution", FP16), True),
        (built("c", "CudaDepthwiseConvolution", FP16), True),
        (built("c", "CaskDeconvolutionV2", FP16), True),
        (built("m", "MatrixMultiply", FP16), True),
        (built("m", "CaskGemmMatrixMultiply", FP16), True),
        (built("__myl_Fc_myl0_3", "gemm", "Half"), True),
        (built("p", "CudaPooling", FP16, ParameterType="Pooling"), False),
        (built("p", "TiledPooling", FP16), False),
        (built("Reformatting CopyNode for Input Tensor 0 to c + relu", "Reformat", FP32, made=FP16), False),
        (built("Reformatting CopyNode for Input Tensor 0 to c", "NoOp", FP16), False),
        (built("__myl_MulAdd_myl0_2", "kgen", "Half", Metadata="[ONNX Layer: c]"), False),
        (built("l", "PluginV2", FP16), False),
        (built("x", "Shuffle", FP16), False),
    ],
)
def test_which_layers_are_heavy(value, heavy):
    (found,) = read_layers(information(value), {"c": 0, "relu": 1}, ("c",))
    assert found.heavy == heavy


def test_the_parts_of_a_fused_layer():
    order = {name: place for place, name in enumerate(["c1", "relu", "c2", "add", "soft"])}
    text = information(
        built("c1 + PWN(relu)", "CaskConvolution", FP16),
        built("c2", "CaskConvolution", FP16, Metadata="[ONNX Layer: c2]\x1e[ONNX Layer: add]"),
        built("{ForeignNode[c1...add]}", "Myelin", FP32),  # 8.2 and 8.5 name the ends
        built("{ForeignNode[soft...soft]}", "Myelin", FP32),
    ).replace("\\u001e", "\x1e")
    first, second, region, light = read_layers(text, order, ("c1", "c2"))
    assert first.parts == ("c1", "relu")
    assert second.parts == ("c2", "add")
    assert region.parts == ("c1", "relu", "c2", "add")
    assert (region.opaque, region.heavy, light.heavy) == (True, True, False)


def test_the_parts_of_the_layers_of_a_second_profile():
    order = {name: place for place, name in enumerate(["c1", "relu", "c2", "add"])}
    text = information(
        built("c1 [profile 1]", "CaskConvolution", FP16),
        built("c1 + relu [profile 1]", "CaskConvolution", FP16),
        built("{ForeignNode[c2...add]} [profile 1]", "Myelin", FP32),
    )
    layers = read_layers(text, order, ("c1", "c2"))
    assert [layer.parts for layer in layers] == [("c1",), ("c1", "relu"), ("c2", "add")]
    assert layers[0].name == "c1 [profile 1]"
    assert layers[2].opaque


def test_shares_by_count_and_by_time():
    text = information(
        built("Reformatting CopyNode for Input Tensor 0 to c1", "Reformat", FP32, made=FP16),
        built("c1", "CaskConvolution", FP16, made=FP16),
        built("c2", "CaskConvolution", FP16),
        built("c3", "CaskConvolution", FP32),
    )
    times = [("c1", 0.5), ("c2", 0.25), ("c3", 0.25), ("Reformatting CopyNode for Input Tensor 0 to c1", 3.0)]
    proof, found = prove("fp16", (), network("c1", "c2", "c3"), information=text, times=times)
    assert (proof.source, proof.share, proof.time_share) == ("engine", pytest.approx(2 / 3), pytest.approx(0.75))
    assert found == {"float16": 2, "float32": 2}
    assert [layer.asked for layer in proof.layers] == [None, True, True, False]
    assert [layer.milliseconds for layer in proof.layers] == [3.0, 0.5, 0.25, 0.25]
    refuse_fallback("fp16", (), proof, found, TENSORRT_8)


def test_an_fp32_engine_sold_as_fp16_is_refused_with_names_and_reasons():
    names = [f"c{place}" for place in range(12)]
    text = information(*(built(name, "CaskConvolution", FP32) for name in names))
    proof, found = prove("fp16", (), network(*names), information=text)
    assert proof.share == 0
    with pytest.raises(BuildError) as caught:
        refuse_fallback("fp16", (), proof, found, TENSORRT_8)
    message = str(caught.value)
    assert message.startswith("fp16 was asked for, and the engine is something else")
    assert "c0: float32, the kernel (CaskConvolution) that TensorRT 8.6.0 found fastest, or its only one" in message
    assert "... and 4 more" in message
    assert "received: 0 of 12 heavy layers as asked; 12 layers of float32" in message
    assert f"at least {MINIMUM_SHARE:.0%}" in message
    assert "--allow-fallback" in message


@pytest.mark.parametrize(("fast", "refused"), [(5, False), (4, True)])
def test_the_share_that_is_stated(fast, refused):
    names = [f"c{place}" for place in range(10)]
    text = information(
        *(built(name, "CaskConvolution", FP16 if place < fast else FP32) for place, name in enumerate(names))
    )
    proof, found = prove("fp16", (), network(*names), information=text)
    assert proof.share == fast / 10
    if not refused:
        refuse_fallback("fp16", (), proof, found, TENSORRT_8)
        return
    with pytest.raises(BuildError):
        refuse_fallback("fp16", (), proof, found, TENSORRT_8)


def test_layers_with_a_rule_are_held_against_it():
    text = information(built("c1", "CaskConvolution", FP32), built("c2", "CaskConvolution", FP16))
    rules = (("c1", "fp32"),)
    proof, _ = prove("fp16", rules, network("c1", "c2"), information=text)
    assert proof.share == 1
    text = information(built("c1", "CaskConvolution", FP16), built("c2", "CaskConvolution", FP16))
    proof, _ = prove("fp16", rules, network("c1", "c2"), information=text)
    assert [layer.asked for layer in proof.layers] == [False, True]


def test_a_region_that_is_fp32_outside_proves_nothing():
    text = information(built("{ForeignNode[m1...m2]}", "Myelin", FP32), built("c1", "CaskConvolution", FP16))
    proof, _ = prove("fp16", (), [*network("c1"), *network("m1", "m2", kind="matrix_multiply")], information=text)
    assert [layer.asked for layer in proof.layers] == [None, True]
    assert proof.share == 1
    text = information(built("{ForeignNode[m1...m2]}", "Myelin", [FP32, FP16], made=FP32))
    proof, _ = prove("fp16", (), network("m1", "m2", kind="matrix_multiply"), information=text)
    assert [layer.precision for layer in proof.layers] == ["float16"]
    assert proof.share == 1


def test_a_region_that_is_fp16_outside_may_be_int8_inside():
    text = information(built("{ForeignNode[c1...c2]}", "Myelin", FP16, made=FP16))
    layers = [*quantised("c1", "float16"), *quantised("c2", "float16")]
    proof, found = prove("int8+fp16", (), layers, information=text)
    assert [layer.asked for layer in proof.layers] == [None]
    refuse_fallback("int8+fp16", (), proof, found, TENSORRT_8)
    text = information(built("c1", "CaskConvolution", FP16, made=FP16))
    proof, _ = prove("int8+fp16", (), layers, information=text)
    assert [layer.asked for layer in proof.layers] == [False]


def test_int8_is_asked_of_the_layers_that_have_scales():
    layers = [*quantised("c1"), *quantised("c2"), *network("c3")]
    text = information(
        built("c1/wdq + c1 + relu", "CaskConvolution", INT8),
        built("c2", "CaskConvolution", FP32),
        built("c3", "CaskConvolution", FP32),
    )
    proof, _ = prove("int8", (), layers, information=text)
    assert [layer.asked for layer in proof.layers] == [True, False, None]
    proof, _ = prove("int8+fp16", (), layers, information=text)
    assert [layer.asked for layer in proof.layers] == [True, False, False]


def test_what_quantize_gives_is_int8_whatever_its_tensor_is_called():
    layers = [each for each in quantised("c1") if each.kind != "dequantize"]
    scales = [layer(f"c1/{x}dq", "dequantize", [(f"c1.{x}q", "float32")], [(f"c1.{x}d", "float32")]) for x in "xw"]
    text = information(built("c1", "CaskConvolution", INT8), built("c2", "CaskConvolution", FP32))
    proof, _ = prove("int8", (), [*scales, *layers, *network("c2")], information=text)
    assert [layer.asked for layer in proof.layers] == [True, None]


def test_int8_by_a_calibrator_in_which_no_layer_is_int8():
    text = information(built("c1", "CaskConvolution", FP16), built("c2", "CaskConvolution", FP16))
    proof, found = prove("int8+fp16", (), network("c1", "c2"), information=text)
    assert proof.share == 1
    with pytest.raises(BuildError, match="tf2trt calibrate"):
        refuse_fallback("int8+fp16", (), proof, found, TENSORRT_8)
    text = information(built("c1", "CaskConvolution", INT8), built("c2", "CaskConvolution", FP16))
    proof, found = prove("int8+fp16", (), network("c1", "c2"), information=text)
    refuse_fallback("int8+fp16", (), proof, found, TENSORRT_8)


def test_a_strongly_typed_network_is_its_own_proof():
    layers = [layer("w", "constant", [], [("w", "float16")]), *network("c1", dtype="float16"), *network("c2")]
    proof, found = prove("fp16", (), layers)
    assert (proof.source, proof.share, proof.time_share, found) == ("network", 0.5, None, {})
    assert [(layer.name, layer.precision, layer.asked) for layer in proof.layers] == [
        ("c1", "float16", True),
        ("c2", "float32", False),
    ]
    refuse_fallback("fp16", (), proof, {"float16": 2, "float32": 1}, RTX)
    proof, _ = prove("fp16", (), network("c1", "c2"))
    with pytest.raises(BuildError, match="c1: float32, the type that its inputs have in the graph"):
        refuse_fallback("fp16", (), proof, {"float32": 2}, RTX)


def test_quantised_layers_of_a_strongly_typed_network():
    proof, _ = prove("int8+fp16", (), [*quantised("c1", "float16"), *network("m", kind="matrix_multiply")])
    assert [(layer.name, layer.precision, layer.asked) for layer in proof.layers if layer.heavy] == [
        ("c1", "int8", True),
        ("m", "float32", False),
    ]
    # Where FP16 was asked for, scales are the graph's own wish.
    proof, _ = prove("fp16", (), quantised("c1", "float16"))
    assert [layer.asked for layer in proof.layers if layer.heavy] == [None]
    # Weights alone in INT8 are no INT8 layer.
    halfway = quantised("c1")[1:]
    proof, _ = prove("int8", (), halfway)
    assert [layer.precision for layer in proof.layers if layer.heavy] == ["float32"]


def test_layers_of_one_node_have_one_name():
    """A Gemm is a product and a sum, an LSTM several products, all called after it."""
    layers = [
        *network("dense", kind="matrix_multiply", dtype="float16"),
        layer("dense", "other", [("dense.y", "float32")], [("y", "float32")]),
        *network("lstm", kind="matrix_multiply", dtype="float16"),
        *network("lstm", kind="matrix_multiply"),
    ]
    proof, _ = prove("fp16", (), layers)
    assert [(layer.precision, layer.heavy, layer.asked) for layer in proof.layers] == [
        ("float16", True, True),
        ("float32", False, None),
        ("float16", True, True),
        ("float32", True, False),
    ]


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_nothing_is_refused_where_nothing_narrow_was_asked(precision):
    proof, found = prove(precision, (), network("c1", dtype="float16"))
    assert proof.share == (0 if precision == "fp32" else None)  # types do not show TF32
    refuse_fallback(precision, (), proof, found, RTX)


def test_a_network_without_heavy_layers():
    layers = [layer("relu", "other", [("x", "float32")], [("y", "float32")])]
    proof, _ = prove("fp16", (), layers)
    assert proof.share is None
    with pytest.raises(BuildError, match="received: 1 layers of float32"):
        refuse_fallback("fp16", (), proof, {"float32": 1}, RTX)
    refuse_fallback("fp16", (), proof, {"float16": 1, "float32": 1}, RTX)
    refuse_fallback("fp16", (), proof, {"float32": 1}, TENSORRT_8)


def test_an_answer_that_is_no_json_loses_no_build(caplog):
    proof, found = prove("fp16", (), network("c1"), information="no JSON")
    assert (proof.share, proof.layers, found) == (None, (), {})
    assert "the types of the built layers are not known" in caplog.text
    refuse_fallback("fp16", (), proof, found, TENSORRT_8)
