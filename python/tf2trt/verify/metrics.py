"""Figures of one output, gathered batch by batch: the arrays themselves are not kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

import numpy as np

__all__ = ["Histogram", "Metrics", "OutputMetrics"]

_FIRST, _LAST, _STEP = -20.0, 20.0, 0.25  # exponents of ten; the step is a quarter of a decade
_BINS = int((_LAST - _FIRST) / _STEP)
_TOP = 5


@dataclass(frozen=True)
class Histogram:
    """How large the differences are: ``counts[i]`` have ``start + i * step <= log10(|out - ref|)``, up to the next.

    ``same`` counts the elements without any difference; those with a NaN or an infinity are in neither.
    """

    start: float
    step: float
    counts: Tuple[int, ...]
    same: int

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {"log10_start": self.start, "log10_step": self.step, "counts": list(self.counts), "same": self.same}


@dataclass(frozen=True)
class OutputMetrics:
    """How one output of the candidate differs from the reference's, over all samples.

    ``max_abs`` is the largest ``|out - ref|``; ``rel_error`` is ``||out - ref|| / ||ref||``, as
    :func:`tf2trt.numerics.relative_error` has it; ``cosine`` is that of the angle between the two. ``top1`` is the
    share of rows whose largest column is the same, ``top5`` the share of the reference's five largest columns that are
    among the candidate's five; None where the output is not class-like, which is two axes with at least 2 columns, for
    ``top5`` more than 5. ``nan`` and ``inf`` count such elements of the candidate, ``ref_nan`` and ``ref_inf`` those of
    the reference. ``rms`` is the reference's root mean square. ``mismatch`` says how the shapes differ, and then no
    figure means anything.
    """

    name: str
    shape: Tuple[int, ...]
    elements: int
    max_abs: float
    rel_error: float
    cosine: float
    top1: Optional[float]
    top5: Optional[float]
    nan: int
    inf: int
    ref_nan: int
    ref_inf: int
    rms: float
    histogram: Histogram
    mismatch: Optional[str] = None

    def passes(self, rtol: Optional[float], atol: float = 0.0) -> bool:
        """Whether the relative error is at most ``rtol`` or the largest difference at most ``atol``.

        None bounds nothing but the shape, and the NaNs and infinities that the reference does not have.
        """
        if self.mismatch is not None:
            return False
        if rtol is None:
            return math.isfinite(self.rel_error)
        return self.rel_error <= rtol or self.max_abs <= atol  # a NaN is neither

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes; a figure that JSON lacks (NaN, infinity) as text."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "elements": self.elements,
            "max_abs": plain(self.max_abs),
            "rel_error": plain(self.rel_error),
            "cosine": plain(self.cosine),
            "top1": self.top1,
            "top5": self.top5,
            "nan": self.nan,
            "inf": self.inf,
            "reference_nan": self.ref_nan,
            "reference_inf": self.ref_inf,
            "reference_rms": plain(self.rms),
            "mismatch": self.mismatch,
            "histogram": self.histogram.to_json(),
        }


def plain(value: float) -> Any:
    """``value`` for JSON: as text where it is a NaN or infinity."""
    return value if math.isfinite(value) else str(value)


class Metrics:
    """Gathers :class:`OutputMetrics` of one output."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shape: Tuple[int, ...] = ()
        self._elements = self._finite = 0
        self._difference = self._out = self._ref = self._dot = 0.0  # sums of squares, and of products
        self._max_abs = 0.0
        self._nan = self._inf = self._ref_nan = self._ref_inf = 0
        self._apart = False  # an infinity that only one of the two has, or of the other sign
        self._rows = self._top1 = self._rows5 = 0
        self._top5 = 0.0
        self._counts = np.zeros(_BINS, np.int64)
        self._same = 0
        self._mismatch: Optional[str] = None

    def add(self, out: Any, ref: Any) -> None:
        """Adds one batch: two arrays of one shape, any numeric or boolean dtype."""
        got, want = np.asarray(out), np.asarray(ref)
        self._shape = self._shape or want.shape
        if got.shape != want.shape:
            self._mismatch = f"shape {got.shape} and not {want.shape}"
            return
        self._classes(got, want)
        got, want = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
        self._elements += got.size
        self._nan += int(np.isnan(got).sum())
        self._ref_nan += int(np.isnan(want).sum())
        self._inf += int(np.isinf(got).sum())
        self._ref_inf += int(np.isinf(want).sum())
        infinite = np.isinf(got) | np.isinf(want)
        self._apart |= not np.array_equal(got[infinite], want[infinite])
        finite = np.isfinite(got) & np.isfinite(want)
        got, want = got[finite], want[finite]
        away = np.abs(got - want)
        self._finite += got.size
        self._max_abs = max(self._max_abs, float(away.max(initial=0.0)))
        self._difference += float(away @ away)
        self._out += float(got @ got)
        self._ref += float(want @ want)
        self._dot += float(got @ want)
        self._same += int((away == 0).sum())
        exponents = np.clip(np.log10(away[away > 0]), _FIRST, np.nextafter(_LAST, 0))
        self._counts += np.histogram(exponents, _BINS, (_FIRST, _LAST))[0]

    def result(self) -> OutputMetrics:
        """The figures of what was added."""
        rel_error, cosine, max_abs = self._relative(), self._cosine(), self._max_abs
        if self._nan or self._ref_nan:
            rel_error = cosine = max_abs = math.nan
        elif self._apart:
            rel_error, cosine, max_abs = math.inf, math.nan, math.inf
        used = np.flatnonzero(self._counts)
        first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        histogram = Histogram(
            _FIRST + first * _STEP, _STEP, tuple(int(count) for count in self._counts[first:last]), self._same
        )
        return OutputMetrics(
            self._name,
            self._shape,
            self._elements,
            max_abs,
            rel_error,
            cosine,
            self._top1 / self._rows if self._rows else None,
            self._top5 / self._rows5 if self._rows5 else None,
            self._nan,
            self._inf,
            self._ref_nan,
            self._ref_inf,
            math.sqrt(self._ref / self._finite) if self._finite else 0.0,
            histogram,
            self._mismatch,
        )

    def _relative(self) -> float:
        if self._ref == 0.0:
            return 0.0 if self._difference == 0.0 else math.inf
        return math.sqrt(self._difference) / math.sqrt(self._ref)

    def _cosine(self) -> float:
        if self._out == 0.0 or self._ref == 0.0:
            return 1.0 if self._out == self._ref else 0.0
        return max(-1.0, min(1.0, self._dot / math.sqrt(self._out) / math.sqrt(self._ref)))

    def _classes(self, got: Any, want: Any) -> None:
        if want.ndim != 2 or want.shape[1] < 2 or want.shape[0] == 0:
            return
        whole = ~np.isnan(got).any(axis=1)  # a NaN sorts as the largest
        self._rows += len(want)
        self._top1 += int(((got.argmax(axis=1) == want.argmax(axis=1)) & whole).sum())
        if want.shape[1] > _TOP:
            best, wanted = _best(got), _best(want)
            shared = (best[:, :, None] == wanted[:, None, :]).any(axis=1).mean(axis=1)
            self._rows5 += len(want)
            self._top5 += float(shared[whole].sum())


def _best(array: Any) -> Any:
    """The columns of the five largest values of each row."""
    return np.argsort(-array.astype(np.float64), axis=1, kind="stable")[:, :_TOP]
