"""How results are compared, and what they are compared on. NumPy only; for export, verify and bench."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Optional

import numpy as np

from tf2trt.errors import UsageError, VerificationError
from tf2trt.specs import TensorSpec

__all__ = ["random_inputs", "relative_error"]

_OTHER_EXTENT = 32  # for dynamic extents that are not the batch: large enough for a few strided convolutions


def relative_error(out: Any, ref: Any) -> float:
    """``||out - ref|| / ||ref||`` over all elements, computed in float64.

    NaN where either array holds a NaN, so that ``error <= tolerance`` is false. An infinity that both arrays hold at
    the same place counts as no difference; any other infinity gives ``inf``. Where ``ref`` has norm 0 (all zeros, or
    empty) the result is 0.0 if ``out`` is all zeros too and ``inf`` otherwise.

    Args:
        out, ref: arrays of one shape, any numeric or boolean dtype.

    Raises:
        VerificationError: the shapes differ.
    """
    got, want = np.asarray(out), np.asarray(ref)
    if got.shape != want.shape:
        raise VerificationError("the results differ in shape", received=got.shape, expected=want.shape)
    got, want = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    if np.isnan(got).any() or np.isnan(want).any():
        return float("nan")
    infinite = np.isinf(got) | np.isinf(want)
    if infinite.any():
        if not np.array_equal(got[infinite], want[infinite]):
            return float("inf")
        got, want = got[~infinite], want[~infinite]
    difference, reference = float(np.linalg.norm(got - want)), float(np.linalg.norm(want))
    if reference == 0.0:
        return 0.0 if difference == 0.0 else float("inf")
    return difference / reference


def random_inputs(specs: Iterable[TensorSpec], batch: int = 1, seed: Optional[int] = None) -> Dict[str, Any]:
    """Random arrays for ``specs``, by name, each contiguous and of the spec's dtype.

    A dynamic first extent becomes ``batch``, any other dynamic extent 32. Floating-point values are standard normal,
    bytes cover their whole range, wider integers lie in 0..9 (safe as indices into small tables), booleans are even.

    Args:
        seed: the same seed gives the same arrays; None gives fresh ones each time.

    Raises:
        UsageError: a dtype that NumPy cannot make, or ``batch`` under 1.
    """
    if batch < 1:
        raise UsageError("random inputs: batch", received=batch, expected="1 or more")
    rng = np.random.default_rng(seed)
    return {spec.name: _random(rng, spec, batch) for spec in specs}


def _random(rng: np.random.Generator, spec: TensorSpec, batch: int) -> Any:
    shape = tuple(
        extent if extent >= 0 else (batch if axis == 0 else _OTHER_EXTENT) for axis, extent in enumerate(spec.shape)
    )
    if spec.dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape)).astype(np.bool_)
    if spec.dtype in ("int8", "uint8"):
        return np.asarray(rng.integers(0, 256, shape)).astype(np.uint8).view(spec.dtype)
    if spec.dtype in ("int16", "int32", "int64", "uint16", "uint32", "uint64"):
        return np.asarray(rng.integers(0, 10, shape)).astype(spec.dtype)
    if spec.dtype in ("float16", "float32", "float64"):
        return np.asarray(rng.standard_normal(shape)).astype(spec.dtype)
    raise UsageError(
        f"random inputs: {spec.name!r} has a dtype that NumPy lacks",
        received=spec.dtype,
        expected="a boolean, integer or floating-point dtype of NumPy",
        hint="give the inputs yourself",
    )
