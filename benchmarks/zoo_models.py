"""The networks of zoo.py: thirty of keras.applications, and small ones for what those do not have.

Weights are seeded, never downloaded. Where a network has batch norms, their statistics come from a pass over random
images. Layers that training starts at (nearly) nothing get a scale of 0.5: else half of a network would be dead, and a
comparison would show nothing of it. So do the last norms of ResNet's blocks, as training leaves them below 1: with 1, a
hundred random layers multiply every rounding error by hundreds (see tests/gpu/make_resnet50.py).
"""

import importlib
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np

from tf2trt.export.quiet import import_tensorflow

SEED = 0
BATCH = 2
STATISTICS = 8  # images for the batch norms
BRANCH_SCALE = 0.5


class Subject(NamedTuple):
    """A model, one array of batch 2 for each of its inputs, and export's ``inputs`` where the model says none."""

    model: Any
    arrays: List[Any]
    inputs: Optional[Dict[str, Any]] = None


class Network(NamedTuple):
    """A row of the table; ``package`` is the Keras, or TensorFlow alone, that it is made with."""

    name: str
    package: str
    make: Callable[[Any], Subject]


def normal(*shape: int) -> Any:
    """Standard normal values, the same for a shape each time."""
    return np.random.default_rng([SEED, *shape]).standard_normal(shape, np.float32)


def application(name: str) -> Callable[[Any], Subject]:
    """A network of ``applications`` at its own image size. It ends in logits: a softmax over a thousand nearly equal
    classes would hide every error.
    """

    def make(keras: Any) -> Subject:
        model = getattr(keras.applications, name)(weights=None, classifier_activation=None)
        images = normal(STATISTICS, *(extent or 224 for extent in model.input_shape[1:]))  # MobileNetV3 leaves it open
        if {type(layer).__name__ for layer in model.layers} & {"Normalization", "Rescaling"}:
            images = np.clip(128 + 64 * images, 0, 255)  # it does its own preprocessing
        enliven(keras, model, images)
        return Subject(model, [images[:BATCH]])

    return make


def enliven(keras: Any, model: Any, images: Any) -> None:
    """Sets the statistics of all batch norms by one pass over ``images``, and wakes branches that are shut."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in model.layers:
        gamma = getattr(layer, "gamma", None)  # ConvNeXt's LayerScale begins at 1e-6, ResNet-RS's last norms at 0
        shut = gamma is not None and float(np.abs(np.asarray(gamma)).max()) < 1e-3
        if shut or layer.name.endswith("_3_bn"):
            gamma.assign(np.full(gamma.shape, BRANCH_SCALE, np.float32))
    for layer in norms:
        layer.momentum = 0.0  # so that one pass is enough
    if norms:
        model(images, training=True)


def recurrent(*layers: str) -> Callable[[Any], Subject]:
    """A stack of ``LSTM``, ``GRU``, ``Bidirectional LSTM`` ... over 32 steps of 16 values."""

    def make(keras: Any) -> Subject:
        x = keras.Input((32, 16), name="steps")
        y = x
        for index, kind in enumerate(layers):
            cell = getattr(keras.layers, kind.split()[-1])(32, return_sequences=index < len(layers) - 1)
            y = (keras.layers.Bidirectional(cell) if kind.startswith("Bidirectional") else cell)(y)
        return Subject(keras.Model(x, keras.layers.Dense(10)(y)), [normal(BATCH, 32, 16)])

    return make


def attention(keras: Any) -> Subject:
    """Two encoder blocks of a transformer, 4 heads of 16, over 64 tokens."""
    layers = keras.layers
    x = keras.Input((64, 64), name="tokens")
    y = x
    for _ in range(2):
        y = layers.LayerNormalization()(y + layers.MultiHeadAttention(4, 16)(y, y))
        hidden = layers.Dense(128, activation="gelu")(y)
        y = layers.LayerNormalization()(y + layers.Dense(64)(hidden))
    return Subject(keras.Model(x, layers.Dense(10)(y)), [normal(BATCH, 64, 64)])


def text(keras: Any) -> Subject:
    """Token numbers of any length, 0 for padding that is masked; embedding, mean, two dense layers."""
    layers = keras.layers
    x = keras.Input((None,), dtype="int32", name="tokens")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(2000, 64, mask_zero=True)(x))
    y = layers.Dense(2)(layers.Dense(16, activation="relu")(pooled))
    tokens = np.random.default_rng(SEED).integers(1, 2000, (BATCH, 40)).astype(np.int32)
    tokens[:, 30:] = 0
    return Subject(keras.Model(x, y), [tokens])


def unet(keras: Any) -> Subject:
    """Three levels with batch norms, transposed convolutions on the way up, and connections across."""
    layers = keras.layers

    def block(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    x = keras.Input((96, 96, 3), name="image")
    first = block(x, 16)
    second = block(layers.MaxPooling2D()(first), 32)
    y = block(layers.MaxPooling2D()(second), 64)
    for filters, across in ((32, second), (16, first)):
        y = layers.Conv2DTranspose(filters, 3, strides=2, padding="same")(y)
        y = block(layers.Concatenate()([y, across]), filters)
    model = keras.Model(x, layers.Conv2D(4, 1)(y))
    enliven(keras, model, normal(STATISTICS, 96, 96, 3))
    return Subject(model, [normal(BATCH, 96, 96, 3)])


def several(keras: Any) -> Subject:
    """An image and a row of a table in; classes and a number out."""
    layers = keras.layers
    image, row = keras.Input((32, 32, 3), name="image"), keras.Input((8,), name="row")
    y = layers.Conv2D(16, 3, activation="relu")(image)
    y = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2)(y))
    y = layers.Concatenate()([y, layers.Dense(16, activation="tanh")(row)])
    outputs = [layers.Dense(5, name="classes")(y), layers.Dense(1, name="price")(y)]
    return Subject(keras.Model([image, row], outputs), [normal(BATCH, 32, 32, 3), normal(BATCH, 8)])


def shared(keras: Any) -> Subject:
    """Two images through the same encoder, a model inside the model, and the distance of what comes out."""
    layers = keras.layers
    encoder = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(16),
        ]
    )
    left, right = keras.Input((32, 32, 3), name="left"), keras.Input((32, 32, 3), name="right")
    y = layers.Dense(1)(layers.Subtract()([encoder(left), encoder(right)]))
    images = normal(2 * BATCH, 32, 32, 3)
    return Subject(keras.Model([left, right], y), [images[:BATCH], images[BATCH:]])


def subclassed(keras: Any) -> Subject:
    """A class with a loop in its ``call`` and no symbolic input: export is told the shape."""

    class Residual(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.entry = keras.layers.Dense(32, activation="relu")
            self.hidden = [keras.layers.Dense(32, activation="relu") for _ in range(3)]
            self.dropout = keras.layers.Dropout(0.3)
            self.exit = keras.layers.Dense(4)

        def call(self, x: Any, training: bool = False) -> Any:
            y = self.entry(x)
            for layer in self.hidden:
                y = y + self.dropout(layer(y), training=training)
            return self.exit(y)

    return Subject(Residual(), [normal(BATCH, 24)], {"x": (None, 24)})


def operators(tensorflow: Any) -> Subject:
    """A ``tf.function`` with tf.image.resize, tf.nn.depthwise_conv2d and tf.einsum."""
    tf = tensorflow
    depthwise = tf.constant(normal(3, 3, 8, 2) / 3)
    mixing = tf.constant(normal(16, 4, 6) / 4)

    @tf.function(input_signature=[tf.TensorSpec([None, 24, 24, 8], tf.float32, name="x")])
    def network(x: Any) -> Any:
        y = tf.image.resize(x, (48, 36), method="bilinear")
        y = tf.nn.relu(tf.nn.depthwise_conv2d(y, depthwise, [1, 2, 2, 1], "SAME"))
        y = tf.image.resize(y, (16, 16), method="nearest")
        return tf.einsum("bhwc,cde->bhdwe", y, mixing)

    return Subject(network, [normal(BATCH, 24, 24, 8)])


def box3d(keras: Any) -> Subject:
    """The 3-D bounding-box network of examples/box3d, at its full size."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "box3d"))
    model = importlib.import_module("model").box3d(keras)
    return Subject(model, [normal(BATCH, 224, 224, 3)])


_KERAS = (
    "VGG16 VGG19 ResNet50 ResNet101 ResNet50V2 ResNet101V2 DenseNet121 DenseNet169 InceptionV3 InceptionResNetV2 "
    "Xception MobileNet MobileNetV2 MobileNetV3Small MobileNetV3Large EfficientNetB0 EfficientNetB1 EfficientNetB2 "
    "EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2S NASNetMobile ConvNeXtTiny ConvNeXtSmall"
)
_KERAS_2 = "RegNetX002 RegNetX008 RegNetY002 RegNetY008 ResNetRS50"  # Keras 3 has none of these families
NETWORKS = (
    *(Network(name, "keras", application(name)) for name in _KERAS.split()),
    *(Network(name, "tf_keras", application(name)) for name in _KERAS_2.split()),
    Network("MobileNetV2 of Keras 2", "tf_keras", application("MobileNetV2")),
    Network("box3d", "keras", box3d),
    Network("box3d of Keras 2", "tf_keras", box3d),
    Network("LSTM", "keras", recurrent("LSTM", "LSTM")),
    Network("GRU", "keras", recurrent("GRU", "GRU")),
    Network("bidirectional", "keras", recurrent("Bidirectional LSTM", "Bidirectional GRU")),
    Network("LSTM of Keras 2", "tf_keras", recurrent("LSTM", "LSTM")),
    Network("multi-head attention", "keras", attention),
    Network("embedding and pooling", "keras", text),
    Network("U-Net", "keras", unet),
    Network("several inputs and outputs", "keras", several),
    Network("shared layers", "keras", shared),
    Network("subclassed", "keras", subclassed),
    Network("resize, depthwise, einsum", "tensorflow", operators),
)


def make(network: Network) -> Subject:
    """Imports what the network is made with, sets its seed and makes it."""
    tensorflow = import_tensorflow()
    package = tensorflow if network.package == "tensorflow" else importlib.import_module(network.package)
    if network.package != "tensorflow":
        package.utils.set_random_seed(SEED)
    return network.make(package)
