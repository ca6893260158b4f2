"""ONNX's shape and type inference, without carrying the weights through it."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

from tf2trt.extras import require
from tf2trt.onnx_skeleton import tensor_bytes

__all__ = ["infer_shapes", "weights_aside"]

_LARGE = 1024  # bytes; smaller tensors may be shapes, whose values inference reads


def infer_shapes(model: Any, *, strict: bool = False) -> Any:
    """A copy of ``model`` with the types and shapes of its tensors filled in, where they follow from its inputs.

    ``onnx.shape_inference`` serialises the model twice, and fails over 2 GiB. It needs no weight's values: those that
    are in memory are set aside meanwhile. ``model`` is as before at the end.

    Args:
        strict: raise ``onnx.shape_inference.InferenceError`` where types contradict each other.
    """
    onnx = require("onnx", "export")
    with weights_aside(model) as restore:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=strict, strict_mode=strict, data_prop=True)
        restore(inferred)
    return inferred


@contextlib.contextmanager
def weights_aside(model: Any) -> Iterator[Callable[[Any], None]]:
    """Takes large weights out of ``model`` for the time of the block; yields what puts them into a copy of it too."""
    # By their shapes: every look at raw_data copies it.
    large = [tensor for tensor in model.graph.initializer if tensor_bytes(tensor) > _LARGE]
    held = {tensor.name: tensor.raw_data for tensor in large if tensor.HasField("raw_data")}
    for tensor in model.graph.initializer:
        if tensor.name in held:
            tensor.ClearField("raw_data")

    def restore(other: Any) -> None:
        for tensor in other.graph.initializer:
            if tensor.name in held:
                tensor.raw_data = held[tensor.name]

    try:
        yield restore
    finally:
        restore(model)
