"""Real strongly typed builds, ahead of time with TensorRT-RTX: FP16, BF16 and INT8 plans, and what is refused."""

import json

import pytest

from tf2trt import libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.conversion import build_for
from tf2trt.errors import BuildError, UsageError
from tf2trt.sidecar import Sidecar

pytest.importorskip("onnx")
from quantised_graphs import network


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    return next(each.library for each in libraries.candidates() if each.library and each.library.kind == "rtx")


def heavy(engine):
    return {layer.name: layer.precision for layer in Sidecar.read(engine).proof.layers if layer.heavy}


CONVOLUTIONS = ("conv0", "conv1", "conv2")


@pytest.mark.parametrize(
    ("precision", "quantise", "rules", "expected"),
    [
        ("fp32", False, (), {"conv": "float32", "dense": "float32"}),
        ("fp16", False, (), {"conv": "float16", "dense": "float16"}),
        ("bf16", False, (), {"conv": "bfloat16", "dense": "bfloat16"}),
        ("fp16", False, (("conv1", "fp32"),), {"conv": "float16", "conv1": "float32", "dense": "float16"}),
        ("fp32", False, (("dense", "fp16"),), {"conv": "float32", "dense": "float16"}),
        ("int8", True, (), {"conv": "int8", "dense": "float32"}),
        ("int8+fp16", True, (), {"conv": "int8", "dense": "float16"}),
        ("int8", True, (("conv1", "fp32"),), {"conv": "int8", "conv1": "float32", "dense": "float32"}),
        ("int8+fp16", True, (("conv1", "fp16"),), {"conv": "int8", "conv1": "float16", "dense": "float16"}),
    ],
)
@pytest.mark.parametrize("integer_weights", [True, False])
def test_a_plan_in_the_precision_asked_for(rtx, tmp_path, precision, quantise, rules, expected, integer_weights):
    source = network(tmp_path / "m.onnx", quantise=quantise, integer_weights=integer_weights)
    options = BuildOptions(precision=precision, layer_precision=rules)
    report = build_for(source, tmp_path / "m.engine", options, library=rtx)
    found = heavy(report.engine)
    assert found == {name: expected.get(name, expected.get(name[:4])) for name in (*CONVOLUTIONS, "dense")}
    proof = report.sidecar.proof
    assert (proof.source, proof.share, proof.time_share) == ("network", 1.0, None)
    assert report.sidecar.layer_precision == rules
    assert {spec.dtype for spec in (*report.sidecar.inputs, *report.sidecar.outputs)} == {"float32"}


@pytest.mark.parametrize(("precision", "quantise"), [("fp16", False), ("bf16", False), ("int8+fp16", True)])
def test_an_fp32_network_under_another_name_is_refused(rtx, tmp_path, precision, quantise):
    """build_engine takes the graph as it is: FP32, or quantised with FP32 elsewhere."""
    source = network(tmp_path / "m.onnx", quantise=quantise)
    options = BuildOptions(precision=precision)
    if quantise:  # three of four layers are as asked
        report = build_engine(source, tmp_path / "m.engine", options, library=rtx)
        assert report.sidecar.proof.share == 0.75
        assert [layer.name for layer in report.sidecar.proof.layers if layer.asked is False] == ["dense"]
        return
    with pytest.raises(BuildError) as caught:
        build_engine(source, tmp_path / "m.engine", options, library=rtx)
    assert "conv0: float32, the type that its inputs have in the graph" in str(caught.value)
    assert "received: 0 of 4 heavy layers as asked" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    taken = BuildOptions(precision=precision, allow_fallback=True)
    report = build_engine(source, tmp_path / "m.engine", taken, library=rtx)
    assert report.sidecar.proof.share == 0


def test_int8_of_a_network_without_scales(rtx, tmp_path):
    with pytest.raises(UsageError, match="tf2trt calibrate"):
        build_for(network(tmp_path / "m.onnx"), tmp_path / "m.engine", BuildOptions(precision="int8"), library=rtx)
    rules = (("*", "fp32"),)  # as a search for the layers that hurt may end
    source = network(tmp_path / "q.onnx", quantise=True)
    options = BuildOptions(precision="int8", layer_precision=rules)
    report = build_for(source, tmp_path / "m.engine", options, library=rtx)
    assert set(heavy(report.engine).values()) == {"float32"}


def test_a_name_that_tensorrt_makes_up(rtx, tmp_path):
    report = build_for(network(tmp_path / "m.onnx"), tmp_path / "m.engine", library=rtx)
    assert "node_of_r1" in {layer.name for layer in report.sidecar.proof.layers}


def test_the_command(cli, tmp_path, rtx):
    source = network(tmp_path / "m.onnx", quantise=True)
    arguments = ("build", source, "-o", tmp_path / "m.engine", "--precision", "int8+fp16")
    result = cli(*arguments, "--layer-precision", "conv1=fp32", "--layer-precision", "dense=fp32")
    assert result.status == 0, result.err
    assert "100% of the heavy layers" in result.out
    assert heavy(tmp_path / "m.engine") == {
        "conv0": "int8",
        "conv1": "float32",
        "conv2": "int8",
        "dense": "float32",
    }
    result = cli(*arguments, "--layer-precision", "conv9=fp32")
    assert result.status == 2
    assert "conv9=fp32" in result.err
    result = cli(*arguments, "--layer-precision", "conv1:fp32")
    assert result.status == 2
    result = cli(*arguments, "--json")
    assert json.loads(result.out)["sidecar"]["precision"]["proof"]["share"] == 1
