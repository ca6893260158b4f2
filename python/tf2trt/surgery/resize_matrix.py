"""What ONNX's Resize does along one axis, as a matrix or a list of indices, found by asking ONNX Runtime."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.nodes import attribute

__all__ = ["AxisStep", "apply", "indices", "matrix"]

# A factor (float) or a size (int), and what part of the axis tf_crop_and_resize looks at.
AxisStep = Tuple[Any, Optional[Tuple[float, float]]]

_KEPT = ("antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "mode", "nearest_mode")


def matrix(node: Any, opset: int, length: int, step: AxisStep) -> Any:
    """The FP32 matrix (length, new length) by which an axis of ``length`` is multiplied: Resize is linear."""
    return _ask(node, opset, np.eye(length, dtype=np.float32), step)


def indices(node: Any, opset: int, length: int, step: AxisStep) -> Any:
    """Which element of the axis each new one is, for ``nearest``; None where one is from outside the axis."""
    found = _ask(node, opset, np.arange(length, dtype=np.float32)[None], step, outside=-1.0)[0].astype(np.int64)
    return found if (found >= 0).all() else None


def _ask(node: Any, opset: int, rows: Any, step: AxisStep, outside: float = 0.0) -> Any:
    """Resizes the second axis of ``rows``, as ``node`` would."""
    onnx, runtime = require("onnx", "export"), require("onnxruntime", "verify")
    helper, types = onnx.helper, onnx.TensorProto
    factor, window = step
    attributes = {name: attribute(node, name) for name in _KEPT if attribute(node, name) is not None}
    inputs = ["x", "", "by"] if isinstance(factor, float) else ["x", "", "", "by"]
    by = np.array([1, 1, 1, factor], np.float32) if isinstance(factor, float) else np.array([1, 1, len(rows), factor])
    constants: List[Any] = [onnx.numpy_helper.from_array(by, "by")]
    if window is not None:
        inputs[1] = "roi"
        attributes["extrapolation_value"] = outside
        roi = np.array([0, 0, 0, window[0], 1, 1, 1, window[1]], np.float32)
        constants.append(onnx.numpy_helper.from_array(roi, "roi"))
    graph = helper.make_graph(
        [helper.make_node("Resize", inputs, ["y"], **attributes)],
        "axis",
        [helper.make_tensor_value_info("x", types.FLOAT, [1, 1, *rows.shape])],
        [helper.make_tensor_value_info("y", types.FLOAT, [1, 1, None, None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # an error is raised; it need not be printed as well
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": rows[None, None]})[0][0, 0]


def apply(editor: Any, node: Any, x: str, y: str, axis: int, rank: int, operand: str, gather: bool) -> Sequence[Any]:
    """The nodes that resize ``axis`` of ``x`` by a matrix or by indices, written to ``y``."""
    base = f"{node.name or node.output[0]}/axis{axis}"
    if gather:
        return [editor.node("Gather", [x, operand], [y], base, axis=axis)]
    if axis >= rank - 2:
        return [editor.node("MatMul", [x, operand] if axis == rank - 1 else [operand, x], [y], base)]
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    turned, product = editor.name(f"{y}/turned{axis}"), editor.name(f"{y}/product{axis}")
    return [
        editor.node("Transpose", [x], [turned], f"{base}/turned", perm=swap),
        editor.node("MatMul", [turned, operand], [product], base),
        editor.node("Transpose", [product], [y], f"{base}/back", perm=swap),
    ]
