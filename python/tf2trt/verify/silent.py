"""Failures that raise nothing: outputs in another order, a layout mixed up, inputs prepared in another way.

Each is a guess that is tried: a finding is reported only where with it every output that was off comes within the
tolerance, on the inputs at hand and on others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from tf2trt.errors import Tf2TrtError
from tf2trt.numerics import relative_error
from tf2trt.verify.candidate import Candidate, adapt, match_outputs
from tf2trt.verify.inputs import Feed
from tf2trt.verify.metrics import plain
from tf2trt.verify.preparations import Preparation, flattened, layouts, preparations

__all__ = ["Finding", "Sample", "find_causes"]

_LOOSE = 0.05  # the bound where none was given
_BETTER = 0.2  # what explains an error takes most of it away


@dataclass(frozen=True)
class Finding:
    """What explains a difference. ``kind`` is ``"order"``, ``"layout"``, ``"input layout"`` or ``"preprocessing"``;
    ``error`` is the largest relative error of the outputs concerned, ``explained`` the one that stays with it undone.
    """

    kind: str
    text: str
    error: float
    explained: float

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "kind": self.kind,
            "text": self.text,
            "error": plain(self.error),
            "explained": plain(self.explained),
        }


@dataclass(frozen=True)
class Sample:
    """One batch: the inputs, what the reference made of them and what the candidate did, under the same names."""

    inputs: Mapping[str, Any]
    wanted: Mapping[str, Any]
    results: Mapping[str, Any]


def find_causes(
    reference: Any, candidate: Candidate, sample: Sample, another: Callable[[], Feed], rtol: Optional[float]
) -> Tuple[Finding, ...]:
    """Looks for what explains the errors of ``sample``; ``another`` gives inputs to try it on once more."""
    bound = _LOOSE if rtol is None else rtol
    errors = {name: _error(sample.results[name], wanted) for name, wanted in sample.wanted.items()}
    bad = {name: error for name, error in errors.items() if not error <= bound}
    if not bad:
        return ()
    second = _second(reference, candidate, another)
    if second is None:
        return ()
    found = _order(sample, second, bad, bound)
    explained = {name for finding, names in found for name in names}
    for name in bad:
        if name not in explained:
            layout = _layout(name, sample, second, bad[name], bound)
            if layout is not None:
                found.append((layout, (name,)))
    explained = {name for finding, names in found for name in names}
    if not explained:
        given = _given(reference, candidate, sample, second, bad, bound)
        return (given,) if given is not None else ()
    return tuple(finding for finding, _ in found)


def _order(
    sample: Sample, second: Sample, bad: Mapping[str, float], bound: float
) -> List[Tuple[Finding, Tuple[str, ...]]]:
    found: List[Tuple[Finding, Tuple[str, ...]]] = []
    for name, error in bad.items():
        for other in sample.wanted:
            explained = max(_error(each.results[name], each.wanted[other]) for each in (sample, second))
            if other == name or not _explains(explained, error, bound):
                continue
            text = (
                f"outputs in another order: what the candidate calls {name!r} is the model's {other!r} "
                f"(relative error {explained:.1e}; {_percent(error)} as {name!r})"
            )
            found.append((Finding("order", text, error, explained), (name,)))
            break
    return found


def _layout(name: str, sample: Sample, second: Sample, error: float, bound: float) -> Optional[Finding]:
    shape = np.shape(sample.wanted[name])
    for words, change in [*layouts(np.shape(sample.results[name]), shape), *flattened(shape)]:
        explained = max(_error(change(each.results[name]), each.wanted[name]) for each in (sample, second))
        if _explains(explained, error, bound):
            text = (
                f"a layout mixed up: the candidate's {name!r} is the model's {words} "
                f"(relative error {explained:.1e} after that; {_percent(error)} as it is)"
            )
            return Finding("layout", text, error, explained)
    return None


def _given(
    reference: Any, candidate: Candidate, sample: Sample, second: Sample, bad: Mapping[str, float], bound: float
) -> Optional[Finding]:
    """A way to prepare one input with which the candidate gives what the model gives without."""
    worst = max((error for error in bad.values()), key=lambda error: math.inf if math.isnan(error) else error)
    for name, words, kind, change in _changes(sample.inputs):
        explained = 0.0
        for each in (sample, second):
            explained = max(explained, _with(reference, candidate, each, name, change))
            if not _explains(explained, worst, bound):
                break
        else:
            what = "the input's layout mixed up" if kind == "input layout" else "preprocessing differs"
            text = (
                f"{what}: the candidate takes {name!r} {words} "
                f"(relative error {explained:.1e} when it is given so; {_percent(worst)} otherwise)"
            )
            return Finding(kind, text, worst, explained)
    return None


def _changes(inputs: Mapping[str, Any]) -> Iterator[Tuple[str, str, str, Preparation]]:
    for name, array in inputs.items():
        if np.issubdtype(array.dtype, np.floating):
            for words, change in preparations(array.shape):
                yield name, words, "preprocessing", change
            for words, change in [*layouts(array.shape, array.shape), *flattened(array.shape)]:
                yield name, f"as {words}", "input layout", change


def _with(reference: Any, candidate: Candidate, sample: Sample, name: str, change: Preparation) -> float:
    """The largest error of any output when the candidate alone is given ``name`` changed."""
    array = sample.inputs[name]
    changed = {**sample.inputs, name: np.ascontiguousarray(change(array)).astype(array.dtype)}
    try:
        raw = candidate(adapt(changed, candidate.inputs, reference.inputs, []))
        results = match_outputs(raw, candidate.outputs, sample.wanted, [])
    except Tf2TrtError:  # it does not take values that this guess leads to: it is not the right one
        return math.inf
    errors = [_error(results[name], wanted) for name, wanted in sample.wanted.items()]
    return math.inf if any(math.isnan(error) for error in errors) else max(errors)


def _second(reference: Any, candidate: Candidate, another: Callable[[], Feed]) -> Optional[Sample]:
    feed = another().arrays
    wanted = reference(feed)
    raw = candidate(adapt(feed, candidate.inputs, reference.inputs, []))
    return Sample(feed, wanted, match_outputs(raw, candidate.outputs, wanted, []))


def _explains(explained: float, error: float, bound: float) -> bool:
    return explained <= bound and not explained > _BETTER * error  # an error of NaN is explained too


def _error(out: Any, ref: Any) -> float:
    return relative_error(out, ref) if np.shape(out) == np.shape(ref) else math.inf


def _percent(error: float) -> str:
    return f"{error:.1e}" if math.isfinite(error) else str(error)
