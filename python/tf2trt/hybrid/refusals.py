"""Which nodes cannot be in a segment, by what is known of each node alone, and why."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, FrozenSet, Optional, Set

from tf2trt.export.convert import DEFAULT_OPSET
from tf2trt.export.operators import HANDLERS
from tf2trt.extras import require
from tf2trt.hybrid.frozen import Body, is_constant, tensor_name
from tf2trt.hybrid.graph import Node

__all__ = ["converted_operators", "refusals"]

_CONTROL_FLOW = (
    *("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"),
    *("PartitionedCall", "StatefulPartitionedCall"),
)
# What they give is as long as their input's values make it. TensorRT 8 and 10 take some of these, with shapes that are
# known only after a run, which TensorFlow cannot be told; TensorRT-RTX parses NonMaxSuppression and cannot build it, so
# that the whole segment would be lost. CombinedNonMaxSuppression gives fixed shapes, and is made of such in ONNX.
_BY_VALUE = (
    *("Where", "Unique", "UniqueWithCounts", "DynamicPartition", "CombinedNonMaxSuppression"),
    *(f"NonMaxSuppressionV{version}" for version in range(2, 6)),
)
_INTERFACE = ("Placeholder", "PlaceholderWithDefault")
# What TensorRT has, as types of tensors between its layers; the rest is refused here, or would be computed in another
# type: TensorRT's parser makes float32 of float64.
_TYPES = ("float16", "bfloat16", "float32", "int32", "int64", "bool", "uint8", "int8")


@lru_cache(maxsize=None)
def converted_operators(opset: int = DEFAULT_OPSET) -> FrozenSet[str]:
    """The TensorFlow operators that tf2onnx, with what the export room adds, converts to ONNX's own of ``opset``."""
    require("tf2onnx.tfonnx", "export")  # the import registers the handlers
    tables = require("tf2onnx.handler", "export").tf_op.get_opsets()
    standard = tables[require("tf2onnx.constants", "export").ONNX_DOMAIN]
    return frozenset(HANDLERS).union(*standard[: opset + 1])


def refusals(body: Body) -> Dict[str, str]:
    """Nodes of ``body`` that cannot be in a segment, with the reason; constants are not among them."""
    found: Dict[str, str] = {}
    on_host: Set[str] = set()
    for each in body.plain_nodes():
        reason = _refusal(body, body.node_defs[each.name])
        if reason is None and _counts(body, each, on_host):
            reason = "whole numbers that TensorFlow keeps in the host's memory, such as a loop's counter"
        if reason is not None:
            found[each.name] = reason
            on_host.add(each.name)
    return found


def _counts(body: Body, node: Node, on_host: Set[str]) -> bool:
    """Whether a node only turns single whole numbers from outside any segment into others. What comes from a tensor's
    shape is not meant: TensorRT knows it without computing.
    """
    operation = body.graph.get_operation_by_name(node.name)
    tensors = [*operation.inputs, *operation.outputs]
    return on_host.issuperset(node.inputs) and all(
        tensor.shape.rank == 0 and (tensor.dtype.is_integer or tensor.dtype.is_bool) for tensor in tensors
    )


def _refusal(body: Body, node: Any) -> Optional[str]:
    if node.op in _INTERFACE:
        return "an input of the graph"
    if node.op in _CONTROL_FLOW:
        return "control flow stays with TensorFlow"
    operation = body.graph.get_operation_by_name(node.name)
    if operation.op_def.is_stateful:
        return f"{node.op} has a state or an effect outside the graph"
    if node.op not in converted_operators():
        return f"tf2onnx does not convert {node.op}"
    if node.op in _BY_VALUE:
        return f"{node.op} selects by values, so that shapes in an engine would depend on them"
    if not operation.outputs:
        return f"{node.op} gives no tensor"
    inputs = [tensor_name(name) for name in node.input if not name.startswith("^")]
    tensors = [*map(body.tensor, inputs), *operation.outputs]
    odd = sorted({tensor.dtype.base_dtype.name for tensor in tensors} - set(_TYPES))
    if odd:
        return f"TensorRT has no {' or '.join(odd)}"
    if any(tensor.shape.rank is None for tensor in tensors):
        return "the number of its tensors' dimensions is not known"
    if not [name for name in inputs if not is_constant(body.node_defs[name.split(":")[0]])]:
        return "it reads only constants"
    return None
