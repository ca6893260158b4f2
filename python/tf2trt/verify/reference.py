"""ONNX Runtime on the CPU: what every engine is compared with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple, Union

import numpy as np

from tf2trt.errors import InputError, OnnxError
from tf2trt.extras import require
from tf2trt.specs import TensorSpec

__all__ = ["OnnxReference"]

PathLike = Union[str, "os.PathLike[str]"]
_DTYPES = {"float": "float32", "double": "float64"}  # ONNX Runtime's other names are NumPy's


class OnnxReference:
    """An ONNX model, run by ONNX Runtime on the CPU.

    Raises:
        OnnxError: the file is missing or ONNX Runtime cannot load it.
        MissingExtraError: ONNX Runtime is not installed.
    """

    def __init__(self, path: PathLike) -> None:
        runtime = require("onnxruntime", "verify")
        if not Path(path).is_file():
            raise OnnxError(f"there is no ONNX file at {path}")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise OnnxError(f"ONNX Runtime cannot load {path}", received=str(error).strip()[:1000]) from error
        self._inputs = tuple(_spec(value) for value in self._session.get_inputs())
        self._outputs = tuple(_spec(value) for value in self._session.get_outputs())

    @property
    def inputs(self) -> Tuple[TensorSpec, ...]:
        """The model's inputs, in its order."""
        return self._inputs

    @property
    def outputs(self) -> Tuple[TensorSpec, ...]:
        """The model's outputs, in its order."""
        return self._outputs

    def __call__(self, inputs: Mapping[str, Any]) -> Dict[str, Any]:
        """Runs the model on arrays by input name; returns fresh arrays by output name.

        Raises:
            InputError: a name, dtype or shape that the model does not take.
        """
        expected = "; ".join(map(str, self._inputs))
        if set(inputs) != {spec.name for spec in self._inputs}:
            raise InputError("the inputs' names", received=", ".join(inputs), expected=expected)
        for spec in self._inputs:
            array = np.asarray(inputs[spec.name])
            fits = len(array.shape) == len(spec.shape) and all(
                known in (-1, extent) for extent, known in zip(array.shape, spec.shape)
            )
            if array.dtype.name != spec.dtype or not fits:
                received = TensorSpec(spec.name, array.dtype.name, array.shape)
                raise InputError(f"the input {spec.name!r} does not fit the model", received=received, expected=spec)
        names = [spec.name for spec in self._outputs]
        try:
            results = self._session.run(names, {name: np.asarray(array) for name, array in inputs.items()})
        except Exception as error:  # shapes that contradict each other show only here
            shapes = ", ".join(f"{name} {np.shape(array)}" for name, array in inputs.items())
            raise InputError(f"ONNX Runtime cannot run the model on {shapes}", received=str(error)[:1000]) from error
        return dict(zip(names, results))


def _spec(value: Any) -> TensorSpec:
    dtype = value.type[len("tensor(") : -1] if value.type.startswith("tensor(") else value.type
    shape = tuple(extent if isinstance(extent, int) else -1 for extent in value.shape)
    return TensorSpec(value.name, _DTYPES.get(dtype, dtype), shape)
