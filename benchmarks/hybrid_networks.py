"""The six models of hybrid.py as SavedModels, each with inputs and TensorFlow's answers to them.

    python benchmarks/hybrid_networks.py FOLDER NAME...

Runs without a GPU, so that the answers are FP32's and not TF32's. Weights are seeded, nothing is downloaded.
"""

import sys
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import numpy as np
import zoo_models
from hybrid_plan import NETWORKS, Places

from tf2trt.export.quiet import import_tensorflow

SEED = 7
SIDE, CLASSES, ANCHORS = 256, 21, 6  # of the detector
WORDS, BUCKETS = ("red", "green", "blue", "black", "white"), 16


class Made(NamedTuple):
    """A module with the function ``call``, whose input signature names its inputs, and what draws a batch."""

    module: Any
    draw: Callable[[np.random.Generator, int], Dict[str, Any]]


class _Weights:
    """Variables for a module, scaled so that values keep their size."""

    def __init__(self, tf: Any) -> None:
        self.tf, self.rng = tf, np.random.default_rng(SEED)
        self.module = tf.Module()
        self.module.held = []

    def __call__(self, *shape: int, gain: float = 2.0) -> Any:
        values = self.rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))
        variable = self.tf.Variable(values.astype(np.float32))
        self.module.held.append(variable)
        return variable

    def made(self, function: Any, draw: Any, **inputs: Any) -> Made:
        """The module with ``function`` as its ``call``; ``inputs`` are shapes without the batch, of strings None."""
        specs = [
            self.tf.TensorSpec([None], self.tf.string, name)
            if shape is None
            else self.tf.TensorSpec([None, *shape], self.tf.float32, name)
            for name, shape in inputs.items()
        ]
        self.module.call = self.tf.function(function, input_signature=specs)
        return Made(self.module, draw)


def application(name: str) -> Callable[[Any], Made]:
    """A network of ``keras.applications``, which ends in logits."""

    def make(tf: Any) -> Made:
        import keras

        keras.utils.set_random_seed(SEED)
        network = zoo_models.application(name)(keras).model
        weights = _Weights(tf)
        weights.module.network = network
        return weights.made(
            lambda image: {"logits": network(image, training=False)}, _images("image", 224, 224, 3), image=(224, 224, 3)
        )

    return make


def detector(tf: Any) -> Made:
    """Two feature maps, boxes relative to anchors, which are decoded to corners, scores by sigmoid, and
    ``tf.image.combined_non_max_suppression``. The raw boxes and scores are given out too, as TensorFlow's own
    detection models do: they show an error that a box in another place would hide.
    """
    w = _Weights(tf)
    channels = (3, 16, 32, 64, 128)
    down = [(w(3, 3, a, b), w(3, 3, b, b)) for a, b in zip(channels, channels[1:])]
    last = w(3, 3, channels[-1], channels[-1])
    heads = [
        (w(3, 3, channels[-1], ANCHORS * 4, gain=1.0), w(3, 3, channels[-1], ANCHORS * (CLASSES - 1), gain=1.0))
        for _ in range(2)
    ]
    anchors = np.concatenate([_anchors(SIDE // step) for step in (16, 32)])

    def call(image: Any) -> Dict[str, Any]:
        x = image
        for first, second in down:
            x = tf.nn.relu(tf.nn.conv2d(x, first, 2, "SAME"))
            x = tf.nn.relu(tf.nn.conv2d(x, second, 1, "SAME"))
        boxes, scores = [], []
        for features, (box, score) in zip((x, tf.nn.relu(tf.nn.conv2d(x, last, 2, "SAME"))), heads):
            boxes.append(tf.reshape(tf.nn.conv2d(features, box, 1, "SAME"), [tf.shape(image)[0], -1, 4]))
            scores.append(tf.reshape(tf.nn.conv2d(features, score, 1, "SAME"), [tf.shape(image)[0], -1, CLASSES - 1]))
        raw, marks = tf.concat(boxes, 1), tf.sigmoid(tf.concat(scores, 1))
        centre = anchors[:, :2] + 0.1 * raw[..., :2] * anchors[:, 2:]
        size = anchors[:, 2:] * tf.exp(0.2 * tf.clip_by_value(raw[..., 2:], -5.0, 5.0))
        corners = tf.concat([centre - size / 2.0, centre + size / 2.0], -1)
        found = tf.image.combined_non_max_suppression(corners[:, :, tf.newaxis], marks, 10, 50, 0.5, 0.3)
        names = ("boxes", "scores", "classes", "count")
        return {**dict(zip(names, found)), "raw_boxes": corners, "raw_scores": marks}

    return w.made(call, _images("image", SIDE, SIDE, 3), image=(SIDE, SIDE, 3))


def text(tf: Any) -> Made:
    """Dense layers; then numbers become text and numbers again, and a word chooses a row; then dense layers.

    By a hash and not by a table: TF-TRT cannot save a model with a table.
    """
    w = _Weights(tf)
    before = [w(512, 512) for _ in range(4)]
    narrow, embedded, wide = w(512, 32, gain=1.0), w(BUCKETS, 32), w(32, 512)
    behind = [w(512, 512) for _ in range(4)]

    def call(x: Any, word: Any) -> Dict[str, Any]:
        for each in before:
            x = tf.nn.relu(x @ each)
        y = tf.strings.to_number(tf.strings.as_string(tf.tanh(x @ narrow), precision=6))
        y = tf.ensure_shape(y, [None, 32]) + tf.gather(embedded, tf.strings.to_hash_bucket_fast(word, BUCKETS))
        y = tf.nn.relu(y @ wide)
        for each in behind:
            y = tf.nn.relu(y @ each)
        return {"y": y}

    def draw(rng: np.random.Generator, batch: int) -> Dict[str, Any]:
        words = np.array(WORDS)[rng.integers(len(WORDS), size=batch)]
        return {"x": rng.standard_normal((batch, 512), np.float32), "word": words}

    return w.made(call, draw, x=(512,), word=None)


def lstm(tf: Any) -> Made:
    """An LSTM as a loop, 32 steps of 64 values, 256 units, between two dense layers."""
    w = _Weights(tf)
    steps, width, units = 32, 64, 256
    embed, kernel, recurrent = w(width, 128), w(128, 4 * units, gain=1.0), w(units, 4 * units, gain=1.0)
    bias, head = w(1, 4 * units), w(units, 10, gain=1.0)

    def call(x: Any) -> Dict[str, Any]:
        inputs = tf.transpose(tf.nn.relu(tf.einsum("btf,fd->btd", x, embed)), [1, 0, 2])
        zeros = tf.zeros([tf.shape(x)[0], units])

        def body(step: Any, h: Any, c: Any) -> Any:
            gates = tf.gather(inputs, step) @ kernel + h @ recurrent + bias
            i, f, g, o = tf.split(gates, 4, axis=1)
            c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(g)
            return step + 1, tf.sigmoid(o) * tf.tanh(c), c

        shapes = [tf.TensorShape([]), tf.TensorShape([None, units]), tf.TensorShape([None, units])]
        _, h, _ = tf.while_loop(lambda step, h, c: step < steps, body, [0, zeros, zeros], shape_invariants=shapes)
        return {"y": tf.nn.relu(h @ head + 0.5) * 2.0 - 1.0}

    return w.made(
        call, lambda rng, batch: {"x": rng.standard_normal((batch, steps, width), np.float32)}, x=(steps, width)
    )


def dynamic(tf: Any) -> Made:
    """Convolutions on pictures of 96x96, a reshape by the batch that came, dense layers."""
    w = _Weights(tf)
    channels = (3, 32, 64, 128, 128)
    kernels = [w(3, 3, a, b) for a, b in zip(channels, channels[1:])]
    hidden, head = w(6 * 6 * 128, 256), w(256, 10, gain=1.0)

    def call(x: Any) -> Dict[str, Any]:
        batch = tf.shape(x)[0]
        for kernel in kernels:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME"))
        return {"y": tf.nn.relu(tf.reshape(x, [batch, 6 * 6 * 128]) @ hidden) @ head + 0.1}

    return w.made(call, _images("x", 96, 96, 3), x=(96, 96, 3))


MAKERS: Dict[str, Callable[[Any], Made]] = {
    "resnet50": application("ResNet50"),
    "mobilenetv2": application("MobileNetV2"),
    "detector": detector,
    "text": text,
    "lstm": lstm,
    "dynamic": dynamic,
}


def make(name: str, folder: Path) -> None:
    """Writes the SavedModel of the network ``name``, and its samples, which come last: where they are, all is."""
    tf = import_tensorflow()
    places = Places(folder)
    made = MAKERS[name](tf)
    tf.saved_model.save(made.module, str(places.model(name)), signatures=made.module.call)
    plan, rng = NETWORKS[name], np.random.default_rng(SEED)
    samples: Dict[str, Any] = {}
    for batch in sorted({*plan.batches, *plan.few, *plan.built}):
        inputs = made.draw(rng, batch)
        samples.update({f"in/{batch}/{key}": array for key, array in inputs.items()})
        answers = made.module.call(*(tf.constant(inputs[spec.name]) for spec in made.module.call.input_signature))
        samples.update({f"out/{batch}/{key}": tensor.numpy() for key, tensor in answers.items()})
    np.savez(places.samples(name), **samples)


def read_samples(folder: Path, name: str, batch: int) -> Any:
    """The inputs and the answers of a batch, each by name."""
    with np.load(Places(folder).samples(name), allow_pickle=False) as data:
        return tuple(
            {key[len(start) :]: data[key] for key in data.files if key.startswith(start)}
            for start in (f"in/{batch}/", f"out/{batch}/")
        )


def _images(name: str, *shape: int) -> Callable[[np.random.Generator, int], Dict[str, Any]]:
    return lambda rng, batch: {name: rng.standard_normal((batch, *shape), np.float32)}


def _anchors(cells: int) -> Any:
    """Centre and size of each cell's boxes, relative to the picture."""
    middle = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    y, x = (each.reshape(-1) for each in np.meshgrid(middle, middle, indexing="ij"))
    size = np.array([[1.0, 1.0], [1.4, 0.7], [0.7, 1.4], [2.0, 2.0], [2.8, 1.4], [1.4, 2.8]], np.float32) * 1.5 / cells
    boxes = [np.stack([y, x, np.full_like(y, high), np.full_like(x, wide)], -1) for high, wide in size]
    return np.stack(boxes, 1).reshape(-1, 4).astype(np.float32)


if __name__ == "__main__":
    for chosen in sys.argv[2:]:
        make(chosen, Path(sys.argv[1]))
        print(chosen, flush=True)
