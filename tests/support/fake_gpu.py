"""Engines without a GPU, in processes of their own, on the fake driver and the fake TensorRT of tests/cpp.

The fixture ``fake_gpu`` (tests/python/conftest.py) builds the libraries and runs test bodies. In the process that it
starts this module can be imported: :func:`plan` makes what the fake TensorRT reads, :class:`FakeCuda` asks the driver.
"""

import ctypes
import inspect
import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SUPPORT = ROOT / "tests" / "cpp" / "support"
_RUNTIMES = {"libnvinfer.so.8": 8600, "libnvinfer.so.10": 101601, "libnvinfer.so.11": 110400}
_BUILDERS = (8600, 101601, 110100)


def plan(text, version=(8, 6, 0)):
    """The bytes of a plan of one of the engines of tests/cpp/support/fake_models.hpp, such as ``"double shared"``."""
    body = text.encode() + b"\n"
    header = b"ftrt" + bytes(12) + (28 + len(body)).to_bytes(8, "little") + bytes(version) + b"\0"
    return header + body


class FakeCuda:
    """The fake driver of this process: counts, violations, settings. tests/cpp/support/fake_cuda.hpp has the names."""

    def __init__(self):
        self._library = ctypes.CDLL("libcuda.so.1")
        self._library.fake_cuda_count.restype = ctypes.c_longlong
        self._library.fake_cuda_count.argtypes = [ctypes.c_char_p]
        self._library.fake_cuda_last_violation.restype = ctypes.c_char_p
        self._library.fake_cuda_set.restype = ctypes.c_bool
        self._library.fake_cuda_set.argtypes = [ctypes.c_char_p, ctypes.c_longlong]
        self._library.fake_cuda_fail.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int]

    @property
    def library(self):
        """The driver itself, for calls of its functions."""
        return self._library

    def __getitem__(self, name):
        value = self._library.fake_cuda_count(name.encode())
        if value < 0:
            raise KeyError(name)
        return value

    def set(self, name, value):
        if not self._library.fake_cuda_set(name.encode(), value):
            raise KeyError(name)

    def fail(self, function, nth, code):
        """The nth next call of a driver function fails with a CUresult; every call where nth is 0."""
        self._library.fake_cuda_fail(function.encode(), nth, code)

    def reset(self):
        self._library.fake_cuda_reset()

    @property
    def violation(self):
        """The text of the last violation, "" where there was none."""
        return self._library.fake_cuda_last_violation().decode()


def build(folder):
    """Compiles the fakes into ``folder``: fake_cuda, fake_runtime and fakes, as tests/cpp/runtime.cmake does."""
    flags = ["-std=c++17", "-fPIC", "-shared", "-pthread", f"-I{ROOT / 'tests' / 'cpp'}", f"-I{ROOT / 'cpp'}"]
    driver = folder / "fake_cuda" / "libcuda.so.1"
    jobs = [[*flags, "-Wl,-soname,libcuda.so.1", *sorted(_SUPPORT.glob("fake_cuda_*.cpp")), "-o", driver]]
    sources = [_SUPPORT / name for name in ("fake_context.cpp", "fake_models.cpp", "fake_runtime.cpp")]
    for name, number in _RUNTIMES.items():
        output = folder / "fake_runtime" / name
        jobs.append([*flags, f"-DFAKE_NUMBER={number}", "-DFAKE_BUILDER", *sources, "-ldl", "-o", output])
    sources = [_SUPPORT / name for name in ("fake_builder.cpp", "fake_calibration.cpp")]
    for number in _BUILDERS:
        jobs.append([*flags, f"-DFAKE_NUMBER={number}", *sources, "-ldl", "-o", folder / "fakes" / f"builder-{number}"])
    for part in ("fake_cuda", "fake_runtime", "fakes"):
        (folder / part).mkdir(parents=True)
    compiler = os.environ.get("CXX", "g++").split()

    def compile_one(job):
        done = subprocess.run([*compiler, *map(str, job)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{job[-1]} could not be built:\n{done.stderr}")

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(compile_one, jobs))


class FakeGpu:
    """Runs Python with the fakes of a folder."""

    support = Path(__file__).parent

    def __init__(self, folder):
        self.folder = Path(folder)

    def environment(self, runtime="libnvinfer.so.8", **variables):
        """The variables of a process that uses the fakes; ``integrated=1`` sets TF2TRT_FAKE_CUDA_INTEGRATED."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TF2TRT_FAKE_CUDA")}
        paths = {"LD_LIBRARY_PATH": self.folder / "fake_cuda", "PYTHONPATH": self.support}
        for name, path in paths.items():
            environment[name] = os.pathsep.join(filter(None, [str(path), environment.get(name)]))
        environment["TF2TRT_NVINFER"] = str(self.folder / "fake_runtime" / runtime)
        environment.update({f"TF2TRT_FAKE_CUDA_{name.upper()}": str(value) for name, value in variables.items()})
        return environment

    def put_builder(self, folder, number):
        """Puts a fake TensorRT that builds (tests/cpp/support/fake_builder.cpp) and its parser into ``folder``.

        ``number`` is 8600, 101601 or 110100; returns the library's path. Every model is one layer, "conv", to it, with
        an input x of float32, (-1, 2), of which it reads 16 bytes a batch.
        """
        major = number // 1000 if number < 10000 else number // 10000
        for name in (f"libnvonnxparser.so.{major}", f"libnvinfer.so.{major}"):
            path = shutil.copy(self.folder / "fakes" / f"builder-{number}", Path(folder) / name)
        return str(path)

    def run(self, body, *arguments, runtime="libnvinfer.so.8", **variables):
        """Calls ``body(*arguments)`` in a process with the fakes; returns what it printed.

        ``body`` is a function of the test's, whose source is run there, so it imports what it needs itself; or the name
        of one in a module of this folder, as MODULE.FUNCTION. Arguments are passed by their repr.
        ``variables`` as for :meth:`environment`. What fails there fails the test; so does a violation that is left.
        """
        if isinstance(body, str):
            source, name = f"import {body.rpartition('.')[0]}", body
        else:
            source, name = textwrap.dedent(inspect.getsource(body)), body.__name__
        script = "\n".join(
            [
                source,
                f"{name}(*{arguments!r})",
                "import gc",
                "from fake_gpu import FakeCuda",
                "gc.collect()",
                "assert not FakeCuda().violation, FakeCuda().violation",
            ]
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=self.environment(runtime, **variables),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{name} failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        return done.stdout
