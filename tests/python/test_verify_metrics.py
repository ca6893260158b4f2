"""The figures of an output, the picture of its errors, and the user's own figure."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tf2trt.errors import UsageError, VerificationError
from tf2trt.numerics import relative_error
from tf2trt.verify import ComparisonReport, error_picture, load_function
from tf2trt.verify.metrics import Metrics
from tf2trt.verify.task_metric import TaskMetric

rng = np.random.default_rng()


def measure(out, ref, parts=1):
    metrics = Metrics("y")
    for got, want in zip(np.array_split(np.asarray(out), parts), np.array_split(np.asarray(ref), parts)):
        metrics.add(got, want)
    return metrics.result()


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_figures_are_what_they_say(dtype, parts):
    ref = (100 * rng.standard_normal((9, 7))).astype(dtype)
    out = (ref + (3 * rng.standard_normal((9, 7))).astype(dtype)).astype(dtype)
    found = measure(out, ref, parts)
    a, b = out.astype(np.float64).ravel(), ref.astype(np.float64).ravel()
    assert found.max_abs == max(abs(x - y) for x, y in zip(a, b))
    assert found.rel_error == pytest.approx(relative_error(out, ref), rel=1e-12)
    assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-12)
    assert found.rms == pytest.approx(math.sqrt(np.mean(b**2)), rel=1e-12)
    assert found.top1 == np.mean(out.argmax(axis=1) == ref.argmax(axis=1))
    assert found.elements == 63
    assert sum(found.histogram.counts) + found.histogram.same == 63


def test_the_histogram_counts_differences_by_their_size():
    found = measure(np.array([1.0, 2.0 + 1.5e-3, 3.0 - 1.2e-3, 5.0 + 20.0]), np.array([1.0, 2.0, 3.0, 5.0]))
    histogram = found.histogram
    assert histogram.same == 1
    bins = {histogram.start + index * histogram.step: count for index, count in enumerate(histogram.counts) if count}
    assert bins == {-3.0: 2, 1.25: 1}


@pytest.mark.parametrize(
    ("columns", "top1", "top5"), [(1, False, False), (2, True, False), (5, True, False), (6, True, True)]
)
def test_what_is_class_like(columns, top1, top5):
    ref = rng.standard_normal((4, columns))
    found = measure(ref, ref)
    assert (found.top1, found.top5) == (1.0 if top1 else None, 1.0 if top5 else None)
    assert measure(ref[None], ref[None]).top1 is None


def test_top5_is_the_share_of_the_five_best():
    ref = np.arange(10.0)[None]
    out = ref.copy()
    out[0, [5, 0]] = out[0, [0, 5]]  # one of the five best changes places with the last
    found = measure(out, ref)
    assert (found.top1, found.top5) == (1.0, 0.8)


def test_nan_and_infinity_are_counted_and_fail():
    ref = np.ones((2, 6), np.float32)
    out = ref.copy()
    out[0, 0], out[1, 1], out[1, 2] = np.nan, -np.inf, -np.inf
    found = measure(out, ref)
    assert (found.nan, found.inf, found.ref_nan, found.ref_inf) == (1, 2, 0, 0)
    assert math.isnan(found.rel_error)
    assert math.isnan(found.cosine)
    assert found.top1 == 0.5  # the row with the NaN agrees with nothing; ties go to the first column
    assert not found.passes(1e9, 1e9)
    assert not found.passes(None)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["rel_error"] == "nan"


@pytest.mark.parametrize(("out", "passes"), [([np.inf, 1.0], True), ([-np.inf, 1.0], False), ([1.0, 1.0], False)])
def test_an_infinity_of_the_reference(out, passes):
    assert measure(np.array(out), np.array([np.inf, 1.0])).passes(1e-6) is passes


@pytest.mark.parametrize(
    ("rtol", "atol", "passes"), [(0.2, 0.0, True), (0.05, 0.0, False), (0.05, 0.2, True), (None, 0.0, True)]
)
def test_tolerances(rtol, atol, passes):
    assert measure(np.array([1.1]), np.array([1.0])).passes(rtol, atol) is passes


def test_other_shapes_fail():
    found = Metrics("y")
    found.add(np.zeros((2, 3)), np.zeros((3, 2)))
    assert found.result().mismatch == "shape (2, 3) and not (3, 2)"
    assert not found.result().passes(None)


@pytest.mark.parametrize(
    "out", [np.ones((4, 3)), np.ones((4, 3)) + 1e-3, np.full((4, 3), np.nan), 1e30 * np.ones((4, 3))]
)
def test_the_picture_is_whole_and_needs_no_network(out):
    outputs = (measure(out, np.ones((4, 3))), measure(out, np.zeros((4, 3))))
    report = ComparisonReport("m <&>", "e <&>", "", 1, 4, outputs, 1e-4, 0.0, None, (), ())
    text = error_picture(report)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"script", "image", "use", "style", "a"}
    assert text.count("http") == 1  # the namespace
    bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if len(element)]
    assert len(bars) == sum(sum(1 for count in output.histogram.counts if count) for output in outputs)
    assert "e <&>" in "".join(root.itertext())


def accuracy(outputs, data):
    return {"accuracy": float((outputs["y"].argmax(axis=1) == data["labels"]).mean())}


def test_the_task_metric_sees_all_batches_at_once():
    task = TaskMetric(accuracy, 0.3)
    ref = np.eye(4)
    out = ref.copy()
    out[3] = [1, 0, 0, 0]
    for part in (slice(0, 2), slice(2, 4)):
        task.add({"x": ref[part], "labels": np.arange(4)[part]}, {"y": ref[part]}, {"y": out[part]})
    found = task.result()
    assert (found.reference, found.candidate) == ({"accuracy": 1.0}, {"accuracy": 0.75})
    assert found.passed


@pytest.mark.parametrize(
    ("function", "message"),
    [(lambda outputs, data: 1 / 0, "ZeroDivisionError"), (lambda outputs, data: "good", "could not convert")],
)
def test_a_metric_that_fails(function, message):
    task = TaskMetric(function)
    task.add({}, {"y": np.ones(1)}, {"y": np.ones(1)})
    with pytest.raises(VerificationError, match=message):
        task.result()


def test_a_metric_of_nan_does_not_pass():
    task = TaskMetric(lambda outputs, data: outputs["y"].mean(), 1.0)
    task.add({}, {"y": np.ones(1)}, {"y": np.full(1, np.nan)})
    assert not task.result().passed


def test_functions_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_figures.py").write_text("def one(outputs, data):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    assert load_function("my_figures:one")({}, {}) == 1.0
    assert load_function(f"{tmp_path / 'my_figures.py'}:one")({}, {}) == 1.0
    for text in ("my_figures", "my_figures:two", "no_such_module:one", "missing.py:one", "my_figures:__name__"):
        with pytest.raises(UsageError, match="metric"):
            load_function(text)
