"""What ties a calibration to its model."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Union

from tf2trt.errors import OnnxError

__all__ = ["model_hash"]

_CHUNK = 1 << 20
PathLike = Union[str, "os.PathLike[str]"]


def model_hash(onnx: PathLike) -> str:
    """The SHA-256 of an ONNX file, in hex; with weights beside it (``NAME.onnx.data``) of both files.

    Raises:
        OnnxError: the file cannot be read.
    """
    path = Path(onnx)
    digest = hashlib.sha256()
    beside = path.with_name(path.name + ".data")
    try:
        for part in (path, *([beside] if beside.is_file() else [])):
            with part.open("rb") as file:
                for chunk in iter(lambda file=file: file.read(_CHUNK), b""):  # type: ignore[misc]
                    digest.update(chunk)
    except OSError as error:
        raise OnnxError(
            f"cannot read the ONNX file {path}", received=error.strerror or str(error), hint="check the path"
        ) from error
    return digest.hexdigest()
