"""Patterns, and rewrites from files; what is computed is compared in ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.errors import SurgeryError, UsageError
from tf2trt.numerics import relative_error
from tf2trt.surgery.pattern import Pattern
from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.user_rewrites import load_rewrites, rewrite

FLOAT = TensorProto.FLOAT
DOCS = Path(__file__).parents[2] / "docs" / "rewrites.md"
HEADER = "from tf2trt.surgery.pattern import Pattern\nfrom tf2trt.surgery.user_rewrites import rewrite\n"


@pytest.fixture
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


def node(op, inputs, outputs, name=None, **attributes):
    return helper.make_node(op, inputs, outputs, name=name or f"the {outputs[0]}", **attributes)


def build(nodes, outputs, constants=None, shape=("n", 4), dtype=FLOAT, opset=15, inputs=("x",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, dtype, shape) for name in inputs],
        [
            helper.make_tensor_value_info(name, dtype, [f"{name}{axis}" for axis in range(len(shape))])
            for name in outputs
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def ops(model):
    return [item.op_type for item in model.graph.node]


def apply(tmp_path, model, source):
    """The model after the one rewrite in ``source``, and the notes."""
    path = tmp_path / "my.py"
    path.write_text(HEADER + source)
    [(name, rewriting)] = load_rewrites(path)
    copy = type(model).FromString(model.SerializeToString())
    after, report = run_pass(name, rewriting, copy)
    assert report.name == name
    return after, list(report.notes)


def count(tmp_path, model, pattern):
    """How many places a pattern fits to."""
    _, notes = apply(tmp_path, model, f"@rewrite({pattern})\ndef f(match):\n    return None\n")
    return 0 if notes[0] == "no matches" else int(notes[0].split()[0])


SWISH = """
@rewrite(Pattern("Mul", Pattern("Sigmoid", "x"), "x"))
def swish(match):
    return match.make("Mul", match["x"], match.make("HardSigmoid", match["x"], alpha=1 / 6, beta=0.5))
"""


@pytest.fixture
def two_swishes():
    return build(
        [
            node("Sigmoid", ["x"], ["s"]),
            node("Mul", ["x", "s"], ["a"]),
            node("Sigmoid", ["a"], ["t"]),
            node("Mul", ["t", "a"], ["b"]),
            node("Neg", ["b"], ["y"]),
        ],
        ["y"],
    )


def test_a_rewrite_changes_all_places_and_says_so(tmp_path, two_swishes, rng):
    after, notes = apply(tmp_path, two_swishes, SWISH)
    assert ops(after) == ["HardSigmoid", "Mul", "HardSigmoid", "Mul", "Neg"]
    assert notes[0] == "2 matches"
    assert re.fullmatch(r"relative error \d\.\de-0[12]", notes[1])  # another function, on purpose
    assert [item.name for item in after.graph.node] == [
        *("the a/HardSigmoid", "the a/Mul", "the b/HardSigmoid", "the b/Mul", "the y"),
    ]
    assert after.graph.node[1].output == ["a"]  # what is replaced keeps its name
    x = rng.standard_normal((3, 4)).astype(np.float32) * 4

    def hard(value):
        return value * np.clip(value / 6 + 0.5, 0, 1)

    assert relative_error(run(after, x)[0], -hard(hard(x))) < 1e-6


def test_the_same_function_has_no_error_to_speak_of(tmp_path, two_swishes, rng):
    source = SWISH.replace(
        'match.make("HardSigmoid", match["x"], alpha=1 / 6, beta=0.5)', 'match.make("Sigmoid", match["x"])'
    )
    after, notes = apply(tmp_path, two_swishes, source)
    assert notes == ["2 matches", "relative error 0.0e+00"]
    x = rng.standard_normal((3, 4)).astype(np.float32)
    assert np.array_equal(run(after, x)[0], run(two_swishes, x)[0])


def test_none_leaves_a_place_alone(tmp_path, two_swishes):
    source = SWISH.replace("    return", '    if match["x"].name == "x":\n        return None\n    return')
    after, notes = apply(tmp_path, two_swishes, source)
    assert ops(after) == ["Sigmoid", "Mul", "HardSigmoid", "Mul", "Neg"]
    assert notes[:2] == ["2 matches", "1 left alone by the function"]
    source = SWISH.split("    return")[0] + '    match.make("Relu", match["x"])\n'
    after, notes = apply(tmp_path, two_swishes, source)
    assert after.SerializeToString() == two_swishes.SerializeToString()
    assert notes == ["2 matches", "2 left alone by the function"]


def test_no_match_is_said(tmp_path, rng):
    model = build([node("Relu", ["x"], ["y"])], ["y"])
    after, notes = apply(tmp_path, model, SWISH)
    assert notes == ["no matches"]
    assert after.SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize(
    ("extra", "outputs", "why"),
    [
        ([("Neg", ["s"], ["z"])], ["y", "z"], "'s' is read elsewhere too"),
        ([], ["y", "s"], "'s' is an output of the graph"),
    ],
)
def test_inner_results_that_others_need(tmp_path, rng, extra, outputs, why):
    nodes = [node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"]), *(node(*item) for item in extra)]
    model = build(nodes, outputs)
    after, notes = apply(tmp_path, model, SWISH)
    assert notes == ["no matches", f"left alone: Mul 'the y': {why}"]
    assert ops(after) == ops(model)
    shared = SWISH.replace('Pattern("Sigmoid", "x")', 'Pattern("Sigmoid", "x", shared=True)')
    after, notes = apply(tmp_path, model, shared)
    assert notes[0] == "1 match"
    assert ops(after).count("Sigmoid") == 1
    x = rng.standard_normal((3, 4)).astype(np.float32)
    got, wanted = run(after, x), run(model, x)
    assert np.array_equal(got[1], wanted[1])
    assert relative_error(got[0], x * np.clip(x / 6 + 0.5, 0, 1)) < 1e-6


def test_a_result_read_in_a_body_is_read_elsewhere(tmp_path):
    def body(name, op):
        value = helper.make_tensor_value_info(name, FLOAT, None)
        return helper.make_graph([node(op, ["s"], [name])], name, [], [value])

    nodes = [
        node("Sigmoid", ["x"], ["s"]),
        node("Mul", ["x", "s"], ["y"]),
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        node("If", ["c"], ["z"], then_branch=body("p", "Neg"), else_branch=body("q", "Exp")),
    ]
    model = build(nodes, ["y", "z"], {"zero": np.float32(0)})
    _, notes = apply(tmp_path, model, SWISH)
    assert notes == ["no matches", "left alone: Mul 'the y': 's' is read elsewhere too"]


def test_bodies_are_looked_through(tmp_path, rng):
    def body(name, op):
        value = helper.make_tensor_value_info(name, FLOAT, None)
        inner = [node("Sigmoid", ["x"], [f"s{name}"]), node("Mul", ["x", f"s{name}"], [f"m{name}"])]
        return helper.make_graph([*inner, node(op, [f"m{name}"], [name])], name, [], [value])

    nodes = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["c"]),
        node("If", ["c"], ["y"], then_branch=body("p", "Neg"), else_branch=body("q", "Exp")),
    ]
    model = build(nodes, ["y"], {"zero": np.float32(0)})
    after, notes = apply(tmp_path, model, SWISH)
    assert notes[0] == "2 matches"
    x = rng.standard_normal((3, 4)).astype(np.float32)
    for value in (np.abs(x), -np.abs(x)):
        hard = value * np.clip(value / 6 + 0.5, 0, 1)
        wanted = -hard if value.sum() > 0 else np.exp(hard)
        assert relative_error(run(after, value)[0], wanted) < 1e-6


def test_an_existing_tensor_or_a_constant_may_take_the_place(tmp_path, rng):
    nodes = [node("Relu", ["x"], ["r"]), node("Relu", ["r"], ["q"]), node("Neg", ["q"], ["y"])]
    twice = '@rewrite(Pattern("Relu", Pattern("Relu", "x", name="first", shared=True)))\ndef once(match):\n'
    x = rng.standard_normal((3, 4)).astype(np.float32)
    for outputs, left in ((["y"], ["Relu", "Neg"]), (["y", "q"], ["Relu", "Identity", "Neg"])):
        model = build(nodes, outputs)
        after, notes = apply(tmp_path, model, twice + '    return match["first"].outputs[0]\n')
        assert sorted(ops(after)) == sorted(left)
        assert notes == ["1 match", "relative error 0.0e+00"]
        assert all(np.array_equal(got, wanted) for got, wanted in zip(run(after, x), run(model, x)))
    source = "import numpy as np\n@rewrite(Pattern('Neg', 'x'))\ndef add(match):\n"
    source += "    return match.make('Add', match['x'], np.arange(4, dtype=np.float32) * 2)\n"
    after, _ = apply(tmp_path, build(nodes, ["y"]), source)
    assert relative_error(run(after, x)[0], np.maximum(x, 0) + np.arange(4) * 2) < 1e-6


def test_numbers_given_to_make_have_the_type_of_the_tensor(tmp_path, rng):
    model = build([node("Neg", ["x"], ["y"])], ["y"], dtype=TensorProto.FLOAT16)
    after, _ = apply(
        tmp_path, model, "@rewrite(Pattern('Neg', 'x'))\ndef f(m):\n    return m.make('Mul', m['x'], -1)\n"
    )
    x = rng.standard_normal((3, 4)).astype(np.float16)
    assert np.array_equal(run(after, x)[0], -x)


CHAIN = [
    node("Constant", [], ["sixth"], value_float=1 / 6),
    node("Mul", ["x", "sixth"], ["m"]),
    node("Add", ["half", "m"], ["a"]),
    node("Clip", ["a", "", "one"], ["c"]),
    node("LeakyRelu", ["c"], ["l"]),
    node("LeakyRelu", ["l"], ["k"], alpha=0.2),
    node("Transpose", ["k"], ["t"], perm=[1, 0]),
    node("Max", ["t", "t", "u"], ["w"]),
    node("Transpose", ["k"], ["u"], perm=[1, 0]),
]
CHAIN[-1], CHAIN[-2] = CHAIN[-2], CHAIN[-1]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('Pattern("Mul", "a", "b")', 1),
        ('Pattern("Mul", "a", "a")', 0),
        ('Pattern("Mul", "a")', 0),
        ('Pattern("Mul")', 1),
        ('Pattern("Mul", "a", 1 / 6)', 1),
        ('Pattern("Mul", 1 / 6, "a")', 1),
        ('Pattern("Mul", "a", 0.17)', 0),
        ('Pattern("Add", Pattern("Mul", "x", 1 / 6), 0.5)', 1),
        ('Pattern("Add", 0.5, Pattern("Mul", "x", 1 / 6))', 1),
        ('Pattern("Add", 0.5, Pattern("Mul", "x", 0.5))', 0),
        ('Pattern("Clip", "a", None, 1)', 1),
        ('Pattern("Clip", "a", "b", 1)', 0),
        ('Pattern("Clip", "a", None, 2)', 0),
        ('Pattern("Clip", "a", None, "b", None)', 1),
        ('Pattern("Clip", "a")', 0),
        ('Pattern("LeakyRelu", "a")', 2),
        ('Pattern("LeakyRelu", "a", alpha=0.2)', 1),
        ('Pattern("LeakyRelu", "a", alpha=0.01)', 1),  # ONNX's default, which the node leaves out
        ('Pattern("LeakyRelu", "a", beta=1.0)', 0),
        ('Pattern("LeakyRelu", Pattern("LeakyRelu", "a"))', 1),
        ('Pattern("LeakyRelu", "a", domain="my.plugins")', 0),
        ('Pattern("Transpose", "a", perm=[1, 0])', 2),
        ('Pattern("Transpose", "a", perm=[0, 1])', 0),
        ('Pattern("Transpose", "a", perm=[1, 0, 2])', 0),
        ('Pattern("Max", "a", "b", "a")', 1),
        ('Pattern("Max", "a", "b", "c")', 1),
        ('Pattern("Max", "a", "a", "a")', 0),
        ('Pattern("Max", "b", "b", Pattern("Transpose", "a"))', 1),  # not with t: it is read twice
    ],
)
def test_patterns(tmp_path, pattern, matches):
    model = build(CHAIN, ["w"], {"half": np.float32(0.5), "one": np.float32(1)})
    assert count(tmp_path, model, pattern) == matches


def test_a_number_matches_no_constant_that_raises_the_rank(tmp_path):
    for shape, matches in (((), 1), ((1,), 1), ((1, 1), 1), ((1, 1, 1), 0), ((2,), 0)):
        model = build([node("Mul", ["x", "c"], ["y"])], ["y"], {"c": np.full(shape, 2, np.float32)}, shape=("n", 2))
        assert count(tmp_path, model, 'Pattern("Mul", "x", 2)') == matches


def test_overlapping_places_are_replaced_once(tmp_path, rng):
    nodes = [node("Neg", ["x" if i == 0 else f"t{i}"], [f"t{i + 1}"]) for i in range(5)]
    model = build(nodes, ["t5"])
    source = '@rewrite(Pattern("Neg", Pattern("Neg", "x")))\ndef none(match):\n    return match["x"]\n'
    after, notes = apply(tmp_path, model, source)
    assert notes[0] == "2 matches"
    x = rng.standard_normal((3, 4)).astype(np.float32)
    assert np.array_equal(run(after, x)[0], -x)
    assert ops(after).count("Neg") == 1


def test_operators_that_onnx_runtime_lacks_are_not_compared(tmp_path, two_swishes):
    source = (
        SWISH.split("    return")[0] + '    return match.make("Swish", match["x"], domain="my.plugins", beta=1.0)\n'
    )
    after, notes = apply(tmp_path, two_swishes, source)
    assert ops(after) == ["Swish", "Swish", "Neg"]
    assert {(item.domain, item.version) for item in after.opset_import} == {("", 15), ("my.plugins", 1)}
    assert notes[1] == "not compared with what was there: ONNX Runtime has no operator Swish of domain 'my.plugins'"
    again, notes = apply(
        tmp_path,
        after,
        '@rewrite(Pattern("Swish", "x", domain="my.plugins", beta=1))\n'
        "def back(match):\n    return match.make('Relu', match['x'])\n",
    )
    assert ops(again) == ["Relu", "Relu", "Neg"]
    assert "not compared" in notes[1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return 1 / 0",
            r"'my.py:f' failed at Mul 'the a'\s+received: ZeroDivisionError: division by zero \(my.py, line 5\)",
        ),
        ("return match['y']", r"KeyError: .*'y': the pattern has x"),
        ("return 3", "it returned int, not a tensor or None"),
        ("return match.make('Relu', match.node.outputs[0])", "the replacement needs 'a', which it replaces"),
        ("return match.make('NoSuch', match['x'])", "'my.py:f' makes is not a valid model"),
        ("return match.make('Conv', match['x'], match['x'])", "'my.py:f' makes is not a valid model"),
    ],
)
def test_a_function_that_fails(tmp_path, two_swishes, body, message):
    source = '@rewrite(Pattern("Mul", Pattern("Sigmoid", "x"), "x"))\ndef f(match):\n    ' + body + "\n"
    with pytest.raises(SurgeryError, match=message):
        apply(tmp_path, two_swishes, source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file at .*my.py"),
        ("def f(:\n    pass\n", r"my.py, line 1 cannot be imported\s+received: invalid syntax: def f\(:"),
        ("x = 1\n\nimport no_such_module\n", r"my.py, line 3 cannot be imported\s+received: ModuleNotFoundError"),
        ("def f(match):\n    return None\n", "my.py has none"),
        (HEADER + "@rewrite('Relu')\ndef f(match):\n    pass\n", r"line 3 cannot[\s\S]*a pattern"),
        (HEADER + "@rewrite(Pattern('Relu', []))\ndef f(match):\n    pass\n", "then patterns, names, numbers or None"),
        (HEADER + "@rewrite(Pattern('Relu', 'x', name='x'))\ndef f(match):\n    pass\n", "a node's name is used twice"),
        (HEADER + "rewrite(Pattern('Relu'))(3)\n", "a function, which takes a match"),
        (HEADER + 2 * "@rewrite(Pattern('Relu'))\ndef f(match):\n    pass\n", r"two of one name\s+received: f"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, content, message):
    if content is not None:
        (tmp_path / "my.py").write_text(content)
    with pytest.raises(UsageError, match=message):
        load_rewrites(tmp_path / "my.py")


def test_a_file_is_imported_under_a_name_of_its_own_and_leaves_nothing(tmp_path):
    (tmp_path / "json.py").write_text(HEADER + "NAME = __name__\n" + SWISH)
    [(name, _)] = load_rewrites(tmp_path / "json.py")
    assert name == "json.py:swish"
    import json

    assert json.loads("1") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["json.py"]


def test_the_decorator_gives_the_function_back():
    def f(match):
        return None

    assert rewrite(Pattern("Relu", "x"))(f) is f
    del f.__globals__["__tf2trt_rewrites__"]
    assert repr(Pattern("Clip", "x", None, Pattern("Abs", 1.5), name="n", alpha=2)) == (
        "Pattern('Clip', 'x', None, Pattern('Abs', 1.5), name='n', alpha=2)"
    )


def test_the_example_of_the_documentation(tmp_path, rng):
    [source] = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my.py").write_text(source)
    rewrites = load_rewrites(tmp_path / "my.py")
    assert [name for name, _ in rewrites] == ["my.py:gelu", "my.py:swish"]
    constants = {"three": 3.0, "small": 0.044715, "root": 0.7978846, "one": 1.0, "half": 0.5}
    nodes = [
        node("Pow", ["x", "three"], ["cube"]),
        node("Mul", ["small", "cube"], ["third"]),
        node("Add", ["third", "x"], ["both"]),
        node("Mul", ["both", "root"], ["argument"]),
        node("Tanh", ["argument"], ["tanh"]),
        node("Add", ["tanh", "one"], ["factor"]),
        node("Mul", ["half", "x"], ["halved"]),
        node("Mul", ["halved", "factor"], ["gelu"]),
        node("Sigmoid", ["gelu"], ["s"]),
        node("Mul", ["gelu", "s"], ["y"]),
    ]
    arrays = {name: np.float32(value) for name, value in constants.items()}
    for shape, left in (
        (("n", 4), ["FastGelu", "Sigmoid", "Mul"]),
        (("n", 2, 2, 3), ["FastGelu", "HardSigmoid", "Mul"]),
    ):
        model = build(nodes, ["y"], arrays, shape=shape)
        x = rng.standard_normal((3, *shape[1:])).astype(np.float32)
        wanted = run(model, x)[0]
        reports = []
        for name, rewriting in rewrites:
            model, report = run_pass(name, rewriting, model)
            reports.append(list(report.notes))
        assert ops(model) == left
        assert reports[0][0] == "1 match"
        assert float(reports[0][1].split()[-1]) < 1e-5
        error = relative_error(run(model, x)[0], wanted)
        assert error < (1e-5 if len(shape) == 2 else 0.2)
        assert reports[1][:2] == (["1 match", "1 left alone by the function"] if len(shape) == 2 else reports[1][:2])
