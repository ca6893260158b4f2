"""Runs what was there and what takes its place in ONNX Runtime, on the CPU, and compares the results."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import SurgeryError, UsageError
from tf2trt.extras import require
from tf2trt.numerics import random_inputs, relative_error
from tf2trt.specs import TensorSpec
from tf2trt.surgery.files import is_large
from tf2trt.surgery.plugins.functions import SMALLEST
from tf2trt.surgery.plugins.piece import Piece, replaced

__all__ = ["WholeGraph", "prove", "tolerance"]

_TOLERANCE = {"float32": 1e-5, "float16": 2e-3}  # by relative_error
_BATCH = 2
_HALF = np.finfo(np.float16)


def tolerance(half: bool, count: int = 1) -> float:
    """The largest relative error between what was there and what took its place.

    Where long rows are summed up, more: ``count`` summands in FP32 may lose ``count / 2**24`` of the sum, half of that
    is left after the root, and of a million ONNX Runtime's ReduceL2 was seen to lose 2e-4.
    """
    return max(_TOLERANCE["float16" if half else "float32"], count / 2**25)


def prove(model: Any, piece: Piece, original: Any) -> None:
    """Compares a piece, cut out as ``original``, with its replacement, each kind of row by itself.

    The rows hold values of ordinary size, zeros only, values around the epsilon, small and large ones: as many runs as
    it takes for each kind to come up.

    Raises:
        SurgeryError: the two differ; the message names the node.
    """
    before, after = _session(original), _session(replaced(model, piece, original))
    tensor = original.graph.input[0].type.tensor_type
    shape = tuple(dim.dim_value for dim in tensor.shape.dim)
    dtype = require("onnx.helper", "export").tensor_dtype_to_np_dtype(tensor.elem_type)
    count = int(np.prod([shape[axis] for axis in piece.axes]))
    allowed = tolerance(dtype == np.float16, count)
    norms = _norms(piece, max(count, 1), dtype)
    rows = tuple(1 if axis in piece.axes else extent for axis, extent in enumerate(shape))
    rng = np.random.default_rng()
    for start in range(0, len(norms), max(int(np.prod(rows)), 1)):
        kinds = (np.arange(int(np.prod(rows))) + start).reshape(rows) % len(norms)
        x = rng.standard_normal(shape)
        x *= np.asarray(norms)[kinds] / np.sqrt(np.sum(x * x, axis=piece.axes, keepdims=True) if piece.axes else 1)
        feed = {piece.x: x.astype(dtype)}
        wanted, got = before.run(None, feed)[0], after.run(None, feed)[0]
        for kind in np.unique(kinds):
            mask = np.broadcast_to(kinds == kind, shape)
            error = _difference(got, wanted, mask)
            if not error <= allowed:  # so that NaN is caught too
                raise SurgeryError(
                    f"{piece.node.op_type} does not compute what it should replace: {piece.name}",
                    received=f"relative error {error:.3g} on rows of norm {norms[kind]:.3g}",
                    expected=f"at most {allowed:g}",
                )


class WholeGraph:
    """The results of a model before a rewrite, kept for comparison with those after it.

    ``allowed`` is what one replacement may change. ``reason`` says why there is nothing to compare with: an input that
    is not floating-point, an operator that ONNX Runtime lacks, too many weights.
    """

    def __init__(self, model: Any, allowed: float) -> None:
        self.reason: Optional[str] = None
        self._allowed = allowed
        self._runs: List[Tuple[Dict[str, Any], Sequence[Any]]] = []
        try:
            feed = _feed(model)
            session = _session(model)
            # What rounding alone may do: the same inputs, less exact by as much as a replacement may be.
            noise = {name: _blur(array, allowed) for name, array in feed.items()}
            self._runs = [(item, session.run(None, item)) for item in (feed, noise)]
            if not all(isinstance(result, np.ndarray) for result in self._runs[0][1]):
                self.reason = "an output is not a tensor"
        except UsageError as error:
            self.reason = str(error).split("\n", maxsplit=1)[0]
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's classes are many; the report says what it was
            self.reason = f"ONNX Runtime cannot run it on random inputs: {str(error).strip()[:200]}"

    def compare(self, model: Any) -> Optional[float]:
        """The largest relative error of any output of ``model``; None where there is nothing to compare with.

        Raises:
            SurgeryError: an output differs by more than rounding explains, or ONNX Runtime cannot run ``model``.
        """
        if self.reason is not None:
            return None
        try:
            results = _session(model).run(None, self._runs[0][0])
        except Exception as error:
            raise SurgeryError(
                "ONNX Runtime cannot run the rewritten model", received=str(error).strip()[:500]
            ) from error
        worst = 0.0
        for value, got, wanted, blurred in zip(model.graph.output, results, self._runs[0][1], self._runs[1][1]):
            error_found = _difference(got, wanted)
            noise = _difference(blurred, wanted)
            allowed = max(self._allowed, noise if np.isfinite(noise) else 0.0)
            if not error_found <= allowed:
                raise SurgeryError(
                    f"the rewritten model's output {value.name!r} differs from the original's",
                    received=f"relative error {error_found:.3g}",
                    expected=f"at most {allowed:.3g}",
                )
            worst = max(worst, error_found)
        return worst


def _norms(piece: Piece, count: int, dtype: Any) -> List[float]:
    """The norms of the rows to try; FP16 cannot square, or sum up the squares of, all that FP32 can."""
    around = [piece.epsilon**0.5 * factor for factor in (0.1, 0.9, 1.1, 10.0)] if piece.epsilon else []
    if dtype == np.float16:
        ordinary = [norm for norm in (count**0.5, count**0.5 / 16) if norm * norm < _HALF.max / 2]
        return [0.0, *ordinary, *(norm for norm in around if norm * norm / count > _HALF.tiny * 16)]
    return [0.0, 1.0, count**0.5, 1e-6, 1e15, *(norm for norm in around if norm * norm / count > SMALLEST * 1e4)]


def _feed(model: Any) -> Dict[str, Any]:
    helper = require("onnx.helper", "export")
    if is_large(model):
        raise UsageError("over 1.8 GB of weights")
    constant = {item.name for item in model.graph.initializer}
    specs = []
    for value in model.graph.input:
        if value.name in constant:
            continue
        tensor = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "unknown"
        if dtype not in ("float16", "float32", "float64"):
            raise UsageError(f"the input {value.name!r} is not floating-point")
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
        specs.append(TensorSpec(value.name, dtype, shape))
    return random_inputs(specs, _BATCH)


def _blur(array: Any, relative: float) -> Any:
    noise = np.random.default_rng().standard_normal(array.shape)
    return (array * (1 + relative * noise)).astype(array.dtype)


def _session(model: Any) -> Any:
    runtime = require("onnxruntime", "verify")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # As the graph says, node by node: nothing that ONNX Runtime would recognise and compute in a way of its own.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"])


def _difference(got: Any, wanted: Any, mask: Any = True) -> float:
    """:func:`relative_error` where neither is NaN; ``inf`` where only one is NaN, or type or shape differ."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return float("inf")
    if wanted.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(got, wanted) else float("inf")
    if wanted.dtype.kind != "f":
        return relative_error(got, wanted)
    if not np.array_equal(np.isnan(got[mask]), np.isnan(wanted[mask])):
        return float("inf")
    numbers = mask & ~np.isnan(wanted)
    return relative_error(got[numbers], wanted[numbers])
