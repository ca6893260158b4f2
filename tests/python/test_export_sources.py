"""Export of frozen graphs, TFLite files, ONNX files and TensorFlow 1's SavedModels, and what is said of each."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest

from tf2trt.errors import ExportError, UsageError
from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow
from tf2trt.verify import OnnxReference, relative_error

tf = import_tensorflow()

import keras  # noqa: E402  (after TensorFlow, which is imported quietly)

v1 = tf.compat.v1
seed = int(np.random.default_rng().integers(1 << 31))
rng = np.random.default_rng(seed)


@pytest.fixture(autouse=True)
def print_the_seed():
    print("seed", seed)


def random(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def graph(tail=()):
    """A TensorFlow 1 graph: x -> hidden -> softmax, an Assert and a placeholder that nothing reads; NumPy's version."""
    weights, bias = random(5, 4), random(4)
    with tf.Graph().as_default() as built:
        x = v1.placeholder(tf.float32, (None, 5), name="x")
        v1.placeholder(tf.bool, (), name="training")
        hidden = tf.nn.relu(tf.matmul(x, tf.constant(weights)) + tf.constant(bias), name="block/hidden")
        _ = v1.debugging.Assert(tf.reduce_all(hidden >= 0), [hidden], name="assertion")
        result = tf.nn.softmax(hidden, name="result")
        for name in tail:
            tf.identity(result, name=name)

    def compute(x):
        hidden = np.maximum(x @ weights + bias, 0)
        return hidden, np.exp(hidden) / np.exp(hidden).sum(1, keepdims=True)

    return built.as_graph_def(), compute


def save(path, graph_def):
    path.write_bytes(graph_def.SerializeToString())
    return path


def test_a_frozen_graph_whose_ends_are_found(tmp_path):
    graph_def, compute = graph()
    report = export(save(tmp_path / "m.pb", graph_def), tmp_path / "m.onnx")
    assert report.source == "graph_def"
    assert report.detected == f"frozen GraphDef, {len(graph_def.node)} nodes; output found: result"
    assert [str(spec) for spec in report.inputs] == ["x: float32 ?x5"]
    assert [str(spec) for spec in report.outputs] == ["result: float32 ?x4"]
    x = random(3, 5)
    assert relative_error(OnnxReference(tmp_path / "m.onnx")({"x": x})["result"], compute(x)[1]) < 1e-5
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "m.pb"]


@pytest.mark.parametrize("port", ["", ":0"])
def test_a_frozen_graph_with_named_ends(tmp_path, port):
    graph_def, compute = graph(tail=["copy"])
    path = save(tmp_path / "m.pb", graph_def)
    outputs = [f"result{port}", f"block/hidden{port}"]
    report = export(path, tmp_path / "m.onnx", inputs={f"x{port}": (2, 5)}, outputs=outputs)
    assert [str(spec) for spec in report.inputs] == ["x: float32 2x5"]
    assert [str(spec) for spec in report.outputs] == ["result: float32 2x4", "block/hidden: float32 2x4"]
    x = random(2, 5)
    results = OnnxReference(tmp_path / "m.onnx")({"x": x})
    for name, wanted in zip(("block/hidden", "result"), compute(x)):
        assert relative_error(results[name], wanted) < 1e-5


def test_a_frozen_graph_is_cut_at_its_inputs(tmp_path):
    graph_def, _ = graph()
    report = export(
        save(tmp_path / "m.pb", graph_def), tmp_path / "m.onnx", inputs={"block/hidden": (None, 4)}, outputs=["result"]
    )
    assert [str(spec) for spec in report.inputs] == ["block/hidden: float32 ?x4"]
    assert report.nodes == 1


def test_a_frozen_graph_with_an_input_of_any_rank(tmp_path):
    with tf.Graph().as_default() as built:
        tf.abs(v1.placeholder(tf.float32, None, name="x"), name="y")
    path = save(tmp_path / "m.pb", built.as_graph_def())
    with pytest.raises(ExportError, match=r"does not say which shape the input 'x' has[\s\S]*inputs="):
        export(path, tmp_path / "m.onnx")
    assert str(export(path, tmp_path / "m.onnx", inputs={"x": (None, 2)}).inputs[0]) == "x: float32 ?x2"


@pytest.mark.parametrize(
    ("tail", "arguments", "message"),
    [
        (["left", "right"], {}, r"several nodes that could be outputs[\s\S]*one or more of left, right"),
        ([], {"outputs": ["nothing"]}, r"outputs: the graph[\s\S]*received: nothing[\s\S]*result"),
        ([], {"inputs": {"y": (1, 5)}}, r"inputs: the graph[\s\S]*received: y[\s\S]*x, training"),
        ([], {"outputs": "result"}, r"a list of names"),
        ([], {"signature": "serving_default"}, "signature and tags belong to a SavedModel"),
    ],
)
def test_a_frozen_graph_refuses(tmp_path, tail, arguments, message):
    path = save(tmp_path / "m.pb", graph(tail)[0])
    with pytest.raises(UsageError, match=message):
        export(path, tmp_path / "m.onnx", **arguments)
    assert os.listdir(tmp_path) == ["m.pb"]


def test_outputs_are_for_frozen_graphs(tmp_path):
    with pytest.raises(UsageError, match="outputs are for a frozen graph"):
        export(keras.Sequential([keras.layers.Input((2,))]), tmp_path / "m.onnx", outputs=["y"])


def tensorflow_1(folder):
    """A SavedModel as TensorFlow 1 wrote it, with a variable, two sets of tags and two signatures."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 3), name="x")
        scale = v1.get_variable("scale", initializer=random(3), use_resource=False)
        twice, shifted = x * scale, x + scale
        session.run(v1.global_variables_initializer())
        definitions = {
            name: v1.saved_model.predict_signature_def({"features": x}, {name: tensor})
            for name, tensor in (("scaled", twice), ("shifted", shifted))
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], definitions)
        builder.add_meta_graph(["serve", "gpu"], definitions)
        builder.save()
        return session.run(scale)


def test_a_saved_model_of_tensorflow_1(tmp_path):
    scale = tensorflow_1(tmp_path / "saved")
    with pytest.raises(UsageError, match=r"several graphs[\s\S]*expected: serve; gpu,serve"):
        export(tmp_path / "saved", tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"no graph with these tags[\s\S]*train[\s\S]*serve; gpu,serve"):
        export(tmp_path / "saved", tmp_path / "m.onnx", tags=["train"])
    with pytest.raises(UsageError, match=r"several signatures[\s\S]*scaled, shifted"):
        export(tmp_path / "saved", tmp_path / "m.onnx", tags=["serve"])
    report = export(tmp_path / "saved", tmp_path / "m.onnx", tags=["serve"], signature="scaled")
    assert report.detected.startswith(f"SavedModel (TensorFlow 1 graph, TensorFlow {tf.__version__}), signature scaled")
    assert report.detected.endswith("of 2: scaled, shifted")
    x = random(2, 3)
    assert relative_error(OnnxReference(tmp_path / "m.onnx")({"features": x})["scaled"], x * scale) < 1e-6


def small_cnn():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    return keras.Model(image, keras.layers.Dense(5, name="head")(keras.layers.Flatten()(x)))


def test_the_saved_model_pb_itself_stands_for_its_folder(tmp_path):
    small_cnn().export(str(tmp_path / "saved"), verbose=False)
    report = export(tmp_path / "saved" / "saved_model.pb", tmp_path / "m.onnx")
    assert report.source == "saved_model"
    assert report.detected.startswith(f"SavedModel (Keras 3 export, TensorFlow {tf.__version__}), signature ")
    assert report.detected.endswith("serving_default of 2: serve, serving_default")


def test_a_saved_model_without_signatures_names_its_functions(tmp_path):
    class Halves(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def halve(self, x):
            return x / 2.0

        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def quarter(self, x):
            return x / 4.0

    tf.saved_model.save(Halves(), str(tmp_path / "saved"))
    with pytest.raises(ExportError, match=r"functions without one: halve, quarter[\s\S]*export\(loaded.halve"):
        export(tmp_path / "saved", tmp_path / "m.onnx")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert export(loaded.halve, tmp_path / "m.onnx", inputs={"x": (None, 2)}).max_rel_error == 0


@pytest.fixture(scope="module")
def tflite_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    small_cnn().export(str(folder / "saved"), verbose=False)
    for name in ("float", "quantised"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
        if name == "quantised":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([random(1, 8, 8, 3)] for _ in range(50))
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    return folder


def test_a_tflite_file(tflite_files, tmp_path, capfd):
    capfd.readouterr()  # what the fixture's own conversions said
    report = export(tflite_files / "float.tflite", tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")
    assert (report.source, report.detected) == ("tflite", "TFLite model, not quantised, signature serving_default")
    assert [str(spec) for spec in report.inputs] == ["image: float32 ?x8x8x3"]
    assert [spec.name for spec in report.outputs] == ["output_0"]
    assert report.max_rel_error is not None
    assert report.max_rel_error < 1e-5
    saved = tf.saved_model.load(str(tflite_files / "saved"))
    image = random(3, 8, 8, 3)
    wanted = saved.signatures["serving_default"](image=tf.constant(image))["output_0"]
    assert relative_error(OnnxReference(tmp_path / "m.onnx")({"image": image})["output_0"], wanted) < 1e-5
    fixed = export(tflite_files / "float.tflite", tmp_path / "m.onnx", inputs={"image": (2, 8, 8, 3)})
    assert str(fixed.inputs[0]) == "image: float32 2x8x8x3"


def test_a_quantised_tflite_file(tflite_files, tmp_path):
    report = export(tflite_files / "quantised.tflite", tmp_path / "m.onnx")
    assert report.detected == "TFLite model, quantised, signature serving_default"
    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert "QuantizeLinear" in kinds
    assert "DequantizeLinear" in kinds


def linear(path, *, beside=None, opset=18, metadata=()):
    """An ONNX file as PyTorch's exporter writes one; its weight in the file ``beside``, if that is given."""
    weight = random(6, 4)
    node = onnx.helper.make_node("MatMul", ["x", "weight"], ["y"], name="node_linear")
    for key, value in metadata:
        node.metadata_props.add(key=key, value=value)
    shape = onnx.helper.make_tensor_value_info
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node],
            "main_graph",
            [shape("x", onnx.TensorProto.FLOAT, ["batch", 6])],
            [shape("y", onnx.TensorProto.FLOAT, ["batch", 4])],
            [onnx.numpy_helper.from_array(weight, "weight")],
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        producer_name="pytorch",
        producer_version="2.9.0",
        ir_version=10,
    )
    if beside:
        onnx.save(model, str(path), save_as_external_data=True, location=beside, size_threshold=0)
    else:
        onnx.save(model, str(path))
    return weight


@pytest.mark.parametrize("beside", [None, "weights.bin"])
def test_an_onnx_file(tmp_path, beside):
    weight = linear(tmp_path / "torch.onnx", beside=beside)
    report = export(tmp_path / "torch.onnx", tmp_path / "m.onnx", inputs={"x": (3, None)})
    assert (report.source, report.opset, report.max_rel_error) == ("onnx", 18, None)
    assert report.detected.startswith("ONNX model, opset 18, written by pytorch 2.9.0")
    assert report.detected.endswith("weights in weights.bin") == bool(beside)
    assert [str(spec) for spec in (*report.inputs, *report.outputs)] == ["x: float32 3x6", "y: float32 3x4"]
    if beside:
        (tmp_path / beside).unlink()
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", *(["m.onnx.data"] if beside else []), "torch.onnx"]
    x = random(3, 6)
    assert relative_error(OnnxReference(tmp_path / "m.onnx")({"x": x})["y"], x @ weight) < 1e-6


def test_an_onnx_file_over_itself(tmp_path):
    weight = linear(tmp_path / "m.onnx", beside="m.onnx.data")
    export(tmp_path / "m.onnx", tmp_path / "m.onnx")
    x = random(2, 6)
    assert relative_error(OnnxReference(tmp_path / "m.onnx")({"x": x})["y"], x @ weight) < 1e-6


def test_an_onnx_file_needs_no_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setattr("tf2trt.export.pipeline.import_tensorflow", lambda: pytest.fail("TensorFlow was imported"))
    linear(tmp_path / "torch.onnx")
    assert export(tmp_path / "torch.onnx", tmp_path / "m.onnx").nodes == 1


def test_an_onnx_file_has_its_opset(tmp_path):
    linear(tmp_path / "torch.onnx")
    with pytest.raises(UsageError, match="an ONNX file already"):
        export(tmp_path / "torch.onnx", tmp_path / "m.onnx", opset=15)


@pytest.mark.parametrize(
    ("metadata", "op"),
    [
        ([("pkg.torch.onnx.name_scopes", "['', 'layer1', 'layer1.conv', 'conv2d_1']")], "conv2d_1"),
        ([("namespace", ": Net/layer1: Block/conv2d_1: aten.conv2d")], "conv2d_1: aten.conv2d"),
        ([], "node_linear"),
    ],
)
def test_the_origin_in_an_onnx_file(tmp_path, metadata, op):
    linear(tmp_path / "torch.onnx", metadata=metadata)
    export(tmp_path / "torch.onnx", tmp_path / "m.onnx")
    found = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").graph.node[0].metadata_props}
    assert found == {**dict(metadata), "tf2trt.op": op}
