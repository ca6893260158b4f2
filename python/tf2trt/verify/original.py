"""The original model, run by TensorFlow itself."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import InputError, UsageError
from tf2trt.specs import TensorSpec

__all__ = ["TensorFlowReference"]


class TensorFlowReference:
    """A Keras model, SavedModel, frozen graph or TFLite file, run by TensorFlow in FP32, with TF32 off.

    Inputs and outputs have the names that :func:`tf2trt.export.export` gives them.

    Args:
        model, signature, tags, shapes: as :func:`tf2trt.export.export` takes them; ``shapes`` is its ``inputs``.

    Raises:
        UsageError: an argument that does not fit the model; an ONNX file.
        ExportError: the model cannot be read.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(
        self,
        model: Any,
        *,
        signature: Optional[str] = None,
        tags: Optional[Sequence[str]] = None,
        shapes: Optional[Mapping[str, Any]] = None,
    ) -> None:
        from tf2trt.export.detect import check_arguments, kind_of, open_source
        from tf2trt.export.quiet import import_tensorflow, quiet_loggers
        from tf2trt.export.source import fix_shapes, refuse_strings

        kind, path = kind_of(model)
        if kind == "onnx":
            raise UsageError("the reference", received=str(model), expected="a model that TensorFlow runs")
        check_arguments(kind, model, signature, tags, None)
        self._tensorflow = import_tensorflow()
        with quiet_loggers():
            self._source = open_source(self._tensorflow, kind, model, path, signature, shapes, tags, None)
            refuse_strings(self._source.name, self._source.inputs)
            self.inputs: Tuple[TensorSpec, ...] = fix_shapes(self._source.inputs, shapes)

    @property
    def description(self) -> str:
        """What runs here, in words."""
        return f"{self._source.detected}, by TensorFlow {self._tensorflow.__version__}"

    def __call__(self, inputs: Mapping[str, Any]) -> Dict[str, Any]:
        """Runs the model on arrays by input name; returns arrays by output name.

        Raises:
            InputError: what the model does not take.
        """
        from tf2trt.export.check import exact_float32
        from tf2trt.export.convert import unique_names
        from tf2trt.export.source import brief

        if set(inputs) != {spec.name for spec in self.inputs}:
            raise InputError("the inputs' names", received=", ".join(inputs), expected="; ".join(map(str, self.inputs)))
        tensors = [self._tensorflow.constant(inputs[spec.name]) for spec in self.inputs]
        try:
            with exact_float32(self._tensorflow):
                pairs = self._source.run(tensors)
        except Exception as error:  # Keras, TensorFlow and TFLite each raise their own
            shapes = ", ".join(f"{name} {np.shape(array)}" for name, array in inputs.items())
            raise InputError(f"TensorFlow cannot run the model on {shapes}", received=brief(error)) from error
        names = unique_names(pairs, self.inputs)
        return {name: np.asarray(tensor) for name, (_, tensor) in zip(names, pairs)}
