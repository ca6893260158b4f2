import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tf2trt import _native, libraries
from tf2trt.errors import LibraryNotFoundError, UnsupportedVersionError

PACKAGES = ["tensorrt_libs", "tensorrt", "tensorrt_lean_libs", "onnxruntime_ep_nv_tensorrt_rtx"]


@pytest.fixture
def forget():
    libraries.find.cache_clear()
    yield
    libraries.find.cache_clear()


def test_pip_packages_are_found_in_order_and_not_imported(tmp_path, monkeypatch):
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert libraries.package_folders() == tuple(str(tmp_path / name) for name in PACKAGES)


def test_no_package_means_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in PACKAGES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert libraries.package_folders() == ()


def test_a_module_that_is_a_file_has_no_folder(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in PACKAGES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert libraries.package_folders() == ()


def test_find_is_the_same_library_each_time(forget):
    assert libraries.find(need_builder=True) is libraries.find(need_builder=True)


def test_a_path_that_holds_no_tensorrt_is_named(forget, monkeypatch, tmp_path):
    monkeypatch.setenv("TF2TRT_NVINFER", str(tmp_path / "libnvinfer.so.8"))
    with pytest.raises(LibraryNotFoundError, match=r"libnvinfer\.so\.8"):
        libraries.find()


def test_a_version_without_tables_is_an_error_of_its_own(forget, monkeypatch, tmp_path):
    source, library = tmp_path / "fake.cpp", tmp_path / "libnvinfer.so.9"
    source.write_text(
        'extern "C" int getInferLibVersion() { return 9300; }\n'
        'extern "C" void* createInferRuntime_INTERNAL(void*, int) { return nullptr; }\n'
    )
    subprocess.run(["g++", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    monkeypatch.setenv("TF2TRT_NVINFER", str(library))
    with pytest.raises(UnsupportedVersionError, match=r"TensorRT 9\.3\.0 is not supported(.|\n)*TF2TRT_NVINFER"):
        libraries.find()


def header(*version):
    return _native.read_plan_header(b"ftrt" + bytes(20) + bytes(version))


@pytest.fixture
def real(fetched_tensorrt, monkeypatch):
    """The full 8.6.0 and both lean runtimes are what pip brought, the full one first."""
    folders = tuple(str(fetched_tensorrt(name)) for name in ("8.6.0", "lean-11.4.0", "lean-10.16.1"))
    monkeypatch.delenv("TF2TRT_NVINFER", raising=False)
    monkeypatch.setattr(libraries, "package_folders", lambda: folders)


@pytest.mark.parametrize(
    ("version", "lean"), [((10, 3, 0, 1), "10.16.1"), ((10, 16, 1, 11), "10.16.1"), ((11, 0, 0, 1), "11.4.0")]
)
def test_the_lean_runtime_that_reads_the_plan_is_found(real, version, lean):
    found = libraries.find_lean(header(*version))
    assert (found.kind, found.version_text) == ("lean", lean)


def test_the_lean_runtime_is_not_preferred_unless_it_is_asked_for(forget, real):
    assert libraries.find().version_text == "8.6.0"


def test_a_folder_without_a_lean_runtime(real, monkeypatch, tmp_path):
    monkeypatch.setenv("TF2TRT_NVINFER", str(tmp_path))
    with pytest.raises(LibraryNotFoundError, match=r"no lean runtime that can read this plan \(version 10\.3\.0\)"):
        libraries.find_lean(header(10, 3, 0, 1))


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ((10, 3, 0, 1), r"pip install 'tensorrt-lean-cu13-libs==10\.\*', or -cu12-libs.*--version-compatible"),
        ((8, 6, 1, 1), r"pip install 'tensorrt-lean==8\.\*'"),
        ((1, 7, 1, 0), "TensorRT-RTX wrote this plan, and has no lean runtime"),
    ],
)
def test_the_package_that_brings_a_lean_runtime_is_named(version, words):
    code = (
        "from tf2trt import _native, libraries\n"
        "libraries.package_folders = lambda: ()\n"
        f"libraries.find_lean(_native.read_plan_header(b'ftrt' + bytes(20) + bytes({version})))\n"
    )
    # A process of its own: the loader gives a library that another test has loaded to whoever asks for its name.
    environment = {name: text for name, text in os.environ.items() if name not in ("TF2TRT_NVINFER", "LD_LIBRARY_PATH")}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert re.search(r"LibraryNotFoundError: no lean runtime that can read this plan", result.stderr), result.stderr
    assert re.search(words, result.stderr), result.stderr


def test_candidates_say_where_they_were_looked_for_and_why_they_were_passed_over():
    for candidate in libraries.candidates():
        assert candidate.path
        assert candidate.source
        assert (candidate.library is None) == bool(candidate.reason)


def test_the_rtx_wheel_is_among_them():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx")
    kinds = {Path(c.path).name: c.library.kind for c in libraries.candidates() if c.library is not None}
    assert "rtx" in kinds.values()
