"""The user's calibration data as batches that fit the model."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np

from tf2trt.calibration.functions import load_function
from tf2trt.calibration.samples import check_inputs, prepared, split
from tf2trt.calibration.sources import open_source
from tf2trt.errors import UsageError
from tf2trt.specs import TensorSpec

__all__ = ["CalibrationData"]

Batch = Dict[str, Any]
Preprocess = Union[str, Callable[[Any], Any]]


class CalibrationData:
    """Samples to calibrate with, read as they are needed: one batch is in memory at a time.

    ``source`` is one of:

    - a NumPy array or a dictionary of arrays by input name, samples along the first axis;
    - the path of a ``.npy`` or ``.npz`` file of such arrays. Neither is loaded whole. Arrays that no input is named
      after, such as labels, are left alone;
    - the path of a folder, searched through with its sub-folders: an image, a ``.npy`` or a ``.npz`` (arrays by input
      name) is one sample. Images come as uint8 HxWx3 in RGB;
    - a ``tf.data.Dataset``, a generator or any iterable; a function without arguments that returns one, or its name
      ``"module:function"``. Each element is a sample or a batch: an array, arrays by name, or a tuple with labels
      behind. A generator serves one pass only.

    Args:
        batch_size: samples in a batch, for a model with a dynamic batch; a static one is kept to.
        preprocess: for arrays and files: a function, or ``"module:function"``, that takes one sample (an array, or a
            dictionary where there are several) and returns what the model takes. There is no default: what a model
            was trained on is not in its file.
        samples: how many to use at most: of arrays and files evenly spread, of iterables the first ones.

    Raises:
        UsageError: a source that is not there, cannot be read or is empty; arrays of different lengths; a
            ``preprocess`` for an iterable, which prepares its elements itself.
    """

    def __init__(
        self,
        source: Any,
        *,
        batch_size: int = 8,
        preprocess: Optional[Preprocess] = None,
        samples: Optional[int] = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("samples", samples)):
            if value is not None and value < 1:
                raise UsageError(f"calibration data: {name}", received=value, expected="1 or more")
        self._source = open_source(source)
        self._function = load_function(preprocess) if isinstance(preprocess, str) else preprocess
        if self._function is not None and self._source.prepared:
            raise UsageError(
                "calibration data: preprocess is for arrays and files",
                received=type(source).__name__,
                hint="a generator or dataset gives samples as the model takes them",
            )
        self._limit = samples
        self._batch_size = batch_size
        self._used = False
        if self._source.count == 0:
            raise _empty()

    @property
    def count(self) -> Optional[int]:
        """The number of samples; None where only a pass over them would tell."""
        if self._source.count is None:
            return None
        return min(self._source.count, self._limit or self._source.count)

    @property
    def one_shot(self) -> bool:
        """Whether there can be only one pass."""
        return self._source.one_shot

    def batch_size(self, specs: Sequence[TensorSpec]) -> int:
        """The samples in a full batch for a model with these inputs.

        Raises:
            UsageError: static batches that differ from input to input.
        """
        check_inputs(specs)
        static = {spec.shape[0] for spec in specs if spec.shape[0] >= 0}
        if len(static) > 1:
            raise UsageError("calibration: the inputs differ in batch", received="; ".join(map(str, specs)))
        return static.pop() if static else self._batch_size

    def batches(self, specs: Sequence[TensorSpec], *, full: bool = False) -> Iterator[Batch]:
        """A pass: batches by input name, each array contiguous, of its input's dtype and free of NaN and infinity.

        Where extents other than the batch are dynamic, a batch holds samples of one shape, and ends where the next
        sample has another. A last batch that is not full is left out where the batch is static, or with ``full``.

        Raises:
            UsageError: no sample, or no full batch; a sample of another dtype or shape than its input, or with a NaN
                or an infinity in it; a second pass over a generator.
        """
        size = self.batch_size(specs)
        if self.one_shot:
            if self._used:
                raise UsageError(
                    "calibration data: the generator is used up", hint="give a function that makes a new one"
                )
            self._used = True
        full = full or any(spec.shape[0] >= 0 for spec in specs)
        return self._batches(specs, size, full)

    def _batches(self, specs: Sequence[TensorSpec], size: int, full: bool) -> Iterator[Batch]:
        pending: List[Batch] = []
        count, given = 0, False
        for sample in self._samples(specs):
            if pending and _shapes(sample) != _shapes(pending[0]):
                if not full:
                    yield _stack(pending, count)
                    given = True
                pending = []
            pending.append(sample)
            count += 1
            if len(pending) == size:
                yield _stack(pending, count)
                pending, given = [], True
        if pending and not full:
            yield _stack(pending, count)
            given = True
        if count == 0:
            raise _empty()
        if not given:
            raise UsageError(
                "calibration data: not one full batch",
                received=f"{count} samples",
                expected=f"{size} of one shape",
                hint="more data, or a smaller batch",
            )

    def _samples(self, specs: Sequence[TensorSpec]) -> Iterator[Batch]:
        def all_samples() -> Iterator[Batch]:
            number = 0
            for element in self._source.elements(self._limit):
                for sample in split(prepared(element, self._function), specs, number):
                    yield sample
                    number += 1

        return itertools.islice(all_samples(), self._limit)


def _shapes(sample: Batch) -> List[Any]:
    return [array.shape for array in sample.values()]


def _stack(samples: List[Batch], count: int) -> Batch:
    batch = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
    for name, array in batch.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = [not np.isfinite(sample[name]).all() for sample in samples].index(True)
            values = array[bad]
            raise UsageError(
                f"calibration data: sample {count - len(samples) + bad} has values that are not finite in {name!r}",
                received=f"{int(np.isnan(values).sum())} NaN, {int(np.isinf(values).sum())} infinite",
                hint="look at the sample and at what prepares it",
            )
    return batch


def _empty() -> UsageError:
    return UsageError("calibration data: it is empty", expected="at least one sample; some hundred are usual")
