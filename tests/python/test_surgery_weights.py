"""Rewrites of models whose weights lie in files meanwhile: passes that read values, and what is left on the disk."""

from __future__ import annotations

import os
import textwrap

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import onnx_files
from tf2trt.errors import OnnxError, OutputError
from tf2trt.onnx_skeleton import is_reference, place_of, read_skeleton
from tf2trt.surgery import Collapse, Interface, SurgeryOptions, lower_plugins, simplify, weights, whole_graph
from tf2trt.surgery.weights import array_of, settle, tensor_of, weight_folder
from tf2trt.verify import OnnxReference, relative_error

SEED = int(np.random.SeedSequence().entropy % 2**32)
rng = np.random.default_rng(SEED)
FLOAT, DOUBLE, INT64, BOOL = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.BOOL


@pytest.fixture(autouse=True)
def told():
    print("seed", SEED)


def normal(*shape, scale=1.0, dtype=np.float32):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def save(path, nodes, inputs, outputs, constants, opset=15, **options):
    graph = helper.make_graph(
        [helper.make_node(op, ins, outs, f"node_{outs[0]}", **attributes) for op, ins, outs, attributes in nodes],
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path), **options)
    return path


def ops(path):
    return [node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node]


def compare(before, after, feed, tolerance=1e-5):
    wanted, got = OnnxReference(before)(feed), OnnxReference(after)(feed)
    for name, value in wanted.items():
        assert relative_error(got[name], value) < tolerance
    onnx.checker.check_model(str(after), full_check=True)


@pytest.fixture
def sessions(monkeypatch):
    """Whether each session that was made had references in its model."""
    made = []
    original = whole_graph.references

    def seen(model):
        found = original(model)
        made.append(bool(found))
        return found

    monkeypatch.setattr(whole_graph, "references", seen)
    return made


def test_several_mib_through_every_pass(tmp_path, sessions):
    """Batch norm folded, a constant transposed and one evaluated, int64 checked, rows behind a flatten rearranged."""
    nodes = [
        ("Transpose", ["x"], ["nchw"], {"perm": [0, 3, 1, 2]}),
        ("Conv", ["nchw", "kernel"], ["conv"], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], ["normed"], {}),
        ("Transpose", ["normed"], ["nhwc"], {"perm": [0, 2, 3, 1]}),
        ("Add", ["nhwc", "plane"], ["added"], {}),
        ("Reshape", ["added", "flat"], ["rows"], {}),
        ("Gemm", ["rows", "dense"], ["small"], {}),
        ("Transpose", ["table"], ["turned"], {"perm": [1, 0]}),
        ("Gather", ["turned", "places"], ["picked"], {}),
        ("MatMul", ["small", "picked"], ["y"], {}),
    ]
    constants = {
        "kernel": normal(64, 8, 3, 3, scale=0.1),
        **{name: rng.uniform(0.5, 2, 64).astype(np.float32) for name in ("scale", "shift", "mean", "variance")},
        "plane": normal(16, 16, 64),
        "flat": np.array([-1, 16 * 16 * 64]),
        "dense": normal(16 * 16 * 64, 48, scale=0.01),
        "table": normal(400, 600),
        "places": rng.integers(0, 600, 48),
    }
    source = save(tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n", 16, 16, 8])], [("y", FLOAT, ["n", 400])], constants)
    report = simplify(source, tmp_path / "out.onnx")
    assert report.max_rel_error is not None
    assert sessions
    assert all(sessions)
    assert ops(tmp_path / "out.onnx").count("Transpose") <= 1
    assert "BatchNormalization" not in ops(tmp_path / "out.onnx")
    assert "Gather" not in ops(tmp_path / "out.onnx")
    compare(source, tmp_path / "out.onnx", {"x": normal(3, 16, 16, 8)})
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "out.onnx"]
    assert not any(is_reference(tensor) for tensor in onnx.load(str(tmp_path / "out.onnx")).graph.initializer)


@pytest.mark.parametrize("beside", [False, True])
def test_doubles_and_large_integers(tmp_path, beside):
    nodes = [("MatMul", ["x", "w"], ["z"], {}), ("Gather", ["z", "places"], ["y"], {"axis": 1})]
    constants = {"w": normal(300, 200, dtype=np.float64), "places": rng.integers(0, 200, 5000)}
    options = {"save_as_external_data": True, "location": "w.bin", "size_threshold": 0} if beside else {}
    io = [("x", DOUBLE, ["n", 300])], [("y", DOUBLE, ["n", 5000])]
    source = save(tmp_path / "in.onnx", nodes, *io, constants, **options)
    report = simplify(source, tmp_path / "out.onnx")
    assert any("DOUBLE tensors" in note for step in report.passes for note in step.notes)
    written = onnx.load(str(tmp_path / "out.onnx"))
    assert {tensor.name: tensor.data_type for tensor in written.graph.initializer} == {"w": FLOAT, "places": INT64}
    assert (tmp_path / "out.onnx.data").exists() == beside
    compare(source, tmp_path / "out.onnx", {"x": normal(2, 300, dtype=np.float64)})


def test_evaluated_one_by_one_where_there_is_much(tmp_path, monkeypatch):
    from tf2trt.surgery import fold_constants

    monkeypatch.setattr(fold_constants, "_AT_ONCE", 1000)
    nodes = [
        ("Cast", ["a"], ["half_a"], {"to": FLOAT}),
        ("Cast", ["b"], ["half_b"], {"to": FLOAT}),
        ("MatMul", ["x", "half_a"], ["z"], {}),
        ("MatMul", ["z", "half_b"], ["y"], {}),
    ]
    constants = {"a": normal(60, 60, dtype=np.float16), "b": normal(60, 60, dtype=np.float16)}
    io = [("x", FLOAT, ["n", 60])], [("y", FLOAT, ["n", 60])]
    source = save(tmp_path / "in.onnx", nodes, *io, constants)
    simplify(source, tmp_path / "out.onnx")
    assert ops(tmp_path / "out.onnx") == ["MatMul", "MatMul"]
    compare(source, tmp_path / "out.onnx", {"x": normal(3, 60)})


def test_plugins_and_back(tmp_path, sessions):
    nodes = [
        ("MatMul", ["x", "w"], ["z"], {}),
        ("ReduceL2", ["z"], ["norm"], {"axes": [1], "keepdims": 1}),
        ("Clip", ["norm", "small"], ["clipped"], {}),
        ("Div", ["z", "clipped"], ["unit"], {}),
        ("MatMul", ["unit", "v"], ["y"], {}),
    ]
    constants = {"w": normal(80, 70), "v": normal(70, 60), "small": np.array(1e-12, np.float32)}
    source = save(tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n", 80])], [("y", FLOAT, ["n", 60])], constants)
    simplify(source, tmp_path / "out.onnx", plugins=["l2_normalize"])
    assert ops(tmp_path / "out.onnx") == ["MatMul", "L2Normalize", "MatMul"]
    assert any(sessions)
    lower_plugins(tmp_path / "out.onnx", tmp_path / "back.onnx")
    assert "L2Normalize" not in ops(tmp_path / "back.onnx")
    for name in ("out.onnx", "back.onnx"):
        compare(source, tmp_path / name, {"x": normal(3, 80)})


def test_users_rewrite_reads_and_changes_a_weight(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        from tf2trt.surgery import Pattern, rewrite

        @rewrite(Pattern("Mul", Pattern("MatMul", "x", "w"), "s"))
        def scaled(match):
            return match.make("MatMul", match["x"], match["w"].values * match["s"].values)

        @rewrite(Pattern("MatMul", "x", "w"))
        def halved(match):
            match["w"].values *= 0.5
            return match.make("Mul", match.make("MatMul", match["x"], match["w"]), 2.0)
        """)
    )
    nodes = [("MatMul", ["x", "w"], ["z"], {}), ("Relu", ["z"], ["r"], {}), ("MatMul", ["r", "v"], ["y"], {})]
    constants = {"w": normal(50, 50), "v": normal(50, 50)}
    source = save(tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n", 50])], [("y", FLOAT, ["n", 50])], constants)
    report = simplify(source, tmp_path / "out.onnx", SurgeryOptions(rewrites=[tmp_path / "mine.py"]))
    assert "2 matches" in report.passes[-1].notes
    assert ops(tmp_path / "out.onnx").count("Mul") == 2
    stored = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "out.onnx").graph.initializer
    }
    assert np.array_equal(stored["w"], constants["w"] * np.float32(0.5))
    compare(source, tmp_path / "out.onnx", {"x": normal(3, 50)})


def test_collapse_keeps_weights_in_its_function(tmp_path):
    nodes = [("MatMul", ["x", "w"], ["z"], {}), ("Relu", ["z"], ["y"], {})]
    source = save(
        tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n", 40])], [("y", FLOAT, ["n", 40])], {"w": normal(40, 40)}
    )
    item = Collapse("MyLayer", ["x"], ["y"], "tf2trt")
    simplify(source, tmp_path / "out.onnx", SurgeryOptions(collapses=[item]))
    assert ops(tmp_path / "out.onnx") == ["MyLayer"]
    compare(source, tmp_path / "out.onnx", {"x": normal(3, 40)})


def test_interface_of_a_model_with_weights_in_files(tmp_path):
    nodes = [
        ("Conv", ["x", "k"], ["c"], {"pads": [1, 1, 1, 1]}), ("Relu", ["c"], ["r"], {}), ("Neg", ["r"], ["y"], {})
    ]  # fmt: skip
    source = save(
        tmp_path / "in.onnx", nodes, [("x", FLOAT, [1, 8, 6, 6])], [("y", FLOAT, [1, 16, 6, 6])],
        {"k": normal(16, 8, 3, 3)},
    )  # fmt: skip
    interface = Interface(shapes={"x": (-1, 8, 6, 6)}, outputs=["r"], rename={"r": "out"}, input_dtypes={"x": "uint8"})
    simplify(source, tmp_path / "out.onnx", SurgeryOptions(interface=interface))
    image = rng.integers(0, 256, (3, 8, 6, 6)).astype(np.uint8)
    got = OnnxReference(tmp_path / "out.onnx")({"x": image})["out"]
    wanted = np.concatenate([OnnxReference(source)({"x": one[None].astype(np.float32)})["y"] for one in image])
    assert relative_error(got, -wanted) < 1e-5


def test_weights_that_bodies_read_stay_in_the_main_graph(tmp_path):
    def body(name, op):
        nodes = [helper.make_node("MatMul", ["x", "w"], [f"{name}_z"]), helper.make_node(op, [f"{name}_z"], [name])]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, FLOAT, ["n", 60])])

    nodes = [("If", ["which"], ["y"], {"then_branch": body("a", "Relu"), "else_branch": body("b", "Neg")})]
    inputs = [("x", FLOAT, ["n", 60]), ("which", BOOL, [])]
    source = save(tmp_path / "in.onnx", nodes, inputs, [("y", FLOAT, ["n", 60])], {"w": normal(60, 60)})
    simplify(source, tmp_path / "out.onnx")
    assert [tensor.name for tensor in onnx.load(tmp_path / "out.onnx").graph.initializer] == ["w"]
    assert (tmp_path / "out.onnx").stat().st_size < 1.5 * 60 * 60 * 4
    for which in (True, False):
        compare(source, tmp_path / "out.onnx", {"x": normal(3, 60), "which": np.array(which)})


def test_a_view_is_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_PART", 1000)
    array = normal(1, 30, 20, 10)
    with weight_folder(tmp_path):
        for view, shape in [
            (array, None),
            (array.transpose(0, 3, 1, 2), None),
            (array.transpose(2, 3, 0, 1), (200, 30)),
        ]:
            tensor = tensor_of(view, "w", shape)
            assert is_reference(tensor)
            assert tuple(tensor.dims) == (shape or view.shape)
            assert np.array_equal(array_of(tensor), view.reshape(tensor.dims))


def test_what_is_not_raw_goes_to_the_folder_too(tmp_path):
    values = normal(500)
    tensor = helper.make_tensor("w", FLOAT, [500], values.tolist())
    assert not tensor.HasField("raw_data")
    graph = helper.make_graph([], "g", [], [], [tensor])
    with weight_folder(tmp_path):
        model = settle(helper.make_model(graph))
        assert is_reference(model.graph.initializer[0])
        assert model.ByteSize() < 500
        assert np.array_equal(array_of(model.graph.initializer[0]), values)


def test_a_skeleton_is_the_file_without_its_weights(tmp_path):
    constants = {"w": normal(40, 40), "v": normal(3), "i": rng.integers(0, 9, 300)}
    nodes = [("MatMul", ["x", "w"], ["y"], {})]
    path = save(tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n", 40])], [("y", FLOAT, ["n", 40])], constants)
    skeleton, whole = read_skeleton(path), onnx.load(str(path))
    assert [tensor.name for tensor in skeleton.graph.initializer if is_reference(tensor)] == ["w", "i"]
    data = path.read_bytes()
    for tensor in skeleton.graph.initializer:
        if is_reference(tensor):
            name, offset, size = place_of(tensor)
            assert name == "in.onnx"
            tensor.raw_data = data[offset : offset + size]
            tensor.ClearField("data_location")
            del tensor.external_data[:]
    assert skeleton == whole
    for length in (10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(OnnxError, match="truncated"):
            simplify(path, tmp_path / "out.onnx")
    assert os.listdir(tmp_path) == ["in.onnx"]


def test_a_full_disk(tmp_path, monkeypatch):
    def full(path, parts):
        raise OSError(28, "No space left on device")

    nodes = [("MatMul", ["x", "w"], ["y"], {})]
    path = save(
        tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n", 40])], [("y", FLOAT, ["n", 40])], {"w": normal(40, 40)}
    )
    monkeypatch.setattr(weights, "append", full)
    with pytest.raises(OutputError, match=r"No space left[\s\S]*three times"):
        simplify(path, tmp_path / "out.onnx")
    assert os.listdir(tmp_path) == ["in.onnx"]


def test_no_weights_are_left_over_and_none_are_lost(tmp_path, monkeypatch):
    nodes, io = [("MatMul", ["x", "w"], ["y"], {})], ([("x", FLOAT, ["n", 40])], [("y", FLOAT, ["n", 40])])
    source = save(tmp_path / "in.onnx", nodes, *io, {"w": normal(40, 40)})
    with monkeypatch.context() as patch:
        patch.setattr(onnx_files, "ONE_FILE", 1000)
        simplify(source, tmp_path / "out.onnx")
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "out.onnx", "out.onnx.data"]
    # Another model's weights, which a file of this name would replace.
    (tmp_path / "out.onnx").rename(tmp_path / "other.onnx")
    with pytest.raises(OutputError, match=r"out\.onnx\.data beside it has the weights of .*other\.onnx"):
        simplify(tmp_path / "other.onnx", tmp_path / "out.onnx")
    (tmp_path / "other.onnx").rename(tmp_path / "out.onnx")
    simplify(tmp_path / "out.onnx", tmp_path / "out.onnx")  # in its own place, weights beside it as before
    compare(source, tmp_path / "out.onnx", {"x": normal(3, 40)})
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "out.onnx", "out.onnx.data"]
    simplify(source, tmp_path / "out.onnx")
    assert sorted(os.listdir(tmp_path)) == ["in.onnx", "out.onnx"]
    (tmp_path / "out.onnx.data").write_bytes(b"somebody's")
    simplify(source, tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx.data").read_bytes() == b"somebody's"
