"""Reading and writing ONNX files for the rewrites, weights beside the file included."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Union

from tf2trt.errors import OnnxError
from tf2trt.extras import require
from tf2trt.files import atomic_write

__all__ = ["check_model", "has_weights_beside", "is_large", "read_model", "tensor_bytes", "weight_bytes", "write_model"]

PathLike = Union[str, "os.PathLike[str]"]
_ONE_FILE = 1_800_000_000  # bytes of weights; protobuf stops at 2 GiB, and the graph needs room too
_MIN_EXTERNAL = 1024  # smaller tensors (shapes, scalars) stay in the graph, where tools look for them


def read_model(path: PathLike) -> Any:
    """An ``onnx.ModelProto`` with all weights in memory.

    Raises:
        OnnxError: the file, or a file of weights that it names, is missing or damaged.
        MissingExtraError: onnx is not installed.
    """
    onnx = require("onnx", "export")
    source = Path(path)
    if not source.is_file():
        raise OnnxError(f"there is no ONNX file at {source}")
    try:
        model = onnx.load(str(source))
        check_model(model)
    except Exception as error:  # protobuf's DecodeError, onnx's ValidationError, OSError of a missing weights file
        raise OnnxError(
            f"{source} cannot be read",
            received=f"{type(error).__name__}: {str(error).strip()[:500]}",
            hint="the file is truncated or is not ONNX; weights kept beside it (NAME.onnx.data) must be there too",
        ) from error
    return model


def has_weights_beside(path: PathLike) -> bool:
    """Whether some of the main graph's weights lie in files beside ``path``, a readable ONNX file."""
    onnx = require("onnx", "export")
    model = onnx.load(str(path), load_external_data=False)
    return any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)


def check_model(model: Any) -> None:
    """ONNX's own checker, where the model is not too large for it (it serialises the model: 2 GiB at most).

    Raises:
        onnx.checker.ValidationError: the model is not valid.
    """
    if not is_large(model):
        require("onnx", "export").checker.check_model(model)


def weight_bytes(model: Any) -> int:
    """The size of the main graph's weights."""
    return sum(map(tensor_bytes, model.graph.initializer))


def tensor_bytes(tensor: Any) -> int:
    """The size of a TensorProto's values by its shape and type, 4-bit ones as bytes; 0 for strings."""
    onnx = require("onnx", "export")
    if tensor.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return 0
    return int(math.prod(tensor.dims)) * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def is_large(model: Any) -> bool:
    """Whether the weights are 1.8 GB or more, too large for whatever serialises the model."""
    return weight_bytes(model) >= _ONE_FILE


def write_model(model: Any, path: PathLike, *, beside: bool = False) -> None:
    """Writes a model whole or not at all; from 1.8 GB on, or with ``beside``, its weights in ``NAME.onnx.data``.

    Changes ``model`` in the latter case: its tensors then point to that file.

    Raises:
        OutputError: a file cannot be written.
    """
    target = Path(path)
    if beside or is_large(model):
        _write_weights(model, target.with_name(target.name + ".data"))
    atomic_write(target, model.SerializeToString())


def _write_weights(model: Any, path: Path) -> None:
    helper = require("onnx.external_data_helper", "export")
    weights = bytearray()
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < _MIN_EXTERNAL:
            continue
        offset = len(weights)
        weights += tensor.raw_data
        helper.set_external_data(tensor, path.name, offset=offset, length=len(weights) - offset)
        tensor.ClearField("raw_data")
    atomic_write(path, weights)
