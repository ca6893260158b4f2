"""SSD MobileNet v1 at 300 x 300, as TensorFlow's object detection has it: 1,917 anchors, 90 classes, sigmoid scores."""

from typing import Any, Callable, Dict

import numpy as np

SIZE = 300
CLASSES = 90
# The maps that boxes are read from: cells on a side, boxes in a cell.
MAPS = ((19, 3), (10, 6), (5, 6), (3, 6), (2, 6), (1, 6))
# MobileNet v1's blocks: channels and stride. keras.applications has the same, but pads so that the maps are smaller.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
EXTRA = (512, 256, 256, 128)  # channels of the maps behind MobileNet's own two
_SCALES = (0.1, *np.linspace(0.2, 0.95, 6), 1.0)
_RATIOS = (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)
_VARIANCES = (10.0, 10.0, 5.0, 5.0)
# Trained networks begin so (one score in a hundred), and few boxes pass the threshold, as in a picture.
_BIAS = -float(np.log(99.0))
_THRESHOLD, _OVERLAP, _MOST = 0.3, 0.6, 100


def anchors() -> Any:
    """(1917, 4) float32: y, x of the centre, height, width, all as shares of the image."""
    boxes = []
    for level, (side, count) in enumerate(MAPS):
        scale, following = _SCALES[level + 1], _SCALES[level + 2]
        if count == 3:  # the first map: one small square, two oblongs
            kinds = [(_SCALES[0], 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            kinds = [*((scale, ratio) for ratio in _RATIOS), (float(np.sqrt(scale * following)), 1.0)]
        for row in range(side):
            for column in range(side):
                for size, ratio in kinds:
                    root = np.sqrt(ratio)
                    boxes.append(((row + 0.5) / side, (column + 0.5) / side, size / root, size * root))
    return np.asarray(boxes, np.float32)


def network(keras: Any) -> Any:
    """The network up to its heads: (batch, 300, 300, 3) to offsets (batch, 1917, 4) and logits (batch, 1917, 90)."""
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = _convolution(layers, layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False), image)
    maps = []
    for channels, stride in BLOCKS:
        if stride == 2 and channels == BLOCKS[-1][0]:
            maps.append(x)
        x = _convolution(layers, layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False), x)
        x = _convolution(layers, layers.Conv2D(channels, 1, use_bias=False), x)
    maps.append(x)
    for channels in EXTRA:
        x = _convolution(layers, layers.Conv2D(channels // 2, 1, use_bias=False), x)
        x = _convolution(layers, layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False), x)
        maps.append(x)
    offsets, scores = [], []
    for features, (_, count) in zip(maps, MAPS):
        offsets.append(layers.Reshape((-1, 4))(layers.Conv2D(4 * count, 1)(features)))
        head = layers.Conv2D(CLASSES * count, 1, bias_initializer=keras.initializers.Constant(_BIAS))
        scores.append(layers.Reshape((-1, CLASSES))(head(features)))
    join = layers.Concatenate(axis=1)
    return keras.Model(image, [join(offsets), layers.Concatenate(axis=1)(scores)], name="ssd_mobilenet_v1")


def _convolution(layers: Any, convolution: Any, x: Any) -> Any:
    return layers.ReLU(6.0)(layers.BatchNormalization()(convolution(x)))


def detector(tensorflow: Any, model: Any) -> Callable[[Any], Dict[str, Any]]:
    """What of an image's boxes is left: a function of images to boxes, scores, classes and their number."""
    places = tensorflow.constant(anchors())

    def detect(image: Any) -> Dict[str, Any]:
        offsets, logits = model(image, training=False)
        offsets = offsets / tensorflow.constant(_VARIANCES)
        centre = offsets[..., :2] * places[:, 2:] + places[:, :2]
        half = tensorflow.exp(offsets[..., 2:]) * places[:, 2:] / 2.0
        boxes = tensorflow.concat([centre - half, centre + half], axis=-1)
        found = tensorflow.image.combined_non_max_suppression(
            boxes[:, :, tensorflow.newaxis], tensorflow.sigmoid(logits), _MOST, _MOST, _OVERLAP, _THRESHOLD
        )
        return dict(zip(("boxes", "scores", "classes", "count"), found))

    return detect
