"""The arguments of a call against what the engine takes: pure functions, done before any work.

An array need not be C-contiguous: it is copied into pinned memory anyway, and that copy takes any strides.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Dict, Mapping, Sequence

import numpy as np

from tf2trt.errors import InputError, UsageError
from tf2trt.runtime.arrays import DeviceInput
from tf2trt.specs import ShapeRange, TensorSpec, format_shape

if TYPE_CHECKING:
    from typing import Literal

    Results = Literal["copy", "view", "device"]

__all__ = ["Profile", "bind", "check_arrays", "check_device_input", "check_results", "numpy_dtype"]

Profile = Mapping[str, ShapeRange]
_ALIGNMENT = 256  # bytes; TensorRT's own rule for the addresses of tensors


def bind(inputs: Sequence[TensorSpec], args: Sequence[Any], named: Mapping[str, Any]) -> Dict[str, Any]:
    """The arguments of a call by input name, in the engine's order.

    ``args`` are arrays in that order, or a single mapping from name to array; ``named`` are arrays by name.

    Raises:
        InputError: an input is unknown, missing or given twice, or there are too many.
    """
    given: Dict[str, Any] = {}
    names = [spec.name for spec in inputs]
    if len(args) == 1 and isinstance(args[0], Mapping):
        given.update(args[0])
    else:
        if len(args) > len(names):
            raise InputError("too many inputs", received=f"{len(args)} arrays", expected=_list(inputs))
        given.update(zip(names, args))
    for name, value in named.items():
        if name in given:
            raise InputError(f"input {name!r} was given twice", expected="each input once, by position or by name")
        given[name] = value
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
            raise InputError(
                f"the engine has no input {name!r}",
                received=", ".join(str(other) for other in given),
                expected=_list(inputs),
                hint=f"did you mean {close[0]!r}?" if close else None,
            )
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(
            f"missing input: {', '.join(missing)}", received=", ".join(given) or "none", expected=_list(inputs)
        )
    return {name: given[name] for name in names}


def check_arrays(inputs: Sequence[TensorSpec], arrays: Mapping[str, Any]) -> None:
    """Compares type, dtype, rank and static extents of each array with its input. Nothing is converted silently.

    Raises:
        InputError: the first array that does not fit.
    """
    for spec in inputs:
        array = arrays[spec.name]
        dtype = numpy_dtype(spec)
        if not isinstance(array, np.ndarray):
            raise InputError(
                f"input {spec.name!r} is not a NumPy array",
                received=type(array).__name__,
                expected=str(spec),
                hint=f"np.asarray(x, dtype=np.{_scalar(dtype)})",
            )
        if array.dtype != dtype:
            raise InputError(
                f"input {spec.name!r} has the wrong dtype",
                received=str(array.dtype),
                expected=str(dtype),
                hint=f"x.astype(np.{_scalar(dtype)})",
            )
        if len(array.shape) != len(spec.shape):
            raise InputError(
                f"input {spec.name!r} has the wrong number of dimensions",
                received=f"{len(array.shape)}: {format_shape(array.shape)}",
                expected=f"{len(spec.shape)}: {format_shape(spec.shape)}",
                hint="x[np.newaxis] adds the batch dimension" if len(array.shape) + 1 == len(spec.shape) else None,
            )
        if any(want >= 0 and have != want for have, want in zip(array.shape, spec.shape)):
            raise InputError(
                f"input {spec.name!r} has the wrong shape",
                received=format_shape(array.shape),
                expected=format_shape(spec.shape) + (", where ? may vary" if min(spec.shape, default=0) < 0 else ""),
            )


def check_device_input(spec: TensorSpec, view: DeviceInput, device: int) -> None:
    """Compares an array in device memory with its input.

    Raises:
        InputError: it has another dtype or shape, lies on another GPU, or not where TensorRT can read it.
    """
    if view.dtype != spec.dtype:
        raise InputError(f"input {spec.name!r} has the wrong dtype", received=view.dtype, expected=spec.dtype)
    fits = len(view.shape) == len(spec.shape) and all(want in (-1, have) for have, want in zip(view.shape, spec.shape))
    if not fits:
        raise InputError(
            f"input {spec.name!r} has the wrong shape",
            received=format_shape(view.shape),
            expected=format_shape(spec.shape),
        )
    if view.device not in (None, device):
        raise InputError(
            f"input {spec.name!r} lies on another GPU", received=f"GPU {view.device}", expected=f"GPU {device}"
        )
    if view.address % _ALIGNMENT:
        raise InputError(
            f"input {spec.name!r} starts at an address that TensorRT cannot read from",
            received=f"{view.address:#x}",
            expected=f"a multiple of {_ALIGNMENT}, as fresh arrays have",
            hint="a slice of an array starts where it likes: pass a copy of it",
        )


def check_results(results: str) -> None:
    """Refuses what is not one of :data:`Results`.

    Raises:
        UsageError: it is none.
    """
    if results not in ("copy", "view", "device"):
        raise UsageError("results", received=repr(results), expected='"copy", "view" or "device"')


def numpy_dtype(spec: TensorSpec) -> np.dtype[Any]:
    """The NumPy dtype of a tensor.

    Raises:
        InputError: NumPy has no such dtype (bfloat16, float8, int4).
    """
    try:
        return np.dtype(spec.dtype)
    except TypeError:
        raise InputError(
            f"tensor {spec.name!r} cannot be a NumPy array",
            received=spec.dtype,
            expected="a dtype that NumPy has",
            hint="build the engine from a model with float32 inputs and outputs; its layers may be of any type",
        ) from None


def _list(inputs: Sequence[TensorSpec]) -> str:
    return ", ".join(str(spec) for spec in inputs) or "no input"


def _scalar(dtype: np.dtype[Any]) -> str:
    return "bool_" if dtype == np.bool_ else dtype.name
