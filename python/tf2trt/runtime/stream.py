"""A dataset through an engine: batches are put together in pinned memory while the GPU works on those before."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from tf2trt import _native
from tf2trt.errors import InputError
from tf2trt.runtime.checks import bind, check_arrays
from tf2trt.specs import Shape, TensorSpec, format_shape

__all__ = ["stream"]


def stream(
    open_session: Callable[[], _native.Session],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    order: Sequence[str],
    smallest: int,
    items: Iterable[Any],
    batch: int,
    inflight: int,
) -> Iterator[Any]:
    """Yields each item's result, in the items' order.

    At most ``inflight`` batches are on their way, each in a session of its own; the results of one batch are in memory
    beside them. A last batch of fewer than ``smallest`` items, which the engine does not take, is filled up.
    """
    places = {name: place for place, name in enumerate(order)}
    source = iter(items)
    sessions: List[_native.Session] = []
    flying: Deque[Tuple[_native.Session, int]] = deque()
    filler = _Filler(inputs, places, batch, smallest)
    try:
        while True:
            rows: Sequence[Any] = ()
            if len(flying) == inflight:
                session, count = flying.popleft()
                rows = _finish(session, outputs, count)
            else:
                session = open_session()
                sessions.append(session)
            session.acquire()
            count = filler.fill(session, source)
            if count:
                session.launch()
                flying.append((session, count))
            yield from rows
            if not count:
                break
        while flying:
            yield from _finish(flying[0][0], outputs, flying[0][1])
            flying.popleft()
    finally:
        for session in sessions:
            if not session.closed:
                session.release()
            session.close()


class _Filler:
    """Copies items into the rows of a session's pinned memory."""

    def __init__(self, inputs: Sequence[TensorSpec], places: Mapping[str, int], batch: int, smallest: int) -> None:
        self._samples = [TensorSpec(spec.name, spec.dtype, spec.shape[1:]) for spec in inputs]
        self._places, self._batch, self._smallest = places, batch, smallest
        self._done = 0

    def fill(self, session: _native.Session, source: Iterator[Any]) -> int:
        """The number of items that were there, at most a batch."""
        items = list(islice(source, self._batch))
        if not items:
            return 0
        extents = self._extents(items[0])
        session.set_shapes([(self._batch, *extent) for extent in extents])
        row = 0
        while row < len(items):
            row += session.fill(items[row:] if row else items, row)
            if row < len(items):
                self._fill_slowly(session, row, items[row], extents)
                row += 1
        count = len(items)
        rows = max(count, self._smallest)
        for spec in self._samples:  # rows that nobody asked about hold zeros, not what happened to be there
            session.host(self._places[spec.name])[count:rows] = 0
        if rows < self._batch:
            session.set_shapes([(rows, *extent) for extent in extents])  # the memory stays, and what is in it
        self._done += count
        return count

    def _extents(self, item: Any) -> List[Shape]:
        return [tuple(array.shape) for array in self._arrays(item, 0).values()]

    def _fill_slowly(self, session: _native.Session, row: int, item: Any, extents: Sequence[Shape]) -> None:
        arrays = self._arrays(item, row)
        for (name, array), extent in zip(arrays.items(), extents):
            if tuple(array.shape) != extent:
                raise InputError(
                    f"item {self._done + row}: input {name!r} has another shape than the first item of its batch",
                    received=format_shape(array.shape),
                    expected=format_shape(extent),
                )
            np.copyto(session.host(self._places[name])[row], array)

    def _arrays(self, item: Any, row: int) -> Dict[str, Any]:
        try:
            if isinstance(item, tuple):
                arrays = bind(self._samples, item, {})
            else:
                arrays = bind(self._samples, (item,), {})
            check_arrays(self._samples, arrays)
        except InputError as error:
            raise InputError(f"item {self._done + row}: {error}") from error
        return arrays


def _finish(session: _native.Session, outputs: Sequence[TensorSpec], count: int) -> Sequence[Any]:
    session.wait()
    results = session.results(True)
    session.release()
    for spec, result in zip(outputs, results):
        if not result.shape or result.shape[0] < count:
            raise InputError(
                f"output {spec.name!r} has no row for each item of a batch",
                received=format_shape(result.shape),
                expected=f"{count} rows or more",
                hint="use the engine itself, or contexts, and batches of your own",
            )
    if len(outputs) == 1:
        return [results[0][row] for row in range(count)]
    return [{spec.name: result[row] for spec, result in zip(outputs, results)} for row in range(count)]
