"""From a graph whose casts were placed for FP16 to one in BF16: the same casts, other types, weights rounded anew."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import numpy as np

from tf2trt.errors import SurgeryError
from tf2trt.extras import require
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.weights import array_of

__all__ = ["bf16_bits", "check_no_half", "fp32_values", "to_bf16"]


def check_no_half(model: Any) -> None:
    """Raises SurgeryError where the graph holds FP16 already: it could not be told from what becomes BF16."""
    half = require("onnx", "export").TensorProto.FLOAT16
    values = [*model.graph.input, *model.graph.output]
    found = [value.name for value in values if value.type.tensor_type.elem_type == half]
    found += [tensor.name for tensor in _tensors(model.graph) if tensor.data_type == half]
    found += [node.name for graph in _graphs(model.graph) for node in graph.node if _casts_to(node, half)]
    if found:
        raise SurgeryError(
            "a graph that holds FP16 cannot be made BF16",
            received=", ".join(found[:5]),
            hint="start from the FP32 file",
        )


def fp32_values(model: Any) -> Dict[str, Any]:
    """The values of all FP32 initializers and Constant nodes, by name, those of bodies included."""
    types = require("onnx", "export").TensorProto
    return {tensor.name: array_of(tensor) for tensor in _tensors(model.graph) if tensor.data_type == types.FLOAT}


def to_bf16(model: Any, originals: Dict[str, Any]) -> None:
    """Makes everything BF16 that is FP16 in ``model``; ``originals`` are the values from before they were FP16."""
    types = require("onnx", "export").TensorProto
    for graph in _graphs(model.graph):
        for value in [*graph.input, *graph.output, *graph.value_info]:
            if value.type.tensor_type.elem_type == types.FLOAT16:
                value.type.tensor_type.elem_type = types.BFLOAT16
        for node in graph.node:
            for item in node.attribute:
                if item.name in ("to", "dtype") and item.i == types.FLOAT16:
                    item.i = types.BFLOAT16
    for tensor in _tensors(model.graph):
        if tensor.data_type == types.FLOAT16:
            name, shape = tensor.name, list(tensor.dims)
            values = originals[name] if name in originals else array_of(tensor).astype(np.float32)
            tensor.Clear()
            tensor.name, tensor.data_type = name, types.BFLOAT16
            tensor.dims.extend(shape)
            tensor.raw_data = bf16_bits(values).tobytes()


def bf16_bits(values: Any) -> Any:
    """FP32 values rounded to the nearest BF16, ties to even, as uint16 in little-endian order."""
    array = np.ascontiguousarray(values, np.float32)
    bits = array.view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    rounded = np.where(np.isnan(array), np.uint16(0x7FC0), rounded)
    return rounded.astype("<u2")


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for body in nested(node):
            yield from _graphs(body)


def _tensors(graph: Any) -> Iterator[Any]:
    for each in _graphs(graph):
        yield from each.initializer
        for node in each.node:
            for item in node.attribute:
                if item.HasField("t"):
                    item.t.name = item.t.name or f"{node.output[0]}/{item.name}"
                    yield item.t


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(item.name == "to" and item.i == kind for item in node.attribute)
