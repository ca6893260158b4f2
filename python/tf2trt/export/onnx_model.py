"""ONNX files of other exporters (PyTorch's, tf2onnx's): looked at, given shapes, and handed on as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from tf2trt.errors import OnnxError, UsageError
from tf2trt.export.convert import OLDEST_OPSET, Converted, io_specs
from tf2trt.export.origin import keep_origins
from tf2trt.export.source import brief, fix_shapes, refuse_strings
from tf2trt.extras import require
from tf2trt.onnx_files import Weight

__all__ = ["SUFFIX", "read"]

SUFFIX = ".onnx"


def read(path: Path, inputs: Optional[Mapping[str, Any]], opset: Optional[int]) -> Tuple[Converted, str, int]:
    """An ONNX file, its external weights still in their files.

    Returns:
        the model with the shapes that ``inputs`` fixes; what it is, in words; its opset.

    Raises:
        OnnxError: the file is empty, truncated, of an opset out of range or not valid, or weights beside it are
            missing.
        UsageError: ``opset`` is another than the file's, or ``inputs`` does not fit it.
        ExportError: an input is a string.
    """
    onnx = require("onnx", "export")
    size = path.stat().st_size
    if not size:
        raise OnnxError(f"{path} is empty", received="0 bytes", hint="the exporter failed, or the disk was full")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError differs from version to version
        raise _unreadable(path, size, brief(error)) from error
    if not model.graph.node or not model.opset_import:
        raise _unreadable(path, size, "no graph")
    found = _check_opset(onnx, path, model, opset)
    external = _external(onnx, path, model)
    try:
        onnx.checker.check_model(str(path))  # by its path: a model of any size, and external weights are looked for
    except Exception as error:  # a ValidationError, or what the checker's C++ throws
        raise OnnxError(f"{path} is not a valid ONNX model", received=brief(error)) from error
    _fix(onnx, path, model, inputs)
    keep_origins(model)
    writer = f"{model.producer_name} {model.producer_version}".strip() or "an unnamed exporter"
    detected = f"ONNX model, opset {found}, written by {writer}"
    if external:
        detected += f", weights in {', '.join(sorted({_place(tensor)[0] for tensor in external}))}"
    weights = [_weight(onnx, path, tensor) for tensor in external]
    for tensor in list(model.graph.initializer):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            model.graph.initializer.remove(tensor)
    onnx.load_external_data_for_model(model, str(path.parent))  # what is left: constants, and tensors of subgraphs
    return Converted(model, tuple(weights), beside=bool(weights)), detected, found


def _unreadable(path: Path, size: int, why: str) -> OnnxError:
    return OnnxError(
        f"{path} cannot be read", received=f"{size} bytes; {why}", hint="the file is truncated or is not ONNX"
    )


def _check_opset(onnx: Any, path: Path, model: Any, wanted: Optional[int]) -> int:
    found = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= found <= newest:
        raise OnnxError(
            f"{path} has an opset that is not taken",
            received=f"opset {found}",
            expected=f"{OLDEST_OPSET} to {newest}",
            hint="export it again with opset_version=17, or turn it: onnx.version_converter.convert_version(model, 17)"
            if found < OLDEST_OPSET
            else "a newer onnx package knows it",
        )
    if wanted not in (None, found):
        raise UsageError(
            f"opset: {path} is an ONNX file already", received=wanted, expected=f"{found}, its own; or leave it out"
        )
    return int(found)


def _external(onnx: Any, path: Path, model: Any) -> List[Any]:
    """The initializers whose bytes lie in other files, all of them there.

    Raises:
        OnnxError: such a file is missing or too short, or lies elsewhere than beside or below the model.
    """
    tensors = [each for each in model.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in tensors:
        name, offset, length = _place(tensor)
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
        if offset + (length or _size(onnx, tensor)) > there:
            raise OnnxError(
                f"{path}: the file of its weights is truncated",
                received=f"{file} has {there} bytes",
                expected=f"{offset + (length or _size(onnx, tensor))} or more, for the weight {tensor.name!r}",
            )
    return tensors


def _fix(onnx: Any, path: Path, model: Any, inputs: Optional[Mapping[str, Any]]) -> None:
    """Puts the extents of ``inputs`` into the graph, wherever the same symbol stands."""
    weights = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in weights]
    specs = io_specs(onnx, values)
    refuse_strings(path.name, specs)
    symbols: Dict[str, int] = {}
    for value, spec in zip(values, fix_shapes(specs, inputs)):
        for dim, extent in zip(value.type.tensor_type.shape.dim, spec.shape):
            if extent >= 0 and dim.dim_param:
                symbols[dim.dim_param] = extent
            if extent >= 0:
                dim.dim_value = extent
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]


def _weight(onnx: Any, path: Path, tensor: Any) -> Weight:
    name, offset, length = _place(tensor)
    size = length or _size(onnx, tensor)
    header = onnx.TensorProto()
    header.CopyFrom(tensor)
    header.ClearField("external_data")
    header.ClearField("data_location")

    def load() -> Any:
        return np.memmap(path.parent / name, np.uint8, "r", offset, (size,))

    return Weight(header, size, load)


def _place(tensor: Any) -> Tuple[str, int, int]:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    return entries.get("location", ""), int(entries.get("offset", 0)), int(entries.get("length", 0))


def _size(onnx: Any, tensor: Any) -> int:
    return int(np.prod(tensor.dims)) * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
