"""Small models that TensorRT takes in part, each with batches of two sizes."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np

from tf2trt.export.quiet import import_tensorflow

tf = import_tensorflow()


class Model(NamedTuple):
    module: Any  # with a method `call` that has an input signature
    batches: List[Dict[str, Any]]


class _Module(tf.Module):
    """Variables by name, made at first use; the same for the same seed."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.held = {}

    def weight(self, name, *shape):
        if name not in self.held:
            values = self.rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
            self.held[name] = tf.Variable(values, dtype=tf.float32, name=name)
        return self.held[name]


def _model(seed, function, shapes: Dict[str, Any], sizes=(1, 3), **types) -> Model:
    """``function(module, *tensors)``; ``types`` are input types other than float32, with how to draw values."""
    module = _Module(seed)
    kinds = {name: types[name][0] if name in types else tf.float32 for name in shapes}
    signature = [tf.TensorSpec([None, *shape], kinds[name], name) for name, shape in shapes.items()]
    with tf.init_scope():
        function(module, *(tf.zeros([1, *shape], kinds[name]) for name, shape in shapes.items()))
    module.call = tf.function(lambda *tensors: function(module, *tensors), input_signature=signature)

    def draw(name, count):
        shape = (count, *shapes[name])
        if name in types:
            return types[name][1](module.rng, shape)
        return module.rng.standard_normal(shape).astype(np.float32)

    return Model(module, [{name: draw(name, count) for name in shapes} for count in sizes])


def convolutions(seed):
    def function(m, image):
        y = tf.nn.relu(tf.nn.conv2d(image, m.weight("a", 3, 3, 3, 8), 1, "SAME"))
        y = tf.nn.max_pool2d(y + tf.nn.conv2d(y, m.weight("b", 3, 3, 8, 8), 1, "SAME"), 2, 2, "VALID")
        return {"scores": tf.nn.softmax(tf.reduce_mean(y, [1, 2]) @ m.weight("c", 8, 5))}

    return _model(seed, function, {"image": (8, 8, 3)})


def depthwise(seed):
    def function(m, image):
        y = tf.nn.depthwise_conv2d(image, m.weight("d", 3, 3, 4, 1), [1, 1, 1, 1], "SAME")
        y = tf.nn.relu6(tf.nn.conv2d(y, m.weight("p", 1, 1, 4, 8), 1, "SAME"))
        return {"map": tf.image.resize(y, [16, 16]) * 2.0 + 1.0}

    return _model(seed, function, {"image": (8, 8, 4)})


def text_in_the_middle(seed):
    """Numbers become text and numbers again, between two parts that TensorRT takes."""

    def function(m, x):
        y = tf.nn.relu(x @ m.weight("a", 6, 6) + m.weight("b", 6))
        y = tf.strings.to_number(tf.strings.as_string(tf.round(y * 100)))
        y = tf.ensure_shape(y, [None, 6])
        return {"y": tf.tanh(y @ m.weight("c", 6, 4) / 100.0)}

    return _model(seed, function, {"x": (6,)})


def table(seed):
    """A lookup table, which the SavedModel has to bring along."""

    def function(m, x, kind):
        y = tf.nn.sigmoid(tf.nn.relu(x @ m.weight("a", 5, 5)) * 3.0)
        return {"y": y, "kind": m.table.lookup(kind), "next": tf.nn.softmax(y @ m.weight("b", 5, 5) - 0.5)}

    module = _Module(seed)
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([7, 9], tf.int64)), -1
    )
    with tf.init_scope():
        function(module, tf.zeros([1, 5]), tf.constant(["a"]))
    signature = [tf.TensorSpec([None, 5], tf.float32, "x"), tf.TensorSpec([None], tf.string, "kind")]
    module.call = tf.function(lambda x, kind: function(module, x, kind), input_signature=signature)
    batches = [
        {"x": module.rng.standard_normal((count, 5)).astype(np.float32), "kind": np.array(["a", "c", "b"][:count])}
        for count in (1, 3)
    ]
    return Model(module, batches)


def lstm_in_a_loop(seed):
    def function(m, x):
        kernel, recurrent = m.weight("k", 4, 24), m.weight("r", 6, 24)
        steps = tf.transpose(x, [1, 0, 2])
        zeros = tf.zeros([tf.shape(x)[0], 6])

        def body(step, h, c):
            gates = tf.gather(steps, step) @ kernel + h @ recurrent
            i, f, g, o = tf.split(gates, 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            return step + 1, tf.sigmoid(o) * tf.tanh(c), c

        _, h, _ = tf.while_loop(lambda step, h, c: step < 5, body, [0, zeros, zeros])
        return {"state": tf.nn.softmax(tf.nn.relu(h @ m.weight("d", 6, 6)))}

    return _model(seed, function, {"x": (5, 4)})


def branches(seed):
    def function(m, x):
        y = tf.nn.relu(x @ m.weight("a", 4, 4)) + 1.0
        return {
            "y": tf.cond(
                tf.reduce_sum(x) > 1e6,
                lambda: tf.exp(-tf.nn.relu(y @ m.weight("b", 4, 4))),
                lambda: tf.sqrt(tf.abs(y @ m.weight("c", 4, 4)) + 2.0),
            )
        }

    return _model(seed, function, {"x": (4,)})


def attention(seed):
    def function(m, x):
        q, k, v = (tf.einsum("bse,ehd->bhsd", x, m.weight(name, 8, 2, 4)) for name in "qkv")
        weights = tf.nn.softmax(tf.einsum("bhqd,bhkd->bhqk", q, k) / 2.0)
        y = tf.einsum("bhqk,bhkd,hde->bqe", weights, v, m.weight("o", 2, 4, 8)) + x
        return {"y": (y - tf.reduce_mean(y, -1, True)) * tf.math.rsqrt(tf.math.reduce_variance(y, -1, True) + 1e-3)}

    return _model(seed, function, {"x": (6, 8)})


def embedding(seed):
    def function(m, ids):
        y = tf.reduce_mean(tf.gather(m.weight("table", 20, 8), ids), axis=1)
        return {"score": tf.nn.sigmoid(tf.nn.relu(y @ m.weight("a", 8, 8)) @ m.weight("b", 8, 1))}

    def draw(rng, shape):
        return rng.integers(0, 20, shape, dtype=np.int32)

    return _model(seed, function, {"ids": (7,)}, ids=(tf.int32, draw))


def detector(seed):
    """Boxes are decoded by what TensorRT takes, and sorted out by what it does not."""

    def function(m, image):
        y = tf.nn.relu(tf.nn.conv2d(image, m.weight("a", 3, 3, 3, 8), 2, "SAME"))
        raw = tf.reshape(tf.nn.conv2d(y, m.weight("boxes", 1, 1, 8, 4), 1, "SAME"), [-1, 16, 4])
        scores = tf.nn.sigmoid(tf.reshape(tf.nn.conv2d(y, m.weight("s", 1, 1, 8, 3), 1, "SAME"), [-1, 16, 3]))
        centre, size = tf.sigmoid(raw[..., :2]), tf.exp(raw[..., 2:] * 0.2) * 0.3
        boxes = tf.concat([centre - size / 2, centre + size / 2], -1)
        found = tf.image.combined_non_max_suppression(boxes[:, :, None], scores, 4, 8, 0.5, 0.1)
        return {"boxes": found[0], "scores": found[1], "count": found[3]}

    return _model(seed, function, {"image": (8, 8, 3)})


def keras_rnn(seed):
    """Keras's own LSTM: its loop collects results in a list and hands on what a segment gives and reads itself."""
    import keras

    keras.utils.set_random_seed(seed)
    source = keras.Input((5, 4), name="x")
    scores = keras.layers.Dense(3, activation="softmax")(keras.layers.LSTM(6)(source))
    network = keras.Model(source, scores)
    model = _model(seed, lambda m, x: {"y": network(x)}, {"x": (5, 4)})
    model.module.network = network
    return model


def with_python(seed):
    def function(m, x):
        y = tf.nn.relu(x @ m.weight("a", 4, 6)) * 2.0
        y = tf.ensure_shape(tf.numpy_function(lambda array: np.sort(array, axis=1), [y], tf.float32), [None, 6])
        return {"y": tf.nn.softmax(tf.tanh(y @ m.weight("b", 6, 3)))}

    return _model(seed, function, {"x": (4,)})


def side_effects(seed):
    """A check that has to run, though no result hangs on it, in the main graph and in a loop."""

    def function(m, x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 1e3)]):
            y = tf.nn.relu(x @ m.weight("a", 4, 4)) + 1.0

        def body(i, y):
            tf.debugging.assert_less(y, 1e6)
            return i + 1, tf.nn.relu(tf.tanh(y @ m.weight("b", 4, 4))) + 0.5

        return {"y": tf.while_loop(lambda i, y: i < 2, body, [0, y])[1]}

    return _model(seed, function, {"x": (4,)})


MODELS: Dict[str, Callable[[int], Model]] = {
    function.__name__: function
    for function in (
        *(convolutions, depthwise, text_in_the_middle, table, lstm_in_a_loop, branches, attention, embedding),
        *(detector, keras_rnn, with_python, side_effects),
    )
}


def save(model: Model, folder: Any) -> None:
    """Writes the model as a SavedModel with the signature serving_default."""
    tf.saved_model.save(model.module, str(folder), signatures=model.module.call)
