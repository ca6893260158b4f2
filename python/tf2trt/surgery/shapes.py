"""ONNX's shape and type inference, without carrying the weights through it."""

from __future__ import annotations

from typing import Any

from tf2trt.extras import require

__all__ = ["infer_shapes"]

_LARGE = 1024  # bytes; smaller tensors may be shapes, whose values inference reads


def infer_shapes(model: Any, *, strict: bool = False) -> Any:
    """A copy of ``model`` with the types and shapes of its tensors filled in, where they follow from its inputs.

    ``onnx.shape_inference`` serialises the model twice, and fails over 2 GiB. It needs no weight's values: they are
    set aside meanwhile. ``model`` is as before at the end.

    Args:
        strict: raise ``onnx.shape_inference.InferenceError`` where types contradict each other.
    """
    onnx = require("onnx", "export")
    held = {tensor.name: tensor.raw_data for tensor in model.graph.initializer if len(tensor.raw_data) > _LARGE}
    for tensor in model.graph.initializer:
        if tensor.name in held:
            tensor.ClearField("raw_data")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=strict, strict_mode=strict, data_prop=True)
    finally:
        _restore(model, held)
    _restore(inferred, held)
    return inferred


def _restore(model: Any, held: Any) -> None:
    for tensor in model.graph.initializer:
        if tensor.name in held:
            tensor.raw_data = held[tensor.name]
