"""Keras models: objects of Keras 2 (``tf_keras``, ``tf.keras`` before TensorFlow 2.16) and Keras 3, and their files.

Keras is recognised by what its models have, and imported only to read a file.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.source import NamedTensors, Source, brief, flatten_outputs, shape_of, spec_from
from tf2trt.extras import require
from tf2trt.specs import TensorSpec

__all__ = ["SUFFIXES", "is_keras", "load", "source"]

SUFFIXES = (".keras", ".h5", ".hdf5")

# Keras 3: Could not locate class 'Scale'. Keras 2: Unknown layer: 'Scale'.
_MISSING = re.compile(r"(?:Could not locate (?:class|function)|Unknown [\w ]+:) '?([\w.>]+)'?")


def is_keras(model: Any) -> bool:
    """Whether ``model`` is a Keras model of whatever Keras."""
    return callable(model) and all(hasattr(model, name) for name in ("layers", "weights", "get_config"))


def load(path: Path) -> Any:
    """Reads a ``.keras`` or ``.h5`` file with the Keras that wrote it where both are installed.

    Raises:
        ExportError: the file cannot be read.
        MissingExtraError: no Keras is installed.
    """
    major = _written_by(path)
    package = "tf_keras" if major == 2 and importlib.util.find_spec("tf_keras") else "keras"
    keras = require(package, "export")
    try:
        return keras.models.load_model(str(path), compile=False)
    except Exception as error:
        missing = _MISSING.search(str(error))
        if missing:
            raise _missing_class(package, path, missing.group(1)) from error
        raise ExportError(
            f"{package} cannot load {path}",
            received=brief(error),
            hint="custom classes and Lambda layers are only known to the program that made them: "
            "load the model there and pass the object to export()",
        ) from error


def source(model: Any, inputs: Optional[Mapping[str, Any]], file: Optional[Path] = None) -> Source:
    """A Keras model in inference mode. Inputs have the names of the input layers; outputs those of the output layers,
    or the keys where the model returns a dictionary. A model without symbolic inputs (subclassed, or a Sequential
    that was never built) takes its input names and shapes from ``inputs``.

    Raises:
        UsageError: the model has no symbolic inputs and ``inputs`` is empty.
        ExportError: the model runs on another backend than TensorFlow.
    """
    _check_backend(model)
    symbolic = list(getattr(model, "inputs", None) or [])
    if symbolic:
        names = getattr(model, "input_names", None) or _layer_names(symbolic) or [tensor.name for tensor in symbolic]
        specs = tuple(_spec(name, tensor) for name, tensor in zip(names, symbolic))
        pack = _packer(model, symbolic)
    elif inputs:
        specs = tuple(spec_from(name, given) for name, given in inputs.items())
        pack = _packer_by_name(model, list(inputs))
    else:
        raise UsageError(
            f"the Keras model {model.name!r} does not say what its inputs are",
            received="a model without symbolic inputs",
            expected="inputs={name: shape}",
            hint="for example inputs={'x': (None, 224, 224, 3)}",
        )
    names_of_outputs = _output_names(model)
    options = {"training": False} if _takes(model.call, "training") else {}

    def run(tensors: Sequence[Any]) -> NamedTensors:
        args, kwargs = pack(tensors)
        result = model(*args, **kwargs, **options)
        pairs = flatten_outputs(result)
        if not isinstance(result, Mapping) and names_of_outputs and len(names_of_outputs) == len(pairs):
            return [(name, tensor) for name, (_, tensor) in zip(names_of_outputs, pairs)]
        return pairs

    name = str(getattr(model, "name", "model"))
    return Source("keras", name, specs, run, _detected(model, name, file), model=model)


def _missing_class(package: str, path: Path, name: str) -> ExportError:
    return ExportError(
        f"{package} cannot load {path}: it does not know the class or function {name!r}",
        received="a file that holds the name of code, and not the code",
        hint=f"in Python, import your file with {name} (decorated with @keras.saving.register_keras_serializable()), "
        f"model = {package}.models.load_model({str(path)!r}, custom_objects={{{name!r}: {name}}}) "
        "and tf2trt.export.export(model, 'm.onnx')",
    )


def _detected(model: Any, name: str, file: Optional[Path]) -> str:
    packages = [cls.__module__.split(".")[0] for cls in type(model).__mro__]
    package = next((each for each in packages if each in ("keras", "tf_keras", "tensorflow")), packages[0])
    version = getattr(sys.modules.get(package), "__version__", "")
    where = f"file {file.name}" if file else "object"
    return f"Keras {version} {type(model).__name__} model {name!r} ({where})"


Packed = Tuple[Tuple[Any, ...], Dict[str, Any]]
Packer = Callable[[Sequence[Any]], Packed]


def _packer(model: Any, symbolic: List[Any]) -> Packer:
    """Puts a flat list of tensors into the structure (list, dictionary, single tensor) that the model was made with."""
    place = {id(tensor): index for index, tensor in enumerate(symbolic)}
    flat: Any = symbolic if len(symbolic) > 1 else symbolic[0]
    try:
        structure = model.input
    except (AttributeError, RuntimeError, ValueError):  # Keras 3: a Sequential that was never called has none
        structure = flat
    if not _known(structure, place):  # a Sequential inside another model answers with that model's tensor
        structure = flat

    def pack(tensors: Sequence[Any]) -> Packed:
        return (_fill(structure, place, tensors),), {}

    return pack


def _known(structure: Any, place: Mapping[int, int]) -> bool:
    if isinstance(structure, Mapping):
        return all(_known(item, place) for item in structure.values())
    if isinstance(structure, (list, tuple)):
        return all(_known(item, place) for item in structure)
    return id(structure) in place


def _fill(structure: Any, place: Mapping[int, int], tensors: Sequence[Any]) -> Any:
    if isinstance(structure, Mapping):
        return {key: _fill(item, place, tensors) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [_fill(item, place, tensors) for item in structure]
    return tensors[place[id(structure)]]


def _packer_by_name(model: Any, names: List[str]) -> Packer:
    if len(names) == 1:
        return lambda tensors: ((tensors[0],), {})
    if all(_takes(model.call, name) for name in names):
        # The first one by position: Keras wants it so.
        return lambda tensors: ((tensors[0],), dict(zip(names[1:], tensors[1:])))
    return lambda tensors: ((dict(zip(names, tensors)),), {})


def _takes(function: Any, parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters


def _spec(name: str, tensor: Any) -> TensorSpec:
    shape = shape_of(tensor.shape)
    if shape is None:
        raise ExportError(f"the input {name!r} of the Keras model has no known rank")
    return TensorSpec(name, str(getattr(tensor.dtype, "name", tensor.dtype)), shape)


def _output_names(model: Any) -> List[str]:
    return list(getattr(model, "output_names", None) or _layer_names(getattr(model, "outputs", None) or []))


def _layer_names(tensors: Sequence[Any]) -> List[str]:
    """The layers that symbolic tensors come from; empty where they do not say. Keras 3 has no ``input_names`` (nor,
    for a Sequential, ``output_names``) and names tensors by numbers, such as ``keras_tensor_7``.
    """
    history = [getattr(tensor, "_keras_history", None) for tensor in tensors]
    layers = [getattr(item, "operation", getattr(item, "layer", None)) for item in history]
    names = [layer.name for layer in layers if layer is not None]
    return names if len(names) == len(tensors) else []


def _check_backend(model: Any) -> None:
    packages = {cls.__module__.split(".")[0] for cls in type(model).__mro__}
    keras = sys.modules.get("keras") if "keras" in packages else None
    backend = keras.backend.backend() if keras is not None else "tensorflow"
    if backend != "tensorflow":
        raise ExportError(
            "the Keras model does not run on TensorFlow",
            received=f"Keras with the backend {backend}",
            expected="the backend tensorflow",
            hint="set KERAS_BACKEND=tensorflow before Keras is imported and load the model again",
        )


def _written_by(path: Path) -> int:
    """The major version of the Keras that wrote a file; 3 where the file does not say."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                version = json.loads(archive.read("metadata.json")).get("keras_version", "3")
        else:
            with require("h5py", "export").File(path, "r") as file:
                version = file.attrs.get("keras_version", "3")
        return int((version.decode() if isinstance(version, bytes) else str(version)).split(".")[0])
    except (OSError, KeyError, ValueError) as error:
        raise ExportError(
            f"{path} is not a Keras model",
            received=brief(error),
            expected="a file written by model.save('NAME.keras') or model.save('NAME.h5')",
        ) from error
