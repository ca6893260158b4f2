"""The 3-D bounding-box network: what a camera image's crop says about a car's size, heading and confidence.

Written as such training scripts are written, with nothing in it for an exporter's sake: Flatten, LeakyReLU, Dropout,
a Reshape with -1 in it, and TensorFlow's own ``l2_normalize`` in a Lambda layer.
"""

from typing import Any, Tuple

import numpy as np
import tensorflow as tf

BINS = 6


def l2_normalize(x: Any) -> Any:
    """Each bin's pair as a (cosine, sine) of length 1."""
    return tf.nn.l2_normalize(x, axis=2)


def box3d(keras: Any, size: int = 224, units: Tuple[int, int, int] = (512, 256, 256), seed: int = 0) -> Any:
    """The network, with ``keras`` (Keras 3) or ``tf_keras`` (Keras 2); one seed gives both the same weights.

    Args:
        keras: the module to build it with.
        size: height and width of the images: the input is (batch, size, size, 3) float32.
        units: the width of the hidden layers of the heads: dimension, orientation, confidence.
        seed: for the weights.

    Returns:
        a Keras model with outputs dimension (batch, 3), orientation (batch, 6, 2), confidence (batch, 6), float32.
    """
    layers = keras.layers
    image = keras.Input((size, size, 3), name="image")
    trunk = keras.applications.VGG16(include_top=False, weights=None, input_tensor=image)
    features = layers.Flatten(name="flatten")(trunk.output)

    dimension = layers.Dense(units[0], name="dimension_hidden")(features)
    dimension = layers.LeakyReLU(0.1)(dimension)
    dimension = layers.Dropout(0.5)(dimension)
    dimension = layers.Dense(3)(dimension)
    dimension = layers.LeakyReLU(0.1, name="dimension")(dimension)

    orientation = layers.Dense(units[1], name="orientation_hidden")(features)
    orientation = layers.LeakyReLU(0.1)(orientation)
    orientation = layers.Dropout(0.5)(orientation)
    orientation = layers.Dense(2 * BINS)(orientation)
    orientation = layers.LeakyReLU(0.1)(orientation)
    orientation = layers.Reshape((BINS, -1))(orientation)
    orientation = layers.Lambda(l2_normalize, name="orientation")(orientation)

    confidence = layers.Dense(units[2], name="confidence_hidden")(features)
    confidence = layers.LeakyReLU(0.1)(confidence)
    confidence = layers.Dropout(0.5)(confidence)
    confidence = layers.Dense(BINS, activation="softmax", name="confidence")(confidence)

    model = keras.Model(image, [dimension, orientation, confidence], name="box3d")
    _draw_weights(model, np.random.default_rng(seed))
    return model


def _draw_weights(model: Any, rng: np.random.Generator) -> None:
    """He's scale, which keeps a signal's size through ReLUs.

    Keras's own (Glorot's) halves its power in each of VGG16's thirteen layers. The softmax's inputs would be nearly 0,
    its outputs nearly equal, and a comparison of them would show no error.
    """
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            scale = np.float32(np.sqrt(2 / np.prod(kernel.shape[:-1])))
            draws = [rng.standard_normal(array.shape, np.float32) for array in (kernel, bias)]
            layer.set_weights([scale * draws[0], np.float32(0.1) * draws[1]])
