"""The public call: find out what the model is, convert it, check it, write it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

from tf2trt.errors import ExportError, UsageError
from tf2trt.export import function, keras, saved_model
from tf2trt.export.check import check as check_against_tensorflow
from tf2trt.export.convert import DEFAULT_OPSET, check_opset, io_specs, to_onnx
from tf2trt.export.quiet import import_tensorflow, quiet_loggers
from tf2trt.export.report import ExportReport
from tf2trt.export.source import Source, fix_shapes
from tf2trt.extras import require
from tf2trt.files import atomic_write, check_writable

__all__ = ["export"]

PathLike = Union[str, "os.PathLike[str]"]


def export(
    model: Any,
    output: PathLike,
    *,
    signature: Optional[str] = None,
    inputs: Optional[Mapping[str, Any]] = None,
    opset: Optional[int] = None,
    tags: Optional[Sequence[str]] = None,
    check: bool = True,
    tolerance: float = 1e-4,
) -> ExportReport:
    """Writes ``model`` as an ONNX file, after comparing it with TensorFlow on fresh random inputs.

    A dynamic extent (None) stays dynamic, so an engine can be built for a range of batch sizes. Input and output
    names are the ones the user knows: Keras's input and output layers, the arguments and results of a SavedModel's
    signature, the parameters and dictionary keys of a ``tf.function``. Where an output is called like an input, which
    ONNX does not allow, it gets ``_1`` behind its name. A SavedModel's signature has no order: its inputs
    and outputs are sorted by name, numbers in the names as numbers.

    Args:
        model: a Keras model (2 or 3), a ``tf.function``, or the path of a SavedModel folder or a ``.keras`` or ``.h5``
            file.
        output: the ``.onnx`` file; written whole or not at all.
        signature: which signature of a SavedModel; by default ``serving_default``, or the only one.
        inputs: shapes by input name, None or -1 for a dynamic extent. Fixes dynamic extents; for a ``tf.function``
            without ``input_signature`` and for a subclassed Keras model it says what the inputs are (there a
            ``tf.TensorSpec`` gives the dtype as well, else it is float32).
        opset: the ONNX operator set, 13 to 18; 15 by default, which TensorRT reads from 8.5 on.
        tags: the tags of the MetaGraph in a SavedModel; needed where it holds several.
        check: compare with TensorFlow by ONNX Runtime; with two batch sizes where the batch is dynamic.
        tolerance: the largest ``||onnx - tensorflow|| / ||tensorflow||`` allowed for any output.

    Raises:
        UsageError: an argument that does not fit the model, such as an unknown signature.
        OutputError: ``output`` cannot be written; found before any work is done.
        ExportError: the model cannot be read or converted, or the ONNX model computes something else.
        MissingExtraError: TensorFlow, tf2onnx, onnx (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    started = time.perf_counter()
    target = Path(output)
    opset = DEFAULT_OPSET if opset is None else opset
    check_writable(target)
    if not isinstance(model, (str, os.PathLike)) and (signature is not None or tags is not None):
        raise UsageError("signature and tags belong to a SavedModel", received=f"a {type(model).__name__} object")
    path = _existing(Path(model)) if isinstance(model, (str, os.PathLike)) else None
    tensorflow = import_tensorflow()
    onnx = require("onnx", "export")
    if check:
        require("onnxruntime", "verify")  # now, not after minutes of conversion
    with quiet_loggers():
        check_opset(opset)
        source = _source(tensorflow, model, path, signature, inputs, tags)
        specs = fix_shapes(source.inputs, inputs)
        proto = to_onnx(tensorflow, source, specs, opset)
        error = check_against_tensorflow(tensorflow, source, specs, proto, tolerance) if check else None
    atomic_write(target, _serialize(proto))
    return ExportReport(
        output=target,
        source=source.kind,
        inputs=io_specs(onnx, proto.graph.input),
        outputs=io_specs(onnx, proto.graph.output),
        opset=opset,
        max_rel_error=error,
        nodes=len(proto.graph.node),
        seconds=time.perf_counter() - started,
    )


def _existing(path: Path) -> Path:
    kind = "a SavedModel folder (with saved_model.pb in it), a .keras file or an .h5 file"
    if not path.exists():
        raise ExportError(f"there is no model at {path}", expected=kind)
    if saved_model.is_saved_model(path) or (path.is_file() and path.suffix.lower() in keras.SUFFIXES):
        return path
    raise ExportError(f"{path} is not a model that can be exported", expected=kind)


def _source(
    tensorflow: Any,
    model: Any,
    path: Optional[Path],
    signature: Optional[str],
    inputs: Optional[Mapping[str, Any]],
    tags: Optional[Sequence[str]],
) -> Source:
    if path is not None and path.is_dir():
        return saved_model.source(tensorflow, path, signature, tags)
    if path is not None:
        if signature is not None or tags is not None:
            raise UsageError("signature and tags belong to a SavedModel", received=str(path))
        return keras.source(keras.load(path), inputs)
    if function.is_function(model):
        return function.source(tensorflow, model, inputs)
    if keras.is_keras(model):
        return keras.source(model, inputs)
    raise UsageError(
        "this is not a model that can be exported",
        received=f"an object of {type(model).__module__}.{type(model).__qualname__}",
        expected="a Keras model, a tf.function, or the path of a SavedModel folder, a .keras or an .h5 file",
        hint="wrap a plain function: tf.function(f, input_signature=[tf.TensorSpec(...)])",
    )


def _serialize(proto: Any) -> bytes:
    try:
        return bytes(proto.SerializeToString())
    except Exception as error:  # protobuf's own classes differ from version to version
        raise ExportError(
            "the ONNX model cannot be serialised",
            received=f"{type(error).__name__}: {error}",
            hint="a single ONNX file holds at most 2 GiB",
        ) from error
