"""Writing a file whole or not at all. For every stage that leaves a file behind: export, surgery, build."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any, Tuple, Union

from tf2trt.errors import OutputError

__all__ = ["atomic_write", "check_writable"]

PathLike = Union[str, "os.PathLike[str]"]


def check_writable(path: PathLike) -> None:
    """Makes sure that ``path`` can be written, before long work starts; leaves nothing behind.

    A file is really created in the folder and removed again: permission bits say little to root, and nothing about a
    read-only or full file system.

    Raises:
        OutputError: the folder is missing, is not a folder or takes no file, or ``path`` is a folder itself.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"cannot write {target}: it is a folder", hint=f"name a file in it, such as {target / 'm'}")
    descriptor, temporary = _create(target)
    os.close(descriptor)
    temporary.unlink()


def atomic_write(path: PathLike, data: Any) -> None:
    """Writes ``data`` (bytes, or any contiguous buffer) to ``path`` whole or not at all.

    The data goes to a temporary name in the same folder, is synced to the disk and renamed, so that a reader sees the
    old file or the new one. The folder is synced too: after a power cut the name is there. On failure ``path`` is as
    it was and nothing else is left.

    Raises:
        OutputError: the file cannot be written.
    """
    target = Path(path)
    descriptor, temporary = _create(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:  # also KeyboardInterrupt: a half-written file must not stay
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _refused(target, error) from error
        raise
    _sync_folder(target.parent)


def _create(target: Path) -> Tuple[int, Path]:
    """An empty file, open for writing, beside ``target``; with the mode that ``open()`` would give it."""
    temporary = target.parent / f".tf2trt-{secrets.token_hex(8)}.tmp"
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), temporary
    except OSError as error:
        raise _refused(target, error) from error


def _refused(target: Path, error: OSError) -> OutputError:
    if isinstance(error, NotADirectoryError):
        hint = f"a part of {target.parent} is a file: name a folder"
    elif isinstance(error, FileNotFoundError):
        hint = f"create the folder: mkdir -p {target.parent}"
    else:
        hint = "choose a folder with space in it that you may write to"
    return OutputError(f"cannot write {target}", received=error.strerror or str(error), hint=hint)


def _sync_folder(folder: Path) -> None:
    # Some file systems (network, FUSE) refuse to sync a folder; the file itself is in place and synced by now.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
