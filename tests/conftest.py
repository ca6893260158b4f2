"""Fixtures that several files share."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
FETCHED = ROOT / ".cache" / "tensorrt"


def pytest_collection_modifyitems(items):
    """``pytest -m gpu`` and ``-m "not gpu"``; tests/gpu/conftest.py says what happens without one."""
    for item in items:
        if (ROOT / "tests" / "gpu") in item.path.parents:
            item.add_marker("gpu")


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capfd):
    """cli(*arguments): the command line, in this process; what it prints is caught below Python too."""
    from tf2trt.cli import main

    def call(*arguments):
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        return Result(status, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def fetched_tensorrt():
    """fetched_tensorrt(name): the folder of a real TensorRT that tests/fetch_tensorrt.py brought."""

    def folder(name):
        if platform.machine() != "x86_64":
            pytest.skip(f"TensorRT {name} for tests is fetched on x86-64 only; this is {platform.machine()}")
        path = FETCHED / name
        if not path.is_dir():
            pytest.fail(f"{path} is missing: run python3 tests/fetch_tensorrt.py {FETCHED}", pytrace=False)
        return path

    return folder


@pytest.fixture(scope="session")
def small_onnx(tmp_path_factory):
    """A real ONNX file: x (?x4) to y = relu(x w) (?x3)."""
    import onnx
    from onnx import TensorProto, helper

    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["product"]), helper.make_node("Relu", ["product"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def plugin_kernels():
    """The plugin library's own entry points, declared for ctypes."""
    import ctypes

    from tf2trt import _native

    path = _native.find_plugin_library()
    if not path:
        pytest.skip("the plugin library was not built: there was no CUDA compiler")
    library = ctypes.CDLL(path)
    pointer, i32, i64, real = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_float
    library.tf2trt_l2_normalize.argtypes = [
        pointer, pointer, i32, i32, real, real, i32, ctypes.POINTER(i64), ctypes.c_uint32, real, i32, pointer, pointer,
    ]  # fmt: skip
    library.tf2trt_l2_normalize_workspace.restype = i64
    library.tf2trt_leaky_relu.argtypes = [pointer, pointer, i32, i64, real, real, real, pointer]
    return library


@pytest.fixture(scope="session")
def run_cmake():
    """run_cmake(*arguments): CMake's output; where it fails, the test fails with it."""

    def call(*arguments):
        command = ["cmake", *map(str, arguments)]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert result.returncode == 0, result.stdout[-4000:]
        return result.stdout

    return call


@pytest.fixture(scope="session")
def installed_library(run_cmake, tmp_path_factory):
    """The prefix into which libtf2trt was installed, without plugins. It was moved there after the installation."""
    folder = tmp_path_factory.mktemp("library")
    build, prefix, moved = folder / "build", folder / "prefix", folder / "moved"
    run_cmake("-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CUDA_COMPILER=NOTFOUND")
    run_cmake("--build", build, "--parallel", os.cpu_count() or 1, "--target", "tf2trt", "tf2trt-run")
    run_cmake("--install", build, "--prefix", prefix)
    prefix.rename(moved)
    return moved


@pytest.fixture(scope="session")
def cpp_app(run_cmake, installed_library, tmp_path_factory):
    """examples/cpp_app, built against the installed library as a user builds it; warnings are errors."""
    build = tmp_path_factory.mktemp("cpp_app")
    flags = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror"
    source = ROOT / "examples" / "cpp_app"
    run_cmake("-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={installed_library}", flags)
    run_cmake("--build", build)
    return build / "cpp_app"


@pytest.fixture(scope="session")
def bench_loop(run_cmake, installed_library, tmp_path_factory):
    """tests/gpu/bench_loop, which times an engine without tf2trt's own clocks; warnings are errors."""
    build = tmp_path_factory.mktemp("bench_loop")
    flags = ("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror")
    source = ROOT / "tests" / "gpu" / "bench_loop"
    run_cmake("-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={installed_library}", *flags)
    run_cmake("--build", build)
    return build / "bench_loop"


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A residual CNN on scikit-learn's digits: .onnx, and images and labels to train with (.images, .labels) and held
    out (.held_images, .held_labels). TF2TRT_DIGITS names a folder with digits.onnx, made by tests/gpu/make_digits.py
    where TensorFlow is; where it is not set the network is trained here.
    """
    from tf2trt.demo.train import load_digits

    folder = os.environ.get("TF2TRT_DIGITS")
    if folder is None:
        support_folder = str(ROOT / "tests" / "support")
        if support_folder not in sys.path:
            sys.path.append(support_folder)
        import digits as support

        path = support.train(tmp_path_factory.mktemp("digits"))
    else:
        path = Path(folder) / "digits.onnx"
        assert path.is_file(), f"TF2TRT_DIGITS: there is no {path}; make it with tests/gpu/make_digits.py"
    images, labels, held_images, held_labels = load_digits()
    return SimpleNamespace(onnx=path, images=images, labels=labels, held_images=held_images, held_labels=held_labels)
