"""``tf2trt verify``: its exit status, its table, JSON and picture; and one command that finds a Keras layer."""

from __future__ import annotations

import importlib
import json

import numpy as np
import onnx
import pytest
from verify_models import Graph, hostile, overflowing, turn

from tf2trt.errors import UsageError
from tf2trt.surgery import set_precision
from tf2trt.verify import OnnxReference, TensorFlowReference, relative_error

rng = np.random.default_rng()


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """m.onnx, and fp16.onnx made of it, which is right, and bad.onnx, whose weights are a little off."""
    folder = tmp_path_factory.mktemp("verify")
    path = overflowing(folder / "m.onnx", layers=3, width=8)
    set_precision(path, folder / "fp16.onnx", "fp16")
    bad = onnx.load(str(folder / "fp16.onnx"))
    for tensor in bad.graph.initializer:
        if tensor.name == "w1":
            values = onnx.numpy_helper.to_array(tensor) * np.float16(1.2)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, "w1"))
    onnx.save(bad, str(folder / "bad.onnx"))
    return folder


def test_it_passes(cli, halves):
    result = cli("verify", halves / "m.onnx", halves / "fp16.onnx", "--seed", 7, "--batch", 5)
    assert result.status == 0, result.err
    assert "Passed" in result.out
    assert "seed 7; 20 samples" in result.out
    assert "t2" in result.out


def test_it_fails_with_status_1(cli, halves, tmp_path):
    picture = tmp_path / "errors.svg"
    result = cli("verify", halves / "m.onnx", halves / "bad.onnx", "--picture", picture, "--json", "--batch", 4)
    assert result.status == 1
    report = json.loads(result.out)
    (output,) = report["outputs"]
    assert not report["passed"]
    assert not output["passed"]
    assert report["rtol"] == 2e-2 < output["rel_error"] < 0.5
    assert output["top1"] <= 1
    assert report["seed"] is not None
    assert report["samples"] == 16
    assert picture.read_text().startswith("<svg")
    assert cli("verify", halves / "m.onnx", halves / "bad.onnx", "--seed", report["seed"], "--rtol", 0.5).status == 0
    assert cli("verify", halves / "m.onnx", halves / "bad.onnx", "--atol", 2).status == 0


def test_what_a_bisection_calibrates_with(cli, halves, tmp_path, monkeypatch):
    """An engine is built again with the data and by the method that it was built with."""
    made = []

    def open_trial(*arguments, calibrate, **options):
        made.extend(calibrate(halves / "m.onnx") for _ in range(2))
        raise UsageError("that will do")

    monkeypatch.setattr(importlib.import_module("tf2trt.verify.bisect"), "open_trial", open_trial)
    np.save(tmp_path / "data.npy", rng.standard_normal((12, 8)).astype(np.float32))
    calib = ("--calib", tmp_path / "data.npy", "--calib-method", "percentile", "--calib-quantile", 0.99)
    result = cli("verify", halves / "m.onnx", halves / "bad.onnx", "--bisect", *calib, "--calib-batch", 3)
    assert result.status == 2
    assert "that will do" in result.err
    assert [(each.method, each.quantile, each.batch_size) for each in made] == [("percentile", 0.99, 3)] * 2
    assert made[0].next()["x"].shape == made[1].next()["x"].shape == (3, 8)


def test_inputs_and_a_metric_of_the_users(cli, halves, tmp_path, monkeypatch):
    """A figure on labels from the files; two per cent of relative error are nothing to it."""
    (tmp_path / "figures.py").write_text(
        "def accuracy(outputs, data):\n    return float((outputs['t2'].argmax(1) == data['labels']).mean())\n"
    )
    monkeypatch.chdir(tmp_path)
    x = rng.standard_normal((40, 8)).astype(np.float32)
    labels = OnnxReference(halves / "m.onnx")({"x": x})["t2"].argmax(1)
    np.savez(tmp_path / "data.npz", x=x, labels=labels)
    arguments = ["verify", halves / "m.onnx", halves / "bad.onnx", "--inputs", "data.npz", "--batch", 16, "--rtol", 10]
    arguments += ["--metric", "figures:accuracy", "--json"]
    report = json.loads(cli(*arguments, "--metric-tolerance", 1).out)
    assert report["samples"] == 40
    assert report["metric"]["reference"] == {"metric": 1.0}
    assert report["metric"]["candidate"]["metric"] <= 1
    wrong = np.where(np.arange(40) < 20, labels, (labels + 1) % 8)  # half of the labels are no longer the model's own
    np.savez(tmp_path / "data.npz", x=x, labels=wrong)
    assert json.loads(cli(*arguments).out)["metric"]["reference"] == {"metric": 0.5}


def test_int8_has_no_default_tolerance(cli, tmp_path):
    path, quantised = tmp_path / "m.onnx", tmp_path / "q.onnx"
    hostile(path, quantised, layers=4, outlier=1)
    result = cli("verify", path, quantised)
    assert result.status == 2
    assert "--metric-tolerance" in result.err
    assert cli("verify", path, quantised, "--rtol", "0.2").status == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.onnx"],
        ["fp16.onnx", "--rtol", "much"],
        ["fp16.onnx", "--rtol", "-1"],
        ["fp16.onnx", "--metric-tolerance", "1"],
        ["fp16.onnx", "--metric", "nothing:here"],
        ["fp16.onnx", "--inputs", "missing"],
        ["fp16.onnx", "--shapes", "x:1x9"],
        ["fp16.onnx", "--picture", "no/such/folder/p.svg"],
        ["m.keras"],
    ],
)
def test_wrong_usage(cli, halves, arguments, monkeypatch):
    monkeypatch.chdir(halves)
    result = cli("verify", "m.onnx", *arguments)
    assert result.status in (1, 2)
    assert result.err.startswith(("Error", "Usage"))
    assert "Traceback" not in result.err


def test_bisect_finds_the_layer_of_a_quantised_graph(cli, tmp_path):
    path, quantised = tmp_path / "m.onnx", tmp_path / "q.onnx"
    hostile(path, quantised, layers=100, outlier=20)
    result = cli("verify", path, quantised, "--rtol", 0.3, "--bisect", "--batch", 16)
    assert result.status == 1
    assert "In FP32: dense_21." in result.out
    assert "--layer-precision '*/dense_21/*=fp32'" in result.out


def test_bisect_says_where_precision_is_not_the_cause(cli, halves):
    result = cli("verify", halves / "m.onnx", halves / "bad.onnx", "--bisect")
    assert result.status == 1
    assert "Built anew in fp16 the model is within the tolerance" in result.out


@pytest.fixture(scope="module")
def keras_model(tmp_path_factory):
    """100 Keras layers, with the activations of the one named ``loud`` past what FP16 holds; m.keras and fp16.onnx."""
    keras = pytest.importorskip("keras")
    from tf2trt.preparation import prepare

    folder = tmp_path_factory.mktemp("keras")
    random = np.random.default_rng(11)
    inputs = last = keras.Input((16,), name="features")
    layers = {}
    for index in range(98):
        name = "loud" if index == 61 else f"block_{index}"
        layers[name] = keras.layers.Dense(16, activation="relu" if name == "loud" else "tanh", name=name)
        last = layers[name](last)
        if name == "loud":  # its relu keeps TensorFlow from multiplying the two together
            last = keras.layers.Rescaling(2.0**-17, name="quiet")(last)
    model = keras.Model(inputs, keras.layers.Dense(6, name="scores")(last))
    for name, layer in layers.items():
        factor = {"loud": 2.0**17, "block_60": 16.0}.get(name, 1.0)  # tanh gives about 1 and -1 to the loud layer
        layer.set_weights([factor * turn(random, 16), 0.1 * random.standard_normal(16)])
    model.save(folder / "m.keras")
    prepare(folder / "m.keras", folder / "m.onnx", library=None)
    set_precision(folder / "m.onnx", folder / "fp16.onnx", "fp16")
    return folder


def test_one_command_finds_the_keras_layer_among_a_hundred(cli, keras_model, tmp_path):
    result = cli("verify", keras_model / "m.keras", keras_model / "fp16.onnx", "--bisect", "--json", "--batch", 8)
    assert result.status == 1, result.err
    report = json.loads(result.out)
    found = report["bisect"]
    assert "by TensorFlow" in report["reference"]
    assert found["verdict"] == "found"
    assert found["layers"] >= 100
    assert found["fp32_layers"][0] == "loud"
    assert found["smallest"]
    assert found["ranking"][0]["layer"] in found["fp32_layers"]
    # The list as a user follows it brings the candidate within the tolerance.
    mended = tmp_path / "mended.onnx"
    rules = [(pattern, kind) for pattern, kind in found["layer_precision"]]
    set_precision(keras_model / "m.onnx", mended, "fp16", rules)
    assert cli("verify", keras_model / "m.keras", mended, "--batch", 8).status == 0
    print(f"{found['trials']} trials: {found['options']}")


def test_tensorflow_itself_is_the_reference(keras_model):
    reference = TensorFlowReference(keras_model / "m.keras")
    x = rng.standard_normal((5, 16)).astype(np.float32)
    (name,) = reference({"features": x})
    exported = OnnxReference(keras_model / "m.onnx")
    assert relative_error(exported({"features": x})[name], reference({"features": x})[name]) < 1e-4


def test_preprocessing_is_told_on_the_command_line(cli, tmp_path):
    """The candidate has its scaling inside, the model has not."""

    def network(path, scale):
        graph = Graph()
        last = "image"
        if scale != 1:
            last = graph.add("Mul", [last, graph.constant("scale", scale)], "scaled", "rescaling")
        flat = graph.add("Flatten", [last], "flat", "flatten")
        weights = np.random.default_rng(1).standard_normal((48, 10)) / 5
        graph.add("MatMul", [flat, graph.constant("w", weights)], "logits", "dense")
        graph.add("Tanh", ["logits"], "y", "dense")
        return graph.save(path, {"image": ["n", 4, 4, 3]}, {"y": ["n", 10]})

    network(tmp_path / "m.onnx", 1)
    network(tmp_path / "c.onnx", 1 / 255)
    result = cli("verify", tmp_path / "m.onnx", tmp_path / "c.onnx", "--random", "uniform", "--batch", 4)
    assert result.status == 1
    assert (
        "Found: preprocessing differs: the candidate takes 'image' from 0 to 255, the model from 0 to 1" in result.out
    )
