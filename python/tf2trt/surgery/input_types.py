"""Inputs that callers give in another type or layout: the graph converts them first."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.extras import require
from tf2trt.surgery.bindings import describe, dtype_name, known_names, rename_tensors, shape_of, unused_name

__all__ = ["check_layouts", "check_types", "set_layouts", "set_types"]

_FLOATS = ("float16", "float32", "float64")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TO_NHWC = (0, 2, 3, 1)


def check_types(inputs: Mapping[str, Any], dtypes: Mapping[str, str]) -> Dict[str, str]:
    """The types wanted by input, those that it has left out; ``"all"`` stands for floating-point inputs of rank 4.

    Args:
        inputs: the model's own (ValueInfoProto) by name.

    Raises:
        UsageError: a type that is none, or that does not convert to the model's own without loss of meaning.
    """
    wanted = dict(dtypes)
    every = wanted.pop("all", None) if "all" not in inputs else None
    if every is not None:
        images = [name for name in _rank_4(inputs) if _dtype(inputs[name]) in _FLOATS]
        if not images:
            _refuse("input dtypes: the model has no floating-point input of rank 4", "all", inputs)
        wanted = {**dict.fromkeys(images, every), **wanted}
    for name, dtype in wanted.items():
        own = _dtype(inputs[name])
        if dtype not in (*_FLOATS, *_INTEGERS, "bool"):
            raise UsageError(
                f"input dtypes: {name}", received=repr(dtype), expected=f"{', '.join((*_INTEGERS, *_FLOATS))} or bool"
            )
        if own not in (*_FLOATS, *_INTEGERS, "bool"):
            raise UsageError(f"input dtypes: the input cannot be converted to, it is {describe(inputs[name])}")
        if dtype != own and dtype in _FLOATS and own not in _FLOATS:
            raise UsageError(
                f"input dtypes: {name}: fractions would be cut off",
                received=dtype,
                expected=f"an integer type, the model takes {own}",
            )
    return {name: dtype for name, dtype in wanted.items() if dtype != _dtype(inputs[name])}


def check_layouts(inputs: Mapping[str, Any], names: Sequence[str]) -> List[str]:
    """The inputs that are to be NCHW, ``"all"`` replaced by those of rank 4.

    Raises:
        UsageError: an input that is not of rank 4, or none is.
    """
    every = "all" in names and "all" not in inputs
    if every and not _rank_4(inputs):
        _refuse("inputs as NCHW: the model has no input of rank 4", "all", inputs)
    wanted = list(_rank_4(inputs) if every else dict.fromkeys(names))
    for name in wanted:
        if name not in _rank_4(inputs):
            _refuse("inputs as NCHW: an input of another rank than 4", name, inputs)
    return wanted


def set_types(model: Any, dtypes: Mapping[str, str], reserved: Iterable[str], notes: List[str]) -> None:
    """Makes each input of another type, and a Cast to the old one what reads it.

    Args:
        reserved: names that new tensors must not have, beside those of the model.
    """
    helper = require("onnx.helper", "export")
    for name, dtype in dtypes.items():
        tensor = _input(model, name).type.tensor_type
        old = tensor.elem_type
        _insert(model, "Cast", name, dtype_name(old), reserved, to=old)
        tensor.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        notes.append(f"the input {name} is {dtype}, converted to {dtype_name(old)} by a Cast")


def set_layouts(model: Any, names: Sequence[str], reserved: Iterable[str], notes: List[str]) -> None:
    """Makes each input NCHW, and a Transpose back to NHWC what reads it; ``reserved`` as for :func:`set_types`."""
    for name in names:
        _insert(model, "Transpose", name, "nhwc", reserved, perm=_TO_NHWC)
        value = _input(model, name)
        shape = value.type.tensor_type.shape
        dims = list(shape.dim)
        del shape.dim[:]
        shape.dim.extend(dims[axis] for axis in (0, 3, 1, 2))
        notes.append(f"the input is NCHW: {describe(value)}")


def _insert(model: Any, op: str, name: str, what: str, reserved: Iterable[str], **attributes: Any) -> None:
    """A node between the input ``name`` and all that reads it; it comes first, so that the order stays right."""
    graph = model.graph
    taken = known_names(graph) | {node.name for node in graph.node} | set(reserved)
    result = unused_name(f"{name}/{what}", taken)
    rename_tensors(graph.node, {name: result})
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.append(require("onnx.helper", "export").make_node(op, [name], [result], name=result, **attributes))
    graph.node.extend(nodes)


def _input(model: Any, name: str) -> Any:
    return next(value for value in model.graph.input if value.name == name)


def _rank_4(inputs: Mapping[str, Any]) -> Tuple[str, ...]:
    return tuple(name for name, value in inputs.items() if len(shape_of(value) or ()) == 4)


def _dtype(value: Any) -> str:
    return dtype_name(value.type.tensor_type.elem_type)


def _refuse(what: str, name: str, inputs: Mapping[str, Any]) -> None:
    raise UsageError(
        what, received=repr(name), expected="; ".join(map(describe, inputs.values())) or "the model has no inputs"
    )
