"""Plugins in ONNX files: functions, proofs, FP16, and the way back to standard operators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.errors import SurgeryError, UsageError
from tf2trt.surgery import lower_plugins, needs_plugins, simplify, to_fp16
from tf2trt.surgery.plugins import functions, l2_normalize
from tf2trt.verify import OnnxReference, relative_error

rng = np.random.default_rng()
FLOAT, HALF, INT32, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT64
TENSORFLOW = [
    ("Mul", ["h", "h"], "squares"),
    ("ReduceSum", ["squares", "axis"], "sum"),
    ("Max", ["sum", "epsilon"], "max"),
    ("Sqrt", ["max"], "root"),
    ("Reciprocal", ["root"], "inverse"),
    ("Mul", ["h", "inverse"], "n"),
]
CONSTANTS = {
    "w": rng.standard_normal((6, 8)).astype(np.float32),
    "v": rng.standard_normal((8, 3)).astype(np.float32),
    "axis": np.array([1]),
    "epsilon": np.float32(1e-12),
    "small": np.float32(1e-6),
    "huge": np.float32(1e12),
    "two": np.float32(2),
    "minus_half": np.float32(-0.5),
    "ones": np.array([1, 1, -1, 8]),
    "one": np.float32(1),
    "wide one": np.ones((1, 1, 1), np.float32),
    "wide two": np.full((1, 1, 1), 2, np.float32),
    "wide floor": np.zeros((1, 1, 1), np.float32),
    "column": np.array([-1, 1]),
    "row": np.array([1, -1]),
    "zero": np.array([0]),
    "last": np.array([2]),
}
DENSE = ("MatMul", ["x", "w"], "h")


def make(
    steps, inputs=(("x", FLOAT, ["batch", 6]),), outputs=(("y", FLOAT, [None, None]),), opset=15, as_nodes=False, ir=8
):
    nodes = [
        helper.make_node(op, reads, [writes], name=f"node {writes}", **(attributes[0] if attributes else {}))
        for op, reads, writes, *attributes in steps
    ]
    used = {name for node in nodes for name in node.input} - {name for name, *_ in inputs}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTANTS.items() if name in used]
    if as_nodes:
        nodes = [helper.make_node("Constant", [], [item.name], value=item) for item in tensors] + nodes
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [] if as_nodes else tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def save(path, *steps, **arguments):
    onnx.save(make(*steps, **arguments), str(path))
    return path


def dense(steps=TENSORFLOW):
    return [DENSE, *steps, ("MatMul", ["n", "v"], "y")]


def read(path):
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    return model


def ops(path):
    return [node.op_type for node in read(path).graph.node]


def attributes(node):
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def rewritten(tmp_path, steps, **arguments):
    """The nodes after the pass and its notes."""
    save(tmp_path / "in.onnx", steps, **arguments)
    report = simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    return list(read(tmp_path / "out.onnx").graph.node), report.passes[-1].notes


def run(path, x):
    return OnnxReference(path)({"x": x})


def only(*steps):
    return [*steps[:-1], (*steps[-1][:2], "y", *steps[-1][3:])]


# Each on the input x of shape (batch, 6): axes, epsilon and opset.
OTHERS = {
    "ReduceL2, attribute": (
        only(("ReduceL2", ["x"], "n", {"axes": [-1]}), ("Max", ["small", "n"], "m"), ("Div", ["x", "m"], "y")),
        1e-12, 13,
    ),
    "ReduceL2, input": (only(("ReduceL2", ["x", "axis"], "n"), ("Div", ["x", "n"], "y")), 0.0, 18),
    "ReduceSumSquare": (
        only(
            ("ReduceSumSquare", ["x"], "s", {"axes": [1]}),
            ("Pow", ["s", "minus_half"], "p"), ("Mul", ["p", "x"], "y")),
        0.0, 15,
    ),
    "PyTorch": (
        only(
            ("ReduceL2", ["x"], "n", {"axes": [-1]}), ("Clip", ["n", "epsilon"], "c"), ("Shape", ["x"], "s"),
            ("Expand", ["c", "s"], "e"), ("Div", ["x", "e"], "y")),
        1e-24, 15,
    ),
    "reduced and put back": (
        only(
            ("Pow", ["x", "two"], "s"), ("ReduceSum", ["s", "axis"], "r", {"keepdims": 0}),
            ("Reshape", ["r", "column"], "c"), ("Sqrt", ["c"], "q"), ("Div", ["x", "q"], "y")),
        0.0, 15,
    ),
    "a bound with dimensions": (
        only(
            ("Mul", ["x", "x"], "s"), ("ReduceSum", ["s", "axis"], "r"), ("Sqrt", ["r"], "q"),
            ("Reciprocal", ["q"], "i"),
            ("Clip", ["i", "", "huge"], "c"), ("Mul", ["c", "x"], "y")),
        1e-24, 15,
    ),
}  # fmt: skip


@pytest.mark.parametrize("as_nodes", [False, True])
@pytest.mark.parametrize("kind", list(OTHERS))
def test_other_tools_writings(tmp_path, kind, as_nodes):
    steps, epsilon, opset = OTHERS[kind]
    nodes, _ = rewritten(tmp_path, steps, opset=opset, as_nodes=as_nodes)
    (node,) = nodes
    assert attributes(node)["axes"] == [1]
    assert attributes(node)["epsilon"] == pytest.approx(epsilon, rel=1e-3)


@pytest.mark.parametrize("wide", ["two", "floor", "one", None])
def test_a_constant_of_shape_1_1_1_gives_the_result_more_dimensions(tmp_path, wide):
    steps = [
        ("Pow", ["x", "wide two" if wide == "two" else "two"], "s"),
        ("ReduceSum", ["s", "axis"], "r"),
        ("Max", ["r", "wide floor" if wide == "floor" else "small"], "m"),
        ("Sqrt", ["m"], "q"),
        ("Div", ["wide one" if wide == "one" else "one", "q"], "i"),
        ("Mul", ["x", "i"], "y"),
    ]
    nodes, _ = rewritten(tmp_path, steps, outputs=[("y", FLOAT, [None] * (3 if wide else 2))])
    assert ("L2Normalize" in [node.op_type for node in nodes]) == (wide is None)


SUM = [("Mul", ["x", "x"], "s"), ("ReduceSum", ["s", "axes"], "r", {"keepdims": 0}), ("Shape", ["x"], "shape")]


@pytest.mark.parametrize(
    ("dims", "axes", "steps"),
    [
        # What an Expand repeated, moved to where x has one element only.
        (["n", 3, 1], [0, 1], [("Unsqueeze", ["r", "zero"], "u"), ("Expand", ["u", "shape"], "e"),
                               ("Squeeze", ["e", "last"], "t")]),
        (["n", "n", 1], [0, 1, 2], [("Expand", ["r", "shape"], "e"),
                                    ("Transpose", ["e"], "t", {"perm": [2, 0, 1]})]),
        (["n", 4], [1], [("Reshape", ["r", "row"], "t")]),
        ([4, 4], [1], [("Reshape", ["r", "row"], "t")]),
        ([4, 4], [1], [("Identity", ["r"], "t")]),
        ([4, 4, 2], [2], [("Transpose", ["r"], "u"), ("Unsqueeze", ["u", "last"], "t")]),
        ([1, 4], [1], [("Expand", ["r", "shape"], "e"), ("Transpose", ["e"], "t")]),
    ],
)  # fmt: skip
def test_rows_that_do_not_lie_as_they_should(tmp_path, dims, axes, steps):
    steps = [
        ("Constant", [], "axes", {"value_ints": axes}), *SUM, *steps, ("Sqrt", ["t"], "q"), ("Div", ["x", "q"], "y"),
    ]  # fmt: skip
    steps = [step for step in steps if step[2] != "shape" or any("shape" in reads for _, reads, *_ in steps)]
    outputs = [("y", FLOAT, [None] * len(dims))]
    nodes, notes = rewritten(tmp_path, steps, inputs=[("x", FLOAT, dims)], outputs=outputs)
    assert "L2Normalize" not in [node.op_type for node in nodes]
    assert notes == ("0 l2 normalisations",)


def test_lp_normalization(tmp_path):
    (node,), notes = rewritten(tmp_path, [("LpNormalization", ["x"], "y")])
    assert (node.op_type, attributes(node)["axes"], attributes(node)["lp_normalization"]) == ("L2Normalize", [1], 1)
    assert notes[0] == "1 l2 normalisation"
    nodes, _ = rewritten(tmp_path, [("LpNormalization", ["x"], "y", {"p": 1})])
    assert [node.op_type for node in nodes] == ["LpNormalization"]


def test_zeros_through_the_rewritten_model(tmp_path):
    save(tmp_path / "in.onnx", dense())
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    assert ops(tmp_path / "out.onnx") == ["MatMul", "L2Normalize", "MatMul"]
    x = rng.standard_normal((3, 6)).astype(np.float32)
    x[1] = 0
    result = run(tmp_path / "out.onnx", x)["y"]
    assert not result[1].any()
    assert relative_error(result, run(tmp_path / "in.onnx", x)["y"]) < 1e-5


def test_the_report(tmp_path):
    save(tmp_path / "in.onnx", dense())
    report = simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["leaky_relu", "l2_normalize"])
    assert [step.name for step in report.passes][-2:] == ["l2_normalize", "leaky_relu"]
    assert report.passes[-1].notes == ("0 leaky ReLUs",)
    step = report.passes[-2]
    assert step.changed == 7  # six nodes away, one new
    assert step.notes[:2] == ("1 l2 normalisation", "each gives what the nodes that it replaces give, in ONNX Runtime")
    assert report.to_json()["passes"][-2]["notes"] == list(step.notes)
    assert "notes" not in report.to_json()["passes"][0]
    assert (report.nodes_before, report.nodes_after) == (8, 3)
    simplify(tmp_path / "in.onnx", tmp_path / "plain.onnx")
    assert "L2Normalize" not in ops(tmp_path / "plain.onnx")


@pytest.mark.parametrize("plugins", [["l2_normalise"], ["l2_normalize", "x"], "l2_normalize"])
def test_an_unknown_plugin(tmp_path, plugins):
    with pytest.raises(UsageError, match=r"plugins[\s\S]*l2_normalize, leaky_relu"):
        simplify(tmp_path / "missing.onnx", tmp_path / "out.onnx", plugins=plugins)


def on(tensor, steps=TENSORFLOW):
    return [(op, [tensor if name == "h" else name for name in reads], writes) for op, reads, writes in steps]


LEFT = {
    "an unknown rank": (
        [("x", FLOAT, ["n", 6]), ("s", INT64, ["k"])],
        [("Reshape", ["x", "s"], "r"), *on("r"), ("Reshape", ["n", "column"], "y")],
        "the rank of its input is not known",
    ),
    "integers": (
        [("x", INT32, ["n", 6])],
        [("ReduceL2", ["x"], "l", {"axes": [1]}), ("Div", ["x", "l"], "y")],
        "INT32; the plugin takes FP32 and FP16",
    ),
    "axes that are an input": ([("x", FLOAT, ["n", 6]), ("axis", INT64, [1])], dense(), None),
    "FP16 before opset 15": (
        [("x", HALF, ["n", 6])],
        [("ReduceL2", ["x"], "l", {"axes": [1]}), ("Div", ["x", "l"], "y")],
        "FP16 in opset 14; the function that stands for the plugin needs 15 for it",
    ),
}


@pytest.mark.parametrize("kind", list(LEFT))
def test_what_cannot_be_replaced(tmp_path, kind):
    inputs, steps, why = LEFT[kind]
    outputs = [("y", inputs[0][1], [None, None])]
    opset = 14 if "opset" in kind else 15
    nodes, notes = rewritten(tmp_path, steps, inputs=inputs, outputs=outputs, opset=opset)
    assert notes[0] == "0 l2 normalisations"
    assert "L2Normalize" not in [node.op_type for node in nodes]
    assert [why in note for note in notes[1:]] == ([True] if why else [])


def test_what_reads_more_than_its_input_is_left_alone(tmp_path):
    steps = [
        ("ReduceL2", ["x"], "l", {"axes": [1]}),
        ("Shape", ["other"], "s"),
        ("Expand", ["l", "s"], "e"),
        ("Div", ["x", "e"], "y"),
    ]
    save(tmp_path / "in.onnx", steps, [("x", FLOAT, ["n", 6]), ("other", FLOAT, ["n", 1])])
    notes = []
    l2_normalize.l2_normalize(read(tmp_path / "in.onnx"), notes)  # by itself: other passes take the Expand out
    assert notes[0] == "0 l2 normalisations"
    assert "it reads more than its input" in notes[1]


@pytest.mark.parametrize(("attribute", "value"), [("epsilon", 1e-6), ("axes", [0]), ("lp_normalization", 1)])
def test_a_wrong_replacement_is_caught(tmp_path, monkeypatch, attribute, value):
    save(tmp_path / "in.onnx", only(*on("x")))

    def wrong(*positional, **given):
        return functions.make_node(*positional, **{**given, attribute: value})

    monkeypatch.setattr(l2_normalize, "make_node", wrong)
    with pytest.raises(
        SurgeryError, match=r"Mul 'node y'[\s\S]*relative error .* on rows of norm [\s\S]*at most 1e-05"
    ):
        simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])
    assert not (tmp_path / "out.onnx").exists()
    # And should that not find it, the whole model's results do, where they differ on ordinary values.
    monkeypatch.setattr("tf2trt.surgery.plugins.rewrite.prove", lambda *anything: None)
    if attribute == "axes":
        with pytest.raises(SurgeryError, match=r"output 'y' differs[\s\S]*relative error"):
            simplify(tmp_path / "in.onnx", tmp_path / "out.onnx", plugins=["l2_normalize"])


def test_what_is_compared_whole_and_what_is_not_is_said(tmp_path):
    inputs = [("x", FLOAT, ["n", 6]), ("i", INT32, ["n"])]
    steps = [*dense(), ("Neg", ["i"], "j")]
    outputs = [("y", FLOAT, [None, None]), ("j", INT32, ["n"])]
    _, notes = rewritten(tmp_path, steps, inputs=inputs, outputs=outputs)
    assert "the whole model gives what it gave" in notes[2]  # integers beside it are no obstacle
    # Fixed to 4 rows by a constant: no random batch will do.
    steps = [*dense(), ("Reshape", ["x", "ones"], "z")]
    _, notes = rewritten(tmp_path, steps, outputs=[("y", FLOAT, [None, None]), ("z", FLOAT, [None] * 4)])
    assert "the whole model was not compared: ONNX Runtime cannot run it on random inputs" in notes[2]


@pytest.mark.parametrize("opset", [13, 15, 18])
def test_simplified_twice_and_in_fp16(tmp_path, opset):
    source = save(tmp_path / "in.onnx", dense(), opset=opset)
    once, twice, half, again = (tmp_path / f"{name}.onnx" for name in ("once", "twice", "half", "again"))
    simplify(source, once, plugins=["l2_normalize"])
    report = simplify(once, twice, plugins=["l2_normalize"])
    assert not any(step.changed for step in report.passes)
    assert read(once).functions == read(twice).functions
    assert len(read(once).functions) == 1
    assert read(once).ir_version == 9

    to_fp16(once, half)
    model = read(half)
    assert list(model.functions) == list(read(once).functions)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    (node,) = (node for node in model.graph.node if node.domain)
    # Before opset 15 the function is for FP32 alone. From then on FP16 goes in and comes out.
    assert {types[node.input[0]], types[node.output[0]]} == {FLOAT if opset < 15 else HALF}
    if opset >= 15:
        assert [item.op_type for item in model.graph.node] == ["Cast", "MatMul", "L2Normalize", "MatMul", "Cast"]
    simplify(half, again, plugins=["l2_normalize"])
    assert to_fp16(half, tmp_path / "third.onnx").changed == 0
    lower_plugins(half, tmp_path / "lowered.onnx")
    assert needs_plugins(tmp_path / "lowered.onnx") == ()
    for scale in (1.0, 1e-4, 100.0):
        x = (rng.standard_normal((5, 6)) * scale).astype(np.float32)
        x[2] = 0
        wanted = run(source, x)["y"]
        for path in (once, twice, half, again, tmp_path / "lowered.onnx"):
            result = run(path, x)["y"]
            assert not result[2].any()
            assert relative_error(result, wanted) < (1e-5 if path in (once, twice) else 5e-3)


@pytest.mark.parametrize("kind", [FLOAT, HALF])
def test_leaky_relu(tmp_path, kind):
    steps = [("LeakyRelu", ["x"], "t", {"alpha": 0.2}), ("LeakyRelu", ["t"], "y")]
    io = {"inputs": [("x", kind, ["n", 3])], "outputs": [("y", kind, ["n", 3])]}
    source = save(tmp_path / "in.onnx", steps, **io)
    report = simplify(source, tmp_path / "out.onnx", plugins=["leaky_relu"])
    assert report.passes[-1].notes[0] == "2 leaky ReLUs"
    model = read(tmp_path / "out.onnx")
    assert [attributes(node)["alpha"] for node in model.graph.node] == pytest.approx([0.2, 0.01])
    assert {node.domain for node in model.graph.node} == {"tf2trt"}
    x = rng.standard_normal((4, 3)).astype(helper.tensor_dtype_to_np_dtype(kind))
    assert relative_error(run(tmp_path / "out.onnx", x)["y"], run(source, x)["y"]) < 1e-3
    lower_plugins(tmp_path / "out.onnx", tmp_path / "lowered.onnx")
    assert ops(tmp_path / "lowered.onnx") == ["LeakyRelu", "LeakyRelu"]
    assert needs_plugins(tmp_path / "out.onnx") == ("LeakyReLU",)


def test_numbers_and_lists_in_constant_nodes_are_folded_as_they_are(tmp_path):
    model = make([("Mul", ["x", "half"], "y")])
    half = helper.make_node("Constant", [], ["half"], value_floats=[0.5])
    model.graph.node.insert(0, half)
    onnx.save(model, str(tmp_path / "in.onnx"))
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    (tensor,) = read(tmp_path / "out.onnx").graph.initializer
    assert tensor.data_type == FLOAT
