"""Layers that cause an error are found among a hundred, and the list that mends it has none too many."""

from __future__ import annotations

import json
import math

import numpy as np
import onnx
import pytest
from onnx import helper
from verify_models import Graph, hostile, overflowing, turn

from tf2trt.errors import UsageError
from tf2trt.surgery import set_precision
from tf2trt.verify import OnnxReference, open_candidate, relative_error
from tf2trt.verify.bisect import OnnxTrial, bisect, open_trial
from tf2trt.verify.bisect.layers import read_layers
from tf2trt.verify.bisect.marks import made_tensors, marked
from tf2trt.verify.candidate import load_rounded

rng = np.random.default_rng()
LIMIT = 2e-2


def feeds(width=32, batches=2):
    arrays = [{"x": rng.standard_normal((8, width)).astype(np.float32)} for _ in range(batches)]
    return lambda: arrays


def error_of(reference, source, precision, rules, feed):
    """What the user gets who follows the list."""
    target = source.with_name("followed.onnx")
    set_precision(source, target, precision, rules)
    (got,) = load_rounded(onnx.load(str(target)))(feed).values()
    (wanted,) = OnnxReference(reference)(feed).values()
    return relative_error(got, wanted)


def test_the_layer_that_overflows_is_found_among_a_hundred(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=100, loud=57)
    found = bisect(path, OnnxTrial(path, "fp16"), feeds(), rtol=LIMIT)
    # What makes the large activations, and what reads them: either alone still holds them in FP16.
    assert found.verdict == "found"
    assert found.fp32_layers == ("dense_57", "dense_58")
    assert found.layer_precision == (("*/dense_57/*", "fp32"), ("*/dense_58/*", "fp32"))
    assert found.ranking[0].layer in found.fp32_layers
    assert found.ranking[0].added == math.inf
    assert found.smallest
    assert all(not error <= LIMIT for error in found.without)
    assert (found.layers, found.all_fp32) == (100, 0.0)
    assert found.trials < 40  # and not a hundred
    fresh = feeds()()[0]
    assert not error_of(path, path, "fp16", (), fresh) <= LIMIT
    assert error_of(path, path, "fp16", found.layer_precision, fresh) <= LIMIT
    print(f"{found.trials} trials, error {found.error:.1e}: {found.options}")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["fp32_layers"] == ["dense_57", "dense_58"]


def test_the_layer_that_int8_spoils_is_found_among_a_hundred(tmp_path):
    path, quantised = tmp_path / "m.onnx", tmp_path / "q.onnx"
    hostile(path, quantised, layers=100, outlier=43)
    found = bisect(path, OnnxTrial(quantised, "int8"), feeds(), rtol=0.25)
    assert found.fp32_layers == ("dense_44",)  # which reads the channel that is too large
    assert found.layer_precision == (("*/dense_44/*", "fp32"),)
    assert found.ranking[0].layer == "dense_44"
    fresh = feeds()()[0]
    assert error_of(path, quantised, "int8", (), fresh) > 0.5
    assert error_of(path, quantised, "int8", found.layer_precision, fresh) < 0.25
    print(f"{found.trials} trials, error {found.baseline:.2f} and {found.error:.2f} with the list")


def two_branches(path, bad=("left_3", "right_1")):
    """Two branches of dense layers that are added; in ``bad`` layers an offset leaves few bits for the rest."""
    random = np.random.default_rng(3)
    graph, ends = Graph(), []
    for side in ("left", "right"):
        last = "x"
        for index in range(6):
            layer = f"{side}_{index}"
            weights = graph.constant(f"{layer}_w", turn(random, 16))
            last = graph.add("MatMul", [last, weights], f"{layer}_m", layer)
            if layer in bad:
                last = graph.add("Add", [last, graph.constant(f"{layer}_up", 3000.0)], f"{layer}_a", layer)
                last = graph.add("Sub", [last, graph.constant(f"{layer}_down", 3000.0)], f"{layer}_s", layer)
            last = graph.add("Tanh", [last], f"{layer}_t", layer)
        ends.append(last)
    graph.add("Add", ends, "sum", "joined")
    graph.add("Tanh", ["x"], "other", "aside")
    return graph.save(path, {"x": ["n", 16]}, {"sum": ["n", 16], "other": ["n", 16]})


def test_several_layers_in_several_branches(tmp_path):
    path = two_branches(tmp_path / "m.onnx")
    found = bisect(path, OnnxTrial(path, "fp16"), feeds(16), rtol=5e-3)
    assert found.fp32_layers == ("left_3", "right_1")
    assert {entry.layer for entry in found.ranking[:2]} == {"left_3", "right_1"}
    assert found.layer_precision == (("*/left_3/*", "fp32"), ("*/right_1/*", "fp32"))
    assert found.error <= 5e-3 < min(found.without)


def test_within_the_tolerance_there_is_nothing_to_find(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=5, loud=None)
    found = bisect(path, OnnxTrial(path, "fp16"), feeds(), rtol=LIMIT)
    assert (found.verdict, found.layer_precision, found.trials) == ("within tolerance", (), 1)


def test_an_error_that_is_no_matter_of_precision(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=5, loud=None)
    other = onnx.load(str(path))
    for tensor in other.graph.initializer:
        if tensor.name == "w2":
            tensor.CopyFrom(onnx.numpy_helper.from_array(turn(rng, 32).astype(np.float32), "w2"))
    onnx.save(other, str(tmp_path / "other.onnx"))
    found = bisect(path, OnnxTrial(tmp_path / "other.onnx", "fp16"), feeds(), rtol=LIMIT)
    assert found.verdict == "not precision"
    assert found.all_fp32 > 0.1


def test_too_few_trials(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=20, loud=7)
    arrays = feeds()
    whole = bisect(path, OnnxTrial(path, "fp16"), arrays, rtol=LIMIT)
    for trials, verdict in ((4, "out of trials"), (whole.trials - 1, "found")):
        found = bisect(path, OnnxTrial(path, "fp16"), arrays, rtol=LIMIT, trials=trials)
        assert (found.verdict, found.trials) == (verdict, trials)
        assert not found.smallest
        assert bool(found.layer_precision) is (verdict == "found")


def test_many_layers_of_which_each_adds_a_little(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=24, loud=None)
    base = bisect(path, OnnxTrial(path, "bf16"), feeds(), rtol=1e-6, trials=2).baseline
    found = bisect(path, OnnxTrial(path, "bf16"), feeds(), rtol=base / 2, trials=300)
    assert found.verdict == "found"
    assert 1 < len(found.fp32_layers) < 24
    assert found.smallest
    assert all(error > base / 2 for error in found.without)


def test_arguments_that_cannot_work(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=3, loud=None)
    renamed = onnx.load(str(path))
    for node in renamed.graph.node:
        node.input[:] = [name if name == "x" or name[0] in "wb" else f"z{name}" for name in node.input]
        node.output[:] = [f"z{name}" for name in node.output]
    renamed.graph.output[0].name = f"z{renamed.graph.output[0].name}"
    onnx.save(renamed, str(tmp_path / "renamed.onnx"))
    trial = OnnxTrial(path, "fp16")
    for reference, options in ((path, {"rtol": 0.0}), (path, {"rtol": 1.0, "trials": 1})):
        with pytest.raises(UsageError):
            bisect(reference, trial, feeds(), **options)
    with pytest.raises(UsageError, match="no tensor in common"):
        bisect(tmp_path / "renamed.onnx", trial, feeds(), rtol=LIMIT)


def test_layers_and_their_patterns():
    graph = Graph()
    graph.add("MatMul", ["x", graph.constant("w", np.eye(4))], "a", "block/dense")
    graph.add("Relu", ["a"], "b", "block/dense")
    graph.add("MatMul", ["b", "w"], "c", "block/dense_1")
    graph.add("Relu", ["c"], "d", "block/dense_1")
    graph.add("Shape", ["d"], "shape", "look")
    graph.add("Reshape", ["x", "shape"], "e")
    graph.add("Add", ["d", "e"], "y", "[odd]*")
    graph.nodes[-1].name = "odd[1]"
    graph.add("Neg", [graph.constant("k", np.ones(4))], "still", "constant")
    nodes = helper.make_graph(
        graph.nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 4])],
        [helper.make_tensor_value_info("y", 1, ["n", 4]), helper.make_tensor_value_info("still", 1, [4])],
        graph.constants,
    )
    model = helper.make_model(nodes, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    layers = read_layers(model, made_tensors(model))
    assert [layer.name for layer in layers.all] == ["block/dense", "block/dense_1", "e_Reshape", "[odd]*"]
    assert [layer.patterns for layer in layers.all] == [
        ("*/block/dense/*",),
        ("*/block/dense_1/*",),
        ("e_Reshape",),
        ("odd[[]1]",),
    ]
    assert [layer.tensors for layer in layers.all] == [("b",), ("d",), ("e",), ("y",)]
    assert [sorted(layer.before) for layer in layers.all] == [[], [0], [1], [1, 2]]
    assert layers.maker == {"y": 3}
    assert layers.up_to(2) == [0, 1, 2]
    assert layers.rules({0, 3}) == (("*/block/dense/*", "fp32"), ("odd[[]1]", "fp32"))
    assert layers.rules(range(4)) == (("*", "fp32"),)


def test_marked_tensors_change_nothing_else(tmp_path):
    path = overflowing(tmp_path / "m.onnx", layers=5, loud=None)
    model = onnx.load(str(path))
    shown = marked(model, ["t1", "t3", "t1", "t4"])
    onnx.checker.check_model(shown, full_check=True)
    assert [value.name for value in shown.graph.output] == ["t4", "t1", "t3"]
    assert [value.name for value in model.graph.output] == ["t4"]


@pytest.mark.parametrize("precision", ["fp32", "int8+fp16"])
def test_candidates_that_cannot_be_made_anew(tmp_path, precision):
    path, quantised = tmp_path / "m.onnx", tmp_path / "q.onnx"
    hostile(path, quantised, layers=3, outlier=1)
    target = path
    if precision != "fp32":
        target = tmp_path / "typed.onnx"
        set_precision(quantised, target, precision)
    candidate = open_candidate(target)
    assert candidate.precision == precision
    with pytest.raises(UsageError, match="bisect"):
        open_trial(path, target, candidate, tmp_path)
