"""How the dimensions of a reduced tensor lie to those of the tensor that it was reduced from."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from tf2trt.surgery.plugins.scope import Dim

__all__ = ["Layout", "expand", "reshape", "squeeze", "transpose", "unsqueeze"]

Layout = Tuple[Optional[int], ...]
"""For each dimension the axis of the original that it runs along; None for an extent of 1, and ``~axis`` (below 0)
where an Expand repeated one value along ``axis``."""


def unsqueeze(layout: Layout, axes: Sequence[int]) -> Optional[Layout]:
    """After ONNX's Unsqueeze; None where the axes do not fit."""
    rank = len(layout) + len(axes)
    at = {axis % rank for axis in axes if -rank <= axis < rank}
    if len(at) != len(axes):
        return None
    rest = iter(layout)
    return tuple(None if place in at else next(rest) for place in range(rank))


def squeeze(layout: Layout, dims: Sequence[Dim], axes: Sequence[int]) -> Optional[Layout]:
    """After ONNX's Squeeze, without axes of all extents of 1; None where it is not known what it takes away."""
    rank = len(layout)
    extents = _extents(layout, dims)
    if axes and all(-rank <= axis < rank for axis in axes):
        at = {axis % rank for axis in axes}
    elif not axes and all(isinstance(extent, int) for extent in extents):
        at = {place for place, extent in enumerate(extents) if extent == 1}
    else:
        return None
    if any(extents[place] != 1 for place in at):
        return None
    return tuple(entry for place, entry in enumerate(layout) if place not in at)


def transpose(layout: Layout, perm: Optional[Sequence[int]]) -> Optional[Layout]:
    """After ONNX's Transpose, which turns the order round where it has no ``perm``."""
    order = range(len(layout) - 1, -1, -1) if perm is None else perm
    return tuple(layout[place] for place in order) if len(order) == len(layout) else None


def expand(layout: Layout, dims: Sequence[Dim], target: Sequence[Dim]) -> Optional[Layout]:
    """After ONNX's Expand to ``target``; None where the result might be larger than the original."""
    rank = max(len(layout), len(target))
    if rank > len(dims):
        return None
    result = [*[None] * (rank - len(layout)), *layout]
    extents = _extents(tuple(result), dims)
    for place in range(1, len(target) + 1):
        wanted, axis = target[-place], len(dims) - place
        if wanted is None or wanted not in (1, dims[axis]):
            return None
        if wanted != 1 and extents[-place] == 1:
            result[-place] = ~axis
    return tuple(result)


def reshape(layout: Layout, dims: Sequence[Dim], target: Sequence[Dim], allow_zero: bool) -> Optional[Layout]:
    """After ONNX's Reshape to ``target``, where that only adds or takes away extents of 1; else None.

    One extent of ``target`` may be open: -1, or None for one that is not known.
    """
    extents = _extents(layout, dims)
    wanted = list(target)
    if not allow_zero:
        if any(extent == 0 and place >= len(extents) for place, extent in enumerate(wanted)):
            return None
        wanted = [extents[place] if extent == 0 else extent for place, extent in enumerate(wanted)]
    left = [(entry, extent) for entry, extent in zip(layout, extents) if extent != 1]
    for open_is_one in (False, True):
        result = _pair(left, wanted, open_is_one)
        if result is not None:
            return tuple(result)
    return None


def _pair(
    left: Sequence[Tuple[Optional[int], Dim]], wanted: Sequence[Dim], open_is_one: bool
) -> Optional[List[Optional[int]]]:
    """Gives each extent of ``wanted`` but 1 the next of ``left``; the open one may turn out to be 1."""
    rest = list(left)
    opened = 0
    result: List[Optional[int]] = []
    for extent in wanted:
        is_open = extent is None or extent == -1
        opened += is_open
        if extent == 1 or (is_open and open_is_one):
            result.append(None)
        elif rest and (is_open or rest[0][1] == extent):
            result.append(rest.pop(0)[0])
        else:
            return None
    return None if rest or opened > 1 else result


def _extents(layout: Layout, dims: Sequence[Dim]) -> List[Dim]:
    return [1 if entry is None else dims[entry if entry >= 0 else ~entry] for entry in layout]
