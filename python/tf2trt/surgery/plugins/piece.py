"""A part of a graph cut out as a model of its own, and what is to take its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

from tf2trt.extras import require
from tf2trt.surgery.nodes import label
from tf2trt.surgery.plugins.functions import add_functions, opset_of
from tf2trt.surgery.plugins.scope import Dim, Scope

__all__ = ["Piece", "cut", "replaced"]

_OPEN = 3  # at least, for an extent that is only known at run time
_SMALL, _SUMMED = 4, 64  # at most, for one that is known; the second for those that are summed over
_SHAPED = {"Expand", "Reshape"}  # these may hold the extents of their input as constants


@dataclass(frozen=True, eq=False)
class Piece:
    """The nodes between ``x`` and ``y`` in ``scope``; ``node`` takes the place of the last, the node at ``last``.

    ``inside`` are the places of the nodes that go when ``node`` comes: nothing else may read what they make.
    ``axes`` and ``epsilon`` are those of the normalisation, empty and 0 elsewhere.
    """

    scope: Scope
    x: str
    last: int
    node: Any
    inside: FrozenSet[int]
    axes: Tuple[int, ...] = ()
    epsilon: float = 0.0

    @property
    def y(self) -> str:
        """The tensor that the last node makes."""
        return str(self.scope.nodes[self.last].output[0])

    @property
    def name(self) -> str:
        """What messages call it."""
        return label(self.scope.nodes[self.last])


def cut(model: Any, piece: Piece) -> Optional[Any]:
    """The original nodes of a piece as a model with input ``x`` and output ``y``; None where ``y`` needs more than x.

    An open extent becomes a few. Known ones become small too, where no node holds them as constants: a long sum shows
    the rounding of ONNX Runtime's, not what is computed.
    """
    helper = require("onnx.helper", "export")
    scope = piece.scope
    needed: List[int] = []
    constants: Dict[str, Any] = {}
    waiting, seen = [piece.y], {piece.x, ""}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        tensor = scope.tensor(name)
        index, node = scope.producer(name)
        if tensor is not None:
            constants[name] = tensor
        elif node is None:
            return None
        elif index not in needed:
            needed.append(index)
            waiting.extend(node.input)
    nodes = [scope.nodes[index] for index in sorted(needed)]
    initializers = []
    for name, tensor in constants.items():
        initializers.append(type(tensor)())
        initializers[-1].CopyFrom(tensor)
        initializers[-1].name = name
    shape = _extents(scope.dims(piece.x) or (), piece.axes, any(node.op_type in _SHAPED for node in nodes))
    return _model(model, piece, nodes, shape, initializers, helper)


def replaced(model: Any, piece: Piece, original: Any) -> Any:
    """The node of a piece as a model with the input and output of ``original``, the model made by :func:`cut`."""
    helper = require("onnx.helper", "export")
    shape = [dim.dim_value for dim in original.graph.input[0].type.tensor_type.shape.dim]
    result = _model(model, piece, [piece.node], shape, [], helper)
    add_functions(result, [piece.node.op_type])
    return result


def _model(model: Any, piece: Piece, nodes: Any, shape: Any, initializers: Any, helper: Any) -> Any:
    kind = piece.scope.type(piece.x)
    graph = helper.make_graph(
        nodes,
        "piece",
        [helper.make_tensor_value_info(piece.x, kind, shape)],
        [helper.make_tensor_value_info(piece.y, kind, None)],
        initializers,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset_of(model))], ir_version=model.ir_version
    )


def _extents(dims: Tuple[Dim, ...], axes: Tuple[int, ...], shaped: bool) -> List[int]:
    extents = []
    for axis, dim in enumerate(dims):
        if isinstance(dim, int):
            extents.append(dim if shaped else min(dim, _SUMMED if axis in axes else _SMALL))
        else:
            # Extents of one name are equal; others differ, so that a mix-up shows.
            extents.append(_OPEN + (dims.index(dim) if dim else axis))
    return extents
