"""What a worker does with the subject that it holds, whatever kind of subject that is."""

from __future__ import annotations

import contextlib
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.numerics import random_inputs
from tf2trt.specs import TensorSpec, format_shape

__all__ = ["Adapter", "Arrays", "Watched", "full_shapes", "make_inputs", "nan_outputs"]

Arrays = Mapping[str, Any]


@dataclass
class Watched:
    """``times``, milliseconds, are put in by who calls; ``reasons`` why they must not be used come out in the end."""

    times: Sequence[float] = ()
    reasons: List[str] = field(default_factory=list)


class Adapter(ABC):
    """A subject in this process. Each method is for one regime; arrays are NumPy's, by name."""

    inputs: Tuple[TensorSpec, ...] = ()

    def shapes(self, batch: int) -> Dict[str, Tuple[int, ...]]:
        """What is known of the inputs' shapes beside the model's own, such as what an engine was tuned for."""
        return {}

    def facts(self) -> Dict[str, Any]:
        """Fields of :class:`~tf2trt.bench.results.SubjectFacts` that the subject knows of itself."""
        return {}

    @abstractmethod
    def call(self, inputs: Arrays) -> Arrays:
        """One call from arrays to arrays, waited for."""

    @abstractmethod
    def start(self, inputs: Arrays, slot: int) -> Callable[[], Arrays]:
        """Starts a call and returns what waits for it. At most one call of each ``slot`` (0, 1, ...) is on its way."""

    def slots(self, wanted: int) -> int:
        """How many calls can be on their way at once: ``wanted``, or fewer."""
        return wanted

    def gpu_times(self, count: int) -> List[float]:
        """Milliseconds of the GPU's work for ``count`` repetitions of the last call.

        Raises:
            UsageError: nobody can put CUDA events around what this subject does.
        """
        raise UsageError("regime gpu", received=type(self).__name__, expected="an engine")

    @contextlib.contextmanager
    def watched(self, batch: int, timed: bool) -> Iterator[Watched]:
        """While the block runs, watches for what must not happen while calls are timed.

        ``timed`` is false for the warm-up, in which engines may be built.
        """
        yield Watched()

    @abstractmethod
    def events(self, inputs: Arrays, calls: int, process: str) -> Sequence[Any]:
        """What happens in some calls, as :class:`~tf2trt.bench.trace.Event`, in a process of that name."""

    def close(self) -> None:  # noqa: B027 (not every subject has something to give back)
        """Gives everything back."""


def full_shapes(
    specs: Sequence[TensorSpec], known: Mapping[str, Tuple[int, ...]], batch: int
) -> Dict[str, Tuple[int, ...]]:
    """Each input's shape for a batch. ``known`` holds shapes for extents that are dynamic in the model.

    The batch is the first extent of the inputs where that is dynamic; else the one that all inputs share, if they do.

    Raises:
        UsageError: ``batch`` is not the model's fixed one, an extent is not known, or ``known`` contradicts the model.
    """
    firsts = {spec.shape[0] for spec in specs if spec.shape}
    fixed = next(iter(firsts)) if len(firsts) == 1 else 1
    if all(extent >= 0 for extent in firsts) and batch != fixed:
        raise UsageError("the model's batch is fixed", received=batch, expected=fixed, hint=f"--batch {fixed}")
    return {spec.name: _full_shape(spec, known.get(spec.name, spec.shape), batch) for spec in specs}


def _full_shape(spec: TensorSpec, given: Tuple[int, ...], batch: int) -> Tuple[int, ...]:
    if len(given) != len(spec.shape) or any(
        own not in (-1, each) and each >= 0 for own, each in zip(spec.shape, given)
    ):
        raise UsageError(f"the shape of input {spec.name!r}", received=format_shape(given), expected=spec)
    shape = tuple(each if own < 0 else own for each, own in zip(given, spec.shape))
    if spec.shape and spec.shape[0] < 0:
        shape = (batch, *shape[1:])
    if -1 in shape:
        example = format_shape(tuple(extent if extent >= 0 else 224 for extent in shape))
        raise UsageError(
            f"not only the batch of input {spec.name!r} is dynamic",
            received=spec,
            hint=f"give the shape, --shapes {spec.name}:{example}; the batch in it is not used",
        )
    return shape


def make_inputs(specs: Sequence[TensorSpec], known: Mapping[str, Tuple[int, ...]], batch: int, seed: int) -> Arrays:
    """Random inputs for a batch: of one ``seed`` the same for all subjects that have an input of that name and shape.

    Raises:
        UsageError: as :func:`full_shapes`; or an input holds no numbers.
    """
    arrays: Dict[str, Any] = {}
    shapes = full_shapes(specs, known, batch)
    for spec in specs:
        # By names and not by places: an exported model's inputs may come in another order.
        own = np.random.SeedSequence([seed, zlib.crc32(spec.name.encode()), batch]).generate_state(1)[0]
        arrays.update(random_inputs([TensorSpec(spec.name, spec.dtype, shapes[spec.name])], seed=int(own)))
    return arrays


def nan_outputs(outputs: Arrays) -> List[str]:
    """The names of outputs that hold a NaN."""
    found = []
    for name, value in outputs.items():
        array = np.asarray(value)
        numbers = array.dtype.kind in "fc" or array.dtype.name.startswith(("bfloat", "float8"))
        if numbers and np.isnan(array).any():
            found.append(name)
    return found
