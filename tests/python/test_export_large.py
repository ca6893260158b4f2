"""Models whose large weights take no part in the conversion; here everything is small and called large."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest

from tf2trt import onnx_files
from tf2trt.errors import ExportError, OutputError
from tf2trt.export import export, freeze
from tf2trt.export.quiet import import_tensorflow
from tf2trt.verify import OnnxReference, relative_error

tf = import_tensorflow()

import keras  # noqa: E402  (after TensorFlow, which is imported quietly)
import tf_keras  # noqa: E402

rng = np.random.default_rng()


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch):
    monkeypatch.setattr(freeze, "_FROM", 0)
    monkeypatch.setattr(freeze, "_LARGE", 1)
    monkeypatch.setattr(freeze, "_LARGE_KERNEL", 1)


@pytest.fixture
def left_out(monkeypatch):
    """The shapes of the variables that were left out of each graph."""
    found = []
    original = freeze._to_placeholders

    def seen(tensorflow, graph_def, variables):
        found.extend(tuple(variable.shape) for variable in variables.values())
        original(tensorflow, graph_def, variables)

    monkeypatch.setattr(freeze, "_to_placeholders", seen)
    return found


def mixed(library):
    """A convolution, an embedding, an LSTM (its kernels in a loop), shared weights, a dense layer."""
    layers = library.layers
    ids, image = library.Input((5,), dtype="int32", name="ids"), library.Input((6, 6, 2), name="image")
    x = layers.LSTM(4)(layers.Embedding(10, 8)(ids))
    y = layers.Flatten()(layers.Conv2D(3, 3, padding="same")(image))
    dense = layers.Dense(4)
    x = dense(dense(x))
    return library.Model([ids, image], layers.Dense(3, name="y")(layers.Concatenate()([x, layers.Dense(4)(y)])))


def agrees(path, model):
    feed = {"ids": rng.integers(0, 10, (2, 5)).astype(np.int32), "image": rng.standard_normal((2, 6, 6, 2), np.float32)}
    wanted = np.asarray(model([feed["ids"], feed["image"]]))
    assert relative_error(OnnxReference(path)(feed)["y"], wanted) < 1e-5


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("one_file", [1 << 30, 100])
def test_the_model_is_the_same(tmp_path, monkeypatch, left_out, library, one_file):
    monkeypatch.setattr(onnx_files, "ONE_FILE", one_file)
    model = mixed(library)
    stages = []
    report = export(model, tmp_path / "m.onnx", progress=lambda *stage: stages.append(stage))
    assert {(3, 3, 2, 3), (10, 8), (4, 4), (8, 3)} <= set(left_out)
    assert (4, 16) not in left_out  # the LSTM's: tf2onnx wants to see them
    assert report.max_rel_error is not None
    assert report.max_rel_error < 1e-5
    assert sorted(os.listdir(tmp_path)) == (["m.onnx"] if one_file > 100 else ["m.onnx", "m.onnx.data"])
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    agrees(tmp_path / "m.onnx", model)
    written = onnx.load(str(tmp_path / "m.onnx"))
    assert {each.name for each in written.graph.initializer}.isdisjoint(value.name for value in written.graph.input)
    assert sum(node.op_type == "MatMul" or node.op_type == "Gemm" for node in written.graph.node) == 4
    assert list(dict.fromkeys(stage for stage, _, _ in stages)) == [
        "loading", "tracing", "converting", "writing", "checking"
    ]  # fmt: skip
    assert all(0 <= done <= total for _, done, total in stages)


def test_half_precision_weights(tmp_path, left_out):
    model = keras.Sequential(
        [keras.layers.Input((16,), name="x"), keras.layers.Dense(8, dtype="mixed_float16", name="y")]
    )
    export(model, tmp_path / "m.onnx", tolerance=1e-2)
    assert (16, 8) in left_out
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds.values()


def test_a_failed_check_leaves_neither_file(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_files, "ONE_FILE", 100)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
    def noisy(x):
        return x @ weight + tf.random.normal([4])

    weight = tf.Variable(tf.random.normal([4, 4]))
    with pytest.raises(ExportError, match="differs from TensorFlow"):
        export(noisy, tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_neither_file(tmp_path, monkeypatch):
    def full(file, weight):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_files, "_write_weight", full)
    with pytest.raises(OutputError, match=r"No space left[\s\S]*a folder with space"):
        export(mixed(keras), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


def test_a_written_file_is_what_protobuf_writes(tmp_path):
    weights = {f"w{index}": rng.standard_normal((index + 1, 70)).astype(np.float32) for index in range(4)}
    nodes = [onnx.helper.make_node("Sum", list(weights), ["y"])]
    graph = onnx.helper.make_graph(
        nodes, "g", [], [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 70])]
    )
    model = onnx.helper.make_model(graph, producer_name="someone")
    model.metadata_props.add(key="a", value="b")
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    parts = [
        onnx_files.Weight(
            onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=array.shape), array.nbytes, array.tobytes
        )
        for name, array in weights.items()
    ]
    references = onnx_files.write_onnx(tmp_path / "m.onnx", model, parts)
    assert onnx.load(str(tmp_path / "m.onnx")) == whole
    (tmp_path / "check.onnx").write_bytes(references.SerializeToString())
    loaded = onnx.load(str(tmp_path / "check.onnx"))
    for tensor in loaded.graph.initializer:
        assert np.array_equal(onnx.numpy_helper.to_array(tensor), weights[tensor.name])


def test_an_optimiser_that_fails_is_passed_over(tmp_path, monkeypatch):
    from tf2onnx.optimizer.identity_optimizer import IdentityOptimizer

    def broken(optimiser, graph):
        for node in list(graph.get_nodes()):
            if node.type == "MatMul":
                graph.remove_node(node.name)  # the graph is of no use any more
        raise ValueError("broken")

    monkeypatch.setattr(IdentityOptimizer, "_optimize", broken)
    model = mixed(keras)
    assert export(model, tmp_path / "m.onnx").nodes > 0
    agrees(tmp_path / "m.onnx", model)
