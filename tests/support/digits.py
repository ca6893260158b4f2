"""A small residual CNN, trained on scikit-learn's digits, and its ONNX file."""

from __future__ import annotations

import numpy as np

from tf2trt.demo.train import load_digits


def train(folder):
    """Writes ``digits.onnx`` (image: ?x8x8x1, scores: ?x10) into ``folder`` and returns its path. With TensorFlow."""
    from tf2trt.export import export
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    data = load_digits()
    image = keras.Input((8, 8, 1), name="image")
    x = _convolution(keras, image, 16)
    for filters in (16, 32):
        short = x if filters == 16 else keras.layers.Conv2D(filters, 1)(x)
        branch = _convolution(keras, _convolution(keras, x, filters), filters, activation=False)
        x = keras.layers.ReLU()(keras.layers.Add()([branch, short]))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(x))
    network = keras.Model(image, keras.layers.Dense(10, name="scores")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(4e-3), loss)
    network.fit(data[0], data[1], batch_size=32, epochs=12, verbose=0)
    path = folder / "digits.onnx"
    export(network, path)
    return path


def _convolution(keras, x, filters, activation=True):
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x))
    return keras.layers.ReLU()(x) if activation else x


def accuracy(path, images, labels):
    """The share of images that ONNX Runtime gives the right label."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    scores = session.run(["scores"], {session.get_inputs()[0].name: images})[0]
    return float(np.mean(scores.argmax(axis=1) == labels))
