"""ONNX Runtime on the CPU: what every engine is compared with."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple, Type, TypeVar, Union

import numpy as np

from tf2trt.errors import InputError, OnnxError
from tf2trt.extras import require
from tf2trt.onnx_files import ONE_FILE, total_bytes
from tf2trt.specs import TensorSpec

__all__ = ["OnnxReference"]

PathLike = Union[str, "os.PathLike[str]"]
Reference = TypeVar("Reference", bound="OnnxReference")
_DTYPES = {"float": "float32", "double": "float64"}  # ONNX Runtime's other names are NumPy's


class OnnxReference:
    """An ONNX model, run by ONNX Runtime on the CPU.

    Args:
        optimize: let ONNX Runtime rewrite the graph first; without, each node is computed as it stands.

    Raises:
        OnnxError: the file is missing or ONNX Runtime cannot load it.
        MissingExtraError: ONNX Runtime is not installed.
    """

    def __init__(self, path: PathLike, *, optimize: bool = True) -> None:
        if not Path(path).is_file():
            raise OnnxError(f"there is no ONNX file at {path}")
        self._start(os.fspath(path), Path(path).name, optimize)

    @classmethod
    def of_model(cls: Type[Reference], model: Any, name: str = "model", *, optimize: bool = True) -> Reference:
        """An ``onnx.ModelProto`` with all its weights; ``name`` is what messages call it.

        Raises:
            OnnxError: ONNX Runtime cannot load it.
        """
        self = cls.__new__(cls)
        if total_bytes(model) < ONE_FILE:
            self._start(model.SerializeToString(), name, optimize)
            return self
        from tf2trt.surgery.files import write_model

        with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:  # protobuf stops at 2 GiB
            write_model(model, Path(folder, "model.onnx"))
            self._start(str(Path(folder, "model.onnx")), name, optimize)
        return self

    def _start(self, model: Union[str, bytes], name: str, optimize: bool) -> None:
        runtime = require("onnxruntime", "verify")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if not optimize:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._name = name
        try:
            self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise OnnxError(f"ONNX Runtime cannot load {name}", received=str(error).strip()[:1000]) from error
        self._inputs = tuple(_spec(value) for value in self._session.get_inputs())
        self._outputs = tuple(_spec(value) for value in self._session.get_outputs())

    @property
    def description(self) -> str:
        """What runs here, in words."""
        return f"{self._name}, by ONNX Runtime {require('onnxruntime', 'verify').__version__}"

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
