"""Batches that are larger than the engine takes: in parts, whose results are joined."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import InputError
from tf2trt.runtime.checks import Profile
from tf2trt.specs import TensorSpec, format_shape

__all__ = ["batch_limits", "run_in_parts"]


def batch_limits(inputs: Sequence[TensorSpec], profiles: Sequence[Profile]) -> Optional[Tuple[int, int]]:
    """The smallest and the largest batch that an engine takes, both of the profile with the largest.

    A batch is the leading extent that all inputs share; None where they share none. Without profiles it is that of the
    static shapes.
    """
    if not inputs or any(not spec.shape for spec in inputs):
        return None
    lows_and_highs = [
        ([profile[spec.name].min[0] for spec in inputs], [profile[spec.name].max[0] for spec in inputs])
        for profile in profiles
    ]
    static = [spec.shape[0] for spec in inputs]
    limits = [(max(lows), min(highs)) for lows, highs in lows_and_highs or [(static, static)]]
    possible = [(low, high) for low, high in limits if 0 <= low <= high]
    return max(possible, key=lambda limit: limit[1]) if possible else None


def run_in_parts(
    run: Callable[[Mapping[str, Any]], Any],
    arrays: Mapping[str, Any],
    limits: Tuple[int, int],
    outputs: Sequence[TensorSpec],
) -> Any:
    """Runs ``arrays``, which share a leading extent, in parts of the largest batch, and joins the results.

    A last part that is smaller than the smallest batch is filled up with zeros, whose results are cut off.

    Raises:
        InputError: the arrays' leading extents differ, or an output has no row for each of the inputs.
    """
    smallest, largest = limits
    counts = {name: len(array) for name, array in arrays.items()}
    total = next(iter(counts.values()))
    if any(count != total for count in counts.values()):
        raise InputError("the inputs are batches of different sizes", received=counts, expected="one size for all")
    parts: Dict[str, List[Any]] = {spec.name: [] for spec in outputs}
    for start in range(0, total, largest):
        part = {name: array[start : start + largest] for name, array in arrays.items()}
        count = len(next(iter(part.values())))
        if count < smallest:
            part = {name: _filled(array, smallest) for name, array in part.items()}
        results = run(part)
        for spec in outputs:
            result = results if len(outputs) == 1 else results[spec.name]
            if not result.shape or result.shape[0] != max(count, smallest):
                raise InputError(
                    f"output {spec.name!r} has no row for each of a batch, so results of parts cannot be joined",
                    received=format_shape(result.shape),
                    expected=f"{max(count, smallest)} rows",
                )
            parts[spec.name].append(result[:count])
    joined = {name: np.concatenate(results) for name, results in parts.items()}
    return joined[outputs[0].name] if len(outputs) == 1 else joined


def _filled(array: Any, rows: int) -> Any:
    filled = np.zeros((rows, *array.shape[1:]), array.dtype)
    filled[: len(array)] = array
    return filled
