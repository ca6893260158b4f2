"""The op Tf2TrtEngine runs engines on TensorFlow's own stream and memory."""

import importlib.util
import os
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tf2trt.build import BuildOptions, build_engine
from tf2trt.export.quiet import import_tensorflow
from tf2trt.hybrid.op import load_op
from tf2trt.hybrid.stats import SegmentStats, stats
from tf2trt.numerics import relative_error
from tf2trt.specs import ShapeRange

if importlib.util.find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)
tf = import_tensorflow()
tf.config.experimental.enable_tensor_float_32_execution(False)


@pytest.fixture(scope="module")
def weights():
    seed = int(np.random.SeedSequence().entropy % 2**32)
    print("seed", seed)
    return np.random.default_rng(seed).normal(size=(64, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def engine_file(weights, tmp_path_factory):
    """y = relu(x w) for batches of 1 to 8, in FP32."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["product"]), helper.make_node("Relu", ["product"], ["y"])],
        "segment",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 32])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    folder = tmp_path_factory.mktemp("engine")
    onnx.save(model, str(folder / "segment.onnx"))
    shapes = ShapeRange((1, 64), (4, 64), (8, 64))
    build_engine(folder / "segment.onnx", folder / "segment.engine", BuildOptions(profiles=({"x": shapes},)))
    return folder / "segment.engine"


def make_model(weights, engine, segment, before=tf.abs, **attributes):
    """A module whose function is the segment between an Abs and a Neg that stay TensorFlow's."""
    op = load_op()
    signature = [tf.TensorSpec([None, 64], tf.float32, name="x")]

    @tf.function(input_signature=signature)
    def native(x):
        return (tf.nn.relu(tf.matmul(x, weights)),)

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.asset = tf.saved_model.Asset(str(engine)) if Path(engine).exists() else None

        @tf.function(input_signature=signature)
        def run(self, x):
            concrete = native.get_concrete_function()
            concrete.add_to_graph()
            settings = {"allow_native": True, "input_names": ["x"], "output_names": ["y"], **attributes}
            (y,) = op.tf2_trt_engine(
                asset=str(engine) if self.asset is None else self.asset.asset_path,
                inputs=[before(x)],
                OutT=[tf.float32],
                native=concrete,
                segment=segment,
                engine_file=os.path.basename(str(engine)),
                **settings,
            )
            return {"y": -y}

    return Model()


def expected(x, weights):
    return -np.maximum(np.abs(x).astype(np.float64) @ weights.astype(np.float64), 0)


def check(run, x, weights):
    assert relative_error(run(tf.constant(x))["y"].numpy(), expected(x, weights)) < 1e-3


def counts(model, segment):
    return stats(model.run.get_concrete_function())[segment]


def test_every_batch_that_the_engine_takes(weights, engine_file):
    model = make_model(weights, engine_file, "batches")
    rng = np.random.default_rng(1)
    for turn in range(3):
        for batch in range(1, 9):
            check(model.run, rng.normal(size=(batch, 64)).astype(np.float32), weights)
        assert counts(model, "batches") == SegmentStats(8 * (turn + 1), 0, 0)


def test_other_batches_run_natively_and_are_counted(weights, engine_file):
    model = make_model(weights, engine_file, "outside")
    rng = np.random.default_rng(2)
    for batch in (9, 4, 0):
        x = rng.normal(size=(batch, 64)).astype(np.float32)
        result = model.run(tf.constant(x))["y"].numpy()
        assert result.shape == (batch, 32)
        if batch:
            assert relative_error(result, expected(x, weights)) < 1e-3
    assert counts(model, "outside") == SegmentStats(1, 2, 0)


def test_strictly_a_batch_outside_is_an_error_that_says_why(weights, engine_file):
    model = make_model(weights, engine_file, "strict outside", allow_native=False)
    with pytest.raises(tf.errors.FailedPreconditionError, match=r"'x' of 9x64 \(1x64 to 8x64\)"):
        model.run(tf.zeros([9, 64]))
    check(model.run, np.ones((2, 64), np.float32), weights)
    assert counts(model, "strict outside") == SegmentStats(1, 0, 0)


@pytest.mark.parametrize("what", ["gone", "damaged", "other names"])
def test_an_engine_that_cannot_be_used(what, weights, engine_file, tmp_path):
    path, attributes, reason = tmp_path / "segment.engine", {}, "segment.engine"
    if what == "damaged":
        path.write_bytes(engine_file.read_bytes()[:1000])
    elif what == "other names":
        path.write_bytes(engine_file.read_bytes())
        attributes, reason = {"input_names": ["q"]}, "no input 'q'"
    model = make_model(weights, path, what, **attributes)
    for _ in range(2):
        check(model.run, np.ones((2, 64), np.float32), weights)
    assert counts(model, what) == SegmentStats(0, 2, 0)
    strict = make_model(weights, path, f"{what}, strict", allow_native=False, **attributes)
    with pytest.raises(tf.errors.FailedPreconditionError, match=reason):
        strict.run(tf.zeros([2, 64]))


def test_a_batch_outside_has_an_engine_built_where_there_is_something_to_build_it_from(weights, engine_file):
    from tf2trt import libraries

    built_from = {"onnx_file": "segment.onnx", "tensorrt_generation": libraries.find(need_builder=True).generation}
    model = make_model(weights, engine_file, "built", **built_from)
    rng = np.random.default_rng(5)
    for batch, wanted in ((8, (1, 0, 0)), (9, (2, 0, 1)), (9, (3, 0, 1)), (10, (4, 0, 2)), (9, (5, 0, 3))):
        check(model.run, rng.normal(size=(batch, 64)).astype(np.float32), weights)
        assert counts(model, "built") == SegmentStats(*wanted)
    assert model.run(tf.zeros([0, 64]))["y"].shape == (0, 32)
    assert counts(model, "built") == SegmentStats(5, 1, 3)
    other = make_model(weights, engine_file, "other TensorRT", **{**built_from, "tensorrt_generation": 9})
    check(other.run, np.ones((9, 64), np.float32), weights)
    assert counts(other, "other TensorRT") == SegmentStats(0, 1, 0)


def test_a_saved_model(weights, engine_file, tmp_path):
    model = make_model(weights, engine_file, "saved")
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures=model.run)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    check(loaded.signatures["serving_default"], np.ones((3, 64), np.float32), weights)
    assert stats(loaded)["saved"] == SegmentStats(1, 0, 0)


def test_a_part_of_a_tensor_is_copied_to_where_tensorrt_takes_it(weights, engine_file):
    def before(x):
        held = tf.concat([tf.zeros([16]), tf.reshape(tf.abs(x), [-1])], 0)
        return tf.reshape(held[16:], [-1, 64])  # 64 bytes behind where `held` begins: TensorFlow does not copy

    model = make_model(weights, engine_file, "a part", before=before)
    rng = np.random.default_rng(6)
    for batch in (1, 3, 8):
        check(model.run, rng.normal(size=(batch, 64)).astype(np.float32), weights)
    assert counts(model, "a part") == SegmentStats(3, 0, 0)


def test_a_loop_queues_without_waiting(weights, engine_file):
    model = make_model(weights, engine_file, "loop")
    projection = np.eye(32, 64, dtype=np.float32)

    @tf.function
    def loop(x):
        for _ in tf.range(50):
            x = tf.ensure_shape(tf.math.l2_normalize(model.run(x)["y"] @ projection, axis=1), [4, 64])
        return x

    x = np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32)
    wanted = x
    for _ in range(50):
        wanted = expected(wanted, weights) @ projection
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    assert relative_error(loop(x).numpy(), wanted) < 1e-3
    assert stats(loop.get_concrete_function(tf.TensorSpec([4, 64])))["loop"] == SegmentStats(50, 0, 0)


def test_threads_share_an_engine(weights, engine_file):
    model = make_model(weights, engine_file, "threads")
    given = [np.random.default_rng(i).normal(size=(i % 8 + 1, 64)).astype(np.float32) for i in range(8)]
    model.run(tf.constant(given[0]))
    errors = []

    def work(x):
        wanted = expected(x, weights)
        errors.extend(relative_error(model.run(tf.constant(x))["y"].numpy(), wanted) for _ in range(50))

    threads = [threading.Thread(target=work, args=(x,)) for x in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 400
    assert max(errors) < 1e-3
    assert counts(model, "threads") == SegmentStats(401, 0, 0)
