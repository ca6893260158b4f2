"""What each node says of the layer and op that it came from."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow

tf = import_tensorflow()

import keras  # noqa: E402  (after TensorFlow, which is imported quietly)
import tf_keras  # noqa: E402

KERASES = pytest.mark.parametrize("library", [keras, tf_keras])


def every_node(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from every_node(attribute.g)


def origins(model, path, **arguments):
    """``(op type, TensorFlow op, layer)`` of every node, those of loops' bodies included."""
    export(model, path, **arguments)
    found = []
    for node in every_node(onnx.load(path).graph):
        entries = {entry.key: entry.value for entry in node.metadata_props}
        found.append((node.op_type, entries["tf2trt.op"], entries.get("tf2trt.layer")))
    assert found
    return found


def randomised(model):
    """Biases and averages of a new model are 0 and 1, and tf2onnx drops what adds 0. Small, so that no softmax decides
    between large numbers, whose rounding alone would show.
    """
    rng = np.random.default_rng()
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 0.3, weight.shape))
    return model


def residual(library):
    layers = library.layers
    image = library.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv1", use_bias=False)(image)
    x = layers.BatchNormalization(name="bn1")(x)
    skip = x = layers.Activation("relu", name="relu1")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.Conv2D(4, 3, padding="same", name="conv3")(x)
    x = layers.BatchNormalization(name="bn3")(x)
    x = layers.LeakyReLU(name="leaky")(layers.Add(name="add")([x, skip]))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.MaxPooling2D(name="max")(x))
    return randomised(library.Model(image, layers.Dense(3, activation="softmax", name="head")(x)))


# What may stand for a layer; a layer may be fused into the one before it, so not each of them must be there.
OPS = {
    "conv1": {"Conv", "Transpose"},
    "conv2": {"Conv", "Relu"},
    "conv3": {"Conv"},
    "bn1": {"BatchNormalization", "Mul", "Add", "Sub"},
    "bn3": {"BatchNormalization", "Mul", "Add", "Sub"},
    "relu1": {"Relu"},
    "add": {"Add"},
    "leaky": {"LeakyRelu"},
    "max": {"MaxPool"},
    "pool": {"GlobalAveragePool", "Squeeze", "ReduceMean", "Transpose"},
    "head": {"MatMul", "Gemm", "Add", "Softmax"},
}


@KERASES
def test_the_layers_of_a_residual_network(tmp_path, library):
    found = origins(residual(library), tmp_path / "m.onnx")
    right = [kind in OPS.get(layer, ()) for kind, _, layer in found]
    assert sum(right) >= 0.95 * len(right), found
    assert {"conv1", "conv2", "conv3", "relu1", "add", "leaky", "max", "pool", "head"} <= {
        layer for _, _, layer in found
    }
    for kind, op, layer in found:
        assert f"/{layer}" in op, (kind, op, layer)


@KERASES
def test_nested_and_shared_layers_keep_their_own_names(tmp_path, library):
    layers = library.layers
    x = inputs = library.Input((6,), name="x")
    inner = library.Sequential([layers.Input((6,)), layers.Dense(6, name="dense_1")], name="encoder")
    shared = layers.Dense(6, name="dense")  # TensorFlow calls its second scope dense_1, dense_2 or so
    x = shared(shared(inner(x)))
    model = randomised(library.Model(inputs, layers.Dense(2, name="dense_1")(x)))
    found = [layer for kind, _, layer in origins(model, tmp_path / "m.onnx") if kind in ("MatMul", "Gemm")]
    assert found == ["encoder/dense_1", "dense", "dense", "dense_1"]


@KERASES
def test_a_recurrent_network(tmp_path, library):
    layers = library.layers
    inputs = library.Input((7, 4), name="x")
    x = layers.LSTM(6, name="lstm", return_sequences=True)(inputs)
    x = layers.Bidirectional(layers.GRU(3), name="both")(x)
    model = randomised(library.Model(inputs, layers.Dense(2, name="head")(x)))
    found = origins(model, tmp_path / "m.onnx")
    assert {layer for kind, _, layer in found if kind == "LSTM"} == {"lstm"}
    assert {layer for kind, _, layer in found if kind in ("GRU", "Loop")} <= {"both/forward_gru", "both/backward_gru"}
    assert {layer for kind, _, layer in found if layer and layer.startswith("head")} == {"head"}
    assert all(layer is not None for _, _, layer in found), found


@KERASES
def test_attention(tmp_path, library):
    layers = library.layers
    inputs = library.Input((7, 8), name="x")
    x = layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    x = layers.LayerNormalization(name="normal")(layers.Add(name="add")([x, inputs]))
    found = origins(randomised(library.Model(inputs, x)), tmp_path / "m.onnx")
    layers_found = {layer for _, _, layer in found}
    assert {"attention/query", "attention/key", "attention/value", "attention/attention_output"} <= layers_found
    assert [kind for kind, _, layer in found if layer == "add"] == ["Add"]
    assert all(layer is not None and layer.split("/")[0] in ("attention", "add", "normal") for _, _, layer in found)


def test_a_saved_model_goes_by_its_scopes(tmp_path):
    residual(keras).export(str(tmp_path / "saved"), verbose=False)
    found = origins(tmp_path / "saved", tmp_path / "m.onnx")
    tops = {layer.split("/")[0].split("_")[0] for _, _, layer in found}
    assert tops <= set(OPS)
    assert not any("PartitionedCall" in op for _, op, _ in found)


def test_a_function_has_its_ops(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def f(x):
        with tf.name_scope("block"):
            return tf.nn.softmax(tf.nn.relu(x, name="first"), name="second")

    found = origins(f, tmp_path / "m.onnx")
    assert found == [("Relu", "block/first", "block"), ("Softmax", "block/second", "block")]


def test_tensorrt_reads_a_file_with_origins(tmp_path):
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    from tf2trt import libraries
    from tf2trt.build import BuildOptions, build_engine
    from tf2trt.specs import ShapeRange

    found = [each.library for each in libraries.candidates() if each.library is not None]
    rtx = next(library for library in found if library.kind == "rtx")
    origins(residual(keras), tmp_path / "m.onnx")
    assert onnx.load(tmp_path / "m.onnx").ir_version == 8  # older than the field: every parser takes the file
    profile = {"image": ShapeRange((1, 8, 8, 3), (2, 8, 8, 3), (4, 8, 8, 3))}
    report = build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", BuildOptions(profiles=[profile]), library=rtx)
    assert [spec.name for spec in report.sidecar.outputs] == ["head"]
