"""Which nodes go into segments, why others do not, and the pieces that are cut out: by the real tf2onnx and parser."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt import _native, libraries
from tf2trt.errors import ExportError, UsageError
from tf2trt.hybrid.cut import cut
from tf2trt.hybrid.engines import build_segment
from tf2trt.hybrid.frozen import freeze_saved_model
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.probes import ProbedModel
from tf2trt.hybrid.refusals import converted_operators, refusals
from tf2trt.hybrid.shapes import bind_batch, watch
from tf2trt.specs import ShapeRange, TensorSpec

sys.path.append(str(Path(__file__).parent.parent / "support"))
from hybrid_models import MODELS, save, tf

rng = np.random.default_rng()


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture
def frozen(tmp_path):
    """frozen(function, signature): the function, saved and frozen."""

    def freeze(function, *signature):
        module = tf.Module()
        module.call = tf.function(function, input_signature=signature)
        tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
        return freeze_saved_model(tmp_path / "model")

    return freeze


def reasons_by_operator(body, native):
    return {body.node_defs[name].op: reason for name, reason in native.items()}


def test_each_refusal_has_its_reason(frozen):
    def function(x, shapeless):
        text = tf.strings.as_string(x)
        noise = tf.random.uniform([3, 3])
        wide = tf.cast(tf.exp(tf.cast(x, tf.float64)), tf.float32)
        return {"text": tf.strings.length(text), "y": tf.linalg.inv(x) * noise + wide, "z": tf.nn.relu(shapeless)}

    model = frozen(function, tf.TensorSpec([3, 3]), tf.TensorSpec([None, 3]))
    native = reasons_by_operator(model.body, refusals(model.body))
    assert native["Placeholder"] == "an input of the graph"
    assert native["AsString"] == "TensorRT has no string"
    assert native["RandomUniform"] == "RandomUniform has a state or an effect outside the graph"
    assert native["Exp"] == "TensorRT has no float64"
    assert native["MatrixInverse"] == "tf2onnx does not convert MatrixInverse"
    assert "Relu" not in native
    assert "Const" not in native


def test_operators_come_from_the_tables_of_tf2onnx():
    assert {"Conv2D", "Erfc", "MatMul"} <= converted_operators()
    assert not {"MatrixInverse", "Tf2TrtEngine"} & converted_operators()
    assert converted_operators(13) <= converted_operators(18)


def test_counters_stay_on_the_host_but_shapes_do_not(frozen):
    def function(x, count):
        rows = tf.shape(x)[0]
        return {"y": tf.reshape(tf.nn.relu(x), [rows, 2, 2]), "n": (count + 1) * 2}

    model = frozen(function, tf.TensorSpec([None, 4]), tf.TensorSpec([], tf.int32))
    native = reasons_by_operator(model.body, refusals(model.body))
    assert "host's memory" in native["AddV2"]
    assert "host's memory" in native["Mul"]
    assert not {"Shape", "StridedSlice", "Pack", "Reshape", "Relu"} & set(native)


def test_the_parser_is_asked_and_its_words_are_the_reason(frozen, tmp_path, library):
    def function(x):
        y = tf.tanh(tf.nn.relu(x) + 1.0)
        y = y * tf.linalg.det(tf.matmul(y, y, transpose_b=True))[:, None, None]
        return {"y": tf.sigmoid(tf.exp(y * 0.1) - 1.0)}

    model = frozen(function, tf.TensorSpec([None, 3, 3]))
    result = cut(model.body, tmp_path, 3, library=library)
    native = reasons_by_operator(model.body, result.native)
    assert "does not take Det" in native["MatrixDeterminant"]
    assert len(result.cuts) == 2
    inside = {model.body.node_defs[name].op for each in result.cuts for name in each.accepted.piece.nodes}
    assert {"Relu", "Tanh", "BatchMatMulV2", "Sigmoid", "Exp"} <= inside


def test_a_node_that_nobody_names_is_found_by_halving(frozen, tmp_path, library, monkeypatch):
    from tf2trt.errors import SurgeryError
    from tf2trt.hybrid import verdict

    prepare, asked = verdict.prepare, []

    def failing(model, *arguments, **named):
        graph = tf.compat.v1.GraphDef.FromString(Path(model).read_bytes())
        asked.append(len(graph.node))
        if any(node.op == "Erf" for node in graph.node):
            raise SurgeryError("something in it cannot be rewritten")
        return prepare(model, *arguments, **named)

    monkeypatch.setattr(verdict, "prepare", failing)

    def function(x):
        for _ in range(4):
            x = tf.tanh(tf.nn.relu(x) * 2.0)
        x = tf.math.erf(x)
        for _ in range(3):
            x = tf.exp(-tf.nn.relu(x))
        return {"y": x}

    model = frozen(function, tf.TensorSpec([None, 4]))
    result = cut(model.body, tmp_path, 3, library=library)
    native = reasons_by_operator(model.body, result.native)
    assert native["Erf"] == "something in it cannot be rewritten"
    assert sorted(len(each.accepted.piece.nodes) for each in result.cuts) == [10, 12]
    assert len(asked) < 12


def test_a_loops_weights_are_constants_in_its_segment(tmp_path, library):
    model = MODELS["lstm_in_a_loop"](int(rng.integers(1 << 30)))
    save(model, tmp_path / "model")
    result = cut(freeze_saved_model(tmp_path / "model").body, tmp_path, 3, library=library)
    (_, loop), *others = result.callees
    assert not others
    (segment,) = loop.cuts
    ranks = [loop.body.tensor(name).shape.as_list() for name in segment.accepted.piece.reads]
    assert [None, 6] in ranks
    assert [4, 24] not in ranks
    assert [6, 24] not in ranks
    assert "While" in {result.body.node_defs[name].op for name in result.native}


def test_what_segments_read_is_seen_and_compared(tmp_path, library):
    import onnx

    model = MODELS["text_in_the_middle"](int(rng.integers(1 << 30)))
    save(model, tmp_path / "model")
    frozen = freeze_saved_model(tmp_path / "model")
    result = cut(frozen.body, tmp_path, 3, library=library)
    seen = watch(frozen, result, model.batches)
    first = next(each for each in result.cuts if seen[each.name].shapes == [((1, 6),), ((3, 6),)])
    assert first.accepted.piece.reads == ("x:0",)
    ranges = seen[first.name].ranges(first.accepted.inputs)
    assert list(ranges.values()) == [ShapeRange((1, 6), (3, 6), (3, 6))]
    fixed = [{name: ShapeRange((n, 6), (n, 6), (n, 6)) for name in ranges} for n in (1, 3)]
    assert seen[first.name].profiles(first.accepted.inputs, "Range") == [ranges]
    assert seen[first.name].profiles(first.accepted.inputs, "Optimal") == fixed
    assert seen[first.name].profiles(first.accepted.inputs, "Range+Optimal") == [*fixed, ranges]
    np.testing.assert_array_equal(seen[first.name].calls[1][0][0], model.batches[1]["x"])

    options = HybridOptions(use_dynamic_shape=True, dynamic_shape_profile_strategy="Range+Optimal")
    built = build_segment(first, frozen.body, seen[first.name], tmp_path, options, library)
    assert len(json.loads(built.files[1].read_text())["profiles"]) == 3
    assert built.report.built
    assert [file.stat().st_size > 0 for file in built.files] == [True, True, True]
    # Nothing is built as it runs where that is forbidden, and so nothing is kept to build from.
    options = HybridOptions(allow_build_at_runtime=False)
    built = build_segment(first, frozen.body, seen[first.name], tmp_path, options, library)
    assert (len(built.files), built.source) == (2, None)
    unseen = build_segment(first, frozen.body, None, tmp_path, options, library)
    assert (unseen.files, unseen.source) == ((), None)

    # A file that computes something else does not become an engine.
    wrong = onnx.load(str(first.accepted.onnx))
    weight = next(each for each in wrong.graph.initializer if list(each.dims) == [6, 6])
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.01, weight.name))
    onnx.save(wrong, str(first.accepted.onnx))
    failed = build_segment(first, frozen.body, seen[first.name], tmp_path, HybridOptions(), library)
    assert "something else than TensorFlow" in failed.report.reason
    assert not failed.files


def test_what_is_kept_for_run_time_can_be_built_for_any_shape(frozen, tmp_path, library):
    """As the op's side does it: the file, the precision and one shape are all that it has."""
    weights = tf.constant(rng.normal(size=(4, 4)), tf.float32)
    model = frozen(lambda x: {"y": tf.tanh(tf.nn.relu(x @ weights) + 1.0)}, tf.TensorSpec([None, 4]))
    (segment,) = cut(model.body, tmp_path, 3, library=library).cuts
    built = build_segment(segment, model.body, None, tmp_path, HybridOptions("FP16"), library)
    assert "its engines are built as they are needed" in built.reason
    assert built.files == (built.source.onnx,)
    assert built.source.precision == "fp16"
    options = _native.BuilderOptions()
    options.precision = "fp16"
    options.profiles = [{segment.accepted.inputs[0]: ((5, 4),) * 3}]
    result = _native.build(library, str(built.source.onnx), options)
    assert "float16" in result.layer_types  # TensorRT-RTX takes types from the file
    assert ([each.name for each in result.inputs], [each.name for each in result.outputs]) == (
        list(segment.accepted.inputs),
        list(segment.accepted.outputs),
    )
    assert [each.dtype for each in (*result.inputs, *result.outputs)] == ["float32", "float32"]


def test_a_segment_that_only_works_out_shapes_stays_native(frozen, tmp_path, library):
    def function(x):
        rows = tf.shape(x)[0]
        return {"shape": tf.stack([rows * 2, 2, rows + 1]), "y": tf.strings.as_string(x)}

    result = cut(frozen(function, tf.TensorSpec([None, 4])).body, tmp_path, 1, library=library)
    native = reasons_by_operator(result.body, result.native)
    assert native["Pack"] == native["Shape"] == native["StridedSlice"] == "its segment only works out shapes"
    assert not result.cuts


def test_tensorrt_8_gets_no_int64_at_a_segments_border(frozen, tmp_path, monkeypatch):
    from tf2trt.hybrid import verdict

    def accept(body, nodes, onnx, library, plugins):
        piece = verdict.extract(body, nodes)
        return verdict.Accepted(piece, onnx, piece.inputs, piece.gives)

    table = tf.constant(rng.normal(size=(9, 4)), tf.float32)

    def function(ids):
        y = tf.nn.relu(tf.gather(table, tf.abs(ids)) * 2.0)
        y = tf.reshape(y, tf.stack([tf.shape(y, tf.int64)[0], 4]))  # int64 within the segment does no harm
        return {"y": tf.tanh(y), "best": tf.argmax(y, -1)}

    monkeypatch.setattr(verdict, "_try", accept)
    eight = SimpleNamespace(generation=8, version_text="8.6.0")
    result = cut(frozen(function, tf.TensorSpec([None], tf.int64)).body, tmp_path, 3, library=eight)
    native = reasons_by_operator(result.body, result.native)
    for operator in ("Abs", "GatherV2", "ArgMax"):
        assert native[operator] == "TensorRT 8.6.0 has no int64 at a segment's border"
    (segment,) = result.cuts
    assert {"Mul", "Relu", "Shape", "Reshape", "Tanh"} <= {
        result.body.node_defs[name].op for name in segment.accepted.piece.nodes
    }


def test_batches_are_bound_by_name_or_place():
    specs = (TensorSpec("a", "float32", (-1,)), TensorSpec("b", "float32", (-1,)))
    assert bind_batch(specs, {"b": 2, "a": 1}) == [1, 2]
    assert bind_batch(specs, (1, 2)) == [1, 2]
    assert bind_batch(specs[:1], 1) == [1]
    with pytest.raises(UsageError, match="expected: a, b"):
        bind_batch(specs, {"a": 1})
    with pytest.raises(UsageError, match="1 arrays"):
        bind_batch(specs, 1)


def test_no_batch_and_no_model(tmp_path, library):
    model = MODELS["embedding"](1)
    save(model, tmp_path / "model")
    frozen = freeze_saved_model(tmp_path / "model")
    result = cut(frozen.body, tmp_path, 3, library=library)
    with pytest.raises(UsageError, match="no batch"):
        watch(frozen, result, [])
    with pytest.raises(ExportError, match="cannot run the model on a batch"):
        watch(frozen, result, [np.zeros((1, 2, 3, 4), np.int32)])
    with pytest.raises(ExportError, match="no SavedModel"):
        freeze_saved_model(tmp_path / "nothing")


def test_what_segments_see_is_fp32_also_where_tensorflow_has_tf32(frozen, tmp_path, library):
    model = frozen(lambda x: {"y": tf.tanh(tf.nn.relu(x) + 1.0)}, tf.TensorSpec([None, 4]))
    switches, seen = tf.config.experimental, []

    def look(segment, arrays):
        seen.append(switches.tensor_float_32_execution_enabled())

    probed = ProbedModel(model, cut(model.body, tmp_path, 2, library=library), look)
    assert switches.tensor_float_32_execution_enabled()
    probed.run([np.ones((2, 4), np.float32)], "input_fn")
    assert seen == [False]
    assert switches.tensor_float_32_execution_enabled()


def test_loops_and_branches_run_as_in_a_model_that_was_not_frozen(frozen):
    def function(x):
        def body(step, y):
            return step + 1, tf.cond(step > 1, lambda: tf.nn.relu(y), lambda: tf.tanh(y))

        return {"y": tf.while_loop(lambda step, y: step < 3, body, [0, x])[1]}

    graph_def = frozen(function, tf.TensorSpec([2, 4])).body.graph_def
    nodes = [*graph_def.node, *(node for each in graph_def.library.function for node in each.node_def)]
    flow = [node for node in nodes if node.op in ("While", "StatelessWhile", "If", "StatelessIf")]
    assert len(flow) == 2
    assert all(node.attr["_lower_using_switch_merge"].b for node in flow)
