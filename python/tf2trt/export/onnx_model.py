"""ONNX files of other exporters (PyTorch's, tf2onnx's): looked at, given shapes, and handed on as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from tf2trt.errors import OnnxError, UsageError
from tf2trt.export.convert import OLDEST_OPSET, Converted, io_specs
from tf2trt.export.origin import keep_origins
from tf2trt.export.source import brief, fix_shapes, refuse_strings
from tf2trt.extras import require
from tf2trt.onnx_files import map_weight
from tf2trt.onnx_skeleton import check_graph, check_places, place_of, read_skeleton, references

__all__ = ["SUFFIX", "read"]

SUFFIX = ".onnx"


def read(path: Path, inputs: Optional[Mapping[str, Any]], opset: Optional[int]) -> Tuple[Converted, str, int]:
    """An ONNX file, its large weights still in their files: they are not read here.

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
        model = read_skeleton(path)
    except Exception as error:  # protobuf's DecodeError differs from version to version
        raise _unreadable(path, size, brief(error)) from error
    if not model.graph.node or not model.opset_import:
        raise _unreadable(path, size, "no graph")
    found = _check_opset(onnx, path, model, opset)
    check_places(path, model)
    outside = references(model)
    weights = [map_weight(tensor, path.parent) for tensor in outside]
    files = sorted({place_of(tensor)[0] for tensor in outside} - {path.name})
    _fix(onnx, path, model, inputs)
    for tensor in outside:
        model.graph.initializer.remove(tensor)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))  # what is left: constants, tensors of subgraphs
        check_graph(model, [weight.tensor for weight in weights])
    except Exception as error:  # a ValidationError, what the checker's C++ throws, a file that is not there
        raise OnnxError(f"{path} is not a valid ONNX model", received=brief(error)) from error
    keep_origins(model)
    # tf2onnx puts its own commit behind its version, which is "None" in a release.
    words = [word for word in f"{model.producer_name} {model.producer_version}".split() if word != "None"]
    writer = " ".join(words) or "an unnamed exporter"
    detected = f"ONNX model, opset {found}, written by {writer}"
    if files:
        detected += f", weights in {', '.join(files)}"
    return Converted(model, tuple(weights), beside=bool(files)), detected, found


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
