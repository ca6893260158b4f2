"""Failures that raise nothing are told by name, and only where they are the cause."""

from __future__ import annotations

import numpy as np
import pytest

from tf2trt.specs import TensorSpec
from tf2trt.verify import Candidate, GeneratedInputs, compare

SEED = int(np.random.SeedSequence().generate_state(1)[0])
rng = np.random.default_rng(SEED)
IMAGE = TensorSpec("image", "float32", (-1, 6, 8, 3))
KERNELS = {name: rng.standard_normal((6 * 8 * 3, 12)).astype(np.float32) / 12 for name in ("a", "b")}


class Model:
    """Two dense layers on an image, one after a tanh, and the image itself, smoothed, in three forms."""

    description = "the model"
    inputs = (IMAGE,)

    def __call__(self, feed):
        image = feed["image"]
        flat = image.reshape(len(image), -1)
        smooth = np.tanh(image * 0.5 + np.linspace(0, 1, 3, dtype=np.float32))
        return {
            "a": np.tanh(flat @ KERNELS["a"]),
            "b": flat @ KERNELS["b"] + 1,
            "map": smooth,
            "flat": smooth.reshape(len(image), -1),
        }


def check(change_outputs=lambda outputs: outputs, change_input=lambda image: image, spec=IMAGE, **options):
    print("seed", SEED)

    def call(feed):
        return change_outputs(Model()({"image": change_input(feed["image"])}))

    outputs = [
        TensorSpec(name, "float32", (-1,)) for name in call({"image": np.zeros((1, *spec.shape[1:]), np.float32)})
    ]
    candidate = Candidate(call, (spec,), outputs, "the candidate")
    inputs = GeneratedInputs((IMAGE,), options.pop("distribution", "uniform"), batch=5)
    return compare(Model(), candidate, inputs, rtol=1e-4, **options)


def test_the_same_model_passes_and_nothing_is_looked_for():
    report = check()
    assert report.passed
    assert report.findings == ()


def test_outputs_in_another_order():
    report = check(lambda outputs: {**outputs, "a": outputs["b"], "b": outputs["a"]})
    assert not report.passed
    assert [finding.kind for finding in report.findings] == ["order", "order"]
    assert "what the candidate calls 'a' is the model's 'b'" in report.findings[0].text
    assert report.findings[0].explained < 1e-6 < 0.1 < report.findings[0].error


def test_outputs_of_other_names_are_matched_by_their_order():
    report = check(lambda outputs: {f"out_{index}": value for index, value in enumerate(outputs.values())})
    assert report.passed
    assert "'out_1' is compared with the model's 'b'" in report.notes[1]


def test_a_flattened_layout():
    def nchw(outputs):
        return {**outputs, "flat": outputs["map"].transpose(0, 3, 1, 2).reshape(len(outputs["map"]), -1)}

    report = check(nchw)
    (finding,) = report.findings
    assert finding.kind == "layout"
    assert "the candidate's 'flat' is the model's flattened in another layout (NHWC and NCHW, 3 and 48)" in finding.text


def test_an_output_in_nchw():
    report = check(lambda outputs: {**outputs, "map": outputs["map"].transpose(0, 3, 1, 2)})
    assert next(output for output in report.outputs if output.name == "map").mismatch
    (finding,) = report.findings
    assert finding.kind == "layout"
    assert "'map'" in finding.text


def test_an_output_reshaped_where_it_should_be_transposed():
    report = check(lambda outputs: {**outputs, "map": outputs["map"].transpose(0, 3, 1, 2).reshape(-1, 6, 8, 3)})
    assert [finding.kind for finding in report.findings] == ["layout"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image / 255, "from 0 to 255, the model from 0 to 1"),
        (lambda image: image * 255, "from 0 to 1, the model from 0 to 255"),
        (lambda image: (image + 1) / 2, "from -1 to 1, the model from 0 to 1"),
        (lambda image: image * 2 - 1, "from 0 to 1, the model from -1 to 1"),
        (lambda image: image[..., ::-1], "RGB and BGR swapped"),
        (lambda image: image[..., ::-1] / 255, "from 0 to 255, the model from 0 to 1, and with its channels"),
        (
            lambda image: image * np.float32([0.229, 0.224, 0.225]) + np.float32([0.485, 0.456, 0.406]),
            "normalised by ImageNet's mean and deviation, the model from 0 to 1",
        ),
    ],
)
def test_preprocessing_that_differs(change, words):
    """The candidate undoes inside what the words say of its input."""
    (finding,) = check(change_input=lambda image: change(image).astype(np.float32)).findings
    assert finding.kind == "preprocessing"
    assert words in finding.text
    assert finding.explained < 1e-4


def test_an_input_reshaped_where_it_should_be_transposed():
    (finding,) = check(change_input=lambda image: image.transpose(0, 3, 1, 2).reshape(image.shape)).findings
    assert finding.kind == "input layout"


def test_an_input_in_nchw_is_given_so():
    report = check(
        change_input=lambda image: image.transpose(0, 2, 3, 1), spec=TensorSpec("image", "float32", (-1, 3, 6, 8))
    )
    assert report.passed
    assert "another layout" in report.notes[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs: {**outputs, "a": outputs["a"] * np.float32(1.01)},
        lambda outputs: {**outputs, "a": outputs["a"][:, ::-1]},
        lambda outputs: {**outputs, "b": np.full_like(outputs["b"], np.nan)},
        lambda outputs: {**outputs, "a": outputs["b"] * np.float32(1.01)},
    ],
    ids=["scaled", "other columns", "NaN", "nearly another"],
)
def test_what_none_of_these_explains_is_not_explained(change):
    report = check(change)
    assert not report.passed
    assert report.findings == ()


def test_another_cause_beside_it_is_not_hidden():
    """Swapped channels, and an output that is off besides: neither explains the whole."""
    report = check(lambda outputs: {**outputs, "b": outputs["b"] * np.float32(1.1)}, lambda image: image[..., ::-1])
    assert not report.passed
    assert report.findings == ()
