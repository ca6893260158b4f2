"""ONNX's LeakyRelu as the plugin LeakyReLU. For those who ask: TensorRT's own one fuses with the layer before it."""

from __future__ import annotations

from typing import Any, List

from tf2trt.extras import require
from tf2trt.surgery.nodes import attribute
from tf2trt.surgery.plugins.functions import make_node
from tf2trt.surgery.plugins.piece import Piece
from tf2trt.surgery.plugins.rewrite import left_alone, rewrite
from tf2trt.surgery.plugins.scope import scopes
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["leaky_relu"]


def leaky_relu(model: Any, notes: List[str]) -> Any:
    """Puts ``tf2trt.LeakyReLU`` in the place of each LeakyRelu in FP32 or FP16.

    Raises:
        SurgeryError: a node computes something else than what it should replace.
    """
    types = require("onnx", "export").TensorProto
    model = infer_shapes(model)
    pieces = []
    for scope in scopes(model):
        for index, node in enumerate(scope.nodes):
            if node.op_type != "LeakyRelu" or node.domain not in ("", "ai.onnx"):
                continue
            x, y = node.input[0], node.output[0]
            new = make_node("LeakyReLU", x, y, node.name or y, alpha=attribute(node, "alpha", 0.01))
            piece = Piece(scope, x, index, new, frozenset())
            if scope.type(x) not in (types.FLOAT, types.FLOAT16) or scope.dims(x) is None:
                notes.append(left_alone(piece.name, "its input is not known to be FP32 or FP16 of a known rank"))
                continue
            pieces.append(piece)
    return rewrite(model, pieces, "leaky ReLU", notes)
