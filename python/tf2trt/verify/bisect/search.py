"""Finds the layers that cause an error, and the shortest list of them that has to be in FP32."""

from __future__ import annotations

import math
import os
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

from tf2trt.errors import UsageError
from tf2trt.verify.bisect.layers import Layers, read_layers
from tf2trt.verify.bisect.marks import made_tensors
from tf2trt.verify.bisect.readings import Limit, OutOfTrialsError, Readings
from tf2trt.verify.bisect.report import BisectReport, LayerError, Step
from tf2trt.verify.bisect.trials import Trial

__all__ = ["bisect"]

PathLike = Union[str, "os.PathLike[str]"]
Positions = FrozenSet[int]

_SHARE = 0.1  # a part of the graph is followed where it adds at least this share of the most that any part adds
_WIDTH = 4  # parts that are followed at a time
_DEPTH = 4  # times that the search turns off into a branch


def bisect(
    reference: PathLike,
    trial: Trial,
    feeds: Callable[[], Iterable[Mapping[str, Any]]],
    *,
    rtol: float,
    atol: float = 0.0,
    trials: int = 200,
    progress: Optional[Callable[[int], None]] = None,
) -> BisectReport:
    """Looks for the layers that cause the error of ``trial``, and for what brings it within the tolerance.

    In rounds: tensors half-way through the graph are given out and compared, then those half-way through each part in
    which the error rises, until single layers are left; these are ranked by the error that they add, and the first is
    put into FP32, in the next round two more, then four, until the outputs are within the tolerance. An infinity hides
    what comes after it, so each round looks anew. Then layers are left out again, in halves, in quarters and at last
    one at a time, as long as the outputs stay within the tolerance: of the list that is left none can go.

    Args:
        reference: the FP32 model as an ONNX file, whose tensors have the names of those of the trial's graph.
        trial: what is built.
        feeds: gives, each time it is called, the same batches of arrays by input name.
        rtol, atol: as for :func:`tf2trt.verify.compare`.
        trials: the most builds.
        progress: called with the number of the trial that begins.

    Raises:
        UsageError: the two have no tensor in common; ``trials`` or ``rtol`` cannot work.
        Tf2TrtError: a trial cannot be built or run.
    """
    from tf2trt.surgery.files import read_model

    if trials < 2 or not rtol > 0:
        raise UsageError(
            "bisect", received=f"rtol {rtol}, trials {trials}", expected="an rtol over 0, 2 trials or more"
        )
    model = read_model(reference)
    layers = read_layers(trial.source, made_tensors(model))
    if not len(layers):
        raise UsageError(
            "bisect: the graphs have no tensor in common",
            expected="the ONNX file that the candidate was built from, and the model it was made of",
        )
    readings = Readings(model, trial, layers, feeds, Limit(rtol, atol), trials, progress)
    return _Search(layers, readings, trial.precision).run()


class _Search:
    """One bisection. Layers are known by their positions."""

    def __init__(self, layers: Layers, readings: Readings, precision: str) -> None:
        self.layers, self.readings, self.precision = layers, readings, precision
        self.chosen: Positions = frozenset()
        self.ranking: Dict[int, LayerError] = {}
        self.steps: List[Step] = []

    def run(self) -> BisectReport:
        baseline = self.readings.read(frozenset())
        if baseline.passed:
            return self._report("within tolerance", baseline.error, None)
        everything = self.readings.read(frozenset(range(len(self.layers))))
        if not everything.passed:
            return self._report("not precision", baseline.error, everything.error)
        try:
            self._grow()
        except OutOfTrialsError:
            return self._report("out of trials", baseline.error, everything.error)
        without: List[float] = []
        try:
            self._shrink()
            for position in sorted(self.chosen):
                without.append(self.readings.read(self.chosen - {position}).error)
        except OutOfTrialsError:
            without = []
        return self._report("found", baseline.error, everything.error, without)

    def _report(
        self,
        verdict: str,
        baseline: float,
        all_fp32: Optional[float],
        without: Sequence[float] = (),
    ) -> BisectReport:
        chosen = self.chosen if verdict == "found" else frozenset()
        error = self.readings.read(chosen).error if chosen else baseline
        return BisectReport(
            verdict,
            self.precision,
            len(self.layers),
            self.readings.trials,
            baseline,
            all_fp32,
            error,
            tuple(self.layers[position].name for position in sorted(chosen)),
            tuple(without),
            self.layers.rules(chosen) if chosen else (),
            bool(chosen) and len(without) == len(chosen),
            tuple(sorted(self.ranking.values(), key=lambda entry: -entry.added)),
            tuple(self.steps),
        )

    def _grow(self) -> None:
        passed, size = False, 1
        while not passed:
            added = self._next(self.chosen, size)
            self.chosen |= frozenset(added)
            reading = self.readings.read(self.chosen)
            passed, size = reading.passed, size * 2
            names = tuple(self.layers[position].name for position in added)
            self.steps.append(Step(names, reading.error, passed))

    def _next(self, chosen: Positions, size: int) -> List[int]:
        """The next layers to put into FP32, those that add most first."""
        path = self.layers.up_to(self._blamed(chosen))
        found: List[int] = []
        for entry, position in self._rank(chosen, path, _DEPTH):
            self.ranking.setdefault(position, entry)
            # One that is in FP32 already suffers from the precision of what it reads.
            found += [position] if position not in chosen else self._nearest(position, chosen)
        # Where too few stand out, those around them as well, so that the rounds are few: what was not needed is left
        # out again at the end.
        left = [*dict.fromkeys(found), *(position for position in self._around(found or path) if position not in found)]
        return [position for position in left if position not in chosen][:size]

    def _blamed(self, chosen: Positions) -> int:
        """The layer behind the output that is off most."""
        reading = self.readings.read(chosen)
        made = {name: error for name, error in reading.outputs.items() if name in self.layers.maker}
        return self.layers.maker[max(made, key=lambda name: made[name])] if made else len(self.layers) - 1

    def _nearest(self, position: int, chosen: Positions) -> List[int]:
        """The layers before ``position`` that are not in FP32, as near as there are."""
        level, seen = self.layers[position].before, {position}
        while level:
            outside = sorted(level - chosen)
            if outside:
                return outside
            seen |= level
            level = frozenset().union(*(self.layers[each].before for each in level)) - seen
        return []

    def _around(self, positions: Sequence[int]) -> List[int]:
        """All layers, the nearest to ``positions`` first, those that read it before those that it reads."""
        readers: Dict[int, List[int]] = {}
        for position in range(len(self.layers)):
            for each in self.layers[position].before:
                readers.setdefault(each, []).append(position)
        order = list(dict.fromkeys(positions))
        seen = set(order)
        for position in order:  # grows meanwhile
            near = [*readers.get(position, ()), *sorted(self.layers[position].before)]
            order += [each for each in near if each not in seen]
            seen.update(near)
        return order + [position for position in range(len(self.layers)) if position not in seen]

    def _rank(self, chosen: Positions, path: Sequence[int], depth: int) -> List[Tuple[LayerError, int]]:
        """The layers of ``path``, in order, that add most to the error of its last."""
        suspects = self._halve(chosen, path)
        around: Set[int] = set(suspects)
        for position in suspects:
            around |= self.layers[position].before
        errors = self._errors(chosen, sorted(around))
        found: List[Tuple[LayerError, int]] = []
        for position in suspects:
            layer = self.layers[position]
            before = max((errors[each] for each in layer.before), default=0.0)
            after = errors[position]
            added = _rise(before, after)
            if depth and before > 0 and not added >= _SHARE * after:
                # It came over a branch that stands elsewhere in the order.
                source = max(layer.before, key=lambda each: errors[each])
                further = self.layers.up_to(source)
                if len(further) < len(path) or further != list(path):
                    found += self._rank(chosen, further, depth - 1)
                    continue
            found.append((LayerError(layer.name, layer.operators, before, after, added), position))
        best = {position: entry for entry, position in reversed(found)}
        return sorted(((entry, position) for position, entry in best.items()), key=lambda item: -item[0].added)

    def _halve(self, chosen: Positions, path: Sequence[int]) -> List[int]:
        """Single layers at which the error rises along ``path``."""
        last = len(path) - 1
        known: Dict[int, float] = {-1: 0.0, last: self._errors(chosen, [path[last]])[path[last]]}
        parts = [(-1, last)]
        while any(end - start > 1 for start, end in parts):
            middles = [(start + end) // 2 for start, end in parts if end - start > 1]
            errors = self._errors(chosen, [path[middle] for middle in middles])
            known.update((middle, errors[path[middle]]) for middle in middles)
            split: List[Tuple[int, int]] = []
            for start, end in parts:
                middle = (start + end) // 2
                split += [(start, end)] if end - start == 1 else [(start, middle), (middle, end)]
            parts = self._steepest(known, split)
        return [path[end] for _, end in parts]

    @staticmethod
    def _steepest(known: Mapping[int, float], parts: Sequence[Tuple[int, int]]) -> List[Tuple[int, int]]:
        """The parts in which the error rises most above all that it was before."""
        rises = {
            part: _rise(max(error for place, error in known.items() if place <= part[0]), known[part[1]])
            for part in parts
        }
        most = max(rises.values())
        if not most > 0:
            return [max(parts, key=lambda part: known[part[1]])]
        kept = [part for part in parts if rises[part] >= _SHARE * most and rises[part] > 0]
        return sorted(sorted(kept, key=lambda part: -rises[part])[:_WIDTH])

    def _errors(self, chosen: Positions, positions: Sequence[int]) -> Dict[int, float]:
        marks = [name for position in positions for name in self.layers[position].tensors]
        reading = self.readings.read(chosen, marks)
        return {position: max(reading.errors[name] for name in self.layers[position].tensors) for position in positions}

    def _shrink(self) -> None:
        """Leaves out what can be left out: halves, quarters, at last single layers, until none can go."""
        size = max(1, len(self.chosen) // 2)
        while len(self.chosen) > 1:
            ordered = sorted(self.chosen, key=self._weight)  # what adds least goes first
            parts = [frozenset(ordered[start : start + size]) for start in range(0, len(ordered), size)]
            smaller = False
            for part in parts:
                left = self.chosen - part
                if left and self.readings.read(left).passed:
                    self.chosen, smaller = left, True
            if size == 1 and not smaller:
                return
            size = max(1, min(size, len(self.chosen)) // 2)

    def _weight(self, position: int) -> float:
        return self.ranking[position].added if position in self.ranking else 0.0


def _rise(before: float, after: float) -> float:
    if math.isinf(before):
        return 0.0
    return after - before
