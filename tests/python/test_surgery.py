"""simplify and to_fp16 on small ONNX graphs, compared before and after with ONNX Runtime."""

from __future__ import annotations

import os
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import onnx_files
from tf2trt.errors import MissingExtraError, OnnxError, OutputError, SurgeryError
from tf2trt.surgery import PassReport, SurgeryReport, passes, simplify, to_fp16
from tf2trt.verify import OnnxReference, random_inputs, relative_error

rng = np.random.default_rng()
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def save(path, nodes, inputs, outputs, constants=None, opset=15):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in inputs],
        [helper.make_tensor_value_info(name, dtype, shape) for name, dtype, shape in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def node(op, inputs, outputs, name=None, **attributes):
    return helper.make_node(op, inputs, outputs, name=name or outputs[0], **attributes)


def ops(path):
    return sorted(node.op_type for node in onnx.load(str(path)).graph.node)


def same(before, after, tolerance=0.0, batch=3):
    first, second = OnnxReference(before), OnnxReference(after)
    assert [(spec.name, spec.dtype) for spec in first.inputs] == [(spec.name, spec.dtype) for spec in second.inputs]
    assert [(spec.name, spec.dtype) for spec in first.outputs] == [(spec.name, spec.dtype) for spec in second.outputs]
    feed = random_inputs(first.inputs, batch)
    wanted = first(feed)
    for name, result in second(feed).items():
        assert relative_error(result, wanted[name]) <= tolerance, name


@pytest.fixture
def cluttered(tmp_path):
    """A multiplication by (a + b), with identities, a dead node, a cast to the same type and shape arithmetic."""
    return save(
        tmp_path / "in.onnx",
        [
            node("Constant", [], ["a"], value=numpy_helper.from_array(rng.standard_normal(4).astype(np.float32))),
            node("Add", ["a", "b"], ["ab"]),
            node("Identity", ["x"], ["x1"]),
            node("Identity", ["x1"], ["x2"]),
            node("Mul", ["x2", "ab"], ["y0"], name="the product"),
            node("Cast", ["y0"], ["y1"], to=FLOAT),
            node("Cast", ["y1"], ["as_int"], to=TensorProto.INT32),
            node("Exp", ["y1"], ["dead"]),
            node("Shape", ["fixed"], ["shape"]),
            node("Reshape", ["y1", "shape"], ["y2"]),
            node("Identity", ["y2"], ["y"]),
        ],
        [("x", FLOAT, ["n", 4]), ("fixed", FLOAT, [3, 2, 2])],
        [("y", FLOAT, ["a", "b", "c"]), ("as_int", TensorProto.INT32, ["n", 4])],
        {"b": rng.standard_normal(4).astype(np.float32)},
    )


def test_simplify(cluttered, tmp_path):
    report = simplify(cluttered, tmp_path / "out.onnx")
    assert isinstance(report, SurgeryReport)
    assert [step.name for step in report.passes] == [name for name, _ in passes.PASSES]
    # 3 identities, and the dead Exp goes with them; Shape; Constant and Add; one cast.
    changed = {step.name: step.changed for step in report.passes if step.changed}
    assert changed == {"remove_identities": 4, "explicit_shapes": 1, "fold_constants": 2, "remove_casts": 1}
    assert "ONNX Runtime cannot run it on random inputs" in report.not_compared  # it takes 3 rows, not 2
    assert [str(spec) for spec in report.inputs] == ["x: float32 ?x4", "fixed: float32 3x2x2"]
    assert (report.nodes_before, report.nodes_after) == (11, 3)
    assert ops(tmp_path / "out.onnx") == ["Cast", "Mul", "Reshape"]
    same(cluttered, tmp_path / "out.onnx")
    model = onnx.load(str(tmp_path / "out.onnx"))
    assert "the product" in {item.name for item in model.graph.node}
    assert model.ir_version == 8
    assert [item.version for item in model.opset_import] == [15]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert report.to_json()["passes"][0]["changed"] == 4


def test_a_second_time_nothing_is_left_to_do(cluttered, tmp_path):
    simplify(cluttered, tmp_path / "out.onnx")
    once = (tmp_path / "out.onnx").read_bytes()
    report = simplify(tmp_path / "out.onnx", tmp_path / "out.onnx")  # in place
    assert not any(step.changed for step in report.passes)
    assert len((tmp_path / "out.onnx").read_bytes()) == len(once)


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ([("Identity", ["x"], ["y"])], ["Identity"]),  # both names must live
        ([("Identity", ["x"], ["z"]), ("Identity", ["x"], ["y"])], ["Identity", "Identity"]),
        ([("Neg", ["x"], ["z"]), ("Identity", ["z"], ["y"])], ["Identity", "Neg"]),  # both are outputs
        ([("Neg", ["x"], ["t"]), ("Identity", ["t"], ["y"]), ("Exp", ["t"], ["z"])], ["Exp", "Neg"]),
        ([("Dropout", ["x"], ["t", ""]), ("Neg", ["t"], ["y"]), ("Exp", ["t"], ["z"])], ["Exp", "Neg"]),
        (
            [("Dropout", ["x"], ["t", "mask"]), ("Cast", ["mask"], ["y"]), ("Exp", ["t"], ["z"])],
            ["Cast", "Dropout", "Exp"],
        ),
    ],
)
def test_identities_on_the_graphs_border(tmp_path, nodes, left):
    made = [node(op, i, o, **({"to": FLOAT} if op == "Cast" else {})) for op, i, o in nodes]
    written = {name for _, _, outputs in nodes for name in outputs}
    outputs = [(name, FLOAT, ["n", 4]) for name in ("y", "z") if name in written]
    save(tmp_path / "in.onnx", made, [("x", FLOAT, ["n", 4])], outputs)
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert ops(tmp_path / "out.onnx") == left
    same(tmp_path / "in.onnx", tmp_path / "out.onnx")


def test_casts_that_round_stay(tmp_path):
    nodes = [node("Cast", ["x"], ["h"], to=HALF), node("Cast", ["h"], ["y"], to=FLOAT)]
    save(tmp_path / "in.onnx", nodes, [("x", FLOAT, ["n"])], [("y", FLOAT, ["n"])])
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert ops(tmp_path / "out.onnx") == ["Cast", "Cast"]


def test_a_large_expansion_is_not_written_out(tmp_path):
    nodes = [node("Expand", ["one", "shape"], ["big"]), node("Add", ["x", "big"], ["y"])]
    constants = {"one": np.ones(1, np.float32), "shape": np.array([2500, 2000])}
    save(tmp_path / "in.onnx", nodes, [("x", FLOAT, [2500, 2000])], [("y", FLOAT, [2500, 2000])], constants)
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert ops(tmp_path / "out.onnx") == ["Add", "Expand"]
    assert (tmp_path / "out.onnx").stat().st_size < 2000


def test_a_failing_pass_is_named_and_leaves_no_file(cluttered, tmp_path, monkeypatch):
    def explode(model, notes):
        raise RuntimeError("boom")

    def rename(model, notes):
        model.graph.input[0].name = "other"
        for item in model.graph.node:
            item.input[:] = ["other" if name == "x" else name for name in item.input]
        return model

    for rewrite, message in ((explode, "the pass 'bad' failed[\\s\\S]*RuntimeError: boom"), (rename, "'bad' changed")):
        monkeypatch.setattr("tf2trt.surgery.runner.PASSES", (*passes.PASSES[:1], ("bad", rewrite)))
        with pytest.raises(SurgeryError, match=message):
            simplify(cluttered, tmp_path / "out.onnx")
        assert os.listdir(tmp_path) == ["in.onnx"]


def test_a_constant_that_cannot_be_evaluated_is_an_error(tmp_path, capsys):
    # 3 values do not fit into 2x2; the shape comes out of an Add, so that only evaluation finds it.
    nodes = [node("Add", ["one", "one"], ["s"]), node("Reshape", ["three", "s"], ["t"]), node("Add", ["x", "t"], ["y"])]
    constants = {"one": np.array([1, 1]), "three": np.ones(3, np.float32)}
    save(tmp_path / "in.onnx", nodes, [("x", FLOAT, [2, 2])], [("y", FLOAT, [2, 2])], constants)
    with pytest.raises(SurgeryError, match=r"the pass 'fold_constants' failed"):
        simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    assert capsys.readouterr().out == ""  # onnx-graphsurgeon would print there


@pytest.mark.parametrize("call", [simplify, to_fp16])
@pytest.mark.parametrize("content", [None, b"", b"this is not ONNX", "half"])
def test_a_missing_or_damaged_source(cluttered, tmp_path, call, content):
    path = tmp_path / "bad.onnx"
    if content is not None:
        whole = cluttered.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(OnnxError, match=str(path)):
        call(path, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("call", [simplify, to_fp16])
def test_an_output_that_cannot_be_written_comes_first(tmp_path, call):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        call(tmp_path / "missing.onnx", tmp_path / "file" / "out.onnx")


@pytest.mark.parametrize(
    ("call", "package", "extra"),
    [
        (simplify, "onnx_graphsurgeon", "export"),
        (simplify, "onnxruntime", "verify"),
        (to_fp16, "onnxruntime", "verify"),
    ],
)
def test_missing_packages(cluttered, tmp_path, monkeypatch, call, package, extra):
    for name in ("onnxruntime.transformers", "onnxruntime.transformers.float16"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'tf2trt\[{extra}\]'"):
        call(cluttered, tmp_path / "out.onnx")


def test_weights_beside_the_file(tmp_path, monkeypatch):
    weights = rng.standard_normal((64, 64)).astype(np.float32)
    io = [("x", FLOAT, ["n", 64])], [("y", FLOAT, ["n", 64])]
    save(
        tmp_path / "one.onnx", [node("MatMul", ["x", "w"], ["t"]), node("Identity", ["t"], ["y"])], *io, {"w": weights}
    )
    model = onnx.load(str(tmp_path / "one.onnx"))
    source = tmp_path / "two.onnx"
    onnx.save(model, str(source), save_as_external_data=True, location="two.bin", size_threshold=0)
    simplify(tmp_path / "one.onnx", tmp_path / "small.onnx")
    assert not (tmp_path / "small.onnx.data").exists()
    simplify(source, tmp_path / "out.onnx")  # small enough for one file, but they lay beside it
    assert (tmp_path / "out.onnx.data").stat().st_size == weights.nbytes
    same(source, tmp_path / "out.onnx")

    monkeypatch.setattr(onnx_files, "ONE_FILE", 1000)
    simplify(source, tmp_path / "big.onnx")
    assert (tmp_path / "big.onnx.data").stat().st_size == weights.nbytes
    assert (tmp_path / "big.onnx").stat().st_size < 1000
    same(source, tmp_path / "big.onnx")
    to_fp16(tmp_path / "big.onnx", tmp_path / "half.onnx")
    assert (tmp_path / "half.onnx.data").stat().st_size == weights.nbytes // 2
    same(source, tmp_path / "half.onnx", 2e-3)

    (tmp_path / "two.bin").unlink()
    with pytest.raises(OnnxError, match="must be there too"):
        simplify(source, tmp_path / "out.onnx")


def test_pass_reports_are_plain_values():
    assert PassReport("p", 3, 0.12345).to_json() == {"name": "p", "changed": 3, "seconds": 0.123}
