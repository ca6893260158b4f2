"""Export of Keras models: Keras 3 and Keras 2 (tf_keras), as objects, as files, as SavedModels."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest

from tf2trt.errors import ExportError, UsageError
from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow
from tf2trt.verify import OnnxReference, relative_error

tf = import_tensorflow()

import keras  # noqa: E402  (after TensorFlow, which is imported quietly)
import tf_keras  # noqa: E402

rng = np.random.default_rng()


def embedding_cnn(library, normalise):
    """Convolutions, LeakyReLU, an l2-normalised embedding and a classifier on it; normalised in one of three ways."""
    layers = library.layers
    unit = {
        "layer": lambda: layers.UnitNormalization(name="embedding"),
        "lambda": lambda: layers.Lambda(lambda t: tf.math.l2_normalize(t, axis=-1), name="embedding"),
        "ops": lambda: layers.Lambda(lambda t: keras.ops.normalize(t, axis=-1), name="embedding"),
    }[normalise]()
    image = library.Input((12, 12, 1), name="image")
    x = layers.Conv2D(4, 3, strides=2)(image)
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(0.1)(x)
    x = layers.Dense(8)(layers.Flatten()(x))
    embedding = unit(x)
    return library.Model(image, [embedding, layers.Dense(10, activation="softmax", name="digit")(embedding)])


def agrees(path, model, batch):
    reference = OnnxReference(path)
    image = rng.standard_normal((batch, 12, 12, 1)).astype(np.float32)
    results = reference({"image": image})
    for name, wanted in zip(("embedding", "digit"), model(image)):
        assert relative_error(results[name], np.asarray(wanted)) < 1e-5, name
    assert np.allclose(np.linalg.norm(results["embedding"], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("library", "normalise"),
    [(keras, "layer"), (keras, "lambda"), (keras, "ops"), (tf_keras, "layer"), (tf_keras, "lambda")],
)
def test_an_embedding_cnn(tmp_path, library, normalise):
    model = embedding_cnn(library, normalise)
    report = export(model, tmp_path / "m.onnx")
    assert report.source == "keras"
    assert [str(spec) for spec in report.inputs] == ["image: float32 ?x12x12x1"]
    assert [str(spec) for spec in report.outputs] == ["embedding: float32 ?x8", "digit: float32 ?x10"]
    assert report.max_rel_error is not None
    assert report.max_rel_error < 1e-5
    assert "LeakyRelu" in {node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node}
    assert os.listdir(tmp_path) == ["m.onnx"]
    for batch in (1, 5):
        agrees(tmp_path / "m.onnx", model, batch)


@pytest.mark.parametrize(
    ("library", "suffix"), [(keras, ".keras"), (keras, ".h5"), (tf_keras, ".keras"), (tf_keras, ".h5")]
)
def test_a_file_is_read_by_the_keras_that_wrote_it(tmp_path, library, suffix):
    model = embedding_cnn(library, "layer")
    path = tmp_path / f"m{suffix}"
    model.save(str(path))
    report = export(path, tmp_path / "m.onnx")
    assert [spec.name for spec in report.outputs] == ["embedding", "digit"]
    agrees(tmp_path / "m.onnx", model, 2)


def test_a_saved_model_of_keras_3(tmp_path):
    model = embedding_cnn(keras, "ops")
    model.export(str(tmp_path / "saved"), verbose=False)
    report = export(tmp_path / "saved", tmp_path / "m.onnx")
    assert report.source == "saved_model"
    assert [str(spec) for spec in report.inputs] == ["image: float32 ?x12x12x1"]
    assert [spec.name for spec in report.outputs] == ["output_0", "output_1"]  # Keras's names in the signature
    image = rng.standard_normal((3, 12, 12, 1)).astype(np.float32)
    assert relative_error(OnnxReference(tmp_path / "m.onnx")({"image": image})["output_1"], model(image)[1]) < 1e-5


def test_a_saved_model_of_keras_2(tmp_path):
    model = embedding_cnn(tf_keras, "layer")
    model.save(str(tmp_path / "saved"), save_format="tf")
    report = export(tmp_path / "saved", tmp_path / "m.onnx")
    assert {spec.name for spec in report.outputs} == {"embedding", "digit"}
    agrees(tmp_path / "m.onnx", model, 2)


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_several_inputs_and_outputs_in_a_dictionary(tmp_path, library):
    # Not in alphabetical order, and of different widths: a mix-up would not run.
    wide, narrow = library.Input((7,), name="wide"), library.Input((3,), name="narrow")
    outputs = {"second": library.layers.Dense(2)(narrow), "first": library.layers.Dense(4)(wide)}
    model = library.Model({"wide": wide, "narrow": narrow}, outputs)
    report = export(model, tmp_path / "m.onnx")
    assert {str(spec) for spec in report.inputs} == {"wide: float32 ?x7", "narrow: float32 ?x3"}
    assert {str(spec) for spec in report.outputs} == {"first: float32 ?x4", "second: float32 ?x2"}
    feed = {name: rng.standard_normal((2, size)).astype(np.float32) for name, size in (("wide", 7), ("narrow", 3))}
    for name, result in OnnxReference(tmp_path / "m.onnx")(feed).items():
        assert relative_error(result, np.asarray(model(feed)[name])) < 1e-5


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_layer_names_of_a_sequential_and_a_fixed_batch(tmp_path, library):
    model = library.Sequential([library.layers.Input((4,)), library.layers.Dense(3, name="head")])
    report = export(model, tmp_path / "m.onnx", inputs={_first_input(model): (6, 4)})
    assert report.inputs[0].name.startswith("input_")  # input_layer in Keras 3, input_1 in Keras 2
    assert [str(spec) for spec in report.outputs] == ["head: float32 6x3"]


def _first_input(model):
    return model.input_names[0] if hasattr(model, "input_names") else model.inputs[0]._keras_history.operation.name


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_subclassed_model_takes_its_inputs_from_the_call(tmp_path, library):
    class Gap(library.Model):
        def call(self, left, right):
            return {"gap": tf.abs(left - right)}

    with pytest.raises(UsageError, match=r"expected: inputs=\{name: shape\}"):
        export(Gap(), tmp_path / "m.onnx")
    report = export(Gap(), tmp_path / "m.onnx", inputs={"left": (None, 4), "right": (None, 4)})
    assert [str(spec) for spec in report.inputs] == ["left: float32 ?x4", "right: float32 ?x4"]
    assert [str(spec) for spec in report.outputs] == ["gap: float32 ?x4"]


def test_a_shared_output_and_training_layers(tmp_path):
    x = keras.Input((4,), name="x")
    y = keras.layers.Dropout(0.9, name="y")(x)  # in training mode the check would fail
    report = export(keras.Model(x, [y, y]), tmp_path / "m.onnx")
    assert [spec.name for spec in report.outputs] == ["y", "y_1"]
    assert report.max_rel_error == 0.0


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_damaged_file(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"PK damaged")
    with pytest.raises(ExportError, match="is not a Keras model"):
        export(path, tmp_path / "m.onnx")


def test_a_file_with_unknown_code_in_it(tmp_path):
    embedding_cnn(keras, "lambda").save(str(tmp_path / "m.keras"))
    with pytest.raises(ExportError, match=r"cannot load[\s\S]*load the model there and pass the object"):
        export(tmp_path / "m.keras", tmp_path / "m.onnx")


def test_another_backend_is_refused(tmp_path, monkeypatch):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ExportError, match="KERAS_BACKEND=tensorflow"):
        export(model, tmp_path / "m.onnx")
