"""The public call: find out what the model is, convert it, write it, check what was written."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import time
from pathlib import Path
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple, Union

from tf2trt.errors import ExportError
from tf2trt.export import onnx_model
from tf2trt.export.check import check as check_against_tensorflow
from tf2trt.export.convert import DEFAULT_OPSET, Converted, check_opset, io_specs, to_onnx
from tf2trt.export.detect import check_arguments, kind_of, open_source
from tf2trt.export.graph_def import rename_inputs
from tf2trt.export.quiet import import_tensorflow, quiet_loggers
from tf2trt.export.report import ExportReport
from tf2trt.export.source import Progress, Source, brief, fix_shapes, refuse_strings
from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.onnx_files import check_target, staged, write_onnx
from tf2trt.specs import TensorSpec

__all__ = ["export", "export_scratch"]

PathLike = Union[str, "os.PathLike[str]"]
Check = Callable[[Path, bool], float]


def export(
    model: Any,
    output: PathLike,
    *,
    signature: Optional[str] = None,
    inputs: Optional[Mapping[str, Any]] = None,
    outputs: Optional[Sequence[str]] = None,
    opset: Optional[int] = None,
    tags: Optional[Sequence[str]] = None,
    check: bool = True,
    tolerance: float = 1e-4,
    progress: Optional[Progress] = None,
) -> ExportReport:
    """Writes ``model`` as an ONNX file, after comparing it with TensorFlow on fresh random inputs.

    A dynamic extent (None) stays dynamic, so an engine can be built for a range of batch sizes. Input and output
    names are the ones the user knows: Keras's input and output layers, the arguments and results of a SavedModel's
    or TFLite model's signature, the parameters and dictionary keys of a ``tf.function``, the tensors of a frozen graph.
    Where an output is called like an input, which ONNX does not allow, it gets ``_1`` behind its name. A SavedModel's
    signature has no order: its inputs and outputs are sorted by name, numbers in the names as numbers.

    Every node carries in its ``metadata_props`` the TensorFlow op that it came from (``tf2trt.op``) and, where known,
    the Keras layer (``tf2trt.layer``).

    Args:
        model: a Keras model (2 or 3), a ``tf.function``, or the path of a SavedModel folder, a ``.keras`` or ``.h5``
            file, a frozen graph (``.pb``), a ``.tflite`` file or an ``.onnx`` file. The last is only looked at and
            copied, so that what follows an export takes it like any other; it needs no TensorFlow.
        output: the ``.onnx`` file; written whole or not at all. A model of 1.8 GB or more, and an
            ONNX file that had its weights beside it, keeps them in ``OUTPUT.data``.
        signature: which signature of a SavedModel; by default ``serving_default``, or the only one.
        inputs: shapes by input name, None or -1 for a dynamic extent. Fixes dynamic extents; for a ``tf.function``
            without ``input_signature`` and for a subclassed Keras model it says what the inputs are (there a
            ``tf.TensorSpec`` gives the dtype as well, else it is float32). A frozen graph is cut at the tensors that
            it names.
        outputs: the tensors of a frozen graph that are its results, ``NAME`` or ``NAME:0``; by default the one node
            that no other reads.
        opset: the ONNX operator set, 13 to 18; 15 by default, which TensorRT reads from 8.5 on.
        tags: the tags of the MetaGraph in a SavedModel; needed where it holds several.
        check: compare with TensorFlow by ONNX Runtime; with two batch sizes where the batch is dynamic.
        tolerance: the largest ``||onnx - tensorflow|| / ||tensorflow||`` allowed for any output; at least 0.05 for a
            quantised TFLite model, whose integer steps TFLite and ONNX round differently.
        progress: called with a stage (``loading``, ``tracing``, ``converting``, ``writing``, ``checking``), how much of
            it is done and how much there is (bytes of weights for ``writing``).

    Raises:
        UsageError: an argument that does not fit the model, such as an unknown signature.
        OutputError: ``output`` cannot be written; found before any work is done.
        ExportError: the model cannot be read or converted, or the ONNX model computes something else.
        OnnxError: an ONNX file that is damaged, or whose weights are missing.
        MissingExtraError: TensorFlow, tf2onnx, onnx (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    return _export(
        model,
        Path(output),
        signature=signature,
        inputs=inputs,
        outputs=outputs,
        opset=opset,
        tags=tags,
        check=check,
        tolerance=tolerance,
        progress=progress,
    )


def export_scratch(model: Any, output: Path, **arguments: Any) -> ExportReport:
    """:func:`export` to a file that is read at once and then goes: its large weights lie in ``OUTPUT.data``, where
    whoever reads it can map them one by one, and nothing waits for the disk.
    """
    report = _export(model, output, scratch=True, **arguments)
    _give_memory_back()
    return report


def _export(
    model: Any,
    target: Path,
    *,
    signature: Optional[str] = None,
    inputs: Optional[Mapping[str, Any]] = None,
    outputs: Optional[Sequence[str]] = None,
    opset: Optional[int] = None,
    tags: Optional[Sequence[str]] = None,
    check: bool = True,
    tolerance: float = 1e-4,
    progress: Optional[Progress] = None,
    scratch: bool = False,
) -> ExportReport:
    started = time.perf_counter()
    check_writable(target)
    kind, path = kind_of(model)
    check_arguments(kind, model, signature, tags, outputs)
    tell = progress or _silent
    tell("loading", 0, 1)
    compare: Optional[Check] = None
    if kind == "onnx" and path is not None:
        onnx = require("onnx", "export")
        check_target(path, target)
        converted, detected, opset = onnx_model.read(path, inputs, opset)
        tell("loading", 1, 1)
        error = _write(onnx, target, converted, None, tell, scratch)
    else:
        tensorflow = import_tensorflow()
        onnx = require("onnx", "export")
        if check:
            require("onnxruntime", "verify")  # now, not after minutes of conversion
        opset = DEFAULT_OPSET if opset is None else opset
        with quiet_loggers():
            check_opset(opset)
            source = open_source(tensorflow, kind, model, path, signature, inputs, tags, outputs)
            wanted = rename_inputs(inputs) if kind == "graph_def" else inputs
            refuse_strings(source.name, source.inputs)
            specs = fix_shapes(source.inputs, wanted)
            tell("loading", 1, 1)
            converted = to_onnx(tensorflow, source, specs, opset, tell)
            _give_memory_back()
            if check:
                compare = _comparison(tensorflow, source, specs, max(tolerance, source.slack), tell)
            error = _write(onnx, target, converted, compare, tell, scratch)
        kind, detected = source.kind, source.detected
    graph = converted.model.graph
    weights = {tensor.name for tensor in [*graph.initializer, *(weight.tensor for weight in converted.weights)]}
    return ExportReport(
        output=target,
        source=kind,
        inputs=io_specs(onnx, [value for value in graph.input if value.name not in weights]),
        outputs=io_specs(onnx, graph.output),
        opset=opset,
        max_rel_error=error,
        nodes=len(graph.node),
        seconds=time.perf_counter() - started,
        detected=detected,
    )


def _comparison(
    tensorflow: Any, source: Source, specs: Tuple[TensorSpec, ...], tolerance: float, tell: Progress
) -> Check:
    def compare(path: Path, sparing: bool) -> float:
        return check_against_tensorflow(tensorflow, source, specs, path, tolerance, tell, sparing=sparing)

    return compare


def _write(
    onnx: Any, target: Path, converted: Converted, compare: Optional[Check], tell: Progress, scratch: bool
) -> Optional[float]:
    """Writes the file, looks at what was written, and only then puts it in its place."""
    tell("writing", 0, 1)
    with staged(target, lasting=not scratch) as path:
        try:
            written = write_onnx(
                path,
                converted.model,
                converted.weights,
                lambda done, total: tell("writing", done, total),
                beside=converted.beside or scratch,
            )
        except ValueError as error:  # protobuf's EncodeError is one
            raise ExportError(
                "the ONNX model cannot be serialised",
                received=brief(error),
                hint="without its weights, an ONNX file holds at most 2 GiB",
            ) from error
        tell("writing", 1, 1)
        if converted.weights:
            # A model of references to the very bytes just written: ONNX Runtime maps them, and makes no copy.
            path = path.with_name(path.stem + ".check.onnx")
            path.write_bytes(written.SerializeToString())
            try:
                onnx.checker.check_model(str(path))
            except onnx.checker.ValidationError as error:
                raise ExportError("tf2onnx wrote an invalid ONNX model", received=brief(error)) from error
        return compare(path, bool(converted.weights)) if compare else None


def _give_memory_back() -> None:
    """What tf2onnx made of weights and left behind; glibc would keep what is free of it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _silent(stage: str, done: int, total: int) -> None:
    pass
