"""The C++ core on a GPU: layer times, the timing cache, and the program that runs engines without Python.

TF2TRT_RUN names tf2trt-run (default build/tf2trt-run, where `make test` puts it).
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange

ROWS = 4


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two matrix products with a LeakyRelu between them; dynamic batch."""
    rng = np.random.default_rng(5)
    first, second = (rng.normal(size=shape).astype(np.float32) for shape in ((32, 64), (64, 8)))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "first"], ["a"], name="first_product"),
            helper.make_node("LeakyRelu", ["a"], ["b"], name="leaky", alpha=0.1),
            helper.make_node("MatMul", ["b", "second"], ["y"], name="second_product"),
        ],
        "two_products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    path = tmp_path_factory.mktemp("native") / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="module")
def options(model):
    return BuildOptions(
        profiles=({"x": ShapeRange((1, 32), (ROWS, 32), (16, 32))},), timing_cache=model.with_name("timings")
    )


@pytest.fixture(scope="module")
def engine(model, options, library):
    return build_engine(model, model.with_suffix(".engine"), options, library=library).engine


def run_program(*arguments):
    program = Path(os.environ.get("TF2TRT_RUN", "build/tf2trt-run"))
    assert program.is_file(), f"there is no {program}: build it with cmake, or name it in TF2TRT_RUN"
    environment = {**os.environ, "TF2TRT_NVINFER": libraries.find().path}
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_timing_cache_is_kept_and_taken_again(engine, model, options, library):
    kept = options.timing_cache.read_bytes()
    assert len(kept) > 0
    again = build_engine(model, model.with_name("again.engine"), options, library=library)
    assert len(options.timing_cache.read_bytes()) >= len(kept)
    x = np.random.default_rng(1).normal(size=(ROWS, 32)).astype(np.float32)
    with Engine.load(engine) as first, Engine.load(again.engine) as second:
        np.testing.assert_array_equal(first(x), second(x))  # the same tactics, chosen from the cache


def test_layer_times(engine, library, primary):
    with primary:
        native = _native.Engine.deserialize(library, engine.read_bytes())
        context = native.create_context()
        context.set_input_shape("x", (ROWS, 32))
        memory = {name: primary.driver.mem_alloc(4 * ROWS * width) for name, width in (("x", 32), ("y", 8))}
        for name, allocation in memory.items():
            context.set_tensor_address(name, int(allocation))
        stream = primary.driver.Stream()
        times = context.profile_layers(stream.handle)
        context.enqueue(stream.handle)  # 8.6 crashes here after setProfiler(nullptr)
        stream.synchronize()
        again = context.profile_layers(stream.handle)
    assert [name for name, _ in again] == [name for name, _ in times]  # and nothing of the enqueue between them
    # No-ops are layers of the engine, but are not timed.
    assert 0 < len(times) <= native.layer_count
    assert all(name and 0 <= milliseconds < 1000 for name, milliseconds in times)
    assert sum(milliseconds for _, milliseconds in times) > 0
    del context, native


def test_the_c_plus_plus_program_gives_the_same_bits(engine, tmp_path):
    x = np.random.default_rng(2).normal(size=(ROWS, 32)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    result = run_program(engine, f"x={tmp_path / 'x.npy'}", "--output", str(tmp_path), "--iterations", "20")
    assert result.returncode == 0, result.stderr
    assert "host to host: p50" in result.stdout
    with Engine.load(engine) as loaded:
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), loaded(x))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("z", np.zeros((ROWS, 32), np.float32), '"x" is missing'),
        ("x", np.zeros((ROWS, 32), np.int32), "wrong type"),
        ("x", np.zeros((ROWS, 33), np.float32), "wrong shape"),
    ],
)
def test_the_c_plus_plus_program_refuses_wrong_inputs(engine, tmp_path, name, array, words):
    np.save(tmp_path / "x.npy", array)
    result = run_program(engine, f"{name}={tmp_path / 'x.npy'}")
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
