"""The inputs of an ONNX file, the narrow types that it computes in and what its nodes came from, read from its bytes.

The base install has no onnx package, and a shape that a profile lacks should be named before TensorRT starts. An ONNX
file is one protobuf message; of it only ``ModelProto.graph``, ``GraphProto.input``, the nodes and the names and
types of the initializers are looked at, and weights are stepped over.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple, TypeVar

from tf2trt.errors import OnnxError
from tf2trt.sidecar import Origin
from tf2trt.specs import Shape, TensorSpec

__all__ = ["read_onnx_inputs", "read_onnx_origins", "read_onnx_types"]

Found = TypeVar("Found")

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT = 1, 5, 11
_NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_METADATA = 2, 3, 4, 5, 9
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_ATTRIBUTE_TENSOR = 5
_TENSOR_DATA_TYPE, _TENSOR_NAME = 2, 8
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

_INT8, _FP8 = {2, 3}, {17, 18, 19, 20}
_LAYER, _OP = "tf2trt.layer", "tf2trt.op"  # what the export writes into a node's metadata


def read_onnx_inputs(path: Path) -> Tuple[TensorSpec, ...]:
    """The graph's inputs without those that only name an initializer; -1 stands for a dynamic extent.

    Raises:
        OnnxError: the file is missing, empty, truncated, or no ONNX file.
    """
    return _read(path, _inputs)


def read_onnx_types(path: Path) -> Tuple[str, ...]:
    """``"int8"``, ``"fp8"``, both or none: what the graph's QuantizeLinear and DequantizeLinear nodes quantise to.

    Without a zero point, whose type says it, that is ``"int8"``.

    Raises:
        OnnxError: the file is missing, empty, truncated, or no ONNX file.
    """
    return _read(path, _types)


def read_onnx_origins(path: Path) -> Dict[str, Origin]:
    """The Keras layer and the TensorFlow op of each node of the main graph, by the name that TensorRT gives the node's
    layer; nodes of which the file says nothing are left out.

    Raises:
        OnnxError: the file is missing, empty, truncated, or no ONNX file.
    """
    return _read(path, _origins)


def _read(path: Path, look: Callable[[memoryview], Found]) -> Found:
    try:
        with path.open("rb") as file:
            # Not closed by hand: on an error the slices that its traceback holds still point into it.
            return look(_graph(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))))
    except OSError as error:
        raise OnnxError(
            f"cannot read the ONNX file {path}", received=error.strerror or str(error), hint="check the path"
        ) from error
    except ValueError as error:  # also mmap's for an empty file
        raise OnnxError(
            f"{path} is not a whole ONNX file", received=str(error), hint="export or copy the model again"
        ) from error


def _graph(data: memoryview) -> memoryview:
    graphs: List[memoryview] = [value for field, value in _fields(data) if field == _MODEL_GRAPH]
    if not graphs:
        raise ValueError("no graph in it")
    return graphs[-1]


def _types(graph: memoryview) -> Tuple[str, ...]:
    quantised = False
    kinds: Set[int] = set()
    for field, value in _fields(graph):
        if field == _GRAPH_NODE:
            node = list(_fields(value))
            operator = next((_text(item) for number, item in node if number == _NODE_OPERATOR), "")
            quantised = quantised or operator in ("QuantizeLinear", "DequantizeLinear")
            if operator == "Constant":
                for attribute in (item for number, item in node if number == _NODE_ATTRIBUTE):
                    kinds.update(_data_type(tensor) for tensor in _tensors(attribute))
        elif field == _GRAPH_INITIALIZER:
            kinds.add(_data_type(value))
    if not quantised:
        return ()
    fp8 = ("fp8",) if kinds & _FP8 else ()
    return (*(("int8",) if kinds & _INT8 or not fp8 else ()), *fp8)


def _origins(graph: memoryview) -> Dict[str, Origin]:
    found: Dict[str, Origin] = {}
    for node in (list(_fields(value)) for field, value in _fields(graph) if field == _GRAPH_NODE):
        entries = [dict(_fields(value)) for field, value in node if field == _NODE_METADATA]
        known = {_text(entry.get(_ENTRY_KEY, b"")): _text(entry.get(_ENTRY_VALUE, b"")) for entry in entries}
        name = next((_text(value) for field, value in node if field == _NODE_NAME), "")
        output = next((_text(value) for field, value in node if field == _NODE_OUTPUT), "")
        if known.get(_LAYER) or known.get(_OP):
            found[name or f"node_of_{output}"] = (known.get(_LAYER, ""), known.get(_OP, ""))
    return found


def _tensors(attribute: memoryview) -> List[memoryview]:
    return [value for field, value in _fields(attribute) if field == _ATTRIBUTE_TENSOR]


def _data_type(tensor: memoryview) -> int:
    return next((_number(value) for field, value in _fields(tensor) if field == _TENSOR_DATA_TYPE), 0)


def _inputs(graph: memoryview) -> Tuple[TensorSpec, ...]:
    inputs: List[TensorSpec] = []
    constants: Set[str] = set()
    for field, value in _fields(graph):
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
