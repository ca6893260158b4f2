"""From what a user has, a model and the candidate that failed, to what is bisected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Tuple, Union

from tf2trt.errors import UsageError
from tf2trt.verify.bisect.trials import EngineTrial, OnnxTrial, Trial
from tf2trt.verify.candidate import Candidate

if TYPE_CHECKING:
    from tf2trt import _native

__all__ = ["open_trial"]

PathLike = Union[str, "os.PathLike[str]"]

_EXPECTED = "a candidate in fp16, bf16, int8 or int8+fp16"


def open_trial(
    model: Any,
    path: PathLike,
    candidate: Candidate,
    folder: Path,
    *,
    built_from: Optional[PathLike] = None,
    signature: Optional[str] = None,
    shapes: Optional[Mapping[str, Any]] = None,
    plugin_libraries: Sequence[PathLike] = (),
    library: Optional[_native.Library] = None,
    calibrate: Optional[Callable[[Path], Any]] = None,
) -> Tuple[Path, Trial, Tuple[str, ...]]:
    """The FP32 model as an ONNX file, how the candidate is built again with other layers in FP32, and what there is to
    say about it.

    A model that is no ONNX file is exported to ``folder``, as :func:`tf2trt.preparation.prepare` does it. An ONNX
    candidate is made anew from that file, or, where it holds QuantizeLinear nodes, from itself; an engine is built anew
    as its sidecar says, from ``built_from`` or that file.

    Args:
        model: the original model, as :func:`tf2trt.export.export` takes it.
        path, candidate: the candidate's file, and the candidate opened.
        built_from: the ONNX file that the candidate was built from, where it is not the model: a Q/DQ graph.
        signature, shapes: of the export; ``shapes`` is its ``inputs``.
        library: the TensorRT that builds engines.
        calibrate: see :class:`~tf2trt.verify.bisect.EngineTrial`.

    Raises:
        UsageError: the candidate is FP32, or does not say what it is; a Q/DQ graph, or data for INT8, is missing.
        ExportError, OnnxError and others: the model cannot be exported or read.
    """
    is_onnx = isinstance(model, (str, os.PathLike)) and Path(model).suffix.lower() == ".onnx"
    precision = candidate.precision
    if precision is None or not set(precision.split("+")) & {"fp16", "bf16", "int8"}:
        hint = None if precision else "the engine has no sidecar, NAME.engine.json, that would say how it was built"
        raise UsageError("bisect: there is nothing to set to FP32", received=precision, expected=_EXPECTED, hint=hint)
    engine = candidate.sidecar is not None
    if not engine and precision == "int8+fp16" and built_from is None:
        raise UsageError(
            "bisect: the candidate's types were written into it, and cannot be written anew",
            received=f"{path}, {precision}",
            expected="--built-from with the Q/DQ graph as it was before",
        )
    if is_onnx:
        reference = Path(model)
    else:
        reference = _export(model, folder, signature, shapes)
    if built_from is not None:
        source = Path(built_from)
    else:
        source = Path(path) if not engine and precision == "int8" else reference
    if not engine:
        return reference, OnnxTrial(source, precision), ()
    options = _options(candidate, plugin_libraries)
    trial = EngineTrial(source, options, library=library, calibrate=calibrate)
    quantised = any(node.op_type == "DequantizeLinear" for node in trial.source.graph.node)
    if "int8" in precision and not quantised and calibrate is None:
        raise UsageError(
            "bisect: an INT8 engine cannot be built again without its scales",
            received=str(source),
            expected="--built-from with the Q/DQ graph, or --calib with the data that it was calibrated on",
        )
    return reference, trial, _notes(candidate, source)


def _export(model: Any, folder: Path, signature: Optional[str], shapes: Optional[Mapping[str, Any]]) -> Path:
    from tf2trt.preparation import prepare

    path = folder / "model.onnx"
    prepare(model, path, library=None, signature=signature, inputs=shapes)
    return path


def _options(candidate: Candidate, plugin_libraries: Sequence[PathLike]) -> Any:
    from tf2trt.build import BuildOptions

    sidecar = candidate.sidecar
    assert sidecar is not None  # an engine that says its precision has one
    return BuildOptions(
        precision=sidecar.precision_asked,
        profiles=sidecar.profiles,
        layer_precision=sidecar.layer_precision,
        plugin_libraries=tuple(plugin_libraries),
    )


def _notes(candidate: Candidate, source: Path) -> Tuple[str, ...]:
    from tf2trt.sidecar import sha256

    sidecar = candidate.sidecar
    if sidecar is None or sha256(source.read_bytes()) == sidecar.onnx_sha256:
        return ()
    return (f"{source.name} is not the very file that the engine was built from ({sidecar.onnx_file})",)
