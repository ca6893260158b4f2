"""Inputs and outputs changed on small graphs; what is computed is compared in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_graphs import FLOAT, build, node

from tf2trt.errors import UsageError
from tf2trt.numerics import relative_error
from tf2trt.surgery.bindings import describe
from tf2trt.surgery.interface import Interface, apply_interface, parse_dtypes, parse_pairs


@pytest.fixture
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


def apply(model, **changes):
    """A changed copy, and the notes."""
    copy, notes = type(model).FromString(model.SerializeToString()), []
    changed = apply_interface(copy, Interface(**changes), notes)
    onnx.checker.check_model(changed, full_check=True)
    return changed, notes


def run(model, **feed):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, feed)))


def bindings(model):
    return [describe(value) for value in [*model.graph.input, *model.graph.output]]


def symbols(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.fixture
def cnn(rng):
    """A small NHWC network as tf2onnx writes it, with a second, static input, and two outputs."""
    return cnn_model(rng, ["batch", 6, 5, 3], ["batch", 4])


def cnn_model(rng, image, extra, rows=-1):
    nodes = [
        node("Transpose", ["x"], ["nchw"], "entry", perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "w"], ["conv"], "conv1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["relu"], "conv1"),
        node("GlobalAveragePool", ["relu"], ["pool"], "pool"),
        node("Reshape", ["pool", "flat"], ["rows"], "flatten"),
        node("Add", ["rows", "extra"], ["sum"], "head"),
        node("MatMul", ["sum", "m"], ["y"], "head"),
        node("Sigmoid", ["rows"], ["z"]),
    ]
    constants = {
        "w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "flat": np.array([rows, 4]),
        "m": rng.standard_normal((4, 2)).astype(np.float32),
    }
    batch = image[0]
    return build(
        nodes,
        [("x", FLOAT, image), ("extra", FLOAT, extra)],
        [("y", FLOAT, [batch, 2]), ("z", FLOAT, [batch, 4])],
        constants,
    )


def random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_nothing_asked_for_is_nothing_done(cnn):
    assert not Interface()
    assert Interface(rename={"x": "y"})
    changed, notes = apply(cnn)
    assert changed.SerializeToString() == cnn.SerializeToString()
    assert notes == []


def test_nchw_gives_the_same_on_the_transposed_array(cnn, rng):
    changed, notes = apply(cnn, inputs_as_nchw=["x"])
    assert bindings(changed)[0] == "x: float32 ?x3x6x5"
    assert symbols(changed.graph.input[0]) == ["batch", 3, 6, 5]
    assert notes == ["the input is NCHW: x: float32 ?x3x6x5"]
    x, extra = random(rng, 2, 6, 5, 3), random(rng, 2, 4)
    wanted = run(cnn, x=x, extra=extra)
    got = run(changed, x=np.ascontiguousarray(x.transpose(0, 3, 1, 2)), extra=extra)
    assert all(np.array_equal(got[name], wanted[name]) for name in wanted)
    again, _ = apply(cnn, inputs_as_nchw=["all"])  # extra has rank 2
    assert again.SerializeToString() == changed.SerializeToString()


@pytest.mark.parametrize("nchw", [False, True])
def test_bytes_give_the_same_as_floats_of_their_value(cnn, rng, nchw):
    layout = {"inputs_as_nchw": ["x"]} if nchw else {}
    changed, notes = apply(cnn, input_dtypes=parse_dtypes("uint8"), **layout)
    assert "the input x is uint8, converted to float32 by a Cast" in notes
    assert bindings(changed)[0] == ("x: uint8 ?x3x6x5" if nchw else "x: uint8 ?x6x5x3")
    readers = [item for item in changed.graph.node if "x" in item.input]
    assert [item.op_type for item in readers] == ["Cast"]  # TensorRT takes bytes in no other way
    x, extra = rng.integers(0, 256, (2, 6, 5, 3)).astype(np.uint8), random(rng, 2, 4)
    wanted = run(cnn, x=x.astype(np.float32), extra=extra)
    got = run(changed, x=np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if nchw else x, extra=extra)
    assert all(np.array_equal(got[name], wanted[name]) for name in wanted)


def test_wide_integers_may_come_as_narrow_ones(rng):
    model = build(
        [node("Gather", ["t", "i"], ["y"])],
        [("i", TensorProto.INT64, ["n"])],
        [("y", FLOAT, ["n", 3])],
        {"t": random(rng, 9, 3)},
    )
    changed, _ = apply(model, input_dtypes={"i": "int32"})
    indices = rng.integers(0, 9, 5)
    assert np.array_equal(run(changed, i=indices.astype(np.int32))["y"], run(model, i=indices)["y"])
    same, notes = apply(model, input_dtypes={"i": "int64"})
    assert same.SerializeToString() == model.SerializeToString()
    assert notes == []


@pytest.mark.parametrize("name", ["relu", "the relu", "conv1"])
def test_an_inner_tensor_as_output_is_what_the_truncated_model_computes(cnn, rng, name):
    changed, notes = apply(cnn, outputs=[name])
    truncated = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(cnn)).extract_model(["x"], ["relu"])
    x = random(rng, 2, 6, 5, 3)
    assert np.array_equal(run(changed, x=x)["relu"], run(truncated, x=x)["relu"])
    assert bindings(changed) == ["x: float32 ?x6x5x3", "relu: float32 ?x4x6x5"]
    assert symbols(changed.graph.output[0])[0] == "batch"
    assert [item.op_type for item in changed.graph.node] == ["Transpose", "Conv", "Relu"]
    assert [item.name for item in changed.graph.initializer] == ["w"]
    assert notes == [
        "the input extra is gone: no output needs it",
        "5 nodes are gone: no output needs them",
        f"outputs are {name}" + ("" if name == "relu" else " (relu)"),
    ]


def test_old_and_new_outputs_in_the_order_asked_for(cnn, rng):
    changed, _ = apply(cnn, outputs=["z", "relu", "y"], rename={"relu": "features", "x": "image", "z": "y", "y": "z"})
    x, extra = random(rng, 3, 6, 5, 3), random(rng, 3, 4)
    wanted, got = run(cnn, x=x, extra=extra), run(changed, image=x, extra=extra)
    assert list(got) == ["y", "features", "z"]
    assert np.array_equal(got["y"], wanted["z"])
    assert np.array_equal(got["z"], wanted["y"])
    assert got["features"].shape == (3, 4, 6, 5)


def test_a_layer_chosen_as_output_may_be_renamed_by_its_name(cnn):
    changed, notes = apply(cnn, outputs=["conv1"], rename={"conv1": "y"})  # the old y is gone by then
    assert [value.name for value in changed.graph.output] == ["y"]
    assert notes[-1] == "relu is now called y"


def test_names_inside_bodies_change_too(rng):
    inner = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["square"])],
        "then",
        [],
        [helper.make_tensor_value_info("square", FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["minus"])], "else", [], [helper.make_tensor_value_info("minus", FLOAT, None)]
    )
    model = build(
        [node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
        [("c", TensorProto.BOOL, []), ("x", FLOAT, ["n", 2, 2, 2])],
        [("y", FLOAT, ["n", 2, 2, 2])],
    )
    changed, _ = apply(model, rename={"x": "image"}, input_dtypes={"x": "uint8"}, inputs_as_nchw=["x"])
    x = rng.integers(0, 256, (3, 2, 2, 2)).astype(np.uint8)
    for condition in (True, False):
        wanted = run(model, c=np.asarray(condition), x=x.astype(np.float32))["y"]
        got = run(changed, c=np.asarray(condition), image=np.ascontiguousarray(x.transpose(0, 3, 1, 2)))["y"]
        assert np.array_equal(got, wanted)
    with pytest.raises(UsageError, match="'square' is inside the body"):
        apply(model, outputs=["square"])
    with pytest.raises(UsageError, match="'square' would be there twice"):
        apply(model, rename={"x": "square"})


def test_a_dynamic_extent_becomes_static_wherever_it_has_its_name(cnn, rng):
    changed, notes = apply(cnn, shapes={"x": (4, 6, 5, 3)})
    assert bindings(changed) == [
        "x: float32 4x6x5x3",
        "extra: float32 4x4",
        "y: float32 4x2",
        "z: float32 4x4",
    ]
    assert notes == ["the input x: float32 ?x6x5x3 is now 4x6x5x3", "the input extra: float32 ?x4 is now 4x4"]
    x, extra = random(rng, 4, 6, 5, 3), random(rng, 4, 4)
    wanted, got = run(cnn, x=x, extra=extra), run(changed, x=x, extra=extra)
    assert all(np.array_equal(got[name], wanted[name]) for name in wanted)
    kept, notes = apply(cnn, shapes={"x": (-1, 6, 5, 3)})
    assert kept.SerializeToString() == cnn.SerializeToString()
    assert notes == []


def test_a_static_batch_becomes_dynamic_where_nothing_has_it_built_in(rng):
    model = cnn_model(rng, [1, 6, 5, 3], [1, 4])
    changed, notes = apply(model, shapes={"x": (-1, 6, 5, 3), "extra": (-1, 4)})
    assert bindings(changed) == [
        "x: float32 ?x6x5x3",
        "extra: float32 ?x4",
        "y: float32 ?x2",
        "z: float32 ?x4",
    ]
    assert [symbols(value)[0] for value in [*changed.graph.input, *changed.graph.output]][:2] == ["batch", "batch"]
    assert notes[0] == "the input x: float32 1x6x5x3 is now ?x6x5x3"
    x, extra = random(rng, 5, 6, 5, 3), random(rng, 5, 4)
    got = run(changed, x=x, extra=extra)
    for row in range(5):
        wanted = run(model, x=x[row : row + 1], extra=extra[row : row + 1])
        assert all(relative_error(got[name][row : row + 1], wanted[name]) < 1e-5 for name in wanted)


def test_a_static_batch_becomes_another(rng):
    model = cnn_model(rng, [2, 6, 5, 3], [2, 4])
    changed, _ = apply(model, shapes={"x": (8, 6, 5, 3), "extra": (8, 4)})
    assert bindings(changed) == ["x: float32 8x6x5x3", "extra: float32 8x4", "y: float32 8x2", "z: float32 8x4"]


def test_rows_may_lie_along_another_axis(rng):
    nodes = [node("Transpose", ["x"], ["t"], perm=[1, 0]), node("Exp", ["t"], ["y"])]
    model = build(nodes, [("x", FLOAT, [1, 7])], [("y", FLOAT, [7, 1])])
    changed, _ = apply(model, shapes={"x": (-1, 7)})
    assert bindings(changed)[1] == "y: float32 7x?"


@pytest.mark.parametrize(
    ("nodes", "output", "message"),
    [
        ([("Reshape", ["x", "wide"], ["y"])], [1, 8], "the output 'y' does not grow with it, 1x8 becomes 1x24"),
        ([("Reshape", ["x", "exact"], ["y"])], [1, 2, 4], "ONNX Runtime fails with another: .*Reshape"),
        ([("Softmax", ["x"], ["y"], {"axis": 0})], [1, 8], "the output 'y' mixes rows"),
        ([("ReduceMax", ["x"], ["y"], {"axes": [0], "keepdims": 0})], [8], "does not grow with it"),
        ([("Add", ["x", "x"], ["t"]), ("RandomNormalLike", ["t"], ["y"])], [1, 8], "mixes rows"),
    ],
)
def test_a_batch_that_is_built_in_is_refused(nodes, output, message):
    made = [node(op, inputs, outputs, **(more[0] if more else {})) for op, inputs, outputs, *more in nodes]
    constants = {"wide": np.array([1, -1]), "exact": np.array([1, 2, 4])}
    used = {name: value for name, value in constants.items() if any(name in item.input for item in made)}
    model = build(made, [("x", FLOAT, [1, 8])], [("y", FLOAT, output)], used)
    with pytest.raises(UsageError, match=f"the first extent of x is built into the graph; .*{message}"):
        apply(model, shapes={"x": (-1, 8)})


def test_a_batch_that_cannot_be_checked_is_refused():
    nodes = [helper.make_node("Mine", ["x"], ["y"], name="mine", domain="my.plugins")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 8])],
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("my.plugins", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(
        UsageError, match=r"cannot be checked: ONNX Runtime has no operator Mine of domain 'my\.plugins'"
    ):
        apply(model, shapes={"x": (-1, 8)})


def test_a_shape_that_the_graph_does_not_take(rng):
    nodes = [node("MatMul", ["x", "m"], ["y"])]
    model = build(nodes, [("x", FLOAT, ["n", "k"])], [("y", FLOAT, ["n", 2])], {"m": random(rng, 4, 2)})
    with pytest.raises(UsageError, match=r"the graph does not take these[\s\S]*received: x:3x5"):
        apply(model, shapes={"x": (3, 5)})
    changed, _ = apply(model, shapes={"x": (3, 4)})
    assert bindings(changed) == ["x: float32 3x4", "y: float32 3x2"]


EVERY = r"x: float32 \?x6x5x3; extra: float32 \?x4"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": {"img": (1, 6, 5, 3)}}, rf"no such input\s+received: 'img'\s+expected: {EVERY}"),
        ({"shapes": {"x": (1, 6, 5)}}, r"x: float32 \?x6x5x3 cannot become 1x6x5\s+expected: 4 extents"),
        ({"shapes": {"x": (0, 6, 5, 3)}}, "extents of 1 or more"),
        ({"shapes": {"x": (-2, 6, 5, 3)}}, "extents of 1 or more"),
        ({"shapes": {"x": (1, 7, 5, 3)}}, r"6 for axis 1[\s\S]*hint: export the model with this axis dynamic"),
        ({"shapes": {"x": (1, -1, 5, 3)}}, "6 for axis 1"),
        ({"shapes": {"x": (1, 6, 5, 3), "extra": (2, 4)}}, "1 for axis 0, as elsewhere: 'batch' is one extent"),
        ({"outputs": ["rleu"]}, r"no tensor, node or layer of this name\s+received: 'rleu'\s+expected: perhaps .*relu"),
        ({"outputs": ["head, no"]}, "no tensor, node or layer"),
        ({"outputs": [""]}, "no tensor, node or layer"),
        ({"outputs": ["x"]}, "'x' is an input"),
        ({"outputs": ["w"]}, "'w' is a constant"),
        ({"outputs": ["relu", "conv1"]}, "'relu' is there twice"),
        ({"outputs": "relu"}, "a list of names"),
        ({"inputs_as_nchw": "x"}, "a list of names"),
        ({"rename": {"nope": "b"}}, r"no such input or output\s+received: 'nope'\s+expected: one of x, extra, y, z"),
        ({"rename": {"relu": "b"}}, "no such input or output"),
        ({"outputs": ["z"], "rename": {"y": "b"}}, "no such input or output"),
        ({"rename": {"x": "extra"}}, "'extra' would be there twice"),
        ({"rename": {"x": "relu"}}, "'relu' would be there twice"),
        ({"rename": {"x": "a", "y": "a"}}, "'a' would be there twice"),
        ({"rename": {"x": ""}}, "one new name for each"),
        ({"inputs_as_nchw": ["img"]}, "no such input"),
        ({"inputs_as_nchw": ["extra"]}, r"another rank than 4\s+received: 'extra'"),
        ({"input_dtypes": {"img": "uint8"}}, "no such input"),
        ({"input_dtypes": {"x": "byte"}}, r"received: 'byte'\s+expected: int8, .*uint8"),
        ({"input_dtypes": {"x": "str"}}, "received: 'str'"),
    ],
)
def test_what_cannot_be(cnn, changes, message):
    with pytest.raises(UsageError, match=message):
        apply(cnn, **changes)


def test_what_other_models_cannot_be(rng):
    ints = build(
        [node("Gather", ["t", "i"], ["y"])],
        [("i", TensorProto.INT64, ["n"])],
        [("y", FLOAT, ["n", 3])],
        {"t": random(rng, 9, 3)},
    )
    with pytest.raises(UsageError, match="fractions would be cut off"):
        apply(ints, input_dtypes={"i": "float32"})
    with pytest.raises(UsageError, match="no floating-point input of rank 4"):
        apply(ints, input_dtypes={"all": "uint8"})
    with pytest.raises(UsageError, match="no input of rank 4"):
        apply(ints, inputs_as_nchw=["all"])
    split = build(
        [node("Split", ["x"], ["a", "b"], "halves", axis=1)],
        [("x", FLOAT, ["n", 4])],
        [("a", FLOAT, ["n", 2]), ("b", FLOAT, ["n", 2])],
    )
    for name in ("the a", "halves"):
        with pytest.raises(UsageError, match=f"'{name}' makes several tensors\\s+.*\\s+expected: one of a, b"):
            apply(split, outputs=[name])
    constant = build(
        [node("Neg", ["c"], ["k"]), node("Add", ["x", "k"], ["y"])],
        [("x", FLOAT, [2])],
        [("y", FLOAT, [2])],
        {"c": random(rng, 2)},
    )
    with pytest.raises(UsageError, match="do not depend on any input"):
        apply(constant, outputs=["k"])
    through = build([node("Neg", ["x"], ["y"])], [("x", FLOAT, [2])], [("y", FLOAT, [2]), ("x", FLOAT, [2])])
    with pytest.raises(UsageError, match="'x' is an output as well"):
        apply(through, input_dtypes={"x": "uint8"})


def test_pairs_of_a_command_line():
    assert parse_pairs("a=b, c:0=d") == {"a": "b", "c:0": "d"}
    assert parse_dtypes("x=uint8,i=int32") == {"x": "uint8", "i": "int32"}
    for text in ("a", "a=", "=b", "a=b=c", "a=b,a=c"):
        with pytest.raises(UsageError, match="OLD=NEW"):
            parse_pairs(text)
