"""A model against what was made of it, output by output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import UsageError, VerificationError
from tf2trt.specs import TensorSpec
from tf2trt.verify.candidate import Candidate, adapt, match_outputs
from tf2trt.verify.inputs import Inputs
from tf2trt.verify.metrics import Metrics, OutputMetrics
from tf2trt.verify.silent import Finding, Sample, find_causes
from tf2trt.verify.task_metric import Function, MetricReport, TaskMetric

__all__ = ["ComparisonReport", "compare"]

Progress = Callable[[int], None]


@dataclass(frozen=True)
class ComparisonReport:
    """What a comparison found.

    ``rtol`` None: no bound but that of the metric. ``notes`` say what was done so that the two could be compared at
    all; ``findings`` name what explains a difference, with the evidence.
    """

    reference: str
    candidate: str
    inputs: str
    seed: Optional[int]
    samples: int
    outputs: Tuple[OutputMetrics, ...]
    rtol: Optional[float]
    atol: float
    metric: Optional[MetricReport]
    notes: Tuple[str, ...]
    findings: Tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every output, and the metric, is within the tolerance. A NaN never is."""
        outputs = all(output.passes(self.rtol, self.atol) for output in self.outputs)
        return outputs and (self.metric is None or self.metric.passed)

    def raise_if_failed(self) -> None:
        """Raises:
        VerificationError: an output or the metric is past the tolerance; the message says which, and what explains it.
        """
        if self.passed:
            return
        off = [
            f"{output.name}: {output.mismatch or f'relative error {output.rel_error:.3g}'}"
            for output in self.outputs
            if not output.passes(self.rtol, self.atol)
        ]
        if self.metric is not None and not self.metric.passed:
            off.append(f"metric {dict(self.metric.candidate)} and not {dict(self.metric.reference)}")
        raise VerificationError(
            "the results differ",
            received="; ".join(off),
            expected="no NaN or infinity" if self.rtol is None else f"a relative error of at most {self.rtol:g}",
            hint="; ".join(finding.text for finding in self.findings) or None,
        )

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "reference": self.reference,
            "candidate": self.candidate,
            "inputs": self.inputs,
            "seed": self.seed,
            "samples": self.samples,
            "rtol": self.rtol,
            "atol": self.atol,
            "outputs": [{**output.to_json(), "passed": output.passes(self.rtol, self.atol)} for output in self.outputs],
            "metric": self.metric.to_json() if self.metric else None,
            "notes": list(self.notes),
            "findings": [finding.to_json() for finding in self.findings],
            "passed": self.passed,
        }


def compare(
    reference: Any,
    candidate: Candidate,
    inputs: Inputs,
    *,
    rtol: Optional[float],
    atol: float = 0.0,
    metric: Optional[Function] = None,
    metric_tolerance: Optional[float] = None,
    progress: Optional[Progress] = None,
) -> ComparisonReport:
    """Runs both on every batch of ``inputs`` and measures each output; where one is past the tolerance, looks for what
    explains it.

    Args:
        reference: an :class:`~tf2trt.verify.OnnxReference` or :class:`~tf2trt.verify.TensorFlowReference`.
        candidate: from :func:`~tf2trt.verify.open_candidate`.
        rtol: the largest ``||out - ref|| / ||ref||`` of an output; None for no bound.
        atol: an output whose largest ``|out - ref|`` is no more than this passes all the same.
        metric: a function of (outputs, inputs and extras), see :class:`~tf2trt.verify.task_metric.TaskMetric`.
        metric_tolerance: the largest ``|candidate - reference|`` of the metric.
        progress: called with the number of batches that are done.

    Raises:
        UsageError: a tolerance that cannot work; a tolerance of a metric that is not given.
        InputError: what one of the two does not take; other outputs, and not as many.
        VerificationError: the metric's function failed, or there was no batch.
    """
    if (rtol is not None and not rtol >= 0) or not atol >= 0:
        raise UsageError("the tolerance", received=f"rtol {rtol}, atol {atol}", expected="numbers from 0 on")
    if metric is None and metric_tolerance is not None:
        raise UsageError("a tolerance for the metric", received=metric_tolerance, expected="a metric as well")
    task = TaskMetric(metric, metric_tolerance) if metric else None
    gathered: Dict[str, Metrics] = {}
    first: List[Sample] = []
    notes: List[str] = []
    samples = 0
    for index, feed in enumerate(inputs):
        wanted = reference(feed.arrays)
        raw = candidate(adapt(feed.arrays, candidate.inputs, reference.inputs, notes))
        results = match_outputs(raw, candidate.outputs, wanted, notes)
        for name, ref in wanted.items():
            gathered.setdefault(name, Metrics(name)).add(results[name], ref)
        if task is not None:
            task.add({**feed.arrays, **feed.extras}, wanted, results)
        if not first:
            first.append(Sample(feed.arrays, wanted, results))
        samples += _batch(feed.arrays, reference.inputs)
        if progress is not None:
            progress(index + 1)
    if not gathered:
        raise VerificationError("nothing was compared", expected="at least one batch, and an output")
    outputs = tuple(each.result() for each in gathered.values())
    findings: Sequence[Finding] = ()
    if not all(output.passes(rtol, atol) for output in outputs):
        findings = find_causes(reference, candidate, first[0], inputs.another, rtol)
    return ComparisonReport(
        reference.description,
        candidate.description,
        inputs.description,
        inputs.seed,
        samples,
        outputs,
        rtol,
        atol,
        task.result() if task else None,
        tuple(notes),
        tuple(findings),
    )


def _batch(arrays: Mapping[str, Any], specs: Sequence[TensorSpec]) -> int:
    first = np.asarray(arrays[specs[0].name]) if specs else np.zeros(())
    return len(first) if first.ndim else 1
