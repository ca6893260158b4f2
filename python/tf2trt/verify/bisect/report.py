"""What a bisection found."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from tf2trt.verify.metrics import plain

__all__ = ["BisectReport", "LayerError", "Step"]


@dataclass(frozen=True)
class LayerError:
    """How far a layer's result is off when others are in the precision under trial: the largest relative error of what
    it reads (``before``), of what it makes (``after``), and ``added``, what lies between; infinite where a NaN or an
    infinity comes in.
    """

    layer: str
    operators: Tuple[str, ...]
    before: float
    after: float
    added: float

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "layer": self.layer,
            "operators": list(self.operators),
            "before": plain(self.before),
            "after": plain(self.after),
            "added": plain(self.added),
        }


@dataclass(frozen=True)
class Step:
    """One round: which layers were put into FP32, beside those before, and what the error of the outputs was then."""

    layers: Tuple[str, ...]
    error: float
    passed: bool

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {"layers": list(self.layers), "error": plain(self.error), "passed": self.passed}


@dataclass(frozen=True)
class BisectReport:
    """The result of :func:`tf2trt.verify.bisect.bisect`; errors are the largest relative error of an output.

    ``verdict`` is ``"found"``: ``layer_precision`` brings the model within the tolerance, with ``error`` left;
    ``"within tolerance"``: built anew it is so already; ``"not precision"``: with every layer in FP32 it is not; or
    ``"out of trials"`` before a list was found.

    ``baseline`` is the error without FP32 layers, ``all_fp32`` that with all layers in FP32. ``fp32_layers`` are the
    layers of ``layer_precision``, and ``without`` the error when that one is left out of the list; empty where there
    were too few trials to see, and then ``smallest`` is false: the list may hold what could be left out. ``ranking``
    has the layers that were looked at, those that add most first; ``trials`` counts the builds.
    """

    verdict: str
    precision: str
    layers: int
    trials: int
    baseline: float
    all_fp32: Optional[float]
    error: float
    fp32_layers: Tuple[str, ...] = ()
    without: Tuple[float, ...] = ()
    layer_precision: Tuple[Tuple[str, str], ...] = ()
    smallest: bool = False
    ranking: Tuple[LayerError, ...] = ()
    steps: Tuple[Step, ...] = ()

    @property
    def options(self) -> str:
        """The list as options of ``tf2trt build``, quoted for a shell."""
        return " ".join(
            f"--layer-precision {shlex.quote(f'{pattern}={kind}')}" for pattern, kind in self.layer_precision
        )

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "verdict": self.verdict,
            "precision": self.precision,
            "layers": self.layers,
            "trials": self.trials,
            "baseline": plain(self.baseline),
            "all_fp32": None if self.all_fp32 is None else plain(self.all_fp32),
            "error": plain(self.error),
            "fp32_layers": list(self.fp32_layers),
            "without": [plain(error) for error in self.without],
            "layer_precision": [list(rule) for rule in self.layer_precision],
            "options": self.options,
            "smallest": self.smallest,
            "ranking": [entry.to_json() for entry in self.ranking],
            "steps": [step.to_json() for step in self.steps],
        }
