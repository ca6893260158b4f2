"""Takes out casts that change nothing."""

from __future__ import annotations

from typing import Any, List

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.gs_graph import export_graph, import_graph
from tf2trt.surgery.remove_identities import bypass
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["remove_casts"]


def remove_casts(model: Any, notes: List[str]) -> Any:
    """Removes a Cast to the type that its input already has. Casts that lose or gain bits stay."""
    onnx = require("onnx", "export")
    gs = require("onnx_graphsurgeon", "export")
    graph = import_graph(infer_shapes(model))
    casts = [node for node in graph.nodes if node.op == "Cast"]
    same = [node for node in casts if _type(onnx, node.inputs[0]) == node.attrs.get("to")]
    removed = [bypass(gs, graph, node) for node in same]
    if any(removed):
        notes.append(f"{sum(removed)} removed")
    graph.cleanup().toposort()
    return export_graph(graph)


def _type(onnx: Any, tensor: Any) -> Any:
    """ONNX's number of a tensor's type; None where it is not known. GraphSurgeon gives NumPy types, or that number."""
    if tensor.dtype is None or isinstance(tensor.dtype, int):
        return tensor.dtype
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
