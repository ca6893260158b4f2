"""The move of one node to another order of axes, and what the rules for the operators have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from tf2trt.surgery.transpose_graph import Perm, TransposeGraph, constant, dims, integers, is_constant

__all__ = ["Ask", "Move", "left", "same_rank", "unless_same"]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Move:
    """How a node computes the same with other orders of axes.

    ``inputs`` and ``outputs`` give by place the new order of each tensor that gets one; ``change`` changes attributes
    and constants to fit. Reshape and the like move in two ways that do not depend on each other; ``port`` tells which.
    """

    inputs: Dict[int, Perm]
    outputs: Dict[int, Perm]
    change: Callable[[], None] = _nothing
    port: str = ""


class Ask(NamedTuple):
    """May ``node`` have a tensor with its axes in the order ``perm``: an operand or, where ``up``, a result?"""

    graph: TransposeGraph
    node: Any
    perm: Perm
    up: bool

    def axis(self, axis: int) -> int:
        """Where an axis, which may be counted from the end, stands in the new order."""
        return self.perm.index(axis % len(self.perm))

    def axes(self, place: int) -> Optional[List[int]]:
        """The node's axes, an attribute or the input at ``place``; [] where there are none, None if not known."""
        if "axes" in self.node.attrs:
            return list(self.node.attrs["axes"])
        if len(self.node.inputs) <= place or self.node.inputs[place].is_empty():
            return []
        return integers(self.node.inputs[place])

    def set_axes(self, place: int, axes: Sequence[int]) -> None:
        """Writes axes to where :meth:`axes` found them."""
        if "axes" in self.node.attrs:
            self.node.attrs["axes"] = list(axes)
        else:
            self.set_input(place, axes, "axes")

    def set_input(self, place: int, values: Any, what: str, dtype: Any = None) -> None:
        """A new constant for an input, or behind the last one; of the old one's type and rank, or of ``dtype``."""
        inputs = self.node.inputs
        old = constant(inputs[place]) if place < len(inputs) else None
        array = np.array(values, dtype if old is None else old.dtype)
        new = self.graph.new_constant(f"{self.node.name or self.node.outputs[0].name}/{what}", array)
        if place < len(inputs):
            inputs[place] = new
        else:
            inputs.append(new)


def same_rank(ask: Ask, operands: Sequence[Any], change: Callable[[], None] = _nothing) -> Optional[Move]:
    """All of ``operands``, the node's first ones, and all results in the new order.

    Constants get it now, with axes of extent 1 in front where they have fewer; a single number has no order. None where
    another operand has fewer axes, or a rank is not known.
    """
    node, rank = ask.node, len(ask.perm)
    inputs: Dict[int, Perm] = {}
    constants: List[int] = []
    results = [place for place, tensor in enumerate(node.outputs) if not tensor.is_empty()]
    if any(len(dims(node.outputs[place]) or ()) != rank for place in results):
        return None
    for place, tensor in enumerate(operands):
        shape = () if tensor.is_empty() else dims(tensor)
        if shape is None or len(shape) > rank:
            return None
        if is_constant(tensor):
            constants += [place] if any(extent != 1 for extent in shape) else []
        elif len(shape) == rank:
            inputs[place] = ask.perm
        elif any(extent != 1 for extent in shape):
            return None

    def change_all() -> None:
        for place in constants:
            node.inputs[place] = ask.graph.permuted_constant(node.inputs[place], ask.perm)
        change()

    return Move(inputs, dict.fromkeys(results, ask.perm), change_all)


def left(perm: Perm, axes: Sequence[int]) -> Perm:
    """The order of the axes that are left when ``axes``, counted in the old order, are gone."""
    rest = [axis for axis in range(len(perm)) if axis not in axes]
    return tuple(rest.index(axis) for axis in perm if axis not in axes)


def unless_same(perm: Perm) -> Dict[int, Perm]:
    """The orders of a node's only tensor: none where ``perm`` leaves the axes as they are."""
    return {} if perm == tuple(range(len(perm))) else {0: perm}
