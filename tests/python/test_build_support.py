"""TensorRT's verdict before a build, from the real TensorRT-RTX: no GPU needed."""

import json

import numpy as np
import pytest

from tf2trt import _native, libraries
from tf2trt.build import build_engine, check_support
from tf2trt.errors import OnnxError, PluginError

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto
node = helper.make_node


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    found = [each.library for each in libraries.candidates() if each.library is not None and each.library.kind == "rtx"]
    assert found, "the wheel is installed but its library was not found"
    return found[0]


def make(nodes, constants=None, inputs=None, outputs=("y",), functions=()):
    """A model from x (4x6 float) unless ``inputs`` {name: (type, shape)} says otherwise."""
    values = inputs or {"x": (TensorProto.FLOAT, [4, 6])}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, *value) for name, value in values.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    domains = {each.domain for each in nodes if each.domain}
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def save(path, *arguments, **options):
    onnx.save(make(*arguments, **options), str(path))
    return path


def from_layer(made, layer="", op=""):
    for key, value in (("tf2trt.layer", layer), ("tf2trt.op", op)):
        if value:
            made.metadata_props.add(key=key, value=value)
    return made


def test_a_model_that_is_taken_whole(rtx, tmp_path):
    path = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["a"]), node("Sigmoid", ["a"], ["y"])])
    report = check_support(path, library=rtx)
    assert report.supported
    assert report.complete
    assert report.unsupported == ()
    assert report.reason == ""
    assert report.nodes == 2
    assert report.library == f"TensorRT-RTX {rtx.version_text}"
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]


def test_every_unsupported_node_is_named_with_its_origin(rtx, tmp_path):
    nodes = [
        from_layer(node("Relu", ["x"], ["a"], name="relu"), "act"),
        from_layer(node("Unique", ["a"], ["b"], name="unique"), "count", "UniqueV2"),
        node("Relu", ["b"], ["c"], name="between"),
        from_layer(node("Det", ["c"], ["d"]), op="MatrixDeterminant"),
        from_layer(node("MyOp", ["d"], ["y"], name="mine", domain="my.domain"), "custom"),
    ]
    report = check_support(save(tmp_path / "m.onnx", nodes), library=rtx)
    assert not report.supported
    found = [(each.index, each.name, each.op, each.domain, each.origin) for each in report.unsupported]
    assert found == [
        (1, "unique", "Unique", "", "layer count (op UniqueV2)"),
        (3, "#3", "Det", "", "op MatrixDeterminant"),
        (4, "mine", "MyOp", "my.domain", "layer custom"),
    ]
    assert [each.remedy for each in report.unsupported] == ["hybrid", "hybrid", "plugin"]
    assert report.unsupported[0].reason == "TensorRT does not support the operator Unique"
    assert "--rewrites" in report.unsupported[0].advice
    assert "Plugin not found" in report.unsupported[2].reason
    assert "--plugin-library" in report.unsupported[2].advice
    with pytest.raises(OnnxError, match="unique"):  # the verdict is what the build says
        build_engine(tmp_path / "m.onnx", tmp_path / "m.engine", library=rtx)


def test_a_mode_that_tensorrt_lacks_is_to_be_rewritten(rtx, tmp_path):
    image = {"x": (TensorProto.FLOAT, [1, 3, 8, 8])}
    nodes = [node("Resize", ["x", "", "s"], ["y"], name="up", mode="linear", antialias=1)]
    scales = np.array([1, 1, 0.5, 0.5], np.float32)
    report = check_support(save(tmp_path / "m.onnx", nodes, {"s": scales}, image), library=rtx)
    (found,) = report.unsupported
    assert (found.name, found.remedy) == ("up", "rewrite")
    assert found.reason == "Antialiasing is not supported currently."
    assert "nearest or linear" in found.advice


def test_a_shape_that_cannot_be(rtx, tmp_path):
    nodes = [node("Relu", ["x"], ["a"]), node("Reshape", ["a", "shape"], ["y"], name="wrong")]
    report = check_support(save(tmp_path / "m.onnx", nodes, {"shape": np.array([5, 7])}), library=rtx)
    (found,) = report.unsupported
    assert found.name == "wrong"
    assert "[4,6] to [5,7]" in found.reason
    assert ".cpp" not in found.reason
    assert "\n" not in found.reason


def test_a_string_input_is_the_reason_of_what_it_feeds(rtx, tmp_path):
    inputs = {"x": (TensorProto.FLOAT, [2]), "text": (TensorProto.STRING, [2])}
    nodes = [
        node("Relu", ["x"], ["y"]),
        from_layer(node("Identity", ["text"], ["same"], name="words"), "lookup"),
    ]
    report = check_support(save(tmp_path / "m.onnx", nodes, inputs=inputs), library=rtx)
    assert not report.supported
    (found,) = report.unsupported
    assert (found.name, found.origin, found.remedy) == ("words", "layer lookup", "rewrite")
    assert found.reason.startswith('input "text": ')
    assert "outside the model" in found.advice
    assert report.reason.startswith('input "text": ')


@pytest.mark.parametrize("with_body", [True, False])
def test_a_node_inside_another_is_told_with_the_outer_ones_origin(rtx, tmp_path, with_body):
    inner = [node("Relu", ["x"], ["p"]), node("Relu", ["p"], ["q"]), node("Unique", ["q"], ["r"], name="inner")]
    if with_body:
        out = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
        body = helper.make_graph(inner, "then", [], [out])
        other = helper.make_graph([node("Sigmoid", ["x"], ["r"])], "else", [], [out])
        holder = node("If", ["c"], ["y"], name="choice", then_branch=body, else_branch=other)
        nodes, functions = [node("Relu", ["x"], ["z"]), holder], []
    else:
        made = helper.make_function("my.domain", "Mine", ["x"], ["r"], inner, [helper.make_opsetid("", 18)])
        holder = node("Mine", ["z"], ["y"], name="choice", domain="my.domain")
        nodes, functions = [node("Relu", ["x"], ["z"]), holder], [made]
    from_layer(holder, "lstm", "While")
    inputs = {"x": (TensorProto.FLOAT, [4]), "c": (TensorProto.BOOL, [])}
    report = check_support(save(tmp_path / "m.onnx", nodes, inputs=inputs, functions=functions), library=rtx)
    (found,) = report.unsupported
    assert (found.index, found.name, found.op, found.domain) == (1, "inner", "Unique", "")
    assert found.origin == "layer lstm (op While)"
    assert found.reason.startswith(f'inside {holder.op_type} "choice": ')


def test_tf2trts_plugins_without_plugins(rtx, tmp_path):
    nodes = [node("L2Normalize", ["x"], ["y"], name="norm", domain="tf2trt", axes=[1])]
    report = check_support(save(tmp_path / "m.onnx", nodes), library=rtx)
    (found,) = report.unsupported
    assert (found.domain, found.remedy, found.reason) == ("tf2trt", "plugin", "TensorRT-RTX takes no plugins")
    assert "tf2trt build" in found.advice


@pytest.mark.parametrize("make_path", [str, lambda path: path], ids=["str", "Path"])
def test_a_plugin_library_is_refused(rtx, tmp_path, make_path):
    path = save(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])])
    with pytest.raises(PluginError, match="no such plugin library"):
        check_support(path, plugin_libraries=[make_path(tmp_path / "none.so")], library=rtx)
    with pytest.raises(PluginError, match="takes no plugins"):
        check_support(path, plugin_libraries=[make_path(path)], library=rtx)


def test_broken_files(rtx, tmp_path):
    whole = make([node("Relu", ["x"], ["y"])]).SerializeToString()
    path = tmp_path / "m.onnx"
    with pytest.raises(OnnxError, match="no such file"):
        check_support(path, library=rtx)
    for damaged in (b"", whole[:-1], whole[:20], b"no model at all"):
        path.write_bytes(damaged)
        with pytest.raises(OnnxError):
            check_support(path, library=rtx)
    assert _native.live_objects() == 0


def with_weights_beside(path):
    weights = np.random.default_rng(0).standard_normal((6, 5), np.float32)
    model = make([node("MatMul", ["x", "w"], ["y"], name="dense")], {"w": weights})
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (path.parent / "weights.bin").stat().st_size >= weights.nbytes
    return path


def test_weights_in_a_file_beside_it(rtx, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    path = with_weights_beside(tmp_path / "models" / "m.onnx")
    assert check_support(path, library=rtx).supported
    monkeypatch.chdir(tmp_path)
    assert check_support("models/m.onnx", library=rtx).supported
    monkeypatch.chdir(tmp_path / "models")
    assert check_support("m.onnx", library=rtx).supported


def test_missing_weights_are_the_models_own_reason(rtx, tmp_path):
    path = with_weights_beside(tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    report = check_support(path, library=rtx)
    assert not report.supported
    assert report.unsupported == ()
    assert "weights.bin" in report.reason


def test_an_error_for_who_cannot_go_on(rtx, tmp_path):
    check_support(save(tmp_path / "good.onnx", [node("Relu", ["x"], ["y"])]), library=rtx).raise_if_unsupported()
    chain = [from_layer(node("Unique", ["x"], ["t0"], name="first"), "count")]
    chain += [node("Det", [f"t{i}"], [f"t{i + 1}"]) for i in range(9)]
    report = check_support(save(tmp_path / "bad.onnx", chain, outputs=["t9"]), library=rtx)
    with pytest.raises(OnnxError) as caught:
        report.raise_if_unsupported()
    text = str(caught.value)
    assert f"{tmp_path / 'bad.onnx'}: TensorRT-RTX {rtx.version_text} does not take it" in text
    assert 'node "first" (operator Unique) from layer count: TensorRT does not support the operator Unique' in text
    assert report.unsupported[0].advice in text
    assert 'node "#7" (operator Det)' in text
    assert "... and 2 more" in text
    path = with_weights_beside(tmp_path / "m.onnx")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(OnnxError, match=r"weights\.bin"):
        check_support(path, library=rtx).raise_if_unsupported()


def test_the_report_is_plain_json(rtx, tmp_path):
    path = save(tmp_path / "m.onnx", [from_layer(node("Unique", ["x"], ["y"], name="unique"), "count")])
    report = check_support(path, library=rtx)
    data = json.loads(json.dumps(report.to_json()))
    assert data["onnx"] == str(path)
    assert data["supported"] is False
    assert data["complete"] is True
    (found,) = data["unsupported"]
    assert found == {
        "index": 0,
        "name": "unique",
        "op": "Unique",
        "domain": "",
        "origin": "layer count",
        "reason": report.unsupported[0].reason,
        "remedy": "hybrid",
        "advice": report.unsupported[0].advice,
    }


def test_the_first_library_that_can_build_is_asked(rtx, tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "find", lambda *, need_builder: rtx if need_builder else None)
    assert check_support(save(tmp_path / "m.onnx", [node("Relu", ["x"], ["y"])])).supported
