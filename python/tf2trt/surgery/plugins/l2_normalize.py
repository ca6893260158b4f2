"""``x / ||x||``, in whichever way the graph writes it, as the plugin L2Normalize."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, List, Optional, Sequence, Set, Tuple

from tf2trt.extras import require
from tf2trt.surgery.nodes import attribute, label
from tf2trt.surgery.plugins.functions import FP16_OPSET, make_node, opset_of
from tf2trt.surgery.plugins.piece import Piece
from tf2trt.surgery.plugins.rewrite import left_alone, rewrite
from tf2trt.surgery.plugins.scope import Scope, scopes
from tf2trt.surgery.plugins.terms import Term, same_values, terms
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["l2_normalize"]

_OPSET = 13  # the function of L2Normalize has its axes as an input of ReduceSum


def l2_normalize(model: Any, notes: List[str]) -> Any:
    """Puts ``tf2trt.L2Normalize`` in the place of every l2 normalisation in FP32 or FP16, bodies of If and Loop too.

    What is looked for is not a list of operators but a product ``x * t`` or a quotient ``x / t`` in which ``t`` is
    ``max(sum(x * x), epsilon)`` to the power -1/2 or 1/2 (see :mod:`tf2trt.surgery.plugins.terms`), such a quotient
    with 0 chosen in its place where the norm is 0, and ONNX's LpNormalization of order 2. It stays where a value on the
    way is read by others or is an output of the graph.

    Raises:
        SurgeryError: a node computes something else than what it should replace.
    """
    model = infer_shapes(model)
    opset = opset_of(model)
    pieces: List[Piece] = []
    for scope in scopes(model):
        found = [_find(scope, index, opset, notes) for index in range(len(scope.nodes))]
        pieces.extend(_alone(scope, [piece for piece in found if piece is not None], notes))
    return rewrite(model, pieces, "l2 normalisation", notes)


def _find(scope: Scope, index: int, opset: int, notes: List[str]) -> Optional[Piece]:
    """The normalisation that ends at a node, if one does; a note where it is one that cannot be replaced."""
    node = scope.nodes[index]
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "LpNormalization" and attribute(node, "p", 2) == 2:
        x, axes = node.input[0], [attribute(node, "axis", -1)]
        why = _unfit(scope, x, opset)
        if why is None:
            return _piece(scope, x, index, axes, 0.0, frozenset(), lp=1)
        notes.append(left_alone(label(node), why))
    guard = _zero_guard(scope, node)
    term, x = _match(scope, node) if guard is None else guard
    if term is None:
        return None
    why = _unfit(scope, x, opset)
    if why is not None:
        notes.append(left_alone(label(node), why))
        return None
    if guard is not None:
        return _piece(scope, x, index, term.axes, 0.0, term.nodes, lp=1)
    return _narrowed(scope, index, term, opset) or _piece(scope, x, index, term.axes, term.epsilon, term.nodes)


def _match(scope: Scope, node: Any) -> Tuple[Optional[Term], str]:
    """The term that ``node`` scales its own root by, and the tensor that is scaled; (None, "") for other nodes."""
    types = require("onnx", "export").TensorProto
    if node.op_type not in ("Mul", "Div"):
        return None, ""
    first, second = node.input
    for x, scale in [(first, second), (second, first)] if node.op_type == "Mul" else [(first, second)]:
        root = same_values(scope, x)
        for term in terms(scope, scale):
            if term.root != root or term.power != (-0.5 if node.op_type == "Mul" else 0.5):
                continue
            # Squares in FP16 of what is multiplied in FP32 are less than the node would compute.
            same = scope.type(term.squared) in (scope.type(x), types.FLOAT)
            if same and (term.dims is None or term.fits()):
                return term, x
    return None, ""


def _zero_guard(scope: Scope, node: Any) -> Optional[Tuple[Term, str]]:
    """The term and the tensor of ``where(norm == 0, 0, x / norm)``, which is tf.math.divide_no_nan; else None."""
    if node.op_type != "Where" or scope.scalar(node.input[1]) != 0:
        return None
    equal, test = scope.producer(node.input[0])
    quotient, scaled = scope.producer(node.input[2])
    if test is None or scaled is None or test.op_type != "Equal":
        return None
    term, x = _match(scope, scaled)
    if term is None or term.epsilon:
        return None
    zeros = [name for name in [node.input[1], *test.input] if scope.scalar(name) == 0]
    if max(len(scope.dims(name) or ()) for name in zeros) > len(term.dims or ()):
        return None  # a zero of shape (1, 1, 1) gives the result more dimensions
    for norm in test.input if len(zeros) == 2 else []:
        for other in terms(scope, norm):
            same = (other.root, other.axes, other.layout) == (term.root, term.axes, term.layout)
            if same and other.power > 0 and not other.epsilon:
                return replace(term, nodes=term.nodes | other.nodes | {equal, quotient}), x
    return None


def _unfit(scope: Scope, x: str, opset: int) -> Optional[str]:
    types = require("onnx", "export").TensorProto
    kind = scope.type(x)
    if opset < _OPSET:
        return f"opset {opset}; the function that stands for the plugin needs {_OPSET}"
    if kind not in (types.FLOAT, types.FLOAT16):
        return f"{types.DataType.Name(kind)}; the plugin takes FP32 and FP16"
    if kind == types.FLOAT16 and opset < FP16_OPSET:
        return f"FP16 in opset {opset}; the function that stands for the plugin needs {FP16_OPSET} for it"
    if scope.dims(x) is None:
        return "the rank of its input is not known"
    return None


def _narrowed(scope: Scope, index: int, term: Term, opset: int) -> Optional[Piece]:
    """The piece from FP16 to FP16 where FP32 lies between two casts only: the plugin computes in FP32 anyway."""
    types = require("onnx", "export").TensorProto
    y = scope.nodes[index].output[0]
    users = scope.users.get(y, [])
    if opset < FP16_OPSET or len(users) != 1 or users[0] == Scope.OUTPUT:
        return None
    cast = scope.nodes[users[0]]
    if scope.type(term.root) != types.FLOAT16 or scope.type(y) != types.FLOAT:
        return None
    if cast.op_type != "Cast" or cast.domain or attribute(cast, "to") != types.FLOAT16:
        return None
    return _piece(scope, term.root, users[0], term.axes, term.epsilon, term.nodes | {index})


def _piece(scope: Scope, x: str, last: int, axes: Any, epsilon: float, inside: Any, lp: int = 0) -> Piece:
    rank = len(scope.dims(x) or ())
    normal = tuple(sorted(axis % rank for axis in axes))
    node = scope.nodes[last]
    y = node.output[0]
    new = make_node("L2Normalize", x, y, node.name or y, axes=list(normal), epsilon=epsilon, lp_normalization=lp)
    return Piece(scope, x, last, new, inside, normal, epsilon)


def _alone(scope: Scope, pieces: Sequence[Piece], notes: List[str]) -> List[Piece]:
    """Those whose inner values nothing else reads. Two may share some: both go, or, for one's sake, neither."""
    inner = {index for piece in pieces for index in piece.inside}
    kept = [piece for piece in pieces if piece.last not in inner]  # the others are parts of larger ones
    while True:
        going: Set[int] = {index for piece in kept for index in [*piece.inside, piece.last]}
        shared = [
            piece
            for piece in kept
            if any(
                user not in going
                for index in piece.inside
                for name in scope.nodes[index].output
                for user in scope.users.get(name, [])
            )
        ]
        if not shared:
            return kept
        notes.extend(left_alone(piece.name, "a value on the way is used elsewhere too") for piece in shared)
        kept = [piece for piece in kept if piece not in shared]
