"""What onnx lacks for its own NodeProto."""

from __future__ import annotations

from typing import Any, List, Sequence

from tf2trt.extras import require

__all__ = ["attribute", "constant_value", "label", "nested"]


def nested(node: Any) -> List[Any]:
    """The graphs that a node holds as attributes."""
    return [graph for item in node.attribute for graph in ([item.g] if item.HasField("g") else item.graphs)]


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """The value of a node's attribute, ``default`` where it is not given."""
    helper = require("onnx.helper", "export")
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def label(node: Any) -> str:
    """What messages call a node."""
    return f"{node.op_type} {node.name or node.output[0]!r}"


def constant_value(node: Any) -> Any:
    """The TensorProto that a Constant node makes, however it is written; None for other nodes and other values."""
    helper = require("onnx.helper", "export")
    types = require("onnx", "export").TensorProto
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    kinds = {
        "value_float": types.FLOAT,
        "value_floats": types.FLOAT,
        "value_int": types.INT64,
        "value_ints": types.INT64,
    }
    for item in node.attribute:
        if item.name == "value":
            return item.t
        if item.name in kinds:
            values = helper.get_attribute_value(item)
            several: Sequence[Any] = values if item.name.endswith("s") else [values]
            return helper.make_tensor("", kinds[item.name], [len(several)] if several is values else [], several)
    return None
