"""Rules for layers by name, and the proof as it lies in a sidecar."""

import json

import pytest

from tf2trt.errors import UsageError
from tf2trt.precisions import LayerPrecision, PrecisionProof, assign, check_rules, parse_rule

NAMES = ["conv1/Conv", "conv2/Conv", "block[0]/conv/Conv", "dense/MatMul", ""]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("conv1*=fp32", ("conv1*", "fp32")),
        (" conv1/Conv = int8 ", ("conv1/Conv", "int8")),
        ("a=b=fp16", ("a=b", "fp16")),
        ("*=bf16", ("*", "bf16")),
    ],
)
def test_rules_on_the_command_line(text, rule):
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["", "conv1", "=fp32", "conv1=", "conv1=tf32", "conv1=half", "conv1:fp32"])
def test_texts_that_are_no_rule(text):
    with pytest.raises(UsageError, match="PATTERN=PRECISION"):
        parse_rule(text)


@pytest.mark.parametrize("rules", ["conv1=fp32", {"conv1": "fp32"}, ["conv1=fp32"], [("conv1",)], [("conv1", 16)]])
def test_what_is_no_list_of_rules(rules):
    with pytest.raises(UsageError, match="layer precision"):
        check_rules(rules)


def test_the_last_match_wins():
    assert assign(NAMES, (("*", "fp32"), ("conv*", "fp16"), ("conv2/Conv", "fp32"))) == {
        "conv1/Conv": "fp16",
        "conv2/Conv": "fp32",
        "block[0]/conv/Conv": "fp32",
        "dense/MatMul": "fp32",
    }


def test_a_name_with_brackets_matches_as_it_stands():
    assert assign(NAMES, (("block[0]/conv/Conv", "fp32"),)) == {"block[0]/conv/Conv": "fp32"}


def test_a_pattern_that_matches_nothing_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        assign(NAMES, (("conv3/Conv", "fp32"),))
    assert "received: conv3/Conv=fp32" in str(caught.value)
    assert "conv1/Conv" in str(caught.value)
    with pytest.raises(UsageError, match="a network with layers"):
        assign([], (("*", "fp32"),))


def test_a_proof_is_read_as_it_was_written():
    proof = PrecisionProof(
        "engine",
        0.5,
        None,
        (
            LayerPrecision("conv1 + relu1", "CaskConvolution", "float16", True, True, 0.25),
            LayerPrecision("dense", "MatrixMultiply", "float32", True, False),
            LayerPrecision("pool", "CudaPooling", "float16", False),
        ),
    )
    text = json.dumps(proof.to_json())
    assert PrecisionProof.from_json(json.loads(text)) == proof
    assert proof.to_json()["layers"][2] == {"name": "pool", "kind": "CudaPooling", "precision": "float16"}
