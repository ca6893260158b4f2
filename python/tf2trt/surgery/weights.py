"""Where large weights are while a model is rewritten: in files of one folder, and references to them in the graph.

Passes read values with :func:`array_of` and make constants with :func:`tensor_of`; :func:`settle` takes care of those
that come about otherwise. Outside of :func:`weight_folder` all of them work in memory.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

import numpy as np

from tf2trt.errors import OutputError, SurgeryError
from tf2trt.extras import require
from tf2trt.onnx_files import append
from tf2trt.onnx_skeleton import SMALL, is_reference, place_of, refer, tensor_bytes
from tf2trt.surgery.nodes import nested

__all__ = [
    "add_weight",
    "array_of",
    "current_folder",
    "goes_to_folder",
    "loaded",
    "settle",
    "tensor_of",
    "weight_folder",
]

_FILE = "rewritten.weights"
_PART = 16 << 20  # bytes that are written at a time
_FOLDER: ContextVar[Optional[Path]] = ContextVar("weight_folder", default=None)
_VALUES = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")


@contextlib.contextmanager
def weight_folder(path: Path) -> Iterator[None]:
    """For the time of the block, references are to files in the folder ``path``, and new weights go there."""
    token = _FOLDER.set(path)
    try:
        yield
    finally:
        _FOLDER.reset(token)


def current_folder() -> Optional[Path]:
    """The folder of weights; None outside of :func:`weight_folder`."""
    return _FOLDER.get()


def array_of(tensor: Any) -> Any:
    """A TensorProto's values as an array; those of a reference are mapped, and a change stays in the array.

    Raises:
        SurgeryError: a reference, and no folder of weights.
    """
    if not is_reference(tensor):
        return require("onnx.numpy_helper", "export").to_array(tensor)
    folder = _FOLDER.get()
    if folder is None:
        raise SurgeryError(f"the weight {tensor.name!r} is not in memory", received=place_of(tensor)[0])
    name, offset, size = place_of(tensor)
    dtype = require("onnx.helper", "export").tensor_dtype_to_np_dtype(tensor.data_type)
    data = np.memmap(folder / name, np.uint8, "c", offset, (size,))
    return np.asarray(data).view(dtype).reshape(tuple(tensor.dims))


def goes_to_folder(array: Any) -> bool:
    """Whether a constant of these values is to lie in the folder of weights: there is one, and it is large."""
    if _FOLDER.get() is None or array.dtype.kind not in "biufc":
        return False
    return bool(array.nbytes >= SMALL)


def tensor_of(array: Any, name: str, shape: Optional[Sequence[int]] = None) -> Any:
    """A TensorProto of an array's values; a large one goes to the folder of weights, where there is one.

    The array may be a view, transposed for instance: it is written in parts, and no copy of all of it is made.

    Args:
        shape: the tensor's, where it is another than the array's.

    Raises:
        OutputError: it cannot be written there.
    """
    values = np.asarray(array)
    shape = values.shape if shape is None else tuple(shape)
    onnx = require("onnx", "export")
    if not goes_to_folder(values):
        return onnx.numpy_helper.from_array(np.ascontiguousarray(values).reshape(shape), name)
    kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = onnx.TensorProto(name=name, data_type=kind, dims=shape)
    add_weight(tensor, _parts(values), values.nbytes)
    return tensor


def loaded(tensor: Any) -> Any:
    """A copy of a reference with its values in it; any other tensor as it is."""
    if not is_reference(tensor):
        return tensor
    copy = type(tensor)(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, doc_string=tensor.doc_string)
    copy.raw_data = array_of(tensor).tobytes()
    return copy


def settle(model: Any) -> Any:
    """``model``, its large weights of the main graph in the folder of weights, one by one, and the bodies' references
    in the main graph, from where onnx-graphsurgeon copies what bodies read into them.

    Returns:
        a model; the one that was given is not to be used any more. Without a folder it is the same.

    Raises:
        OutputError: a weight cannot be written.
    """
    if _FOLDER.get() is None:
        return model
    moved = _lift(model.graph)
    for tensor in model.graph.initializer:
        size = tensor_bytes(tensor)
        if size < SMALL or is_reference(tensor):
            continue
        data = tensor.raw_data if tensor.HasField("raw_data") else array_of(tensor).tobytes()
        if len(data) == size:
            for field in _VALUES:
                tensor.ClearField(field)
            add_weight(tensor, [data], size)
            moved = True
    if not moved:
        return model
    fresh = type(model)()  # protobuf gives memory back only with the whole message
    fresh.CopyFrom(model)
    return fresh


def add_weight(tensor: Any, parts: Iterable[Any], size: int) -> None:
    """Writes a weight's ``size`` bytes, in parts, to the folder of weights; ``tensor`` becomes a reference to them.

    Raises:
        OutputError: they cannot be written.
    """
    folder = _FOLDER.get()
    assert folder is not None
    try:
        refer(tensor, _FILE, append(folder / _FILE, parts), size)
    except OSError as error:
        raise OutputError(
            f"cannot write the weights to {folder}, where they lie while the graph is rewritten",
            received=error.strerror or str(error),
            hint="choose an output on a disk that has space for the weights three times",
        ) from error


def _parts(values: Any) -> Iterator[Any]:
    rows = np.atleast_1d(np.squeeze(values))
    step = max(1, _PART * len(rows) // values.nbytes)
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[start : start + step])


def _lift(graph: Any) -> bool:
    """Puts references of bodies into the main graph, whose tensors bodies may read."""
    there = {tensor.name: tensor for tensor in graph.initializer}
    lifted: Dict[str, Any] = {}
    for body in _bodies(graph):
        own = {value.name for value in [*body.input, *body.output]}
        for tensor in [tensor for tensor in body.initializer if is_reference(tensor) and tensor.name not in own]:
            known = there.get(tensor.name, lifted.get(tensor.name))
            if known is None or (is_reference(known) and place_of(known) == place_of(tensor)):
                lifted[tensor.name] = type(tensor).FromString(tensor.SerializeToString())
                body.initializer.remove(tensor)
    graph.initializer.extend(tensor for name, tensor in lifted.items() if name not in there)
    return bool(lifted)


def _bodies(graph: Any) -> List[Any]:
    bodies = [body for node in graph.node for body in nested(node)]
    return [*bodies, *(inner for body in bodies for inner in _bodies(body))]
