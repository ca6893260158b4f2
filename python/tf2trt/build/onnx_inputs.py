"""The inputs of an ONNX file, read straight from its bytes.

The base install has no onnx package, and a shape that a profile lacks should be named before TensorRT starts. An ONNX
file is one protobuf message; of it only ``ModelProto.graph``, ``GraphProto.input`` and the names of the initializers
are looked at, and weights are stepped over.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Iterator, List, Set, Tuple

from tf2trt.errors import OnnxError
from tf2trt.specs import Shape, TensorSpec

__all__ = ["read_onnx_inputs"]

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_INPUT = 5, 11
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_TYPE, _TENSOR_SHAPE = 1, 2
_SHAPE_DIM = 1
_DIM_VALUE = 1

_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    16: "bfloat16",
}


def read_onnx_inputs(path: Path) -> Tuple[TensorSpec, ...]:
    """The graph's inputs without those that only name an initializer; -1 stands for a dynamic extent.

    Raises:
        OnnxError: the file is missing, empty, truncated, or no ONNX file.
    """
    try:
        with path.open("rb") as file:
            # Not closed by hand: on an error the slices that its traceback holds still point into it.
            return _model(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise OnnxError(
            f"cannot read the ONNX file {path}", received=error.strerror or str(error), hint="check the path"
        ) from error
    except ValueError as error:  # also mmap's for an empty file
        raise OnnxError(
            f"{path} is not a whole ONNX file", received=str(error), hint="export or copy the model again"
        ) from error


def _model(data: memoryview) -> Tuple[TensorSpec, ...]:
    graphs = [value for field, value in _fields(data) if field == _MODEL_GRAPH]
    if not graphs:
        raise ValueError("no graph in it")
    inputs: List[TensorSpec] = []
    constants: Set[str] = set()
    for field, value in _fields(graphs[-1]):
        if field == _GRAPH_INPUT:
            inputs.append(_input(value))
        elif field == _GRAPH_INITIALIZER:
            constants.update(_text(name) for number, name in _fields(value) if number == _TENSOR_NAME)
    return tuple(spec for spec in inputs if spec.name not in constants)


def _input(data: memoryview) -> TensorSpec:
    name, dtype = "", "unknown"
    shape: Shape = ()
    for field, value in _fields(data):
        if field == _VALUE_NAME:
            name = _text(value)
        elif field == _VALUE_TYPE:
            for tensor in (inner for number, inner in _fields(value) if number == _TYPE_TENSOR):
                for number, inner in _fields(tensor):
                    if number == _TENSOR_TYPE:
                        dtype = _DTYPES.get(_number(inner), f"type {inner}")
                    elif number == _TENSOR_SHAPE:
                        shape = tuple(_extent(dim) for what, dim in _fields(inner) if what == _SHAPE_DIM)
    return TensorSpec(name, dtype, shape)


def _extent(dim: memoryview) -> int:
    """A dimension's value; -1 where it has a name (``dim_param``) or nothing instead."""
    extent = -1
    for field, value in _fields(dim):
        if field == _DIM_VALUE and _number(value) < 1 << 63:  # a negative int64 arrives as a huge varint: dynamic too
            extent = value
    return extent


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("a field of another type than ONNX gives it")
    return value


def _text(value: Any) -> str:
    if isinstance(value, int):
        raise ValueError("a field of another type than ONNX gives it")
    return bytes(value).decode()


def _fields(data: Any) -> Iterator[Tuple[int, Any]]:
    """The fields of a protobuf message: (number, int or memoryview).

    Raises:
        ValueError: the bytes are no protobuf message, or end too early.
    """
    if isinstance(data, int):
        raise ValueError("a field of another type than ONNX gives it")
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"unexpected wire type {wire} in its protobuf message")
        if at + size > len(data):
            raise ValueError("the file ends too early")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> Tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number in its protobuf message is too long")
    raise ValueError("the file ends too early")
