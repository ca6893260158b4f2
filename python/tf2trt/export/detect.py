"""What kind of model a user gave: told by the type of an object, and by what is in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.export import function, graph_def, keras, onnx_model, saved_model, tflite
from tf2trt.export.source import Source

__all__ = ["check_arguments", "kind_of", "open_source"]

_FILES = (
    "a SavedModel folder (with saved_model.pb in it), a .keras file or an .h5 file, a frozen graph (.pb), "
    "a .tflite file or an .onnx file"
)
_SAVED = ("saved_model.pb", "saved_model.pbtxt")


def kind_of(model: Any) -> Tuple[str, Optional[Path]]:
    """``"object"``, or a file's kind (``ExportReport.source``) and the path of the file or folder.

    Raises:
        ExportError: there is nothing at the path, or no model that is known here.
    """
    if not isinstance(model, (str, os.PathLike)):
        return "object", None
    path = Path(model)
    if not path.exists():
        raise ExportError(f"there is no model at {path}", expected=_FILES)
    if path.is_dir():
        if saved_model.is_saved_model(path):
            return "saved_model", path
        empty = "an empty folder" if not any(path.iterdir()) else "a folder without saved_model.pb"
        raise ExportError(f"{path} is not a model that can be exported", received=empty, expected=_FILES)
    if path.name in _SAVED:
        return "saved_model", path.parent
    suffix = path.suffix.lower()
    if suffix == onnx_model.SUFFIX:
        return "onnx", path
    if not path.stat().st_size:
        raise ExportError(f"{path} is empty", received="0 bytes", expected=_FILES)
    if suffix in keras.SUFFIXES:
        return "keras", path
    if suffix in (".pb", tflite.SUFFIX):
        return "graph_def" if suffix == ".pb" else "tflite", path
    raise ExportError(f"{path} is not a model that can be exported", expected=_FILES)


def check_arguments(
    kind: str, model: Any, signature: Optional[str], tags: Optional[Sequence[str]], outputs: Optional[Sequence[str]]
) -> None:
    """Refuses arguments that are for another kind of model.

    Raises:
        UsageError: there is such an argument.
    """
    received = f"a {type(model).__name__} object" if kind == "object" else str(model)
    if tags is not None and kind != "saved_model":
        raise UsageError("signature and tags belong to a SavedModel", received=received)
    if signature is not None and kind not in ("saved_model", "tflite"):
        raise UsageError("signature and tags belong to a SavedModel", received=received)
    if outputs is not None and kind != "graph_def":
        raise UsageError("outputs are for a frozen graph, a .pb file", received=received)
    if isinstance(outputs, str) or outputs == []:
        raise UsageError("outputs", received=repr(outputs), expected="a list of names, such as ['softmax']")


def open_source(
    tensorflow: Any,
    kind: str,
    model: Any,
    path: Optional[Path],
    signature: Optional[str],
    inputs: Optional[Mapping[str, Any]],
    tags: Optional[Sequence[str]],
    outputs: Optional[Sequence[str]],
) -> Source:
    """The model as a :class:`Source`; an ONNX file is none.

    Raises:
        UsageError: the object is no model.
        ExportError: the file cannot be read.
    """
    if path is not None and kind == "saved_model":
        return saved_model.source(tensorflow, path, signature, tags)
    if path is not None and kind == "keras":
        return keras.source(keras.load(path), inputs, path)
    if path is not None and kind == "tflite":
        return tflite.source(tensorflow, path, signature)
    if path is not None and kind == "graph_def":
        if graph_def.is_saved_model_file(path):
            raise ExportError(
                f"{path} is part of a SavedModel, and not a frozen graph",
                expected="the SavedModel's folder, in which this file is called saved_model.pb",
                hint=f"its variables lie in {path.parent / 'variables'}: give the whole folder",
            )
        return graph_def.source(tensorflow, path, inputs, outputs)
    if function.is_function(model):
        return function.source(tensorflow, model, inputs)
    if keras.is_keras(model):
        return keras.source(model, inputs)
    raise UsageError(
        "this is not a model that can be exported",
        received=f"an object of {type(model).__module__}.{type(model).__qualname__}",
        expected=f"a Keras model, a tf.function, or the path of {_FILES}",
        hint="wrap a plain function: tf.function(f, input_signature=[tf.TensorSpec(...)])",
    )
