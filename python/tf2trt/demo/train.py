"""The demo's first half, in TensorFlow: data, model, training, SavedModel, and Keras's own figures."""

from __future__ import annotations

import io
import time
from typing import Any, Dict, Tuple

import numpy as np

from tf2trt.bench import time_calls
from tf2trt.demo.artifacts import Artifacts
from tf2trt.export.quiet import import_tensorflow
from tf2trt.extras import require
from tf2trt.files import atomic_write

__all__ = ["train"]

SEED = 0
EPOCHS = 20

Array = Any  # NumPy's


def load_digits() -> Tuple[Array, Array, Array, Array]:
    """scikit-learn's 1,797 digits of 8x8 pixels in [0, 1]: training images and labels, then a held-out fifth."""
    datasets = require("sklearn.datasets", "demo")
    selection = require("sklearn.model_selection", "demo")
    digits = datasets.load_digits()
    images = (digits.images[..., np.newaxis] / 16.0).astype(np.float32)
    train_images, held_images, train_labels, held_labels = selection.train_test_split(
        images, digits.target, test_size=0.2, random_state=SEED, stratify=digits.target
    )
    return train_images, train_labels, held_images, held_labels


def make_model(keras: Any) -> Tuple[Any, Any]:
    """The classifier that is trained, and the same network with both outputs, ``scores`` and ``embedding``."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    features = image
    for filters, pool in ((32, False), (64, True), (64, False)):
        features = layers.Conv2D(filters, 3, padding="same")(features)
        features = layers.LeakyReLU(negative_slope=0.1)(features)
        if pool:
            features = layers.MaxPooling2D()(features)
    features = layers.Dropout(0.3)(layers.Flatten()(features))
    embedding = layers.UnitNormalization(name="embedding")(layers.Dense(32)(features))  # of length 1
    scores = layers.Dense(10, activation="softmax", name="scores")(embedding)
    return keras.Model(image, scores), keras.Model(image, {"scores": scores, "embedding": embedding})


def train(artifacts: Artifacts) -> Dict[str, Any]:
    """Trains the network, saves it and the held-out data, and returns Keras's figures."""
    tensorflow = import_tensorflow()
    # Its remapper fails on LeakyReLU's gradient, harmlessly, and says so on the terminal.
    tensorflow.config.optimizer.set_experimental_options({"remapping": False})
    keras = require("keras", "demo")
    keras.utils.set_random_seed(SEED)
    images, labels, held_images, held_labels = load_digits()

    started = time.perf_counter()
    classifier, network = make_model(keras)
    classifier.compile(optimizer=keras.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy")
    classifier.fit(images, labels, batch_size=64, epochs=EPOCHS, verbose=0)
    seconds = time.perf_counter() - started
    network.export(str(artifacts.saved_model), verbose=False)

    outputs: Dict[str, Any] = {name: np.asarray(value) for name, value in network(held_images, training=False).items()}
    data = io.BytesIO()
    np.savez_compressed(data, images=held_images, labels=held_labels, **outputs)
    atomic_write(artifacts.heldout, data.getvalue())
    return {
        "keras_accuracy": float(np.mean(outputs["scores"].argmax(axis=1) == held_labels)),
        "keras_latency": _latency(tensorflow, network, held_images[:1]),
        "keras_device": "GPU" if tensorflow.config.list_physical_devices("GPU") else "CPU",
        "training_seconds": seconds,
        "images": {"trained": len(labels), "held_out": len(held_labels)},
        "versions": {"tensorflow": tensorflow.__version__, "keras": keras.__version__},
    }


def _latency(tensorflow: Any, network: Any, image: Array) -> Dict[str, Any]:
    """Of one image, host to host, as TensorFlow does it best: one traced function."""
    function = tensorflow.function(lambda batch: network(batch, training=False))
    latency = time_calls(
        lambda: [value.numpy() for value in function(tensorflow.constant(image)).values()], warmup=20, iterations=200
    )
    return latency.to_json()
