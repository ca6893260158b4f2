"""The networks and the real data of int8_accuracy.py, both trained here in a minute or two, or trained before."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Tuple

import numpy as np

# Photographs that scikit-image's own wheel holds; the class of a crop is which one it is from.
PHOTOGRAPHS = (
    "astronaut", "brick", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon",
    "retina",
)  # fmt: skip
CROP, STRIP = 32, 64  # pixels
TRAINED, HELD = 600, 200  # crops of each photograph


@dataclass(frozen=True)
class Task:
    """A trained network, ``onnx`` (``image`` to ``scores``), and its data: float32 images and labels."""

    name: str
    onnx: Path
    images: Any
    held_images: Any
    held_labels: Any


def digits(folder: Path) -> Task:
    """scikit-learn's 1,797 digits of 8x8 pixels, a fifth of them held out. A network that is in ``folder`` is taken."""
    from tf2trt.demo.train import load_digits

    images, labels, held_images, held_labels = load_digits()
    path = folder / "digits.onnx"
    if not path.is_file():
        _train(path, images, labels, epochs=25)
    return _task("digits", path, images, held_images, held_labels)


def crops(folder: Path) -> Task:
    """32x32 crops in colour of ten photographs. Crops to train with and held-out ones are from different strips.

    A network that is in ``folder`` is taken.
    """
    images, labels = _crops(strip=0, count=TRAINED, seed=0)
    held_images, held_labels = _crops(strip=1, count=HELD, seed=1)
    path = folder / "crops.onnx"
    if not path.is_file():
        _train(path, images, labels, epochs=10)
    return _task("crops", path, images, held_images, held_labels)


def _crops(strip: int, count: int, seed: int) -> Tuple[Any, Any]:
    """``count`` crops of each photograph, from the even (0) or odd (1) vertical strips."""
    from skimage import data

    rng = np.random.default_rng(seed)
    images, labels = [], []
    for label, name in enumerate(PHOTOGRAPHS):
        photograph = getattr(data, name)()
        if photograph.ndim == 2:
            photograph = np.repeat(photograph[..., None], 3, axis=2)
        height, width = photograph.shape[:2]
        strips = np.arange(strip, width // STRIP, 2)
        for _ in range(count):
            top = rng.integers(0, height - CROP + 1)
            left = rng.choice(strips) * STRIP + rng.integers(0, STRIP - CROP + 1)
            images.append(photograph[top : top + CROP, left : left + CROP, :3])
            labels.append(label)
    return (np.stack(images) / np.float32(255)).astype(np.float32), np.array(labels)


def _train(path: Path, images: Any, labels: Any, epochs: int) -> None:
    from tf2trt.export.quiet import import_tensorflow
    from tf2trt.preparation import prepare

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    network = _network(keras, images.shape[1:], int(labels.max()) + 1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(3e-3), loss)
    network.fit(images, labels, batch_size=64, epochs=epochs, verbose=0)
    prepare(network, path, library=None)


def _task(name: str, path: Path, images: Any, held_images: Any, held_labels: Any) -> Task:
    order = np.random.default_rng(2).permutation(len(images))  # to calibrate with some of each class
    return Task(name, path, images[order], held_images, held_labels)


def _network(keras: Any, shape: Tuple[int, ...], classes: int) -> Any:
    """Residual blocks with batch normalisation, a depthwise one among them, and a dense layer."""
    layers = keras.layers

    def convolution(x, filters, *, activation=True, strides=1):
        x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.ReLU()(x) if activation else x

    image = keras.Input(shape, name="image")
    x = convolution(image, 16, strides=2 if shape[0] > 16 else 1)
    for filters in (16, 32):
        short = x if filters == 16 else layers.Conv2D(filters, 1)(x)
        x = layers.ReLU()(layers.Add()([convolution(convolution(x, filters), filters, activation=False), short]))
    x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return keras.Model(image, layers.Dense(classes, name="scores")(x))
