"""Transposes of whole networks: as tf2onnx leaves them, and after the pass."""

from __future__ import annotations

import keras
import onnx
import pytest
from keras import layers
from tf2onnx import optimizer

from tf2trt.export import export
from tf2trt.export.convert import io_specs
from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.transposes import transposes
from tf2trt.surgery.whole_graph import session
from tf2trt.verify import random_inputs, relative_error


def count(model):
    return [item.op_type for item in model.graph.node].count("Transpose")


def small_unet():
    def twice(x, filters):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    entry = layers.Input((16, 16, 3))
    first = twice(entry, 4)
    second = twice(layers.MaxPooling2D()(first), 8)
    third = twice(layers.MaxPooling2D()(second), 8)
    up = layers.Conv2DTranspose(8, 2, strides=2)(third)
    up = twice(layers.Concatenate()([up, second]), 8)
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(up)
    up = twice(layers.Concatenate()([up, first]), 4)
    return keras.Model(entry, layers.Conv2D(2, 1, activation="softmax")(up))


def three_heads():
    entry = layers.Input((16, 16, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same", activation="relu")(entry))
    x = layers.Flatten()(layers.MaxPooling2D()(layers.Conv2D(6, 3, padding="same", activation="relu")(x)))
    return keras.Model(entry, [layers.LeakyReLU()(layers.Dense(units)(x)) for units in (3, 4, 5)])


def application(name, size=32):
    return lambda: getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)


# How many Transposes tf2onnx makes of it at least, with its own optimisers or the one of constants alone, and how many
# are left.
NETWORKS = {
    "ResNet50": (application("ResNet50", 64), False, 102, 1),
    "MobileNetV2": (application("MobileNetV2"), False, 100, 1),
    "MobileNetV3Small": (application("MobileNetV3Small"), True, 106, 1),  # the optimiser gives up
    "U-Net": (small_unet, False, 26, 2),
    "U-Net, optimised": (small_unet, True, 2, 2),
    "three heads": (three_heads, False, 8, 1),
    "three heads, optimised": (three_heads, True, 2, 1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, tmp_path, monkeypatch):
    """As few are left as can be: one at the entry, and one behind the U-Net's last convolution."""
    build, optimised, before, left = NETWORKS[name]
    if not optimised:
        monkeypatch.setattr(optimizer, "_optimizers", {"fold_constants": optimizer._optimizers["fold_constants"]})
    export(build(), tmp_path / "model.onnx", check=False)
    model = onnx.load(str(tmp_path / "model.onnx"))
    assert count(model) >= before
    feed = random_inputs(io_specs(onnx, model.graph.input), 2)
    wanted = session(model).run(None, feed)
    result, _ = run_pass("transposes", transposes, model)
    assert count(result) == left
    for got, reference in zip(session(result).run(None, feed), wanted):
        assert relative_error(got, reference) <= 1e-5
    keras.backend.clear_session()
