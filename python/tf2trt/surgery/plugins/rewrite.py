"""Puts plugins in the place of what a pass found, after proof."""

from __future__ import annotations

from typing import Any, List, Sequence

from tf2trt.extras import require
from tf2trt.surgery.gs_graph import export_graph, import_graph
from tf2trt.surgery.plugins.functions import add_functions
from tf2trt.surgery.plugins.piece import Piece, cut
from tf2trt.surgery.plugins.proof import prove, tolerance
from tf2trt.surgery.whole_graph import WholeGraph

__all__ = ["left_alone", "rewrite"]


def left_alone(name: str, why: str) -> str:
    """The note on a pattern that stays as it is."""
    return f"left alone: {name}: {why}"


def rewrite(model: Any, pieces: Sequence[Piece], what: str, notes: List[str]) -> Any:
    """Replaces each piece by its node; the scopes of the pieces must be those of ``model``, which is changed.

    Each piece is compared with its node first, and the whole model with itself in the end.

    Args:
        what: what one piece is called, such as ``"l2 normalisation"``.
        notes: gets what was done.

    Returns:
        the model, without the nodes that nothing reads any more.

    Raises:
        SurgeryError: a comparison failed.
    """
    types = require("onnx", "export").TensorProto
    proved = []
    for piece in pieces:
        original = cut(model, piece)
        if original is None:
            notes.append(left_alone(piece.name, "it reads more than its input, so it cannot be tried on its own"))
            continue
        prove(model, piece, original)
        proved.append(piece)
    notes.insert(0, f"{len(proved)} {what}{'' if len(proved) == 1 else 's'}")
    if not proved:
        return model
    whole = WholeGraph(
        model, max(tolerance(piece.scope.type(piece.x) == types.FLOAT16, _count(piece)) for piece in proved)
    )
    for piece in proved:
        piece.scope.nodes[piece.last].CopyFrom(piece.node)
    add_functions(model, [piece.node.op_type for piece in proved])
    ir_version = model.ir_version
    model = export_graph(import_graph(model).cleanup())
    model.ir_version = ir_version
    error = whole.compare(model)
    notes.insert(1, "each gives what the nodes that it replaces give, in ONNX Runtime")
    if error is None:
        notes.insert(2, f"the whole model was not compared: {whole.reason}")
    else:
        notes.insert(2, f"the whole model gives what it gave, to {error:.1e}")
    return model


def _count(piece: Piece) -> int:
    """How many elements a row of the piece has, as far as that is known."""
    count = 1
    for axis in piece.axes:
        dim = (piece.scope.dims(piece.x) or ())[axis]
        count *= dim if isinstance(dim, int) else 1
    return count
