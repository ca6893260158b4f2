"""Whole conversions by backend tf2trt, on models that TensorRT takes in part. The engines cannot run here; the op's CPU
kernel runs the segments' functions, so that all around the engines is what is tested. What the engines compute is
compared before they are built, by ONNX Runtime.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.report import CoverageError, HybridReport
from tf2trt.hybrid.stats import SegmentStats
from tf2trt.numerics import relative_error
from tf2trt.sidecar import Sidecar

sys.path.append(str(Path(__file__).parent.parent / "support"))
from hybrid_models import MODELS, save, tf

SEED = int(np.random.default_rng().integers(1 << 30))

# The least number of segments and of nodes in them, and operators that stay native.
WANTED = {
    "convolutions": (1, 7, set()),
    "depthwise": (1, 5, set()),
    "text_in_the_middle": (2, 5, {"AsString", "StringToNumber"}),
    "table": (1, 6, {"LookupTableFindV2"}),
    "lstm_in_a_loop": (2, 12, {"While"}),
    "branches": (2, 6, {"If"}),
    "attention": (1, 12, set()),
    "embedding": (1, 6, set()),
    "detector": (1, 12, {"CombinedNonMaxSuppression"}),
    "keras_rnn": (2, 15, {"While"}),
    "with_python": (2, 6, {"PyFunc"}),
    "side_effects": (2, 6, {"While"}),
}

COUNTS = ("engine_calls", "native_calls", "builds")


@pytest.fixture(scope="module")
def convert():
    from tf2trt.hybrid.saved_model import convert_saved_model

    return convert_saved_model


@pytest.fixture(scope="module")
def stats():
    from tf2trt.hybrid.stats import stats

    return stats


def outputs_of(folder, batch):
    loaded = tf.saved_model.load(str(folder))
    given = {name: tf.constant(array) for name, array in batch.items()}
    return loaded, {name: tensor.numpy() for name, tensor in loaded.signatures["serving_default"](**given).items()}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_all_kinds(name, tmp_path, convert, stats):
    print("seed", SEED)
    model = MODELS[name](SEED)
    save(model, tmp_path / "model")
    _, wanted = outputs_of(tmp_path / "model", model.batches[1])
    report = convert(tmp_path / "model", tmp_path / "out", HybridOptions(input_fn=lambda: model.batches))

    built = [segment for segment in report.segments if segment.built]
    segments, nodes, native = WANTED[name]
    assert len(built) >= segments, [segment.why_not for segment in report.segments]
    assert sum(len(segment.nodes) for segment in built) >= nodes
    assert native <= {node.op for node in report.native}
    assert all(node.reason for node in report.native)

    # The result needs neither the model that it was made from nor the place where it was written.
    shutil.rmtree(tmp_path / "model")
    moved = tmp_path / "elsewhere"
    (tmp_path / "out").rename(moved)
    for engine in (engine for segment in built for engine in segment.engines):
        assert (moved / "assets" / engine.file).stat().st_size > 0
    loaded, found = outputs_of(moved, model.batches[1])
    assert sorted(found) == sorted(wanted)
    for key, array in wanted.items():
        assert found[key].dtype == array.dtype
        assert relative_error(found[key].astype(np.float64), array.astype(np.float64)) < 1e-5
    counts = stats(loaded)
    assert set(counts) >= {segment.name for segment in built}
    assert any(each.native_calls for each in counts.values())
    told = {name: SegmentStats(*(int(each[key]) for key in COUNTS)) for name, each in loaded.tf2trt_stats().items()}
    assert told == counts


def test_static_shapes_need_no_batches_and_dynamic_ones_do(tmp_path, convert):
    module = tf.Module()
    module.call = tf.function(
        lambda x, y: {"x": tf.tanh(tf.nn.relu(x) + 1.0), "y": tf.tanh(tf.nn.relu(y) * 2.0)},
        input_signature=[tf.TensorSpec([2, 3], name="x"), tf.TensorSpec([None, 3], name="y")],
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    report = convert(
        tmp_path / "model", tmp_path / "out", HybridOptions(minimum_segment_size=2, allow_build_at_runtime=False)
    )
    built, left = sorted(report.segments, key=lambda segment: not segment.built)
    assert built.built
    assert "there is no input_fn" in left.why_not
    _, found = outputs_of(tmp_path / "out", {"x": np.ones((2, 3), np.float32), "y": np.ones((5, 3), np.float32)})
    np.testing.assert_allclose(found["y"], np.tanh(2.0) * np.ones((5, 3)), rtol=1e-6)
    _, operators = graph_of(tmp_path / "out")
    assert operators.count("Tf2TrtEngine") == 1
    assert operators.count("Relu") == 2  # one of them in the engine's native function


def test_what_may_be_built_at_run_time_goes_along(tmp_path, convert, stats):
    module = tf.Module()
    module.call = tf.function(
        lambda x: {"x": tf.tanh(tf.nn.relu(x) + 1.0)}, input_signature=[tf.TensorSpec([None, 3], name="x")]
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    options = HybridOptions(max_workspace_size_bytes=1 << 20, maximum_cached_engines=4)
    report = convert(tmp_path / "model", tmp_path / "one", options)
    assert "its engines are built as they are needed" in report.segments[0].reason
    assert report.coverage.converted == 0
    batches = HybridOptions("FP16", input_fn=lambda: [np.ones((2, 3), np.float32)])
    convert(tmp_path / "model", tmp_path / "two", batches)
    nodes = {}
    for name in ("one", "two"):
        graph_def = tf.saved_model.load(str(tmp_path / name)).signatures["serving_default"].graph.as_graph_def()
        everything = [*graph_def.node, *(node for each in graph_def.library.function for node in each.node_def)]
        (node,) = (node for node in everything if node.op == "Tf2TrtEngine")
        assert (tmp_path / name / "assets" / node.attr["onnx_file"].s.decode()).stat().st_size > 0
        nodes[name] = {key: node.attr[key] for key in ("precision", "workspace", "maximum_cached_engines")}
        nodes[name]["engine"] = node.attr["engine_file"].s.decode()
        assert node.attr["tensorrt_generation"].i >= 8
    assert (nodes["one"]["engine"], nodes["one"]["precision"].s) == ("", b"fp32")
    assert (nodes["one"]["workspace"].i, nodes["one"]["maximum_cached_engines"].i) == (1 << 20, 4)
    assert (tmp_path / "two" / "assets" / nodes["two"]["engine"]).is_file()
    assert nodes["two"]["precision"].s == b"fp16"

    # The counts of two models, made of the same one, are their own.
    one, found = outputs_of(tmp_path / "one", {"x": np.ones((2, 3), np.float32)})
    two, _ = outputs_of(tmp_path / "two", {"x": np.ones((2, 3), np.float32)})
    outputs_of(tmp_path / "two", {"x": np.ones((5, 3), np.float32)})
    np.testing.assert_allclose(found["x"], np.tanh(2.0) * np.ones((2, 3)), rtol=1e-6)
    assert [each.native_calls for model in (one, two) for each in stats(model).values()] == [1, 2]


def graph_of(folder):
    loaded = tf.saved_model.load(str(folder))
    graph_def = loaded.signatures["serving_default"].graph.as_graph_def()
    nodes = [*graph_def.node, *(node for each in graph_def.library.function for node in each.node_def)]
    return loaded, [node.op for node in nodes]


def test_strict_is_kept_before_and_while_it_runs(tmp_path, convert):
    model = MODELS["text_in_the_middle"](SEED)
    save(model, tmp_path / "model")

    def options(strict):
        return HybridOptions(input_fn=lambda: model.batches, strict=strict)

    with pytest.raises(CoverageError, match="TensorRT has no string"):
        convert(tmp_path / "model", tmp_path / "out", options(0.95))
    assert not (tmp_path / "out").exists()
    convert(tmp_path / "model", tmp_path / "out", options(0.5))
    with pytest.raises(tf.errors.FailedPreconditionError, match="cannot run as an engine"):
        outputs_of(tmp_path / "out", model.batches[0])


def test_the_report_lies_beside_the_engines(tmp_path, convert):
    model = MODELS["embedding"](SEED)
    save(model, tmp_path / "model")
    report = convert(tmp_path / "model", tmp_path / "out", HybridOptions("FP16", input_fn=lambda: model.batches))
    written = HybridReport.from_json(json.loads((tmp_path / "out" / "assets" / "tf2trt_hybrid.json").read_text()))
    assert written.to_json() == report.to_json()
    (engine,) = report.segments[0].engines
    sidecar = Sidecar.read(tmp_path / "out" / "assets" / engine.file)
    assert sidecar.precision_asked == "fp16"


def test_one_signature_of_several(tmp_path, convert):
    module = tf.Module()
    signature = [tf.TensorSpec([None, 3], name="x")]
    module.one = tf.function(lambda x: {"y": tf.tanh(tf.nn.relu(x) + 1.0)}, input_signature=signature)
    module.two = tf.function(lambda x: {"z": tf.exp(-tf.nn.relu(x))}, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"one": module.one, "two": module.two})
    options = HybridOptions(input_fn=lambda: [np.ones((2, 3), np.float32)], signature="two")
    report = convert(tmp_path / "model", tmp_path / "out", options)
    assert report.segments[0].built
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    assert list(loaded.signatures) == ["two"]
    assert list(loaded.signatures["two"](x=tf.ones([2, 3]))) == ["z"]
