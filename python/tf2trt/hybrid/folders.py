"""Writing a SavedModel folder whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Iterator, Union

from tf2trt.errors import OutputError, UsageError
from tf2trt.export.saved_model import is_saved_model
from tf2trt.files import check_writable

__all__ = ["check_target", "new_saved_model"]

PathLike = Union[str, "os.PathLike[str]"]


def check_target(out: PathLike, source: PathLike) -> None:
    """Makes sure that the folder ``out`` can be written, before long work starts; leaves nothing behind.

    An older SavedModel at ``out`` is fine: it is replaced when the new one is complete.

    Raises:
        UsageError: ``out`` is the model that is read.
        OutputError: ``out`` is a file, or a folder that holds something other than a SavedModel; or the folder above
            it is missing or takes no file.
    """
    target = Path(out)
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise UsageError(
            f"the result would replace the model that it is made from, {target}", hint="name another folder"
        )
    if target.exists() and not target.is_dir():
        raise OutputError(f"cannot write the SavedModel {target}: it is a file", hint="name a folder")
    if target.is_dir() and any(target.iterdir()) and not is_saved_model(target):
        raise OutputError(
            f"cannot write the SavedModel {target}: the folder holds other things",
            expected="a new folder, an empty one, or an older SavedModel, which is replaced",
        )
    check_writable(target.parent / f"{target.name}.tf2trt")


@contextlib.contextmanager
def new_saved_model(out: PathLike) -> Iterator[Path]:
    """Gives an empty folder beside ``out``, which becomes ``out`` where the block ends without an error; otherwise it
    is removed, and what was at ``out`` stays.

    Raises:
        OutputError: the folder cannot be made or moved into place.
    """
    target = Path(out)
    temporary = target.parent / f".tf2trt-{secrets.token_hex(8)}.tmp"
    older = target.parent / f".tf2trt-{secrets.token_hex(8)}.old"
    try:
        temporary.mkdir()
    except OSError as error:
        raise OutputError(f"cannot write the SavedModel {target}", received=error.strerror or str(error)) from error
    try:
        yield temporary
        try:
            if target.exists():
                target.rename(older)
            temporary.rename(target)
        except OSError as error:
            if older.exists() and not target.exists():
                older.rename(target)
            raise OutputError(f"cannot write the SavedModel {target}", received=error.strerror or str(error)) from error
    finally:
        for folder in (temporary, older):
            shutil.rmtree(folder, ignore_errors=True)
