"""The exported model against TensorFlow, on fresh random inputs, in ONNX Runtime on the CPU."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

from tf2trt.errors import ExportError, VerificationError
from tf2trt.export.source import Progress, Source, brief
from tf2trt.extras import require
from tf2trt.numerics import random_inputs, relative_error
from tf2trt.specs import TensorSpec

__all__ = ["check", "exact_float32"]

_BATCHES = (1, 3)  # one and more than one: a batch extent that was frozen, or broadcast, shows in one of them


def check(
    tensorflow: Any,
    source: Source,
    specs: Sequence[TensorSpec],
    path: Path,
    tolerance: float,
    progress: Progress,
    *,
    sparing: bool = False,
) -> float:
    """Runs ``source`` and the ONNX file on the same random inputs; with two batch sizes where the batch is dynamic.

    ``sparing`` keeps ONNX Runtime from making copies of the weights to be faster.

    Returns:
        the largest ``||onnx - tensorflow|| / ||tensorflow||`` of any output.

    Raises:
        ExportError: an output differs by more than ``tolerance``, in shape, or is NaN; or either side fails to run.
        MissingExtraError: ONNX Runtime is not installed.
    """
    runtime = require("onnxruntime", "verify")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if sparing:
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.enable_cpu_mem_arena = False
    try:
        session = runtime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError("ONNX Runtime cannot load the exported model", received=brief(error)) from error
    names = [value.name for value in session.get_outputs()]
    kept = {value.name for value in session.get_inputs()}
    worst = 0.0
    dynamic = any(spec.shape and spec.shape[0] < 0 for spec in specs)
    batches = _BATCHES if dynamic else _BATCHES[:1]
    for done, batch in enumerate(batches):
        progress("checking", done, len(batches))
        feed = random_inputs(specs, batch)
        references = _reference(tensorflow, source, feed)
        try:
            results = session.run(names, {name: array for name, array in feed.items() if name in kept})
        except Exception as error:
            raise ExportError(
                f"ONNX Runtime cannot run the exported model on {_shapes(feed)}", received=brief(error)
            ) from error
        for name, result, reference in zip(names, results, references):
            worst = max(worst, _compare(name, result, reference, tolerance, _shapes(feed)))
    progress("checking", len(batches), len(batches))
    return worst


def _compare(name: str, result: Any, reference: Any, tolerance: float, shapes: str) -> float:
    try:
        error = relative_error(result, reference)
    except VerificationError as mismatch:
        raise ExportError(f"the output {name!r} differs from TensorFlow's on {shapes}: {mismatch}") from mismatch
    if error <= tolerance:  # false for NaN
        return error
    hint = "TensorFlow's own result holds a NaN for random inputs" if np.isnan(reference).any() else None
    raise ExportError(
        f"the output {name!r} differs from TensorFlow's on {shapes}",
        received=f"relative error {error:.3g}",
        expected=f"at most {tolerance:g}",
        hint=hint,
    )


def _reference(tensorflow: Any, source: Source, feed: Any) -> Any:
    try:
        with exact_float32(tensorflow):
            pairs = source.run([tensorflow.constant(array) for array in feed.values()])
    except Exception as error:
        raise ExportError(
            f"TensorFlow cannot run {source.name!r} on random inputs, {_shapes(feed)}",
            received=brief(error),
            hint="fix dynamic extents with inputs={name: shape}, or pass check=False",
        ) from error
    return [np.asarray(tensor) for _, tensor in pairs]


@contextlib.contextmanager
def exact_float32(tensorflow: Any) -> Iterator[None]:
    """While the block runs, TensorFlow multiplies in FP32: on a GPU it takes TF32 by default, whose error alone is ten
    times the tolerance.
    """
    config = tensorflow.config.experimental
    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(before)


def _shapes(feed: Any) -> str:
    return ", ".join(f"{name} {tuple(array.shape)}" for name, array in feed.items())
