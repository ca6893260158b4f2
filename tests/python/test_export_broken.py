"""What cannot be exported: each kind is answered with an error that names the thing, and leaves no file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tf2trt.errors import ExportError, OnnxError
from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow

tf = import_tensorflow()

import keras  # noqa: E402  (after TensorFlow, which is imported quietly)

helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def write(path, data=b""):
    path.write_bytes(data)
    return path


def folder(path, files=()):
    path.mkdir()
    for name in files:
        (path / name).write_text("hello")
    return path


def matmul(path, opset=17, nodes=None):
    weight = onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    nodes = nodes or [helper.make_node("MatMul", ["x", "w"], ["y"], name="n")]
    ends = [[helper.make_tensor_value_info(name, FLOAT, ["b", 64])] for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *ends, [weight]), opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    )
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def without(path):
    matmul(path)
    (path.parent / "w.bin").unlink()
    return path


def shortened(path):
    write(path.parent / "w.bin", (matmul(path).parent / "w.bin").read_bytes()[:100])
    return path


def truncated(path):
    return write(path, matmul(path).read_bytes()[:60])


def custom(path):
    class Scale(keras.layers.Layer):  # a class that no import finds again
        def call(self, x):
            return x * 2.0

    model = keras.Sequential([keras.layers.Input((4,)), Scale()])
    model.save(str(path))
    return path


def function(spec, body):
    return tf.function(body, input_signature=[spec])


def numpy_function(path):
    return function(
        tf.TensorSpec([2, 3]), lambda x: tf.ensure_shape(tf.numpy_function(np.abs, [x], tf.float32), [2, 3])
    )


def py_function(path):
    return function(tf.TensorSpec([2, 3]), lambda x: tf.py_function(tf.abs, [x], tf.float32))


def unfrozen(path):
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (None, 2), name="x")
        tf.identity(x * tf.compat.v1.get_variable("scale", (2,)), name="y")
    return write(path, graph.as_graph_def().SerializeToString())


def saved_model_pb(path):
    tf.saved_model.save(tf.Module(), str(path.parent / "saved"))
    return write(path, (path.parent / "saved" / "saved_model.pb").read_bytes())


def text(path):
    return write(path, b"hello, this is not a model\n" * 20)


def text_model(path):
    vectorize = keras.layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4)
    return keras.Sequential([keras.Input((1,), dtype="string", name="words"), vectorize, keras.layers.Embedding(4, 2)])


CASES = {
    "nothing there": ("m.keras", lambda path: path, ExportError, r"there is no model at .*m\.keras"),
    "empty folder": ("m", folder, ExportError, r"an empty folder"),
    "folder without a model": ("m", lambda path: folder(path, ["a"]), ExportError, r"a folder without saved_model\.pb"),
    "text file": ("m.txt", text, ExportError, r"m\.txt is not a model"),
    "empty Keras file": ("m.keras", write, ExportError, r"m\.keras is empty"),
    "text as Keras file": ("m.keras", text, ExportError, r"m\.keras is not a Keras model"),
    "text as .h5": ("m.h5", text, ExportError, r"m\.h5 is not a Keras model"),
    "text as .pb": ("m.pb", text, ExportError, r"m\.pb is not a TensorFlow graph"),
    "text as TFLite": ("m.tflite", text, ExportError, r"m\.tflite is not a TFLite model"),
    "text as ONNX": ("m.onnx", text, OnnxError, r"m\.onnx cannot be read"),
    "empty ONNX": ("m.onnx", write, OnnxError, r"m\.onnx is empty"),
    "truncated ONNX": ("m.onnx", truncated, OnnxError, r"m\.onnx cannot be read"),
    "old ONNX": ("m.onnx", lambda p: matmul(p, 11), OnnxError, r"opset 11[\s\S]*expected: 13 to[\s\S]*convert_version"),
    "new ONNX": ("m.onnx", lambda p: matmul(p, 99), OnnxError, r"opset 99"),
    "invalid ONNX": (
        "m.onnx",
        lambda p: matmul(p, nodes=[helper.make_node("MatMul", ["x", "nowhere"], ["y"])]),
        OnnxError,
        r"not a valid ONNX model[\s\S]*nowhere",
    ),
    "weights missing": ("m.onnx", without, OnnxError, r"weights are missing[\s\S]*w\.bin"),
    "weights truncated": ("m.onnx", shortened, OnnxError, r"truncated[\s\S]*w\.bin has 100 bytes[\s\S]*16384"),
    "custom layer": ("m.keras", custom, ExportError, r"class or function 'Scale'[\s\S]*custom_objects"),
    "custom layer in .h5": (
        "m.h5",
        custom,
        ExportError,
        r"class or function 'Scale'[\s\S]*register_keras_serializable",
    ),
    "numpy_function": ("", numpy_function, ExportError, r"calls back into Python[\s\S]*PyFunc"),
    "py_function": ("", py_function, ExportError, r"calls back into Python[\s\S]*EagerPyFunc"),
    "string input": (
        "",
        lambda path: function(tf.TensorSpec([None], tf.string, name="words"), tf.strings.length),
        ExportError,
        r"what is not a number[\s\S]*words: string",
    ),
    "string output": (
        "",
        lambda path: function(tf.TensorSpec([2], tf.float32), lambda x: {"label": tf.strings.as_string(x)}),
        ExportError,
        r"returns strings[\s\S]*label",
    ),
    "text in a Keras model": ("", text_model, ExportError, r"what is not a number[\s\S]*words: string"),
    "graph with variables": ("m.pb", unfrozen, ExportError, r"not frozen[\s\S]*scale[\s\S]*convert_var"),
    "part of a SavedModel": ("m.pb", saved_model_pb, ExportError, r"part of a SavedModel[\s\S]*folder"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_error_names_it_and_nothing_is_left(tmp_path, case):
    name, make, kind, message = CASES[case]
    out = tmp_path / "out"
    out.mkdir()
    model = make(tmp_path / name)
    with pytest.raises(kind, match=message):
        export(model, out / "m.onnx")
    assert list(out.iterdir()) == []
