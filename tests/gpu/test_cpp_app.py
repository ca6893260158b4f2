"""examples/cpp_app on a GPU: the same outputs, bit for bit, as from tf2trt-run and from Python.

TF2TRT_CPP_APP names the program where it was built elsewhere; without it CMake builds it here. TF2TRT_RUN names
tf2trt-run (default build/tf2trt-run, where `make test` puts it).
"""

import os
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange

ROWS, WIDTH = 2, 160  # more elements than the program's numbers have different values


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture(scope="module", params=["static", "dynamic"])
def engine(request, library, tmp_path_factory):
    """x (ROWS or any number x WIDTH) to two outputs of 8 values each, which the program prints all."""
    folder = tmp_path_factory.mktemp(request.param)
    dynamic = request.param == "dynamic"
    weights = np.random.default_rng(7).normal(size=(WIDTH, 4)).astype(np.float32)
    rows = "n" if dynamic else ROWS
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["product"]), helper.make_node("Tanh", ["product"], ["bent"])],
        "app",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, 4]) for name in ("product", "bent")],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(folder / "m.onnx"))
    profile = {"x": ShapeRange((1, WIDTH), (ROWS, WIDTH), (8, WIDTH))}
    options = BuildOptions(profiles=[profile] if dynamic else [])
    return build_engine(folder / "m.onnx", folder / "m.engine", options, library=library).engine


@pytest.fixture
def run_program(library):
    """run_program(program, *arguments): what it prints, with the TensorRT that built the engine."""

    def call(program, *arguments):
        environment = {**os.environ, "TF2TRT_NVINFER": library.path}
        command = [str(program), *map(str, arguments)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return call


def test_the_same_bits_as_from_tf2trt_run_and_from_python(request, engine, library, run_program, tmp_path):
    x = (np.arange(ROWS * WIDTH) % 256 / 256).astype(np.float32).reshape(ROWS, WIDTH)  # what main.cpp makes
    np.save(tmp_path / "x.npy", x)
    run_program(
        os.environ.get("TF2TRT_RUN", "build/tf2trt-run"), engine, f"x={tmp_path / 'x.npy'}", "--output", tmp_path
    )
    with Engine.load(engine, library=library) as loaded:
        results = loaded(x)
    printed = run_program(os.environ.get("TF2TRT_CPP_APP") or request.getfixturevalue("cpp_app"), engine)
    lines = [line.split("  ") for line in printed.splitlines()]
    assert [line[0] for line in lines] == ["input", "output bent", "output product"]
    assert lines[0][1:3] == ["x", "float32"]
    assert lines[0][-1] == f"run with {ROWS}x{WIDTH}"
    for title, dtype, shape, values in lines[1:]:
        name = title.split()[1]
        assert (dtype, shape) == ("float32", f"{ROWS}x4")
        # Nine digits tell every float32 from its neighbours.
        shown = np.array([np.float32(word) for word in values.split()]).reshape(ROWS, 4)
        assert np.any(shown != 0)
        np.testing.assert_array_equal(shown, results[name])
        np.testing.assert_array_equal(shown, np.load(tmp_path / f"{name}.npy"))
