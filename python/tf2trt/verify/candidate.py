"""What is verified: an engine on the GPU, or an ONNX file in ONNX Runtime."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from tf2trt.errors import InputError, UsageError
from tf2trt.specs import TensorSpec
from tf2trt.verify.reference import OnnxReference
from tf2trt.verify.rounding import graph_precision, rounded

__all__ = ["Candidate", "adapt", "load_rounded", "match_outputs", "open_candidate"]

PathLike = Union[str, "os.PathLike[str]"]
Call = Callable[[Dict[str, Any]], Any]

_AXES = {3: ((0, 2, 1),), 4: ((0, 3, 1, 2), (0, 2, 3, 1)), 5: ((0, 4, 1, 2, 3), (0, 2, 3, 4, 1))}


class Candidate:
    """Takes arrays by input name and returns arrays by output name. Used with ``with``.

    ``precision`` is what was asked of the builder, or what the graph's types tell, None where nothing says it.
    ``shapes`` are the shapes that an engine was tuned for, by input name; ``sidecar`` is an engine's.
    """

    def __init__(
        self,
        call: Call,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        description: str,
        precision: Optional[str] = None,
        shapes: Optional[Mapping[str, Tuple[int, ...]]] = None,
        sidecar: Optional[Any] = None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.description, self.precision, self.sidecar = description, precision, sidecar
        self.shapes = dict(shapes or {})
        self._call, self._close = call, close

    def __call__(self, feed: Dict[str, Any]) -> Dict[str, Any]:
        """Runs it once.

        Raises:
            InputError: arrays that it does not take.
        """
        result = self._call(feed)
        if isinstance(result, Mapping):
            return dict(result)
        return {self.outputs[0].name: result}

    def __enter__(self) -> Candidate:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()


def open_candidate(path: PathLike, *, plugin_libraries: Sequence[PathLike] = ()) -> Candidate:
    """Opens an ``.engine`` (needs a GPU), or an ``.onnx`` file.

    An ONNX file runs in ONNX Runtime on the CPU, without its optimisations; where it holds FP16 or BF16, each result
    is rounded to that type, which ONNX Runtime itself leaves out there (:mod:`tf2trt.verify.rounding`).

    Raises:
        UsageError: the file is neither.
        EngineError, DeviceError and others: as :meth:`tf2trt.runtime.Engine.load`.
        OnnxError: the ONNX file cannot be read.
    """
    source = Path(path)
    if source.suffix.lower() == ".onnx":
        from tf2trt.surgery.files import read_model

        model = read_model(source)
        precision = graph_precision(model)
        loaded = load_rounded(model, precision)
        return Candidate(loaded, loaded.inputs, loaded.outputs, f"{source.name}, {loaded.description}", precision)
    if source.suffix.lower() not in (".engine", ".plan", ".trt"):
        raise UsageError("the candidate", received=str(path), expected="an .engine (.plan, .trt) or an .onnx file")
    from tf2trt.runtime import Engine

    engine = Engine.load(source, plugin_libraries=plugin_libraries, split_batches=True)
    sidecar = engine.sidecar
    built_by = f", built by TensorRT {sidecar.tensorrt}, {sidecar.precision_asked} asked" if sidecar else ""
    return Candidate(
        engine,
        engine.inputs,
        engine.outputs,
        f"{source.name}{built_by}",
        sidecar.precision_asked if sidecar else None,
        {name: limits.opt for profile in engine.profiles[:1] for name, limits in profile.items()},
        sidecar,
        engine.close,
    )


class _Rounded(OnnxReference):
    """An ONNX model whose results are rounded as its types say."""

    precision = "fp32"

    @property
    def description(self) -> str:
        """What runs here, in words."""
        runtime = super().description.split(", ", 1)[1]
        types = {"fp16": "FP16", "bf16": "BF16", "int8+fp16": "FP16"}.get(self.precision)
        return f"{runtime}, each result rounded to {types}" if types else runtime


def load_rounded(model: Any, precision: Optional[str] = None) -> OnnxReference:
    """A model in memory in ONNX Runtime, FP16 and BF16 results rounded, each node as it stands.

    Raises:
        OnnxError: ONNX Runtime cannot load it.
    """
    loaded = _Rounded.of_model(rounded(model), "candidate", optimize=False)
    loaded.precision = precision or graph_precision(model)
    return loaded


def adapt(
    feed: Mapping[str, Any], inputs: Sequence[TensorSpec], reference: Sequence[TensorSpec], notes: List[str]
) -> Dict[str, Any]:
    """The reference's arrays as the candidate takes them.

    Inputs of other names are taken in their order, those of another layout transposed, other types converted where no
    value is lost but to rounding. What was done is added to ``notes``, each thing once.

    Raises:
        InputError: the candidate has another number of inputs, or takes other values.
    """
    names = [spec.name for spec in reference]
    if len(inputs) != len(names):
        raise InputError(
            "the candidate has other inputs than the model",
            received="; ".join(map(str, inputs)),
            expected="; ".join(map(str, reference)),
        )
    by_name = {spec.name for spec in inputs} == set(names)
    adapted = {}
    for spec, position in zip(inputs, names):
        name = spec.name if by_name else position
        if name != spec.name:
            _note(notes, f"the candidate's input {spec.name!r} was given the model's {name!r}, by their order")
        array, axes = _in_layout(np.asarray(feed[name]), spec)
        if axes is not None:
            order = ", ".join(map(str, axes))
            _note(notes, f"the candidate's input {spec.name!r} has another layout: given with its axes as ({order})")
        adapted[spec.name] = _as_type(array, spec)
    return adapted


def match_outputs(
    results: Mapping[str, Any], outputs: Sequence[TensorSpec], wanted: Mapping[str, Any], notes: List[str]
) -> Dict[str, Any]:
    """The candidate's results under the reference's names: by name, else in their order.

    Raises:
        InputError: there are others, and not as many.
    """
    if set(results) == set(wanted):
        return {name: results[name] for name in wanted}
    if len(results) != len(wanted):
        raise InputError(
            "the candidate's outputs are not the model's", received=", ".join(results), expected=", ".join(wanted)
        )
    order = [spec.name for spec in outputs]
    for mine, theirs in zip(order, wanted):
        if mine != theirs:
            _note(notes, f"the candidate's output {mine!r} is compared with the model's {theirs!r}, by their order")
    return {theirs: results[mine] for mine, theirs in zip(order, wanted)}


def _note(notes: List[str], text: str) -> None:
    if text not in notes:
        notes.append(text)


def _in_layout(array: Any, spec: TensorSpec) -> Tuple[Any, Optional[Tuple[int, ...]]]:
    """The array, transposed where only so it has the shape that is known of the input."""

    def fits(shape: Tuple[int, ...]) -> bool:
        # The first extent may be one that the engine takes in parts.
        return len(shape) == len(spec.shape) and all(
            known in (-1, extent) for extent, known in list(zip(shape, spec.shape))[1:]
        )

    if fits(array.shape):
        return array, None
    for axes in _AXES.get(array.ndim, ()):
        if fits(tuple(array.shape[axis] for axis in axes)):
            return np.ascontiguousarray(array.transpose(axes)), axes
    return array, None


def _as_type(array: Any, spec: TensorSpec) -> Any:
    if array.dtype.name == spec.dtype:
        return array
    with contextlib.suppress(TypeError):  # a type that NumPy lacks
        target = np.dtype(spec.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            converted = array.astype(target)
        floating = np.issubdtype(array.dtype, np.floating) and np.issubdtype(target, np.floating)
        if floating or np.array_equal(converted.astype(array.dtype), array):
            return converted
    raise InputError(
        f"the candidate's input {spec.name!r} is of another type, which does not hold these values",
        received=f"{array.dtype} from {array.min():g} to {array.max():g}" if array.size else str(array.dtype),
        expected=spec,
        hint="give inputs that both take: bytes from 0 to 255 for uint8",
    )
