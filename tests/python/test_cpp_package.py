"""The C++ library as CMake projects meet it: installed, found by find_package, linked; and examples/cpp_app."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import DeviceError
from tf2trt.specs import ShapeRange

ROOT = Path(__file__).parents[2]

CONSUMER = """
cmake_minimum_required(VERSION 3.18)
project(consumer LANGUAGES CXX)
find_package(tf2trt ${WANTED} REQUIRED)
add_library(consumer SHARED consumer.cpp)
target_link_libraries(consumer PRIVATE tf2trt::tf2trt)
target_link_options(consumer PRIVATE LINKER:--no-undefined)
"""


def call(*command, **environment):
    return subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def consumer(tmp_path):
    """The source folder of a project that makes a shared library of its own with tf2trt in it."""
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER)
    (tmp_path / "consumer.cpp").write_text(
        "#include <tf2trt/session.hpp>\n"
        'void consume() { tf2trt::Session session(tf2trt::Engine::load("m.engine")); session.run({}); }\n'
    )
    return tmp_path


def test_every_public_header_is_installed(installed_library):
    source = {path.name for path in (ROOT / "cpp" / "include" / "tf2trt").iterdir()}
    assert {path.name for path in (installed_library / "include" / "tf2trt").iterdir()} == source


def test_no_installed_file_names_a_folder_of_the_build(installed_library):
    files = [path for path in installed_library.rglob("*") if path.is_file()]
    assert {"libtf2trt.a", "tf2trt-run", "tf2trtConfig.cmake", "session.hpp"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        for folder in (ROOT, installed_library.parent):
            assert os.fsencode(folder) not in data, f"{path} names {folder}"


def test_a_shared_library_with_tf2trt_in_it(run_cmake, installed_library, consumer):
    major, minor = _native.__version__.split(".")[:2]
    found = f"-DCMAKE_PREFIX_PATH={installed_library}"
    run_cmake("-S", consumer, "-B", consumer / "build", found, f"-DWANTED={major}.{minor}")
    run_cmake("--build", consumer / "build")


@pytest.mark.parametrize("further", [(0, 1), (1, 0)])
def test_a_version_that_may_differ_in_its_interface_is_refused(installed_library, consumer, further):
    major, minor = map(int, _native.__version__.split(".")[:2])
    wanted = f"{major + further[0]}.{minor + further[1]}"
    options = (f"-DCMAKE_PREFIX_PATH={installed_library}", f"-DWANTED={wanted}")
    result = call("cmake", "-S", consumer, "-B", consumer / "build", *options)
    assert result.returncode != 0
    assert re.search(rf"compatible\s+with\s+requested\s+version\s+\"{re.escape(wanted)}\"", result.stderr)
    assert f"version: {_native.__version__}" in result.stderr


def test_the_program_needs_nothing_of_nvidias_and_no_python(cpp_app):
    libraries_needed = call("ldd", cpp_app).stdout
    assert "libstdc++" in libraries_needed
    assert not re.search(r"nvinfer|tensorrt|libcu|nvidia|python|not found", libraries_needed)
    undefined = call("nm", "--undefined-only", cpp_app).stdout.split()
    assert any(name.startswith("dlopen") for name in undefined)
    assert not [name for name in undefined if re.match(r"cu[A-Z]|cuda[A-Z]|createInfer|getInfer|_?Py[A-Z_]", name)]


def test_the_program_without_an_engine(cpp_app):
    for arguments in ((), ("a.engine", "b.engine")):
        result = call(cpp_app, *arguments)
        assert (result.returncode, result.stdout, result.stderr) == (2, "", "usage: cpp_app ENGINE\n")


def test_the_program_on_what_is_no_engine(cpp_app, tmp_path):
    (tmp_path / "text").write_bytes(b"x" * 100)
    for path, words in ((tmp_path / "text", "not a TensorRT plan"), (tmp_path / "missing", "cannot be read")):
        result = call(cpp_app, path)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"Error: {path}: {words}")


def test_the_program_on_a_real_plan_says_that_there_is_no_gpu(cpp_app, small_onnx, tmp_path):
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    try:
        _native.device()
    except DeviceError as error:
        missing = str(error).splitlines()[0]
    else:
        pytest.skip("there is a GPU here: tests/gpu/test_cpp_app.py runs the program")
    rtx = next(each.library for each in libraries.candidates() if each.library and each.library.kind == "rtx")
    options = BuildOptions(profiles=[{"x": ShapeRange((1, 4), (2, 4), (8, 4))}])
    engine = build_engine(small_onnx, tmp_path / "m.engine", options, library=rtx).engine
    result = call(cpp_app, engine, TF2TRT_NVINFER=rtx.path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert missing in result.stderr
