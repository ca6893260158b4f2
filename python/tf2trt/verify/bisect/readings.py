"""Builds that were measured: the errors of the outputs, and of tensors inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence

from tf2trt.errors import VerificationError
from tf2trt.verify.bisect.layers import Layers
from tf2trt.verify.bisect.marks import marked
from tf2trt.verify.bisect.trials import Trial
from tf2trt.verify.metrics import Metrics
from tf2trt.verify.reference import OnnxReference

__all__ = ["Limit", "OutOfTrialsError", "Reading", "Readings"]

Positions = FrozenSet[int]


class OutOfTrialsError(Exception):
    """There were as many trials as were allowed."""


@dataclass(frozen=True)
class Limit:
    """When a result is good enough: a relative error of at most ``rtol``, or no difference larger than ``atol``."""

    rtol: float
    atol: float = 0.0


@dataclass(frozen=True)
class Reading:
    """One build: the relative error of each output and marked tensor, NaN and infinities as infinite; whether all
    outputs are within the limit.
    """

    errors: Mapping[str, float]
    outputs: Mapping[str, float]
    passed: bool

    @property
    def error(self) -> float:
        """The largest error of an output."""
        return max(self.outputs.values())

    @property
    def worst(self) -> str:
        """The output with the largest error."""
        return max(self.outputs, key=lambda name: self.outputs[name])


class Readings:
    """Measures builds of a :class:`Trial` against ``reference``, the FP32 graph, in ONNX Runtime.

    The trial without marks of a set of layers is built once.
    """

    def __init__(
        self,
        reference: Any,
        trial: Trial,
        layers: Layers,
        feeds: Callable[[], Iterable[Mapping[str, Any]]],
        limit: Limit,
        most: int,
        progress: Optional[Callable[[int], None]] = None,
    ) -> None:
        self._reference, self._trial, self._layers = reference, trial, layers
        self._feeds, self._limit, self._most, self._progress = feeds, limit, most, progress
        self._outputs: List[str] = [value.name for value in reference.graph.output]
        self._known: Dict[Positions, Reading] = {}
        self.trials = 0

    def read(self, fp32: Positions, marks: Sequence[str] = ()) -> Reading:
        """Builds with these layers in FP32.

        Raises:
            OutOfTrialsError: there were too many.
            Tf2TrtError: it cannot be built or run.
        """
        marks = [name for name in dict.fromkeys(marks) if name not in self._outputs]
        if not marks and fp32 in self._known:
            return self._known[fp32]
        if self.trials >= self._most:
            raise OutOfTrialsError
        self.trials += 1
        if self._progress is not None:
            self._progress(self.trials)
        reading = self._measure(fp32, marks)
        if not marks:  # what is given out is not fused: the engine is another, and its outputs may be
            self._known[fp32] = reading
        return reading

    def _measure(self, fp32: Positions, marks: Sequence[str]) -> Reading:
        gathered = {name: Metrics(name) for name in [*self._outputs, *marks]}
        reference = OnnxReference.of_model(marked(self._reference, marks), "the reference")
        # One after the other, so that no more than one batch is in memory.
        for feed, got in zip(self._feeds(), self._trial.run(self._layers.rules(fp32), marks, self._feeds())):
            wanted = reference(feed)
            for name, metrics in gathered.items():
                if name not in got:
                    raise VerificationError(
                        "the model that is built has other outputs than the reference",
                        received=", ".join(got),
                        expected=name,
                    )
                metrics.add(got[name], wanted[name])
        results = {name: metrics.result() for name, metrics in gathered.items()}
        errors = {name: _finite(result.rel_error) for name, result in results.items()}
        passed = all(results[name].passes(self._limit.rtol, self._limit.atol) for name in self._outputs)
        return Reading(errors, {name: errors[name] for name in self._outputs}, passed)


def _finite(error: float) -> float:
    return math.inf if math.isnan(error) else error
