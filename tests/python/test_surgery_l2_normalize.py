"""Every way in which TensorFlow and Keras write an l2 normalisation becomes one L2Normalize; look-alikes do not."""

from __future__ import annotations

import keras
import onnx
import pytest
import tensorflow as tf
import tf_keras
from onnx import helper

from tf2trt.export import export
from tf2trt.surgery import lower_plugins, simplify
from tf2trt.verify import OnnxReference, random_inputs, relative_error

HALF, INFINITY = tf.float16, float("inf")


def fn(function, *shapes, dtype=tf.float32):
    specs = [tf.TensorSpec(shape, dtype, name=f"x{index}") for index, shape in enumerate(shapes)]
    return lambda: tf.function(function, input_signature=specs)


def functional(library, shape, layer, **arguments):
    def build():
        entry = library.Input(shape, **arguments)
        return library.Model(entry, layer()(entry))

    return build


def sequential(library, *layers):
    return lambda: library.Sequential([layer() for layer in layers])


def subclassed(library, layer):
    class Model(library.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.norm = library.layers.Dense(4), layer()

        def call(self, x):
            return self.norm(self.dense(x))

    return Model


def unit(library, **arguments):
    return lambda: library.layers.UnitNormalization(**arguments)


def squared_sum(x, **arguments):
    return tf.reduce_sum(tf.square(x), **arguments)


class Centred(tf_keras.layers.Layer):
    def call(self, x):
        return tf.nn.l2_normalize(x - tf.reduce_mean(x, -1, keepdims=True), -1)


L2, L2_KERAS_3, NONE = 1e-12, 1e-24, 0.0  # epsilons of the sum of squares
# What writes it, the axes and the epsilon to find, the opset.
WRITINGS = {
    # tf.math.l2_normalize: Mul, ReduceSum, Max, Sqrt, Reciprocal, Mul.
    "last axis": (fn(lambda x: tf.math.l2_normalize(x, -1), [None, 8]), [1], L2, 15),
    "first axis": (fn(lambda x: tf.math.l2_normalize(x, 0), [6, 5]), [0], L2, 13),
    "dynamic first axis": (fn(lambda x: tf.math.l2_normalize(x, 0), [None, 5]), [0], L2, 17),
    "middle axis": (fn(lambda x: tf.nn.l2_normalize(x, 1), [None, 6, 5]), [1], L2, 18),
    "several axes": (fn(lambda x: tf.math.l2_normalize(x, [-1, 1]), [None, 4, 5, 3]), [1, 3], L2, 13),
    "all axes": (fn(lambda x: tf.math.l2_normalize(x), [None, 8, 3]), [0, 1, 2], L2, 15),
    "a vector": (fn(lambda x: tf.math.l2_normalize(x), [7]), [0], L2, 15),
    "an axis of one element": (fn(lambda x: tf.math.l2_normalize(x, 1), [None, 1, 4]), [1], L2, 15),
    "a large epsilon": (fn(lambda x: tf.math.l2_normalize(x, 1, epsilon=1e-3), [4, 8]), [1], 1e-3, 17),
    "an epsilon of 0": (fn(lambda x: tf.math.l2_normalize(x, 1, epsilon=0), [4, 8]), [1], NONE, 15),
    # By tf.norm: Mul, ReduceSum, Sqrt, Div.
    "norm": (fn(lambda x: x / tf.norm(x, axis=-1, keepdims=True), [None, 6, 5]), [2], NONE, 13),
    "norm, newaxis": (fn(lambda x: x / tf.norm(x, axis=-1)[:, tf.newaxis], [None, 6]), [1], NONE, 15),
    "norm, expand_dims": (fn(lambda x: x / tf.expand_dims(tf.norm(x, axis=1), 1), [None, 6, 5]), [1], NONE, 18),
    "norm, reshape": (fn(lambda x: x / tf.reshape(tf.norm(x, axis=1), [-1, 1]), [None, 6]), [1], NONE, 15),
    "norm, dynamic reshape": (
        fn(lambda x: x / tf.reshape(tf.norm(x, axis=1), [tf.shape(x)[0], 1]), [None, 6]), [1], NONE, 13,
    ),
    "norm of the first axis, not kept": (fn(lambda x: x / tf.norm(x, axis=0), [None, 6]), [0], NONE, 15),
    "norm, broadcast_to": (
        fn(lambda x: x / tf.broadcast_to(tf.norm(x, axis=1, keepdims=True), tf.shape(x)), [None, 6]), [1], NONE, 15,
    ),
    "norm, matrix": (fn(lambda x: x / tf.norm(x, ord="fro", axis=[-2, -1], keepdims=True), [None, 6, 5]),
                     [1, 2], NONE, 15),
    "maximum of norm": (
        fn(lambda x: x / tf.maximum(tf.norm(x, axis=-1, keepdims=True), 1e-6), [None, 6]), [1], 1e-12, 17,
    ),
    "clipped norm": (
        fn(lambda x: x / tf.clip_by_value(tf.norm(x, axis=-1, keepdims=True), 1e-4, INFINITY), [None, 6]),
        [1], 1e-8, 15,
    ),
    "linalg.normalize": (fn(lambda x: tf.linalg.normalize(x, axis=1)[0], [None, 6]), [1], NONE, 18),
    # By hand.
    "rsqrt": (
        fn(lambda x: x * tf.math.rsqrt(tf.maximum(squared_sum(x, axis=-1, keepdims=True), 1e-6)), [None, 6]),
        [1], 1e-6, 13,
    ),
    "rsqrt, the other way round": (
        fn(lambda x: tf.math.rsqrt(tf.maximum(1e-6, tf.reduce_sum(x * x, 1, keepdims=True))) * x, [3, 6]),
        [1], 1e-6, 15,
    ),
    "x / sqrt(max)": (
        fn(lambda x: x / tf.sqrt(tf.maximum(tf.reduce_sum(x**2, -1, keepdims=True), 1e-6)), [None, 6]), [1], 1e-6, 17,
    ),
    "x * (1 / sqrt)": (
        fn(lambda x: x * (1.0 / tf.sqrt(squared_sum(x, axis=-1, keepdims=True))), [None, 6]), [1], NONE, 18,
    ),
    "powers": (
        fn(lambda x: x * tf.pow(tf.reduce_sum(tf.pow(x, 2.0), -1, keepdims=True), -0.5), [None, 6]), [1], NONE, 15,
    ),
    "abs": (fn(lambda x: x / tf.sqrt(squared_sum(tf.abs(x), axis=1, keepdims=True)), [None, 6]), [1], NONE, 15),
    "two sums": (
        fn(lambda x: x * tf.math.rsqrt(
            tf.reduce_sum(tf.reduce_sum(x * x, 1, keepdims=True), 2, keepdims=True)), [None, 6, 5]), [1, 2], NONE, 15,
    ),
    "two bounds": (
        fn(lambda x: x / tf.maximum(
            tf.sqrt(tf.maximum(squared_sum(x, axis=1, keepdims=True), 1e-8)), 1e-3), [None, 6]), [1], 1e-6, 15,
    ),
    "inside a loop": (
        fn(lambda x: tf.while_loop(
            lambda i, v: i < 2, lambda i, v: (i + 1, tf.math.l2_normalize(v + 1.0, -1)), [0, x])[1], [4, 5]),
        [1], L2, 15,
    ),
    # Keras 3: Mul, ReduceSum, Sqrt, Reciprocal, Min, Mul.
    "Keras 3, functional": (functional(keras, (6,), unit(keras)), [1], L2_KERAS_3, 15),
    "Keras 3, axes": (functional(keras, (6, 4, 3), unit(keras, axis=[1, 2])), [1, 2], L2_KERAS_3, 13),
    "Keras 3, static batch": (functional(keras, (6,), unit(keras), batch_size=4), [1], L2_KERAS_3, 17),
    "Keras 3, sequential": (
        sequential(keras, lambda: keras.Input((6,)), lambda: keras.layers.Dense(5), unit(keras)), [1], L2_KERAS_3, 18,
    ),
    "Keras 3, subclassed": (subclassed(keras, unit(keras)), [1], L2_KERAS_3, 15),
    "Keras 3, between convolutions": (  # tf2onnx turns NHWC into NCHW
        sequential(
            keras, lambda: keras.Input((8, 8, 3)), lambda: keras.layers.Conv2D(4, 3), unit(keras),
            lambda: keras.layers.Conv2D(2, 1)), [1], L2_KERAS_3, 15,
    ),
    "Keras 3, Lambda": (
        functional(keras, (6,), lambda: keras.layers.Lambda(lambda t: tf.math.l2_normalize(t, axis=1))), [1], L2, 15,
    ),
    "Keras 3, ops.normalize": (fn(lambda x: keras.ops.normalize(x, axis=-1), [None, 6]), [1], 1e-14, 15),
    "Keras 3, ops.norm": (fn(lambda x: x / keras.ops.norm(x, axis=-1, keepdims=True), [None, 6]), [1], NONE, 15),
    # Keras 2, tf_keras: tf.math.l2_normalize inside.
    "Keras 2, functional": (functional(tf_keras, (6,), unit(tf_keras)), [1], L2, 15),
    "Keras 2, axes": (functional(tf_keras, (6, 4, 3), unit(tf_keras, axis=[1, 2])), [1, 2], L2, 18),
    "Keras 2, subclassed": (subclassed(tf_keras, unit(tf_keras)), [1], L2, 13),
    "Keras 2, sequential": (
        sequential(tf_keras, lambda: tf_keras.Input((6,)), lambda: tf_keras.layers.Dense(5), Centred), [1], L2, 17,
    ),
    "Keras 2, backend": (
        functional(tf_keras, (6,), lambda: tf_keras.layers.Lambda(lambda t: tf_keras.backend.l2_normalize(t, 1))),
        [1], L2, 15,
    ),
    # FP16. 1e-12 is 0 there, and Keras 3's 1e12 is infinite: the graph has no epsilon left.
    "half": (fn(lambda x: tf.math.l2_normalize(x, -1), [None, 8], dtype=HALF), [1], NONE, 15),
    "half, an epsilon that it holds": (
        fn(lambda x: tf.math.l2_normalize(x, -1, epsilon=1e-2), [None, 8], dtype=HALF), [1], 1e-2, 17,
    ),
    "half, in FP32 inside": (
        fn(lambda x: tf.cast(tf.math.l2_normalize(tf.cast(x, tf.float32), -1), HALF), [None, 8], dtype=HALF),
        [1], L2, 15,
    ),
    "half, the norm in FP32": (
        fn(lambda x: x * tf.cast(
            tf.math.rsqrt(tf.maximum(squared_sum(tf.cast(x, tf.float32), axis=-1, keepdims=True), 1e-6)), HALF),
           [None, 8], dtype=HALF), [1], 1e-6, 15,
    ),
    "Keras 3, mixed": (functional(keras, (6,), unit(keras, dtype="mixed_float16")), [1], NONE, 18),
    "Keras 2, mixed": (functional(tf_keras, (6,), unit(tf_keras, dtype="mixed_float16")), [1], NONE, 15),
}  # fmt: skip


def all_nodes(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)


def plugins(model):
    return [node for node in all_nodes(model.graph) if node.domain == "tf2trt"]


def attributes(node):
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def same(before, after, tolerance):
    first, second = OnnxReference(before), OnnxReference(after)
    feed = random_inputs(first.inputs, 3)
    wanted = first(feed)
    for name, result in second(feed).items():
        assert relative_error(result, wanted[name]) <= tolerance, name


def check(tmp_path, build, axes, epsilon, opset):
    source, rewritten, lowered = (tmp_path / f"{name}.onnx" for name in ("source", "rewritten", "lowered"))
    model = build()
    inputs = {"x": (None, 6)} if build.__name__ == "Model" else None  # a subclassed model does not say what it takes
    export(model, source, opset=opset, inputs=inputs, tolerance=2e-3)
    report = simplify(source, rewritten, plugins=["l2_normalize"])
    model = onnx.load(str(rewritten))
    onnx.checker.check_model(model, full_check=True)
    (node,) = plugins(model)
    found = attributes(node)
    assert node.op_type == "L2Normalize"
    assert found.pop("epsilon") == pytest.approx(epsilon, rel=1e-3, abs=0)
    assert found == {"axes": axes, "lp_normalization": 0, "plugin_version": b"1", "plugin_namespace": b"tf2trt"}
    left = [item.op_type for item in all_nodes(model.graph)]
    assert not {"ReduceL2", "ReduceSumSquare", "Reciprocal", "Sqrt"} & set(left)
    assert report.passes[-1].notes[0] == "1 l2 normalisation"
    assert "the whole model gives what it gave" in report.passes[-1].notes[2]
    same(source, rewritten, 3e-3)

    lower_plugins(rewritten, lowered)
    model = onnx.load(str(lowered))
    onnx.checker.check_model(model, full_check=True)
    assert {item.domain for item in all_nodes(model.graph)} <= {"", "ai.onnx"}
    assert not model.functions
    assert all(item.domain != "tf2trt" for item in model.opset_import)
    assert not {"CastLike", "Constant", "Where"} & {item.op_type for item in model.graph.node}
    same(rewritten, lowered, 1e-6)


@pytest.mark.parametrize("writing", list(WRITINGS))
def test_a_writing_is_found(tmp_path, writing):
    check(tmp_path, *WRITINGS[writing])


BOTH = {
    "tf.math.l2_normalize": (fn(lambda x: tf.math.l2_normalize(x, 1), [None, 6, 5]), [1], L2),
    "Keras 3": (functional(keras, (6,), unit(keras)), [1], L2_KERAS_3),
    "norm": (fn(lambda x: x / tf.norm(x, axis=-1)[:, tf.newaxis], [None, 6]), [1], NONE),
}


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17, 18])
@pytest.mark.parametrize("writing", list(BOTH))
@pytest.mark.parametrize("optimised", [True, False])
def test_any_opset_with_and_without_tf2onnxs_optimiser(tmp_path, monkeypatch, writing, opset, optimised):
    if not optimised:
        monkeypatch.setattr("tf2onnx.optimizer.optimize_graph", lambda graph, **arguments: graph)
    build, axes, epsilon = BOTH[writing]
    check(tmp_path, build, axes, epsilon, opset)


def test_zeros_for_zeros(tmp_path):
    build = fn(lambda x: tf.math.divide_no_nan(x, tf.norm(x, axis=-1, keepdims=True)), [None, 6])
    export(build(), tmp_path / "in.onnx")
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    (node,) = onnx.load(str(tmp_path / "out.onnx")).graph.node
    assert attributes(node)["lp_normalization"] == 1
    same(tmp_path / "in.onnx", tmp_path / "out.onnx", 1e-5)


def test_two_that_share_their_squares(tmp_path):
    build = fn(lambda x: (tf.math.l2_normalize(x, 1), tf.math.l2_normalize(x, 2, epsilon=1e-3)), [None, 4, 5])
    export(build(), tmp_path / "in.onnx")
    report = simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert sorted(attributes(node)["axes"] for node in plugins(model)) == [[1], [2]]
    assert len(model.graph.node) == 2
    assert len(model.functions) == 1
    assert report.passes[-1].notes[0] == "2 l2 normalisations"


def test_the_magnitudes_of_vectors_normalised(tmp_path):
    # The first sum of squares is no part of the second; both look alike from behind.
    build = fn(lambda x: tf.math.l2_normalize(tf.sqrt(squared_sum(x, axis=-1)), -1), [None, 4, 5])
    export(build(), tmp_path / "in.onnx")
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert [node.op_type for node in model.graph.node] == ["Mul", "ReduceSum", "Sqrt", "L2Normalize"]


def keep(x, **arguments):
    return squared_sum(x, axis=-1, keepdims=True, **arguments)


LOOK_ALIKES = {
    "another tensor": fn(lambda x, z: x * tf.math.rsqrt(keep(z)), [None, 6], [None, 6]),
    "squares of two": fn(
        lambda x, z: x * tf.math.rsqrt(tf.abs(tf.reduce_sum(x * z, -1, keepdims=True))), [None, 6], [None, 6]),
    "an added epsilon": fn(lambda x: x * tf.math.rsqrt(keep(x) + 1e-6), [None, 6]),
    "clipped on both sides": fn(lambda x: x / tf.clip_by_value(tf.sqrt(keep(x)), 1e-6, 2.0), [None, 6]),
    "clipped above": fn(lambda x: x * tf.math.rsqrt(tf.minimum(keep(x), 4.0)), [None, 6]),
    "clipped before": fn(lambda x: x * tf.math.rsqrt(keep(tf.clip_by_value(x, -1.0, 1.0))), [None, 6]),
    "a mean": fn(lambda x: x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True)), [None, 6]),
    "a maximum": fn(lambda x: x * tf.math.rsqrt(tf.reduce_max(x * x, -1, keepdims=True)), [None, 6]),
    "the sum of absolute values": fn(lambda x: x / tf.norm(x, ord=1, axis=-1, keepdims=True), [None, 6]),
    "fourth powers": fn(lambda x: x / tf.sqrt(tf.reduce_sum(x**4, -1, keepdims=True)), [None, 6]),
    "no root": fn(lambda x: x / tf.maximum(keep(x), 1e-6), [None, 6]),
    "multiplied by the norm": fn(lambda x: x * tf.sqrt(keep(x)), [None, 6]),
    "cube root": fn(lambda x: x / tf.pow(keep(x), 1 / 3), [None, 6]),
    "an epsilon for each row": fn(lambda x: x / tf.sqrt(tf.maximum(keep(x), [[1e-3], [1e-6], [1.0]])), [3, 6]),
    "the norm of another axis": fn(lambda x: x / tf.norm(x, axis=1), [5, 5]),
    "rows turned round": fn(lambda x: x / tf.reshape(tf.norm(x, axis=1), [1, -1]), [5, 5]),
    "the norm is an output": fn(lambda x: tf.linalg.normalize(x, axis=-1), [None, 6]),
    "the norm is used again": fn(lambda x: tf.math.l2_normalize(x, -1) + tf.sqrt(
        tf.maximum(tf.reduce_sum(tf.square(x), -1, keepdims=True), 1e-12)), [None, 6]),
    "one more than the norm": fn(lambda x: tf.math.divide_no_nan(x, tf.sqrt(keep(x)) + 1.0), [None, 6]),
    # tf2onnx writes a sum of two products here, which is NaN for a row of zeros.
    "zeros for zeros, by where": fn(lambda x: tf.where(tf.sqrt(keep(x)) == 0.0, 0.0, x / tf.sqrt(keep(x))), [None, 6]),
    "layer normalisation": functional(keras, (6,), keras.layers.LayerNormalization),
    "root mean square": functional(keras, (6,), keras.layers.RMSNormalization),
    "a larger result": fn(lambda x: x / tf.broadcast_to(tf.sqrt(keep(x)), [4, 6]), [1, 6]),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(LOOK_ALIKES))
def test_a_look_alike_is_left_alone(tmp_path, kind):
    export(LOOK_ALIKES[kind](), tmp_path / "in.onnx", check=False)
    simplify(tmp_path / "in.onnx", tmp_path / "plain.onnx")
    report = simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    assert report.passes[-1].notes[0] == "0 l2 normalisations"
    assert (tmp_path / "out.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()


def test_doubles_are_narrowed_first_and_then_found(tmp_path):
    doubles = fn(lambda x: tf.math.l2_normalize(x, -1), [None, 6], dtype=tf.float64)
    check(tmp_path, doubles, [1], 1e-12, 15)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("the norm is an output", "used elsewhere"),
        ("the norm is used again", "used elsewhere"),
    ],
)
def test_the_report_says_why(tmp_path, kind, why):
    export(LOOK_ALIKES[kind](), tmp_path / "in.onnx", check=False)
    report = simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    (_, note) = report.passes[-1].notes
    assert note.startswith("left alone: ")
    assert why in note
