"""The ways in which arrays are prepared and laid out, as far as people take one for another."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Sequence, Tuple

import numpy as np

__all__ = ["Preparation", "flattened", "layouts", "preparations"]

Preparation = Callable[[Any], Any]
Named = Tuple[str, Preparation]

_MOST_SPLITS = 64  # of one flattened axis
_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet's, RGB from 0 to 1
_CAFFE = np.array([103.939, 116.779, 123.68])  # ImageNet's mean, BGR from 0 to 255

_SCALES: Sequence[Named] = (
    ("from 0 to 255, the model from 0 to 1", lambda x: x * 255.0),
    ("from 0 to 1, the model from 0 to 255", lambda x: x / 255.0),
    ("from -1 to 1, the model from 0 to 1", lambda x: x * 2.0 - 1.0),
    ("from 0 to 1, the model from -1 to 1", lambda x: (x + 1.0) / 2.0),
    ("from -1 to 1, the model from 0 to 255", lambda x: x / 127.5 - 1.0),
    ("from 0 to 255, the model from -1 to 1", lambda x: (x + 1.0) * 127.5),
)


def preparations(shape: Sequence[int]) -> Iterator[Named]:
    """What may be done to an input of this shape, in words, and the function that does it to the model's input."""
    yield from _SCALES
    for axis in (axis for axis in (-1, 1) if len(shape) == 4 and shape[axis] == 3):
        swap = _swap(axis)
        yield "with its channels in the other order (RGB and BGR swapped)", swap
        for words, scale in _SCALES:
            yield f"{words}, and with its channels in the other order (RGB and BGR)", _both(swap, scale)
        mean, std, caffe = (_along(values, axis) for values in (_MEAN, _STD, _CAFFE))
        yield "normalised by ImageNet's mean and deviation, the model from 0 to 1", _affine(1 / std, -mean / std)
        yield "normalised by ImageNet's mean, the model from 0 to 255", _affine(1 / 255 / std, -mean / std)
        yield "from 0 to 1, the model normalised by ImageNet's mean and deviation", _affine(std, mean)
        yield "from 0 to 255, the model normalised by ImageNet's mean", _affine(255 * std, 255 * mean)
        yield "as BGR less ImageNet's mean, the model as RGB from 0 to 255", _both(swap, _affine(1.0, -caffe))
        yield "as RGB from 0 to 255, the model as BGR less ImageNet's mean", _both(_affine(1.0, caffe), swap)


def layouts(shape: Sequence[int], wanted: Sequence[int]) -> List[Named]:
    """What turns an array of ``shape`` into one of ``wanted`` by another order of its axes, or by taking its elements
    for those of another order.
    """
    if len(shape) != len(wanted) or len(shape) not in (4, 5):
        return []
    rank = len(shape)
    first, last = (0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)
    names = ("NCHW", "NHWC") if rank == 4 else ("NCDHW", "NDHWC")
    found: List[Named] = []
    for axes, (to, of) in ((first, names), (last, names[::-1])):
        if tuple(shape[axis] for axis in axes) == tuple(wanted):
            found.append((f"with {of} and {to} exchanged: its axes in another order", _transposed(axes)))
        if tuple(shape) == tuple(wanted):
            words = f"with {of} taken for {to}: reshaped where it should be transposed"
            found.append((words, _reshaped(axes, wanted)))
            back = tuple(int(axis) for axis in np.argsort(axes))
            turned = tuple(shape[axis] for axis in axes)
            found.append((words.replace("reshaped", "its elements reshaped"), _unshaped(turned, back)))
    return found


def flattened(shape: Sequence[int]) -> Iterator[Named]:
    """For arrays of two axes: the second as the elements of an NHWC image in the order of NCHW, or the other way
    round, for each number of channels that divides it.
    """
    if len(shape) != 2:
        return
    size = int(shape[1])
    channels = [count for count in range(2, size) if size % count == 0][:_MOST_SPLITS]
    for count in channels:  # with size / count for count this is the other way round
        words = f"flattened in another layout (NHWC and NCHW, {count} and {size // count})"
        yield words, _split(count, size // count)


def _swap(axis: int) -> Preparation:
    return lambda x: np.flip(x, axis)


def _both(first: Preparation, then: Preparation) -> Preparation:
    return lambda x: then(first(x))


def _affine(scale: Any, offset: Any) -> Preparation:
    return lambda x: x * scale + offset


def _along(values: Any, axis: int) -> Any:
    return values if axis == -1 else values[:, None, None]


def _transposed(axes: Sequence[int]) -> Preparation:
    return lambda x: np.transpose(x, axes)


def _reshaped(axes: Sequence[int], shape: Sequence[int]) -> Preparation:
    return lambda x: np.transpose(x, axes).reshape((len(x), *shape[1:]))


def _unshaped(turned: Sequence[int], back: Sequence[int]) -> Preparation:
    return lambda x: np.reshape(x, (len(x), *turned[1:])).transpose(back)


def _split(first: int, second: int) -> Preparation:
    return lambda x: np.reshape(x, (len(x), first, second)).transpose(0, 2, 1).reshape(len(x), -1)
