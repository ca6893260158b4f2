"""The verdict of TensorRT's own parser, as far as one that stops at the first unsupported node can give it (8.6.0)."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tf2trt import _native, libraries
from tf2trt.build import build_engine, check_support
from tf2trt.errors import OnnxError, PluginError
from tf2trt.runtime import Engine

# The C++ tests' own plugin library; `make test-cpp` builds it.
USER_PLUGINS = Path(os.environ.get("TF2TRT_USER_PLUGINS", "build/tests/cpp/user_plugin/libmy_plugins.so")).absolute()

node = helper.make_node


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


def save(path, nodes, constants=None, inputs=None, kind=TensorProto.FLOAT, **options):
    """A model from x (4x6 float), or ``inputs`` {name: (type, shape)}, to y."""
    values = inputs or {"x": (TensorProto.FLOAT, [4, 6])}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, *value) for name, value in values.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid(domain, 1) for domain in sorted({each.domain for each in nodes} - {""})]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15), *opsets], ir_version=8)
    onnx.save(model, str(path), **options)
    return path


def from_layer(made, layer, op):
    made.metadata_props.add(key="tf2trt.layer", value=layer)
    made.metadata_props.add(key="tf2trt.op", value=op)
    return made


def plugin(op, source, result, space="tf2trt", **attributes):
    return node(
        op, [source], [result], name=result, domain=space, plugin_version="1", plugin_namespace=space, **attributes
    )


def test_a_model_that_is_taken_whole(library, tmp_path):
    path = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["a"]), node("Sigmoid", ["a"], ["y"])])
    report = check_support(path, library=library)
    assert report.supported
    assert report.complete
    assert report.unsupported == ()
    assert report.nodes == 2
    report.raise_if_unsupported()
    assert _native.live_objects() == 0


def test_unsupported_nodes_are_named_with_their_origin(library, tmp_path):
    nodes = [
        node("Relu", ["x"], ["a"], name="relu"),
        from_layer(node("Unique", ["a"], ["b"], name="unique"), "count", "UniqueV2"),
        node("Relu", ["b"], ["c"], name="between"),
        node("Det", ["c"], ["y"]),
    ]
    report = check_support(save(tmp_path / "m.onnx", nodes), library=library)
    assert not report.supported
    found = [(each.index, each.name, each.op, each.origin, each.remedy) for each in report.unsupported]
    assert found == [
        (1, "unique", "Unique", "layer count (op UniqueV2)", "hybrid"),
        (3, "#3", "Det", "", "hybrid"),
    ]
    for each in report.unsupported:
        assert each.reason
        assert ".cpp" not in each.reason
    with pytest.raises(OnnxError, match="unique"):
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", library=library)


def test_a_mode_that_tensorrt_lacks(library, tmp_path):
    """The node after it is all right, and is not accused."""
    image = {"x": (TensorProto.FLOAT, [1, 3, 8, 8])}
    nodes = [
        node("Pad", ["x", "amounts"], ["a"], name="pad", mode="wrap"),
        node("Relu", ["a"], ["y"], name="after"),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"amounts": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, image)
    report = check_support(path, library=library)
    (found,) = report.unsupported
    assert (found.name, found.remedy) == ("pad", "rewrite")
    assert found.reason


def test_nodes_that_supports_model_leaves_out_of_its_lists_are_supported(library, tmp_path):
    """supportsModel of 8.5 and 8.6.0 lists no NonZero, and says no to the whole model."""
    path = save(tmp_path / "m.onnx", [node("NonZero", ["x"], ["y"], name="where")], kind=TensorProto.INT64)
    report = check_support(path, library=library)
    assert report.supported
    built = build_engine(path, tmp_path / "m.engine", library=library)  # TensorRT wants a profile for such an engine
    with Engine.load(built.engine, library=library) as engine:
        assert engine.outputs[0].shape == (2, -1)
        assert engine.profiles[0]["x"].opt == (4, 6)


def test_tf2trts_plugins_are_supported(library, tmp_path):
    nodes = [plugin("L2Normalize", "x", "n", axes=[1], epsilon=1e-12), plugin("LeakyReLU", "n", "y", alpha=0.3)]
    assert check_support(save(tmp_path / "m.onnx", nodes), library=library).supported


def test_a_plugins_own_words_are_the_reason(library, tmp_path):
    path = save(tmp_path / "m.onnx", [plugin("L2Normalize", "x", "y", axes=[3])])
    (found,) = check_support(path, library=library).unsupported
    assert (found.name, found.remedy) == ("y", "plugin")
    assert "plugin L2Normalize: axes: received 3 for a tensor of rank 2" in found.reason


def test_plugins_are_not_accused_behind_another_node(library, tmp_path):
    nodes = [node("Unique", ["x"], ["u"], name="unique"), plugin("LeakyReLU", "u", "y", alpha=0.3)]
    (found,) = check_support(save(tmp_path / "m.onnx", nodes), library=library).unsupported
    assert found.name == "unique"


def test_a_plugin_library_of_the_users(library, tmp_path):
    assert USER_PLUGINS.is_file(), f"{USER_PLUGINS} is missing: build the C++ tests, or name it in TF2TRT_USER_PLUGINS"
    # Once its library is loaded, the operator is known for the rest of the process: the one without comes first.
    other = save(tmp_path / "other.onnx", [plugin("Repeats", "x", "y", space="my.plugins", times=3)])
    (found,) = check_support(other, library=library).unsupported
    assert (found.name, found.op, found.remedy) == ("y", "Repeats", "plugin")
    assert "--plugin-library" in found.advice
    path = save(tmp_path / "m.onnx", [plugin("Repeat", "x", "y", space="my.plugins", times=3)])
    assert check_support(path, plugin_libraries=[USER_PLUGINS], library=library).supported
    with pytest.raises(PluginError, match="no such plugin library"):
        check_support(path, plugin_libraries=[tmp_path / "none.so"], library=library)


def test_a_string_input(library, tmp_path):
    inputs = {"x": (TensorProto.FLOAT, [2]), "text": (TensorProto.STRING, [2])}
    nodes = [node("Relu", ["x"], ["y"]), node("Identity", ["text"], ["same"], name="words")]
    report = check_support(save(tmp_path / "m.onnx", nodes, inputs=inputs), library=library)
    assert not report.supported
    assert report.reason.startswith('input "text": ')
    assert [each.name for each in report.unsupported] == ["words"]


def test_broken_files(library, tmp_path):
    whole = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])]).read_bytes()
    with pytest.raises(OnnxError, match="no such file"):
        check_support(tmp_path / "none.onnx", library=library)
    for damaged in (b"", whole[:-1], whole[:20]):
        (tmp_path / "m.onnx").write_bytes(damaged)
        with pytest.raises(OnnxError):
            check_support(tmp_path / "m.onnx", library=library)
    assert _native.live_objects() == 0


def test_weights_in_a_file_beside_it(library, tmp_path, monkeypatch):
    weights = {"w": np.random.default_rng(0).standard_normal((6, 5), np.float32)}
    beside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    path = save(tmp_path / "m.onnx", [node("MatMul", ["x", "w"], ["y"])], weights, **beside)
    assert check_support(path, library=library).supported
    monkeypatch.chdir(tmp_path)
    assert check_support("m.onnx", library=library).supported
    (tmp_path / "weights.bin").unlink()
    report = check_support(path, library=library)
    assert not report.supported
    assert "weights.bin" in report.reason


def test_a_graph_without_nodes_does_not_end_the_process(library, tmp_path):
    """supportsModel would write past its lists: the model is only parsed."""
    graph = helper.make_graph(
        [],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    assert check_support(path, library=library).nodes == 0
