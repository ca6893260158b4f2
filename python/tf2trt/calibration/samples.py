"""From elements to samples: one array for each input, checked against what the model takes."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.specs import TensorSpec, format_shape

__all__ = ["check_inputs", "prepared", "split"]

Sample = Dict[str, Any]


def check_inputs(specs: Sequence[TensorSpec]) -> None:
    """Raises:
    UsageError: the model has no inputs, or one without a batch axis.
    """
    if not specs:
        raise UsageError("calibration: the model has no inputs")
    for spec in specs:
        if not spec.shape:
            raise UsageError(
                f"calibration: the input {spec.name!r} has no batch axis",
                received=str(spec),
                hint="fix its value, or give the input a shape: tf2trt export --inputs",
            )


def split(element: Any, specs: Sequence[TensorSpec], number: int) -> Iterator[Sample]:
    """The samples in an element: one, or as many as its arrays hold where they have a batch axis.

    An element is an array, for a model of one input; arrays by input name; or a tuple: inputs in order, or the inputs
    followed by labels, which are left out. ``number`` counts the samples before it, for messages.

    Raises:
        UsageError: inputs are missing, or an array is of another dtype or shape than its input.
    """
    arrays = {spec.name: np.asarray(value) for spec, value in _by_input(element, specs)}
    batched: Dict[str, bool] = {}
    for spec in specs:
        array = arrays[spec.name]
        batched[spec.name] = array.ndim == len(spec.shape)
        shape = array.shape[1:] if batched[spec.name] else array.shape
        fits = len(shape) == len(spec.shape) - 1 and all(
            known in (-1, extent) for extent, known in zip(shape, spec.shape[1:])
        )
        if array.dtype.name != spec.dtype or not fits:
            raise UsageError(
                f"calibration data: sample {number} does not fit the input {spec.name!r}",
                received=f"{array.dtype.name} {format_shape(array.shape)}",
                expected=f"{spec.dtype} {format_shape(spec.shape[1:])}, or a batch of such",
                hint=_advice(array, spec),
            )
    if len(set(batched.values())) > 1:
        raise UsageError(
            f"calibration data: sample {number} is a batch for some inputs and a single sample for others",
            received=", ".join(f"{name} {format_shape(array.shape)}" for name, array in arrays.items()),
        )
    if not any(batched.values()):
        yield arrays
        return
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise UsageError(f"calibration data: the batch at sample {number} is not of one length", received=_list(counts))
    for index in range(next(iter(counts.values()))):
        yield {name: array[index] for name, array in arrays.items()}


def prepared(element: Any, function: Optional[Callable[[Any], Any]]) -> Any:
    """What the user's function makes of an element. A dictionary of one array is given to it as the array."""
    if function is None:
        return element
    if isinstance(element, Mapping) and len(element) == 1:
        element = next(iter(element.values()))
    return function(element)


def _by_input(element: Any, specs: Sequence[TensorSpec]) -> Any:
    if isinstance(element, (tuple, list)) and element:
        first = element[0]
        if isinstance(first, Mapping):
            element = first
        elif len(specs) == 1 and isinstance(element, tuple):
            return [(specs[0], first)]
        elif len(specs) > 1 and isinstance(first, (tuple, list)) and len(first) == len(specs):
            return list(zip(specs, first))
        elif len(specs) > 1 and len(element) >= len(specs):
            return list(zip(specs, element))
    if isinstance(element, Mapping):
        missing = [spec.name for spec in specs if spec.name not in element]
        if not missing:
            return [(spec, element[spec.name]) for spec in specs]
        if len(specs) == 1 and len(element) == 1:
            return [(specs[0], next(iter(element.values())))]
        raise UsageError(
            f"calibration data: nothing for the input {', '.join(missing)}",
            received=", ".join(map(str, element)),
            expected=", ".join(spec.name for spec in specs),
        )
    if len(specs) == 1:
        return [(specs[0], element)]
    raise UsageError(
        "calibration data: one array, and the model has several inputs",
        received=type(element).__name__,
        expected="arrays by name: " + ", ".join(spec.name for spec in specs),
        hint="a .npz file or a dictionary",
    )


def _advice(array: Any, spec: TensorSpec) -> Optional[str]:
    if array.dtype.name != spec.dtype:
        if array.dtype == np.uint8:
            return "these are raw bytes: give the function that prepares images for the model (--preprocess)"
        return f"convert it: array.astype(np.{spec.dtype})"
    if array.ndim >= 3 and sorted(array.shape[-3:]) == sorted(spec.shape[-3:]):
        return "the axes are in another order: channels first or last?"
    return None


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
