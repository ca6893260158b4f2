"""How results are compared: the figure itself, random inputs, the ONNX reference, engines."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.errors import InputError, MissingExtraError, OnnxError, UsageError, VerificationError
from tf2trt.specs import TensorSpec
from tf2trt.verify import (
    OnnxReference,
    VerifyReport,
    random_inputs,
    relative_error,
    tolerance_for,
    verify_engine,
)

rng = np.random.default_rng()


@pytest.fixture
def model(tmp_path):
    """y = x @ w (dynamic batch), z = 2 * n (int64)."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["n", "n"], ["z"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("n", TensorProto.INT64, [2]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("z", TensorProto.INT64, [2]),
        ],
        [numpy_helper.from_array(rng.standard_normal((3, 2)).astype(np.float32), "w")],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_relative_error_is_what_it_says(dtype):
    ref = rng.standard_normal((4, 5)).astype(dtype)
    noise = rng.standard_normal((4, 5)).astype(dtype) * dtype(0.01)
    out = ref + noise
    wanted = math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(out.ravel(), ref.ravel()))) / math.sqrt(
        sum(float(b) ** 2 for b in ref.ravel())
    )
    assert relative_error(out, ref) == pytest.approx(wanted, rel=1e-12)
    assert relative_error(ref, ref) == 0.0
    assert relative_error(ref * dtype(2), ref) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("out", "ref", "wanted"),
    [
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 1e-30], [0.0, 0.0], math.inf),
        ([], [], 0.0),
        ([1.0, math.inf], [1.0, math.inf], 0.0),
        ([1.0, math.inf], [1.0, -math.inf], math.inf),
        ([1.0, math.inf], [1.0, 2.0], math.inf),
        ([1.0, math.nan], [1.0, 2.0], math.nan),
        ([1.0, math.nan], [1.0, math.nan], math.nan),
        ([2.0, math.inf], [1.0, math.inf], 1.0),
        ([True, False], [True, True], math.sqrt(0.5)),
        (3e38, -3e38, 2.0),  # in float32 the difference would overflow
    ],
)
def test_relative_error_at_the_edges(out, ref, wanted):
    error = relative_error(np.asarray(out), np.asarray(ref))
    assert error == pytest.approx(wanted, nan_ok=True)


def test_relative_error_of_large_bytes_does_not_wrap():
    assert relative_error(np.array([0], np.uint8), np.array([255], np.uint8)) == 1.0


def test_relative_error_wants_one_shape():
    with pytest.raises(VerificationError, match=r"received: \(2, 1\)[\s\S]*expected: \(2,\)"):
        relative_error(np.zeros((2, 1)), np.zeros(2))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"])
def test_random_inputs(dtype):
    specs = [TensorSpec("x", dtype, (-1, 50, -1)), TensorSpec("s", dtype, ())]
    arrays = random_inputs(specs, 3, seed=1)
    assert list(arrays) == ["x", "s"]
    assert arrays["x"].shape == (3, 50, 32)
    assert arrays["s"].shape == ()
    for array in arrays.values():
        assert array.dtype.name == dtype
        assert array.flags.c_contiguous
    assert len(np.unique(arrays["x"])) == (2 if dtype == "bool" else 256 if "int8" in dtype else 10) or "float" in dtype
    assert np.array_equal(random_inputs(specs, 3, seed=1)["x"], arrays["x"])
    assert not np.array_equal(random_inputs(specs, 3)["x"], random_inputs(specs, 3)["x"])


@pytest.mark.parametrize(("dtype", "batch"), [("bfloat16", 1), ("float32", 0)])
def test_random_inputs_refuse(dtype, batch):
    with pytest.raises(UsageError):
        random_inputs([TensorSpec("x", dtype, (-1,))], batch)


def test_the_reference(model):
    reference = OnnxReference(model)
    assert reference.inputs == (TensorSpec("x", "float32", (-1, 3)), TensorSpec("n", "int64", (2,)))
    assert reference.outputs == (TensorSpec("y", "float32", (-1, 2)), TensorSpec("z", "int64", (2,)))
    x = rng.standard_normal((4, 3)).astype(np.float32)
    results = reference({"x": x, "n": np.array([3, 4])})
    weights = numpy_helper.to_array(onnx.load(str(model)).graph.initializer[0])
    assert relative_error(results["y"], x @ weights) < 1e-6
    assert results["z"].tolist() == [6, 8]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((1, 4), np.float32)}, r"received: x: float32 1x4[\s\S]*expected: x: float32 \?x3"),
        ({"x": np.zeros((1, 3))}, "float64"),
        ({"x": np.zeros(3, np.float32)}, "received: x: float32 3"),
        ({"extra": np.zeros(1)}, r"expected: x: float32 \?x3; n: int64 2"),
    ],
)
def test_inputs_that_the_reference_does_not_take(model, change, message):
    feed = {"x": np.zeros((1, 3), np.float32), "n": np.array([3, 4])}
    with pytest.raises(InputError, match=message):
        OnnxReference(model)({**feed, **change})


@pytest.mark.parametrize("content", [None, b"", b"not ONNX"])
def test_a_file_that_is_no_model(tmp_path, content):
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(OnnxError, match=r"m\.onnx"):
        OnnxReference(tmp_path / "m.onnx")


def test_onnx_runtime_missing(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tf2trt\[verify\]'"):
        OnnxReference(model)


def test_an_engine_that_agrees(model):
    report = verify_engine(model, OnnxReference(model), batch=7, tolerance="fp32")
    assert report == VerifyReport({"y": 0.0, "z": 0.0}, 1e-4, 7)
    assert report.passed
    report.raise_if_failed()


@pytest.mark.parametrize(("off", "passed"), [(1e-5, True), (1e-3, False), (math.nan, False), (math.inf, False)])
def test_an_engine_that_is_off(model, off, passed):
    seen = []

    def engine(feed):
        results = OnnxReference(model)(feed)
        seen.append(feed["x"].shape)
        return {**results, "y": results["y"] * np.float32(1 + off)}

    report = verify_engine(model, engine, batch=2, tolerance=1e-4)
    assert report.passed is passed
    assert report.errors["z"] == 0.0
    assert report.max_rel_error == pytest.approx(off, rel=0.02, nan_ok=True)
    assert seen == [(2, 3)]
    if not passed:
        with pytest.raises(VerificationError, match=r"relative error of y: [^,]*\n  expected: at most 0.0001"):
            report.raise_if_failed()
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["passed"] is passed


def test_given_inputs_are_used(model):
    x = rng.standard_normal((5, 3)).astype(np.float32)
    seen = {}

    def engine(feed):
        seen.update(feed)
        return OnnxReference(model)(feed)

    report = verify_engine(model, engine, {"x": x, "n": np.array([1, 2])}, tolerance="fp16")
    assert seen["x"] is x
    assert (report.batch, report.tolerance) == (5, 2e-2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros(3), "returns one array"),
        ({"y": np.zeros((1, 2))}, r"received: y\n  expected: y, z"),
        ({"y": np.zeros((1, 2)), "z": np.zeros(3)}, "the output 'z'"),
    ],
)
def test_engines_with_other_outputs(model, answer, message):
    with pytest.raises(VerificationError, match=message):
        verify_engine(model, lambda feed: answer, tolerance=1.0)


def test_a_bare_array_stands_for_the_only_output(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    assert verify_engine(path, lambda feed: -feed["x"], batch=9, tolerance=0.0).passed


@pytest.mark.parametrize(("precision", "wanted"), [("fp32", 1e-4), ("tf32", 2e-3), ("fp16", 2e-2), ("bf16", 2e-2)])
def test_tolerances(precision, wanted):
    assert tolerance_for(precision) == wanted


@pytest.mark.parametrize("precision", ["int8", "fp64"])
def test_precisions_without_a_tolerance(precision):
    with pytest.raises(UsageError, match="expected: a number, or fp32, tf32, fp16, bf16"):
        tolerance_for(precision)
