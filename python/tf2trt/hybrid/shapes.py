"""Runs a cut graph on the user's own batches to see what its segments read and give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.hybrid.cut import Cut, CutBody
from tf2trt.hybrid.frozen import Frozen
from tf2trt.hybrid.probes import ProbedModel
from tf2trt.specs import Shape, ShapeRange, TensorSpec

__all__ = ["Seen", "bind_batch", "watch"]

_KEPT = 4  # calls of a segment whose arrays are kept; more tell little that is new

Arrays = List[Any]


@dataclass
class Seen:
    """What one segment was called with: the shapes of what it read, call by call, and some calls' arrays."""

    shapes: List[Tuple[Shape, ...]] = field(default_factory=list)
    calls: List[Tuple[Arrays, Arrays]] = field(default_factory=list)

    def ranges(self, names: Sequence[str]) -> Dict[str, ShapeRange]:
        """For each of the segment's inputs the smallest and largest extents, and to tune for the shape met most often,
        the last of them where several were.
        """
        usual = max(reversed(self.shapes), key=self.shapes.count)
        found = {}
        for place, name in enumerate(names):
            each = [shapes[place] for shapes in self.shapes]
            found[name] = ShapeRange(tuple(map(min, zip(*each))), usual[place], tuple(map(max, zip(*each))))
        return found

    def profiles(self, names: Sequence[str], strategy: str) -> List[Dict[str, ShapeRange]]:
        """Optimisation profiles for the segment's inputs: of ``"Range"`` one for all shapes between the smallest and
        the largest, of ``"Optimal"`` one for each shape met, of ``"Range+Optimal"`` the latter and then the former.
        """
        met = [
            {name: ShapeRange(shape, shape, shape) for name, shape in zip(names, shapes)}
            for shapes in dict.fromkeys(self.shapes)
        ]
        ranges = self.ranges(names)
        if strategy == "Range":
            return [ranges]
        return met if strategy == "Optimal" or ranges in met else [*met, ranges]


def watch(frozen: Frozen, cut_body: CutBody, batches: Iterable[Any]) -> Dict[str, Seen]:
    """Runs the model natively on ``batches`` (see :data:`tf2trt.hybrid.options.InputFunction`), with a look at each
    segment. A segment that was never reached, in a branch not taken, is not in the result.

    Raises:
        UsageError: a batch that does not fit the model's inputs, or there is none.
        ExportError: TensorFlow cannot run the model on a batch.
    """
    seen: Dict[str, Seen] = {}

    def look(segment: Cut, arrays: Sequence[Any]) -> None:
        reads = len(segment.accepted.piece.reads)
        record = seen.setdefault(segment.name, Seen())
        shapes = tuple(tuple(array.shape) for array in arrays[:reads])
        if len(record.calls) < _KEPT and shapes not in record.shapes:
            copies = [np.array(array) for array in arrays]
            record.calls.append((copies[:reads], copies[reads:]))
        record.shapes.append(shapes)

    model = ProbedModel(frozen, cut_body, look)
    count = 0
    for batch in batches:
        model.run(bind_batch(frozen.inputs, batch), "input_fn")
        count += 1
    if not count:
        raise UsageError("input_fn", received="no batch", expected="one batch or more")
    return seen


def bind_batch(specs: Sequence[TensorSpec], batch: Any) -> List[Any]:
    """A batch's arrays in the order of ``specs``.

    Raises:
        UsageError: there are more or fewer, or other names.
    """
    names = [spec.name for spec in specs]
    if isinstance(batch, Mapping):
        if sorted(batch) != sorted(names):
            raise UsageError("input_fn: a batch", received=", ".join(map(str, batch)), expected=", ".join(names))
        return [batch[name] for name in names]
    arrays = list(batch) if isinstance(batch, (list, tuple)) else [batch]
    if len(arrays) != len(names):
        raise UsageError(
            "input_fn: a batch", received=f"{len(arrays)} arrays", expected=f"{len(names)}: {', '.join(names)}"
        )
    return arrays
