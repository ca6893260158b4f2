"""A plan's file, the TensorRT that reads it, and what becomes of the two."""

from __future__ import annotations

import contextlib
import mmap
from pathlib import Path
from typing import Optional, Tuple

from tf2trt import _native, libraries
from tf2trt.errors import EngineError, EngineVersionError
from tf2trt.sidecar import Sidecar, check_version

__all__ = ["deserialize", "library_for", "map_plan"]


def map_plan(path: Path) -> mmap.mmap:
    """The file as a read-only mapping: what TensorRT does not read is never loaded.

    Raises:
        EngineError: it cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise EngineError(
            f"cannot read the engine {path}", received=error.strerror or str(error), hint="check the path"
        ) from error
    except ValueError as error:  # mmap refuses an empty file
        raise EngineError(f"the engine {path} is empty", hint="copy it again, or build it again") from error


def deserialize(
    path: Path, plan: mmap.mmap, header: Tuple[int, int, int, int], library: _native.Library, device: int
) -> _native.Engine:
    """The engine of a plan with this version in its header.

    Raises:
        EngineVersionError: TensorRT refuses it, and another version than TensorRT's wrote it.
        EngineError: TensorRT refuses it.
    """
    try:
        return _native.Engine.deserialize(library, plan, device)
    except EngineError as error:
        if header[:3] == library.version or isinstance(error, EngineVersionError):
            raise
        raise EngineVersionError(
            f"{path} cannot be read by the loaded TensorRT",
            received="a plan of TensorRT {}.{}.{}".format(*header),
            expected=f"one of {library.version_text}, or a version-compatible one",
            hint="build the engine again on this machine",
        ) from error


def library_for(path: Path, header: Tuple[int, int, int, int], sidecar: Optional[Sidecar]) -> _native.Library:
    """The first TensorRT that reads the plan. The others are loaded only where the first one does not.

    Raises:
        EngineVersionError: none does.
        LibraryNotFoundError: there is none.
    """
    first = libraries.find()
    try:
        check_version(path, header, sidecar, first)
        return first
    except EngineVersionError:
        for candidate in libraries.candidates():
            if candidate.library is not None:
                with contextlib.suppress(EngineVersionError):
                    check_version(path, header, sidecar, candidate.library)
                    return candidate.library
        raise
