"""ONNX files read without their weights.

A large weight of the main graph is here a *reference*: an ``onnx.TensorProto`` whose ``external_data`` names a file, an
offset and a length, as ONNX writes weights that lie beside a model. The file may be the ONNX file itself.
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple

from tf2trt.errors import OnnxError
from tf2trt.extras import require

__all__ = [
    "SMALL",
    "check_graph",
    "check_places",
    "copy_fields",
    "is_reference",
    "place_of",
    "read_skeleton",
    "refer",
    "references",
    "tensor_bytes",
]

SMALL = 1024  # bytes; smaller tensors (shapes, scalars) stay in the graph, where tools look for them

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9  # numbers of fields in ModelProto, GraphProto, TensorProto
_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's kinds of fields


def read_skeleton(path: Path) -> Any:
    """The model in an ONNX file, an ``onnx.ModelProto``, with references in the place of large weights.

    Those that lie in the file itself get a reference to it; those beside it have theirs already. No weight is read, so
    this takes the memory of the graph alone.

    Raises:
        ValueError: the file is empty, truncated or not protobuf; so does protobuf, with an exception of its own.
        OSError: the file cannot be read.
    """
    onnx = require("onnx", "export")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts: List[bytes] = []
        for field, start, body, end in _fields(data, 0, len(data)):
            if field == _GRAPH:
                graph = b"".join(_without_weights(onnx, path.name, data, body, end))
                parts += [_head(_GRAPH, len(graph)), graph]
            else:
                parts.append(data[start:end])
        return onnx.ModelProto.FromString(b"".join(parts))


def refer(tensor: Any, file: str, offset: int, size: int) -> None:
    """Makes ``tensor``, which has no data, a reference to ``size`` bytes at ``offset`` in ``file``."""
    del tensor.external_data[:]
    for key, value in (("location", file), ("offset", offset), ("length", size)):
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = type(tensor).EXTERNAL


def is_reference(tensor: Any) -> bool:
    """Whether a TensorProto's values lie in a file."""
    return bool(tensor.data_location == type(tensor).EXTERNAL)


def references(model: Any) -> List[Any]:
    """The initializers of the main graph that are references."""
    return [tensor for tensor in model.graph.initializer if is_reference(tensor)]


def place_of(tensor: Any) -> Tuple[str, int, int]:
    """A reference's file, relative to the model's folder, and the offset and size of the values in it, in bytes."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    size = int(entries.get("length", 0)) or tensor_bytes(tensor)
    return entries.get("location", ""), int(entries.get("offset", 0)), size


def tensor_bytes(tensor: Any) -> int:
    """The size of a TensorProto's values by its shape and type, 4-bit ones as bytes; 0 for strings."""
    onnx = require("onnx", "export")
    if tensor.data_type == onnx.TensorProto.STRING or tensor.data_type not in onnx.helper.get_all_tensor_dtypes():
        return 0
    return int(math.prod(tensor.dims)) * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def check_places(path: Path, model: Any) -> None:
    """Sees whether the files that the references of ``model``, read from ``path``, name are there.

    Raises:
        OnnxError: such a file is missing or too short, or lies elsewhere than beside or below the model.
    """
    for tensor in references(model):
        name, offset, size = place_of(tensor)
        file = path.parent / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise OnnxError(f"{path}: the weight {tensor.name!r} lies outside of the model's folder", received=name)
        if not file.is_file():
            raise OnnxError(
                f"{path}: its weights are missing",
                received=f"no file {file}",
                expected=f"{name} beside {path.name}: the weight {tensor.name!r} is in it",
                hint="an ONNX file with external data is moved and copied together with it",
            )
        there = file.stat().st_size
        if offset + size > there:
            raise OnnxError(
                f"{path}: the file of its weights is truncated",
                received=f"{file} has {there} bytes",
                expected=f"{offset + size} or more, for the weight {tensor.name!r}",
            )


def check_graph(model: Any, weights: Sequence[Any] = ()) -> None:
    """ONNX's own checker on all of ``model`` but the values of large weights, so of a model of any size.

    Large initializers, and ``weights`` (TensorProtos that it lacks), stand as inputs of their type and shape meanwhile.

    Raises:
        onnx.checker.ValidationError: the model is not valid.
    """
    onnx = require("onnx", "export")
    checked = onnx.ModelProto()
    copy_fields(model, checked, without="graph")
    copy_fields(model.graph, checked.graph, without="initializer")
    inputs = {value.name for value in checked.graph.input}
    aside = list(weights)
    for tensor in model.graph.initializer:
        if is_reference(tensor) or (tensor_bytes(tensor) >= SMALL and len(tensor.raw_data) == tensor_bytes(tensor)):
            aside.append(tensor)
        else:
            checked.graph.initializer.add().CopyFrom(tensor)
    for tensor in aside:
        if tensor.name not in inputs:
            kind = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            checked.graph.input.add().CopyFrom(kind)
    onnx.checker.check_model(checked)


def copy_fields(source: Any, target: Any, without: str) -> None:
    """Copies a protobuf message into an empty one of its type, but for the field ``without``."""
    for field, value in source.ListFields():
        if field.name == without:
            continue
        if hasattr(value, "extend"):
            getattr(target, field.name).extend(value)
        elif hasattr(value, "CopyFrom"):
            getattr(target, field.name).CopyFrom(value)
        else:
            setattr(target, field.name, value)


def _without_weights(onnx: Any, name: str, data: Any, start: int, end: int) -> Iterator[bytes]:
    for field, begin, body, stop in _fields(data, start, end):
        tensor = _reference(onnx, name, data, body, stop) if field == _INITIALIZER and stop - body >= SMALL else None
        if tensor is None:
            yield data[begin:stop]
        else:
            yield _head(_INITIALIZER, len(tensor)) + tensor


def _reference(onnx: Any, name: str, data: Any, start: int, end: int) -> Any:
    """A tensor without its raw_data, serialised; None where it has none, or none that fits its type and shape."""
    parts: List[bytes] = []
    raw = (0, 0)
    for field, begin, body, stop in _fields(data, start, end):
        if field == _RAW_DATA:
            raw = (body, stop - body)
        else:
            parts.append(data[begin:stop])
    if raw[1] < SMALL:
        return None
    tensor = onnx.TensorProto.FromString(b"".join(parts))
    if raw[1] != tensor_bytes(tensor):
        return None
    refer(tensor, name, *raw)
    return tensor.SerializeToString()


def _fields(data: Any, start: int, end: int) -> Iterator[Tuple[int, int, int, int]]:
    """The fields of a message in protobuf's wire format: number, where it starts, where its content starts and ends."""
    at = start
    while at < end:
        begin = at
        key, at = _read_varint(data, at, end)
        kind = key & 7
        if kind == _SIZED:
            size, at = _read_varint(data, at, end)
        elif kind == _VARINT:
            size = _read_varint(data, at, end)[1] - at
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("not protobuf")
        if at + size > end:
            raise ValueError("truncated")
        yield key >> 3, begin, at, at + size
        at += size


def _read_varint(data: Any, at: int, end: int) -> Tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("truncated")


def _head(field: int, size: int) -> bytes:
    parts = bytearray([field << 3 | _SIZED])
    while size > 0x7F:
        parts.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*parts, size])
