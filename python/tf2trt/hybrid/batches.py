"""The user's batches on their way into TensorFlow's converter: looked at one by one, never held."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import InputError, UsageError
from tf2trt.hybrid.options import InputFunction
from tf2trt.specs import TensorSpec, format_shape

__all__ = ["Batches", "Shapes", "shapes_text"]

Shapes = Tuple[Tuple[str, Tuple[int, ...]], ...]
"""Input names with the shapes of one batch, in the order of the signature."""


class Batches:
    """One pass over ``function``'s batches, each checked against the signature before TensorFlow sees it.

    It is itself what TF-TRT takes for an input function. ``seen`` tells, during and after the pass, the input shapes in
    the order in which they first came.

    Args:
        name: of the argument, for messages: ``"input_fn"``.
        specs: the signature's inputs, in its order.
        one_shape: every batch must have the shapes of the first. TF-TRT's calibration ends the whole process on a
            batch of another size.
        before: called with the shapes of a batch that differ from all earlier ones, just before TensorFlow gets it.
        after: called when TensorFlow has run such a batch.

    Raises, while it is iterated:
        InputError: a batch that the signature does not take, or of other shapes than the first with ``one_shape``.
        UsageError: there is not one batch, or the function gives nothing to iterate over.
    """

    def __init__(
        self,
        name: str,
        function: InputFunction,
        specs: Sequence[TensorSpec],
        *,
        one_shape: bool = False,
        before: Optional[Callable[[Shapes], None]] = None,
        after: Optional[Callable[[Shapes], None]] = None,
    ) -> None:
        self.seen: List[Shapes] = []
        self._name = name
        self._function = function
        self._specs = list(specs)
        self._one_shape = one_shape
        self._before = before or (lambda shapes: None)
        self._after = after or (lambda shapes: None)

    def __call__(self) -> Iterator[Any]:
        """The pass: a list of arrays for each batch, or a dictionary where the user gave one."""
        number = 0
        names = [spec.name for spec in self._specs]
        made = self._function()
        if not hasattr(made, "__iter__"):
            raise UsageError(
                f"{self._name} gave nothing to iterate over",
                received=type(made).__name__,
                expected="a generator, a list or a tf.data.Dataset of batches",
            )
        for number, batch in enumerate(made, 1):
            arrays = self._in_order(batch, number)
            shapes: Shapes = tuple((spec.name, tuple(array.shape)) for spec, array in zip(self._specs, arrays))
            if self._one_shape and self.seen and shapes != self.seen[0]:
                raise InputError(
                    f"{self._name}: batch {number} has other shapes than the first",
                    received=shapes_text(shapes),
                    expected=shapes_text(self.seen[0]),
                    hint="TF-TRT calibrates with batches of one shape: leave out the last batch where it is smaller",
                )
            given = dict(zip(names, arrays)) if isinstance(batch, Mapping) else arrays
            if shapes in self.seen:
                yield given
                continue
            self.seen.append(shapes)
            self._before(shapes)
            yield given
            self._after(shapes)
        if number == 0:
            raise UsageError(f"{self._name} gave no batch", expected="at least one")

    def _in_order(self, batch: Any, number: int) -> List[Any]:
        names = [spec.name for spec in self._specs]
        if isinstance(batch, Mapping):
            given = dict(batch)
        else:
            values = list(batch) if isinstance(batch, (list, tuple)) else [batch]
            if len(values) != len(names):
                raise InputError(
                    f"{self._name}: batch {number} has {len(values)} arrays",
                    expected=f"{len(names)}: {', '.join(names)}",
                    hint="yield a list or tuple of arrays, or a dictionary by name",
                )
            given = dict(zip(names, values))
        if set(given) != set(names):
            raise InputError(
                f"{self._name}: batch {number} has other names than the signature",
                received=", ".join(map(str, given)),
                expected=", ".join(names),
            )
        return [self._checked(given[spec.name], spec, number) for spec in self._specs]

    def _checked(self, value: Any, spec: TensorSpec, number: int) -> Any:
        # A tensor of TensorFlow's has a shape and a dtype and stays where it is; anything else becomes an array, as
        # TensorFlow would make it: Python's floats are float32 there.
        array = value
        if not (hasattr(value, "shape") and hasattr(value, "dtype")):
            array = np.asarray(value)
            if array.dtype == np.float64:
                array = array.astype(np.float32)
        dtype = getattr(array.dtype, "name", str(array.dtype))
        shape = tuple(array.shape)
        fits = len(shape) == len(spec.shape) and all(want in (-1, got) for want, got in zip(spec.shape, shape))
        text = spec.dtype == "string" and getattr(array.dtype, "kind", "") in ("O", "S", "U")
        if not fits or (dtype != spec.dtype and not text):
            raise InputError(
                f"{self._name}: batch {number} does not fit input {spec.name!r}",
                received=f"{dtype} {format_shape(shape)}",
                expected=f"{spec.dtype} {format_shape(spec.shape)}",
            )
        return array


def shapes_text(shapes: Shapes) -> str:
    """``"x: 8x224x224x3"``."""
    return ", ".join(f"{name}: {format_shape(shape)}" for name, shape in shapes)
