"""Runs a piece of a graph and what takes its place in ONNX Runtime, on the CPU, and compares the results."""

from __future__ import annotations

from typing import Any, List

import numpy as np

from tf2trt.errors import SurgeryError
from tf2trt.extras import require
from tf2trt.surgery.plugins.functions import SMALLEST
from tf2trt.surgery.plugins.piece import Piece, replaced
from tf2trt.surgery.whole_graph import difference, session

__all__ = ["prove", "tolerance"]

_TOLERANCE = {"float32": 1e-5, "float16": 2e-3}  # by relative_error
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
    before, after = session(original), session(replaced(model, piece, original))
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
            error = difference(got, wanted, mask)
            if not error <= allowed:  # so that NaN is caught too
                raise SurgeryError(
                    f"{piece.node.op_type} does not compute what it should replace: {piece.name}",
                    received=f"relative error {error:.3g} on rows of norm {norms[kind]:.3g}",
                    expected=f"at most {allowed:g}",
                )


def _norms(piece: Piece, count: int, dtype: Any) -> List[float]:
    """The norms of the rows to try; FP16 cannot square, or sum up the squares of, all that FP32 can."""
    around = [piece.epsilon**0.5 * factor for factor in (0.1, 0.9, 1.1, 10.0)] if piece.epsilon else []
    if dtype == np.float16:
        ordinary = [norm for norm in (count**0.5, count**0.5 / 16) if norm * norm < _HALF.max / 2]
        return [0.0, *ordinary, *(norm for norm in around if norm * norm / count > _HALF.tiny * 16)]
    return [0.0, 1.0, count**0.5, 1e-6, 1e15, *(norm for norm in around if norm * norm / count > SMALLEST * 1e4)]
