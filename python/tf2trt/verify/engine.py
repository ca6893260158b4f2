"""An engine against ONNX Runtime, on the same inputs."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Mapping, Optional, Union

import numpy as np

from tf2trt.errors import UsageError, VerificationError
from tf2trt.numerics import random_inputs, relative_error
from tf2trt.verify.reference import OnnxReference
from tf2trt.verify.report import VerifyReport

__all__ = ["TOLERANCES", "tolerance_for", "verify_engine"]

PathLike = Union[str, "os.PathLike[str]"]

# Measured on fresh random inputs against FP32; INT8 is judged by accuracy on real data instead.
TOLERANCES: Mapping[str, float] = {"fp32": 1e-4, "tf32": 2e-3, "fp16": 2e-2, "bf16": 2e-2}


def tolerance_for(precision: str) -> float:
    """The relative error allowed for a precision: ``"fp32"`` (TF32 off), ``"tf32"``, ``"fp16"`` or ``"bf16"``.

    Raises:
        UsageError: another precision, INT8 included.
    """
    if precision not in TOLERANCES:
        hint = "compare INT8 by its accuracy on real data, or give a number" if precision == "int8" else None
        raise UsageError("tolerance", received=precision, expected="a number, or " + ", ".join(TOLERANCES), hint=hint)
    return TOLERANCES[precision]


def verify_engine(
    onnx_path: PathLike,
    engine: Callable[[Dict[str, Any]], Any],
    inputs: Optional[Mapping[str, Any]] = None,
    *,
    batch: int = 1,
    tolerance: Union[float, str],
    seed: Optional[int] = None,
) -> VerifyReport:
    """Runs ``engine`` and the ONNX model on the same arrays and compares every output.

    Args:
        onnx_path: the model that the engine was built from; for an FP16 engine rather the FP32 model before
            conversion, so that the comparison shows what FP16 costs.
        engine: takes a dictionary of arrays by input name; returns one by output name, or the array itself where
            there is one output. ``tf2trt.runtime.Engine`` does.
        inputs: arrays by input name; by default random ones, fresh each time.
        batch: the extent of a dynamic first dimension in random inputs. Where ``inputs`` is given it is read from it.
        tolerance: the largest ``||out - ref|| / ||ref||`` allowed, or a precision's name (:func:`tolerance_for`).
        seed: for the random inputs.

    Returns:
        a report; it says whether the engine passed, and ``raise_if_failed()`` raises where it did not.

    Raises:
        OnnxError: the ONNX file cannot be read.
        InputError: ``inputs`` do not fit the model.
        VerificationError: the engine has other outputs than the model, or outputs of other shapes.
        UsageError: ``tolerance`` or ``batch`` cannot work.
        MissingExtraError: ONNX Runtime is not installed.
    """
    limit = tolerance_for(tolerance) if isinstance(tolerance, str) else float(tolerance)
    reference = OnnxReference(onnx_path)
    if inputs is None:
        feed = random_inputs(reference.inputs, batch, seed)
    else:
        feed = dict(inputs)
        first = next(iter(feed.values()), np.zeros(()))
        batch = int(np.shape(first)[0]) if np.ndim(first) else 1
    expected = reference(feed)
    results = engine(feed)
    if not isinstance(results, Mapping):
        if len(expected) != 1:
            raise VerificationError(
                "the engine returns one array", expected="a dictionary with the outputs " + ", ".join(expected)
            )
        results = {next(iter(expected)): results}
    if set(results) != set(expected):
        raise VerificationError(
            "the engine's outputs are not the model's", received=", ".join(results), expected=", ".join(expected)
        )
    errors = {}
    for name, wanted in expected.items():
        try:
            errors[name] = relative_error(results[name], wanted)
        except VerificationError as mismatch:
            raise VerificationError(f"the output {name!r}: {mismatch}") from mismatch
    return VerifyReport(errors, limit, batch)
