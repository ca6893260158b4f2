"""Sub-graphs collapsed into one node; with a function, what is computed is compared in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from small_graphs import FLOAT, build, node

from tf2trt.errors import UsageError
from tf2trt.surgery.collapse import Collapse, collapse, parse_collapse
from tf2trt.surgery.plugins.lower import lower_model
from tf2trt.surgery.runner import run_pass


@pytest.fixture
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


def apply(model, text):
    """The collapsed copy, and the notes."""
    copy = type(model).FromString(model.SerializeToString())
    item = parse_collapse(text)
    changed, report = run_pass("collapse", lambda given, notes: collapse(item, given, notes), copy)
    return changed, list(report.notes)


def run(model, **feed):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, feed)))


def ops(model):
    return [item.op_type for item in model.graph.node]


@pytest.fixture
def blocks(rng):
    """Two blocks of one structure, between two other nodes: d = relu(c * w + b) * scale + c, twice."""
    nodes = [node("Neg", ["x"], ["c0"])]
    for i in (0, 1):
        nodes += [
            node("MatMul", [f"c{i}", f"w{i}"], [f"m{i}"], f"block{i}"),
            node("Add", [f"m{i}", f"b{i}"], [f"a{i}"], f"block{i}"),
            node("Relu", [f"a{i}"], [f"r{i}"], f"block{i}"),
            node("Mul", [f"r{i}", "scale"], [f"s{i}"], f"block{i}"),
            node("Add", [f"s{i}", f"c{i}"], [f"c{i + 1}"], f"block{i}"),
        ]
    nodes.append(node("Exp", ["c2"], ["y"]))
    constants = {f"w{i}": (rng.standard_normal((4, 4)) / 4).astype(np.float32) for i in (0, 1)}
    constants.update({f"b{i}": rng.standard_normal(4).astype(np.float32) for i in (0, 1)}, scale=np.float32(0.3))
    return build(nodes, [("x", FLOAT, ["n", 4])], [("y", FLOAT, ["n", 4])], constants)


def random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_a_plugin_of_a_foreign_domain(blocks):
    changed, notes = apply(
        blocks, "op=Block;inputs=c0,w0,b0;outputs=c1;domain=my.plugins;attr alpha=0.1;attr axes=[1,2]"
    )
    assert ops(changed) == ["Neg", "Block", "MatMul", "Add", "Relu", "Mul", "Add", "Exp"]
    block = changed.graph.node[1]
    assert (block.name, block.domain) == ("the c1/Block", "my.plugins")
    assert (list(block.input), list(block.output)) == (["c0", "w0", "b0"], ["c1"])
    found = {item.name: helper.get_attribute_value(item) for item in block.attribute}
    assert found.pop("alpha") == pytest.approx(0.1)
    assert found == {"axes": [1, 2], "plugin_version": b"1", "plugin_namespace": b"my.plugins"}
    assert {(item.key, item.value) for item in block.metadata_props} == {("tf2trt.layer", "block0")}
    assert {(item.domain, item.version) for item in changed.opset_import} == {("", 15), ("my.plugins", 1)}
    assert not changed.functions
    # What is behind it keeps its type, which only the file can tell now.
    known = {value.name: value.type.tensor_type for value in changed.graph.value_info}
    assert known["c1"].elem_type == FLOAT
    assert [dim.dim_param or dim.dim_value for dim in known["c1"].shape.dim] == ["n", 4]
    assert notes == [
        "5 nodes are one Block 'the c1/Block' now: 2 Add, 1 MatMul, 1 Mul, 1 Relu",
        "it does not get the constants scale (float32 scalar): name those that it needs among the inputs",
        "no function of Block in the file: TensorRT from 10 on would take it and not the plugin",
    ]


@pytest.mark.parametrize("names", [("c0", "c1"), ("the c0", "the c1"), ("c0", "block0")])
def test_in_our_domain_the_file_still_runs_and_can_be_lowered(blocks, rng, names):
    changed, notes = apply(blocks, f"op=Block;inputs={names[0]},w0,b0;outputs={names[1]};domain=tf2trt;attr alpha=0.1")
    assert ops(changed)[:2] == ["Neg", "Block"]
    assert notes[-1] == "the file holds what Block computes, as a function"
    x = random(rng, 3, 4)
    wanted = run(blocks, x=x)["y"]
    assert np.array_equal(run(changed, x=x)["y"], wanted)
    twice, _ = apply(changed, "op=Block;inputs=c1,w1,b1;outputs=c2;domain=tf2trt;attr alpha=0.1;name=second")
    assert ops(twice) == ["Neg", "Block", "Block", "Exp"]
    assert twice.graph.node[2].name == "second"
    assert len(twice.functions) == 1  # the structure is the same, the weights are inputs
    assert {item.name for item in twice.graph.initializer} == {"w0", "w1", "b0", "b1"}
    assert np.array_equal(run(twice, x=x)["y"], wanted)
    lowered, _ = run_pass("lower_plugins", lower_model, twice)
    assert {item.domain for item in lowered.graph.node} == {""}
    assert np.array_equal(run(lowered, x=x)["y"], wanted)


def test_constants_inside_go_into_the_function(blocks, rng):
    changed, notes = apply(blocks, "op=Block;inputs=c0;outputs=c1;domain=tf2trt")
    assert "constants w0 (float32 4x4), b0 (float32 4), scale (float32 scalar)" in notes[1]
    assert {item.name for item in changed.graph.initializer} == {"w1", "b1", "scale"}
    x = random(rng, 3, 4)
    assert np.array_equal(run(changed, x=x)["y"], run(blocks, x=x)["y"])
    with pytest.raises(UsageError, match="Block computes something else elsewhere in the model"):
        apply(changed, "op=Block;inputs=c1;outputs=c2;domain=tf2trt")


def test_large_constants_make_no_function(rng):
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["y"])]
    model = build(nodes, [("x", FLOAT, ["n", 600])], [("y", FLOAT, ["n", 600])], {"w": random(rng, 600, 600)})
    changed, notes = apply(model, "op=Dense;inputs=x;outputs=y;domain=tf2trt")
    assert not changed.functions
    assert notes[-1] == "no function of Dense in the file: 1 MiB of constants are not among its inputs"
    assert ops(changed) == ["Dense"]


def test_several_inputs_and_outputs_and_the_order_of_nodes(rng):
    # What the first output feeds stands before the last node of the sub-graph, and feeds another node of the graph.
    nodes = [
        node("Add", ["p", "q"], ["s"]),
        node("Neg", ["s"], ["u"]),
        node("Exp", ["u"], ["e"]),
        node("Abs", ["z"], ["late"]),
        node("Mul", ["s", "late"], ["v"]),
        node("ConstantOfShape", ["two"], ["zeros"]),
        node("Add", ["v", "zeros"], ["t"]),
        node("Sub", ["e", "t"], ["y"]),
    ]
    io = [(name, FLOAT, [2, 2]) for name in ("p", "q", "z")], [("y", FLOAT, [2, 2])]
    model = build(nodes, *io, {"two": np.array([2, 2])})
    changed, notes = apply(model, "op=Two;inputs=late,p,q;outputs=t,u;domain=tf2trt")
    assert sorted(ops(changed)) == ["Abs", "Exp", "Sub", "Two"]
    assert "constants zeros (float32 2x2)" in notes[1]
    feed = {name: random(rng, 2, 2) for name in ("p", "q", "z")}
    assert np.array_equal(run(changed, **feed)["y"], run(model, **feed)["y"])


def test_a_sub_graph_with_a_body(rng):
    def body(name, op):
        value = helper.make_tensor_value_info(name, FLOAT, None)
        inner = [node(op, ["n"], [f"i{name}"]), node("Add", [f"i{name}", "k"], [name])]
        return helper.make_graph(inner, name, [], [value])

    nodes = [
        node("Neg", ["x"], ["n"]),
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        node("If", ["c"], ["b"], then_branch=body("p", "Neg"), else_branch=body("q", "Exp")),
        node("Abs", ["b"], ["y"]),
    ]
    constants = {"zero": np.float32(0), "k": np.float32(2)}
    model = build(nodes, [("x", FLOAT, [3, 4])], [("y", FLOAT, [3, 4])], constants)
    changed, notes = apply(model, "op=Choose;inputs=x;outputs=b;domain=tf2trt")
    assert ops(changed) == ["Choose", "Abs"]
    assert "k (float32 scalar)" in notes[1]
    x = np.abs(random(rng, 3, 4))
    for value in (x, -x):
        assert np.array_equal(run(changed, x=value)["y"], run(model, x=value)["y"])
    with pytest.raises(UsageError, match="'n' inside the sub-graph is read outside, by If 'the b'"):
        apply(
            build(
                [*nodes[:4], node("Exp", ["n"], ["e"]), node("Add", ["e", "b"], ["y"])],
                [("x", FLOAT, [3, 4])],
                [("y", FLOAT, [3, 4])],
                constants,
            ),
            "op=Choose;inputs=x;outputs=e;domain=tf2trt",
        )


def test_an_operator_of_onnx(rng):
    nodes = [node("Sigmoid", ["x"], ["s"]), node("Mul", ["s", "x"], ["y"])]
    model = build(nodes, [("x", FLOAT, [3])], [("y", FLOAT, [3])])
    changed, notes = apply(model, "op=HardSwish;inputs=x;outputs=y")
    assert ops(changed) == ["HardSwish"]
    assert not changed.graph.node[0].attribute
    assert len(notes) == 1
    x = random(rng, 3)
    assert np.allclose(run(changed, x=x)["y"], x * np.clip(x / 6 + 0.5, 0, 1))


def test_an_operator_of_ours_has_its_own_meaning(rng):
    nodes = [node("Mul", ["x", "slope"], ["m"]), node("Max", ["x", "m"], ["y"])]
    model = build(nodes, [("x", FLOAT, [3, 4])], [("y", FLOAT, [3, 4])], {"slope": np.float32(0.2)})
    changed, _ = apply(model, "op=LeakyReLU;inputs=x;outputs=y;domain=tf2trt;attr alpha=0.2")
    x = random(rng, 3, 4)
    assert np.allclose(run(changed, x=x)["y"], run(model, x=x)["y"])


SPEC = "op=B;domain=my.plugins;"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SPEC + "inputs=c9;outputs=c1",
            r"inputs: the model has no tensor[\s\S]*received: 'c9'\s+expected: perhaps .*c0",
        ),
        (SPEC + "inputs=c0;outputs=block7", r"outputs: the model has no[\s\S]*expected: perhaps .*block1"),
        (SPEC + "inputs=w0,b0;outputs=c1", "do not cut it off: MatMul 'the m0' reads 'c0' too"),
        (SPEC + "inputs=m0;outputs=c1", r"Add 'the c1' reads 'c0' too[\s\S]*hint: add c0 to the inputs"),
        (
            SPEC + "inputs=c0;outputs=s1",
            r"'c1' inside the sub-graph is read outside, by Add 'the c2'[\s\S]*add c1 to the outputs",
        ),
        (SPEC + "inputs=r0,y;outputs=c1", "no output needs the input 'y'"),
        (SPEC + "inputs=r0,w1,c0;outputs=c1", "no output needs the input 'w1'"),
        (SPEC + "inputs=c1;outputs=c0", "no output needs the input 'c1'"),
        (SPEC + "inputs=c0;outputs=c0", "no output needs the input 'c0'"),
        (SPEC + "inputs=c1;outputs=c2,c1", "no output needs the input 'c1'"),
        (SPEC + "inputs=c0;outputs=c1,w1", "the output 'w1' depends on no input"),
        (SPEC + "inputs=c0,c2;outputs=c1,y", "the input 'c2' depends on an output"),
        (SPEC + "inputs=c0,r0;outputs=c1,a0", "the input 'r0' depends on an output"),
        (SPEC + "inputs=c0,r0;outputs=m0,s0,a0,r0", "no output needs the input 'r0'"),
        (SPEC + "inputs=c0,the c0;outputs=c1", "inputs: a tensor is there twice"),
        (SPEC + "inputs=c0;outputs=c1;name=the y", "a node of this name is there already"),
        ("op=B;inputs=c0;outputs=c1", "ONNX's opset 15 has no operator 'B'"),
        ("op=B;inputs=c0", "outputs missing"),
        ("", "op and inputs and outputs missing"),
        (SPEC + "inputs=c0;outputs=c1;alpha=1", "received: 'alpha=1'"),
        (SPEC + "inputs=c0;outputs=c1;attr alpha", "received: 'attr alpha'"),
        (SPEC + "inputs=c0;outputs=c1;op=C", "'op' is there twice"),
        (SPEC + "inputs=c0;outputs=c1;attr a=1;attr a=2", "'attr a' is there twice"),
        (SPEC + "inputs=c0,,w0;outputs=c1", "by name"),
    ],
)
def test_what_cannot_be(blocks, text, message):
    with pytest.raises(UsageError, match=message):
        apply(blocks, text)


def test_an_output_of_the_graph_inside(blocks):
    blocks.graph.output.append(helper.make_tensor_value_info("r0", FLOAT, ["n", 4]))
    with pytest.raises(UsageError, match="'r0' inside the sub-graph is read outside, by the caller"):
        apply(blocks, SPEC + "inputs=c0;outputs=c1")
    changed, _ = apply(blocks, SPEC + "inputs=c0;outputs=c1,r0")
    assert list(changed.graph.node[1].output) == ["c1", "r0"]


def test_texts_of_a_command_line():
    text = (
        " op = B ; inputs = a , b ; outputs = c; attr i=2; attr f=0.5; attr l=[1.5, 2.0]; attr s=linear; attr v='2'; "
    )
    item = parse_collapse(text + "name=n;domain=my.plugins")
    assert item == Collapse(
        "B", ["a", "b"], ["c"], "my.plugins", {"i": 2, "f": 0.5, "l": [1.5, 2.0], "s": "linear", "v": "2"}, "n"
    )
    with pytest.raises(UsageError, match="a list of inputs"):
        Collapse("B", "a", ["c"])
