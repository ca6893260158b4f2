"""The op ``Tf2TrtEngine``: compiled against the installed TensorFlow when it is first needed, then taken from a cache.

TensorFlow's C++ interface changes with each release, so the op cannot be shipped as a binary. Its source and a plain C
library, ``libtf2trt_hybrid.so``, come with the package; ``g++`` and TensorFlow's own headers make the op of them.
CUDA's headers are not needed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import secrets
import shlex
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator, List, Tuple

from tf2trt import libraries
from tf2trt.errors import OperatorError, OutputError
from tf2trt.export.quiet import import_tensorflow

__all__ = ["compile_op", "load_op"]

_PACKAGE = Path(__file__).resolve().parent.parent
_LIBRARY = _PACKAGE / "libtf2trt_hybrid.so"
_SOURCES = ("op.cpp", "op_counts.hpp", "op_engine.hpp", "op_native.hpp", "op_segment.hpp", "interface.h")


@lru_cache(maxsize=None)
def load_op() -> Any:
    """Registers ``Tf2TrtEngine`` and ``Tf2TrtStats`` with TensorFlow; returns the module of their Python functions.

    After ``import tf2trt.hybrid`` TensorFlow calls it by itself where it opens a SavedModel that holds the op (see
    :mod:`tf2trt.hybrid.opening`); who reads a GraphDef from elsewhere calls it first. The first call on a machine
    compiles the op, as :func:`compile_op` says; later ones load it in milliseconds.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        OperatorError: there is no ``g++``, the op does not compile, or TensorFlow does not load it.
        OutputError: the cache cannot be written.
    """
    path = compile_op()
    tensorflow = import_tensorflow()
    _tell_folders()
    try:
        return tensorflow.load_op_library(str(path))
    except tensorflow.errors.OpError as error:
        raise OperatorError(
            f"TensorFlow {tensorflow.__version__} does not load the op Tf2TrtEngine",
            received=str(error).strip(),
            hint=f"remove {path}, so that it is compiled again",
        ) from error


def compile_op() -> Path:
    """The op's library for the TensorFlow that is installed, compiled where it is not in the cache yet.

    The cache is the folder in ``TF2TRT_CACHE``, else ``~/.cache/tf2trt`` (or below ``XDG_CACHE_HOME``). A file in it is
    made for one version of TensorFlow and of tf2trt; one process compiles, others wait for it. ``CXX`` names another
    compiler than ``g++``.

    Raises:
        MissingExtraError: TensorFlow is not installed.
        OperatorError: there is no compiler, or the op does not compile; holds the compiler's words.
        OutputError: the cache cannot be written.
    """
    tensorflow = import_tensorflow()
    folder, sources = _cache_folder(), _source_folder()
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    arguments = _arguments(tensorflow, sources)
    path = folder / f"tf2trt_op-{tensorflow.__version__}-{_fingerprint(compiler, arguments, sources)}.so"
    if path.is_file():
        return path
    if shutil.which(compiler[0]) is None:
        raise OperatorError(
            "the op Tf2TrtEngine has to be compiled once, and there is no C++ compiler",
            received=f"no {compiler[0]} on PATH",
            expected="g++ 9 or later, or another compiler in the variable CXX",
            hint="apt install g++",
        )
    with _lock(folder):
        if not path.is_file():  # another process may have been first
            _compile([*compiler, *arguments], path, tensorflow.__version__)
    return path


def _arguments(tensorflow: Any, sources: Path) -> List[str]:
    if not _LIBRARY.is_file():
        raise OperatorError(f"{_LIBRARY} is missing", hint="install tf2trt again: pip install --force-reinstall tf2trt")
    flags = [flag for flag in tensorflow.sysconfig.get_compile_flags() if not flag.startswith("-I")]
    return [
        "-O2",
        "-fPIC",
        "-shared",
        *flags,
        "-fvisibility=hidden",
        *("-isystem", tensorflow.sysconfig.get_include()),  # thousands of warnings that are TensorFlow's own
        f"-I{sources}",
        str(sources / "op.cpp"),
        str(_LIBRARY),
        f"-Wl,-rpath,{_PACKAGE}",
        *tensorflow.sysconfig.get_link_flags(),
    ]


def _compile(command: List[str], path: Path, version: str) -> None:
    """Runs the compiler into a temporary name beside ``path`` and renames it."""
    temporary = path.with_name(f".tf2trt-{secrets.token_hex(8)}.so")
    try:
        done = subprocess.run([*command, "-o", str(temporary)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise OperatorError(
                f"the op Tf2TrtEngine does not compile against TensorFlow {version}",
                received="\n    ".join(errors[:8]),
                expected="TensorFlow 2.16 or later and g++ 9 or later",
                hint="the command was: " + shlex.join(command),
            )
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _fingerprint(compiler: List[str], arguments: List[str], sources: Path) -> str:
    """What the op's library depends on beside TensorFlow's version."""
    digest = hashlib.sha256("\n".join([*compiler, *arguments]).encode())
    for name in _SOURCES:
        digest.update((sources / name).read_bytes())
    return digest.hexdigest()[:16]


def _source_folder() -> Path:
    """Where the op's source is: beside this file in a wheel, in ``cpp/hybrid`` of a source tree."""
    places = (Path(__file__).resolve().parent / "op_source", _PACKAGE.parents[1] / "cpp" / "hybrid")
    for place in places:
        if all((place / name).is_file() for name in _SOURCES):
            return place
    raise OperatorError(
        "the source of the op Tf2TrtEngine is missing",
        expected=f"{', '.join(_SOURCES)} in {places[0]}",
        hint="install tf2trt again: pip install --force-reinstall tf2trt",
    )


def _cache_folder() -> Path:
    own = os.environ.get("TF2TRT_CACHE")
    folder = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tf2trt")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    return folder


def _cannot_write(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {folder}",
        received=error.strerror,
        hint="name a folder that you may write to in the variable TF2TRT_CACHE",
    )


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Holds the cache for this process; the system lets go of it where the process ends."""
    path = folder / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _tell_folders() -> None:
    """Tells the op's side of the house where pip put TensorRT. It is the library that the op is linked with."""
    folders: Tuple[str, ...] = libraries.package_folders()
    search = ctypes.CDLL(str(_LIBRARY)).tf2trt_hybrid_search
    search.argtypes, search.restype = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_size_t], None
    search((ctypes.c_char_p * len(folders))(*(folder.encode() for folder in folders)), len(folders))
