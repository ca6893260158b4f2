"""The op Tf2TrtEngine is compiled against the installed TensorFlow and runs its segment natively without a GPU."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tf2trt.errors import OperatorError, OutputError, UsageError
from tf2trt.hybrid import op as op_module
from tf2trt.hybrid.op import compile_op, load_op
from tf2trt.hybrid.stats import SegmentStats, segments_of, stats

CMAKE = Path(__file__).parents[2] / "CMakeLists.txt"


@pytest.fixture(scope="module")
def op(tmp_path_factory):
    """The op's Python functions. The op is compiled by this process: the cache is new."""
    before = os.environ.get("TF2TRT_CACHE")
    os.environ["TF2TRT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    try:
        yield load_op()
    finally:
        if before is None:
            del os.environ["TF2TRT_CACHE"]
        else:
            os.environ["TF2TRT_CACHE"] = before


def make_model(op, segment, engine="", **attributes):
    """A module whose function is one segment: y = relu(x) * n, m = n + 1."""
    import tensorflow as tf

    signature = [tf.TensorSpec([None, 4], tf.float32, name="x"), tf.TensorSpec([], tf.int32, name="n")]

    @tf.function(input_signature=signature)
    def native(x, n):
        return tf.nn.relu(x) * tf.cast(n, tf.float32), n + 1

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.asset = tf.saved_model.Asset(str(engine)) if engine else None

        @tf.function(input_signature=signature)
        def run(self, x, n):
            concrete = native.get_concrete_function()
            concrete.add_to_graph()
            settings = {
                "segment": segment,
                "engine_file": os.path.basename(str(engine)),
                "allow_native": True,
                "input_names": ["x", "n"],
                "output_names": ["y", "m"],
                "output_shapes": [[None, 4], []],
                **attributes,
            }
            y, m = op.tf2_trt_engine(
                asset=self.asset.asset_path if self.asset else "",
                inputs=[x, n],
                OutT=[tf.float32, tf.int32],
                native=concrete,
                **settings,
            )
            return {"y": y, "m": m}

    return Model()


@pytest.fixture(scope="module")
def rng():
    seed = int(np.random.SeedSequence().entropy % 2**32)
    print("seed", seed)
    return np.random.default_rng(seed)


def check(run, rng, batch=3, n=2):
    x = rng.normal(size=(batch, 4)).astype(np.float32)
    results = run(x=x, n=np.int32(n))
    np.testing.assert_array_equal(results["y"], np.maximum(x, 0) * n)
    assert results["m"].numpy() == n + 1


def test_a_segment_runs_natively_on_the_cpu_and_is_counted(op, rng, tmp_path):
    engine = tmp_path / "segment.engine"
    engine.write_bytes(b"is not opened where there is no GPU")
    model = make_model(op, "counted", engine)
    for batch in (1, 3, 0):
        check(model.run, rng, batch)
    concrete = model.run.get_concrete_function()
    assert stats(concrete) == {"counted": SegmentStats(engine_calls=0, native_calls=3, builds=0)}
    assert concrete.structured_outputs["y"].shape.as_list() == [None, 4]


def test_a_segment_without_an_engine_runs_natively(op, rng):
    model = make_model(op, "without an engine")
    check(model.run, rng)
    assert stats(model.run.get_concrete_function())["without an engine"].native_calls == 1


def test_where_native_runs_are_not_allowed_the_reason_is_raised(op):
    import tensorflow as tf

    model = make_model(op, "strict", allow_native=False)
    with pytest.raises(tf.errors.FailedPreconditionError, match=r'segment "strict" cannot run .*: it has no engine'):
        model.run(np.zeros((1, 4), np.float32), np.int32(1))
    assert stats(model.run.get_concrete_function())["strict"] == SegmentStats(0, 0, 0)


def test_names_that_do_not_fit_are_refused(op):
    import tensorflow as tf

    model = make_model(op, "misnamed", input_names=["x"])
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 and 2 names for 2 inputs and 2 outputs"):
        model.run(np.zeros((1, 4), np.float32), np.int32(1))


def test_what_the_segment_raises_is_raised(op):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def native(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 10.0, message="x is too large")]):
            return (tf.identity(x),)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def run(x):
        concrete = native.get_concrete_function()
        concrete.add_to_graph()
        names = {"input_names": ["x"], "output_names": ["y"], "segment": "asserting", "engine_file": ""}
        return op.tf2_trt_engine(asset="", inputs=[x], OutT=[tf.float32], native=concrete, allow_native=True, **names)[
            0
        ]

    np.testing.assert_array_equal(run(tf.constant([1.0, 2.0])), [1.0, 2.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="x is too large"):
        run(tf.constant([11.0]))


def test_a_segment_in_a_loop_and_a_branch(op, rng):
    import tensorflow as tf

    model = make_model(op, "loop")

    @tf.function
    def loop(x, turns):
        for _ in tf.range(turns):
            if tf.reduce_sum(x) < 1e6:
                x = tf.ensure_shape(model.run(x, 2)["y"], [2, 4])
        return x

    x = rng.uniform(size=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(loop(x, tf.constant(5)), x * 32)
    assert stats(loop.get_concrete_function(tf.TensorSpec([2, 4]), tf.TensorSpec([], tf.int32)))["loop"] == (
        SegmentStats(0, 5, 0)
    )


def test_many_threads_share_a_segment(op, rng):
    model = make_model(op, "threads")
    check(model.run, rng)
    given = [rng.normal(size=(i % 3 + 1, 4)).astype(np.float32) for i in range(8)]
    failures = []

    def work(x):
        for n in range(20):
            if not np.array_equal(model.run(x, np.int32(n))["y"], np.maximum(x, 0) * n):
                failures.append(n)

    threads = [threading.Thread(target=work, args=(x,)) for x in given]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert stats(model.run.get_concrete_function())["threads"].native_calls == 161


def test_a_saved_model_opens_in_another_process(op, rng, tmp_path):
    import tensorflow as tf

    engine = tmp_path / "segment.engine"
    engine.write_bytes(b"is not opened where there is no GPU")
    model = make_model(op, "saved", engine)
    saved = tmp_path / "saved"
    tf.saved_model.save(model, str(saved), signatures=model.run)
    assert (saved / "assets" / "segment.engine").is_file()
    x = rng.normal(size=(5, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    plain = tf.Module()
    plain.call = tf.function(lambda x: x, input_signature=[tf.TensorSpec([])])
    tf.saved_model.save(plain, str(tmp_path / "plain"))
    script = f"""
import os, sys
import tf2trt.hybrid
assert not {{"tensorflow", "onnx", "numpy", "tf2trt._native"}} & set(sys.modules)
import numpy as np, tensorflow as tf
from tf2trt.errors import OperatorError
from tf2trt.hybrid.stats import stats

cache = os.environ["TF2TRT_CACHE"]
os.environ.update(TF2TRT_CACHE={str(tmp_path / "empty")!r}, CXX="no-such-compiler")
tf.saved_model.load({str(tmp_path / "plain")!r})  # needs no op
assert not os.path.exists(os.environ["TF2TRT_CACHE"])
try:
    tf.saved_model.load({str(saved)!r})
except OperatorError as error:
    assert "there is no C++ compiler" in str(error), error
else:
    raise AssertionError("there is a compiler")
os.environ["TF2TRT_CACHE"] = cache
del os.environ["CXX"]
model = tf.saved_model.load({str(saved)!r})
results = model.signatures["serving_default"](x=tf.constant(np.load({str(tmp_path / "x.npy")!r})), n=tf.constant(3))
np.save({str(tmp_path / "y.npy")!r}, results["y"].numpy())
print(stats(model))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), np.maximum(x, 0) * 3)
    assert done.stdout.strip() == "{'saved': SegmentStats(engine_calls=0, native_calls=1, builds=0)}"


def test_stats_of_what_has_no_segments(op):
    import tensorflow as tf

    with pytest.raises(UsageError, match="no loaded model"):
        segments_of("a path")
    with pytest.raises(UsageError, match="has no Tf2TrtEngine"):
        stats(tf.function(lambda: tf.constant(1)).get_concrete_function())


def test_the_wheel_carries_all_that_is_compiled():
    listed = re.search(r"install\(FILES ([^)]*?)\s+DESTINATION tf2trt/hybrid/op_source", CMAKE.read_text()).group(1)
    assert sorted(Path(name).name for name in listed.split()) == sorted(op_module._SOURCES)
    folder = CMAKE.parent / "cpp" / "hybrid"
    included = [re.findall(r'^#include "([^/"]+)"', (folder / name).read_text(), re.M) for name in op_module._SOURCES]
    assert {name for names in included for name in names} <= set(op_module._SOURCES)


def test_it_is_compiled_once(op, monkeypatch):
    path = compile_op()
    assert path.parent == op_module._cache_folder()
    assert [each.name for each in path.parent.glob("*.so")] == [path.name]
    written = path.stat().st_mtime_ns
    assert compile_op() == path
    assert path.stat().st_mtime_ns == written
    assert load_op() is op


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TF2TRT_CACHE", str(folder))
    return folder


def test_processes_that_start_together_compile_once(tmp_path, cache, monkeypatch):
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f"""#!{sys.executable}
import sys, time
with open({str(tmp_path / "log")!r}, "a") as log:
    log.write("compiled\\n")
time.sleep(1)
open(sys.argv[sys.argv.index("-o") + 1], "w").write("op")
"""
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    script = """
import tensorflow  # first: whoever imports tf2trt.hybrid later can open models with the op all the same
from tf2trt.hybrid.op import compile_op
from tensorflow.python.saved_model.loader_impl import parse_saved_model
assert parse_saved_model.__wrapped__
print(compile_op())
"""
    command = [sys.executable, "-c", script]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(answers) == 1
    assert (tmp_path / "log").read_text() == "compiled\n"
    assert [path.suffix for path in cache.glob("tf2trt_op-*")] == [".so"]


def test_without_a_compiler(cache, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(OperatorError, match=r"no C\+\+ compiler(.|\n)*no-such-compiler(.|\n)*apt install"):
        compile_op()
    assert not list(cache.iterdir())


def test_what_does_not_compile_says_why_and_leaves_nothing(cache, monkeypatch):
    monkeypatch.setenv("CXX", "g++ --no-such-flag")
    with pytest.raises(OperatorError, match=r"does not compile against TensorFlow(.|\n)*no-such-flag"):
        compile_op()
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TF2TRT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="TF2TRT_CACHE"):
        compile_op()


def test_an_incomplete_installation(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(op_module, "_LIBRARY", tmp_path / "libtf2trt_hybrid.so")
    with pytest.raises(OperatorError, match=r"libtf2trt_hybrid.so is missing"):
        compile_op()
    monkeypatch.setattr(op_module, "_SOURCES", ("gone.cpp",))
    with pytest.raises(OperatorError, match=r"source of the op(.|\n)*gone.cpp"):
        compile_op()
