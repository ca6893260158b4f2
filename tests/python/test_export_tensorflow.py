"""Export of SavedModels and tf.functions, with the real TensorFlow, tf2onnx and ONNX Runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tf2trt.errors import ExportError, MissingExtraError, UsageError
from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow
from tf2trt.verify import OnnxReference, random_inputs, relative_error

tf = import_tensorflow()
rng = np.random.default_rng()


class Scorer(tf.Module):
    def __init__(self):
        self.weights = tf.Variable(rng.standard_normal((3, 2)), dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="features")])
    def score(self, x):
        return {"score": tf.nn.softmax(x @ self.weights), "norm": tf.norm(x, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.float32)])
    def lookup(self, ids, scale):
        return tf.gather(self.weights, ids % 3) * scale


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "scorer"
    module = Scorer()
    tf.saved_model.save(module, str(folder), signatures={"score": module.score, "lookup": module.lookup})
    return folder


def agrees(path, call, batch=4):
    """The file against TensorFlow, by this test's own means."""
    reference = OnnxReference(path)
    feed = random_inputs(reference.inputs, batch)
    wanted = call(**{name: tf.constant(array) for name, array in feed.items()})
    results = reference(feed)
    assert set(results) == set(wanted)
    for name, result in results.items():
        assert relative_error(result, wanted[name].numpy()) < 1e-5, name


@pytest.mark.parametrize(
    ("signature", "inputs", "outputs"),
    [
        ("score", ["features: float32 ?x3"], {"score: float32 ?x2", "norm: float32 ?"}),
        ("lookup", ["ids: int32 ?x?", "scale: float32 scalar"], {"output_0: float32 ?x?x2"}),
    ],
)
def test_each_signature_keeps_its_names(saved_model, tmp_path, signature, inputs, outputs):
    report = export(saved_model, tmp_path / "m.onnx", signature=signature)
    assert report.source == "saved_model"
    assert [str(spec) for spec in report.inputs] == inputs
    assert {str(spec) for spec in report.outputs} == outputs
    assert report.max_rel_error is not None
    assert report.max_rel_error < 1e-5
    assert report.opset == 15
    assert report.nodes > 0
    assert os.listdir(tmp_path) == ["m.onnx"]
    agrees(tmp_path / "m.onnx", tf.saved_model.load(str(saved_model)).signatures[signature])


@pytest.mark.parametrize("signature", [None, "serving_default"])
def test_the_signatures_are_listed(saved_model, tmp_path, signature):
    with pytest.raises(UsageError, match="expected: lookup, score"):
        export(saved_model, tmp_path / "m.onnx", signature=signature)


def test_dynamic_extents_can_be_fixed(saved_model, tmp_path):
    report = export(saved_model, tmp_path / "m.onnx", signature="lookup", inputs={"ids": (2, None)}, opset=17)
    assert str(report.inputs[0]) == "ids: int32 2x?"
    assert str(report.outputs[0]) == "output_0: float32 2x?x2"
    assert report.opset == 17


def test_the_order_does_not_hang_on_a_map(tmp_path):
    class Many(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name=name) for name in ("b2", "b10", "a")])
        def __call__(self, *x):
            return [x[0] + x[1] * x[2] + float(index) for index in range(12)]

    module = Many()
    tf.saved_model.save(module, str(tmp_path / "many"), signatures=module.__call__)
    report = export(tmp_path / "many", tmp_path / "m.onnx")
    assert [spec.name for spec in report.inputs] == ["a", "b2", "b10"]
    assert [spec.name for spec in report.outputs] == [f"output_{index}" for index in range(12)]


def test_a_saved_model_without_signatures_or_damaged(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    with pytest.raises(ExportError, match="has no signature"):
        export(tmp_path / "bare", tmp_path / "m.onnx")
    (tmp_path / "bare" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ExportError, match="cannot load the SavedModel"):
        export(tmp_path / "bare", tmp_path / "m.onnx")


def test_a_function_with_a_captured_array_and_two_parameters(tmp_path):
    captured = tf.constant(rng.standard_normal(3), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 3]), tf.TensorSpec([None, 3], name="right")])
    def both(left, other):
        return {"sum": left + other * captured, "left": left}

    report = export(both, tmp_path / "m.onnx")
    assert [spec.name for spec in report.inputs] == ["left", "right"]
    assert [spec.name for spec in report.outputs] == ["sum", "left_1"]  # an input and an output cannot share a name
    assert report.source == "function"
    agrees(tmp_path / "m.onnx", lambda left, right: {"sum": left + right * captured, "left_1": left})


def test_a_function_that_learns_its_inputs_from_the_call(tmp_path):
    @tf.function
    def f(x, flag=True, *, y):
        return (x @ tf.transpose(y) if flag else x), tf.cast(y, tf.float32)

    report = export(f, tmp_path / "m.onnx", inputs={"x": (None, 5), "y": tf.TensorSpec([2, 5])})
    assert [str(spec) for spec in report.inputs] == ["x: float32 ?x5", "y: float32 2x5"]
    assert [str(spec) for spec in report.outputs] == ["output_0: float32 ?x2", "output_1: float32 2x5"]
    with pytest.raises(UsageError, match="for the parameters x, flag, y"):
        export(f, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="received: z"):
        export(f, tmp_path / "m.onnx", inputs={"z": (1,)})


def test_a_method_and_an_input_that_nothing_reads(tmp_path):
    module = Scorer()
    report = export(module.score, tmp_path / "m.onnx")
    assert [spec.name for spec in report.inputs] == ["features"]

    @tf.function(input_signature=[{"a": tf.TensorSpec([None, 3]), "b": tf.TensorSpec([None], tf.int32)}])
    def f(x):
        return x["a"] * 2.0

    assert [spec.name for spec in export(f, tmp_path / "m.onnx").inputs] == ["x_a", "x_b"]


@tf.function(input_signature=[tf.TensorSpec([None, 3])])
def noisy(x):
    return {"still": x + 1.0, "noise": x + tf.random.normal([3])}


@tf.function(input_signature=[tf.TensorSpec([100, 3])])
def undefined(x):
    return {"log": tf.math.log(x)}


@tf.function(input_signature=[tf.TensorSpec([None, 3])])
def singular(x):
    return tf.linalg.svd(x)[0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (noisy, r"the output 'noise' differs[\s\S]*relative error \d[\s\S]*at most 0.0001"),
        (undefined, r"the output 'log' differs[\s\S]*relative error nan[\s\S]*own result holds a NaN"),
        (singular, r"operators that ONNX lacks[\s\S]*Svd \(.*Svd\)"),
    ],
)
def test_what_cannot_be_right_leaves_no_file(tmp_path, capfd, function, message):
    with pytest.raises(ExportError, match=message):
        export(function, tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")


def test_the_check_can_be_left_out_or_loosened(tmp_path):
    assert export(noisy, tmp_path / "m.onnx", check=False).max_rel_error is None
    error = export(noisy, tmp_path / "m.onnx", tolerance=1e9).max_rel_error
    assert error is not None
    assert error > 0.1


def test_the_check_wants_onnx_runtime(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tf2trt\[verify\]'"):
        export(noisy, tmp_path / "m.onnx")
    assert export(noisy, tmp_path / "m.onnx", check=False).nodes > 0


@pytest.mark.parametrize("opset", [12, 99])
def test_an_opset_out_of_range(tmp_path, opset):
    with pytest.raises(UsageError, match="13 to 18"):
        export(noisy, tmp_path / "m.onnx", opset=opset)


@pytest.mark.parametrize("model", [3, lambda x: x])
def test_what_is_no_model(tmp_path, model):
    with pytest.raises(UsageError, match=r"expected: a Keras model[\s\S]*tf.function"):
        export(model, tmp_path / "m.onnx")


def test_nothing_is_printed_and_no_setting_is_left(saved_model, tmp_path):
    code = (
        "import os, sys; from tf2trt.export import export\n"
        "export(sys.argv[1], sys.argv[2], signature='score')\n"
        "assert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    command = [sys.executable, "-c", code, str(saved_model), str(tmp_path / "m.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
