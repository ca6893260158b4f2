"""Histograms of absolute values, and the largest value that INT8 is to hold by each method.

Memory does not grow with the data: a tensor has 2,048 bins, whose width doubles when a larger value comes. ONNX
Runtime's own calibrators keep all batches' tensors until the data ends, and add bins without a limit.
"""

from __future__ import annotations

from typing import Any, List

import numpy as np

from tf2trt.errors import ModelError, UsageError

__all__ = ["BINS", "METHODS", "Histogram", "check_method", "threshold"]

METHODS = ("entropy", "minmax", "percentile")
BINS = 2048
_LEVELS = 128  # of the absolute values, in INT8


class Histogram:
    """The distribution of one tensor's absolute values: ``counts`` of :data:`BINS` bins over 0 to ``limit``.

    ``largest`` is the largest of them all.
    """

    def __init__(self, counts: Any = None, limit: float = 0.0, largest: float = 0.0) -> None:
        self.counts = np.zeros(BINS, np.int64) if counts is None else counts
        self.limit = limit
        self.largest = largest

    def add(self, array: Any, name: str) -> None:
        """Counts the values of ``array``, floating-point of any shape.

        Raises:
            ModelError: a NaN or an infinity; ``name`` is the tensor's.
        """
        values = np.abs(np.asarray(array).ravel())
        if not values.size:
            return
        largest = float(values.max())
        if not np.isfinite(largest):
            raise ModelError(
                f"the model gives NaN or infinity in {name!r} on the calibration data",
                hint="the data holds none: compare the model with its original first",
            )
        self._widen(largest)
        self.largest = max(self.largest, largest)
        if self.limit:
            self.counts += np.histogram(values, BINS, (0.0, self.limit))[0]
        else:
            self.counts[0] += values.size  # nothing but zeros until now

    def _widen(self, largest: float) -> None:
        if not self.limit:
            self.limit = largest
        while self.limit < largest:
            self.counts = np.concatenate([self.counts[0::2] + self.counts[1::2], np.zeros(BINS // 2, np.int64)])
            self.limit *= 2


def check_method(method: str, quantile: float) -> None:
    """Raises:
    UsageError: an unknown method, or a quantile outside of (0, 1].
    """
    if method not in METHODS:
        raise UsageError("calibration method", received=method, expected=", ".join(METHODS))
    if not 0 < quantile <= 1:
        raise UsageError("calibration: quantile", received=quantile, expected="over 0 and up to 1, such as 0.9999")


def threshold(histogram: Histogram, method: str, quantile: float) -> float:
    """The absolute value that becomes 127; larger ones are cut. 0.0 for a tensor of nothing but zeros.

    ``minmax``: the largest value. ``percentile``: what the share ``quantile`` of the values does not exceed.
    ``entropy``: where the distribution after quantisation tells least apart from the one before (Kullback-Leibler).
    """
    if method == "minmax" or not histogram.limit:
        return histogram.largest
    if method == "percentile":
        share = np.cumsum(histogram.counts) / histogram.counts.sum()
        bins = int(np.searchsorted(share, quantile)) + 1
    else:
        bins = _least_divergence(histogram.counts)
    return min(bins * histogram.limit / BINS, histogram.largest)


def _least_divergence(counts: Any) -> int:
    """The number of bins to keep. Of several that are as good the largest: it cuts least."""
    bins = counts.astype(np.float64)
    bins[0] = bins[1]  # the zeros, half of all behind a ReLU, are exact at every scale
    used = int(np.flatnonzero(counts)[-1]) + 1
    divergence: List[float] = [_divergence(bins, kept) for kept in range(_LEVELS, used + 1)]
    best = np.asarray(divergence)
    if not np.isfinite(best).any():
        return used
    return _LEVELS + int(np.flatnonzero(best <= best.min() + 1e-9)[-1])


def _divergence(bins: Any, kept: int) -> float:
    """Between the values, those beyond ``kept`` bins counted to the last, and the same in 128 levels."""
    inside = bins[:kept]
    if not inside.any():
        return float("inf")
    starts = (np.arange(_LEVELS) * kept + _LEVELS - 1) // _LEVELS
    present = inside > 0
    widths = np.diff(np.append(starts, kept))
    level = np.repeat(
        np.add.reduceat(inside, starts) / np.maximum(np.add.reduceat(present, starts, dtype=int), 1), widths
    )
    quantised = np.where(present, level, 0.0)
    reference = inside.copy()
    reference[-1] += bins[kept:].sum()
    if reference[-1] and not quantised[-1]:
        return float("inf")
    reference /= reference.sum()
    quantised /= quantised.sum()
    where = reference > 0
    return float(np.sum(reference[where] * np.log(reference[where] / quantised[where])))
