"""QuantizeLinear and DequantizeLinear nodes, where the types around them change."""

from __future__ import annotations

from typing import Any, Callable, FrozenSet, List, Optional, Set, Tuple

import numpy as np

from tf2trt.extras import require
from tf2trt.surgery.gs_graph import export_graph, import_graph
from tf2trt.surgery.precision_opset import raise_opset
from tf2trt.surgery.weights import array_of

__all__ = ["prepare_quantisers", "take_out_quantisers"]

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
_SCALE_OPSET = 19  # the first in which a scale, and what is quantised, may have 16 bits
_FP16 = np.finfo(np.float16)


def take_out_quantisers(model: Any, names: FrozenSet[str], name_of: Callable[[Any], str]) -> Tuple[Any, List[str]]:
    """Makes the nodes of those names read what was there before it was quantised.

    Returns:
        the model, and the names of the nodes whose inputs changed.
    """
    wanted = {node.output[0] for node in model.graph.node if node.output and name_of(node) in names}
    if not any(node.op_type in _QUANTISERS for node in model.graph.node):
        return model, []
    gs = require("onnx_graphsurgeon", "export")
    graph = import_graph(model)
    done = []
    for node in list(graph.nodes):
        if not node.outputs or node.outputs[0].name not in wanted or node.op in _QUANTISERS:
            continue
        changed = False
        for index, tensor in enumerate(list(node.inputs)):
            plain = _before_quantising(gs, tensor)
            if plain is not None:
                node.inputs[index] = plain
                changed = True
        if changed:
            done.append(node.name or f"node_of_{node.outputs[0].name}")
    if not done:
        return model, []
    return export_graph(graph.cleanup().toposort()), done


def _before_quantising(gs: Any, tensor: Any) -> Optional[Any]:
    maker = tensor.inputs[0] if tensor.inputs else None
    if maker is None or maker.op != "DequantizeLinear":
        return None
    quantised = maker.inputs[0]
    if isinstance(quantised, gs.Constant):
        values = _dequantise(gs, maker)
        return None if values is None else gs.Constant(f"{tensor.name}/fp32", values)
    quantiser = quantised.inputs[0] if quantised.inputs else None
    return quantiser.inputs[0] if quantiser is not None and quantiser.op == "QuantizeLinear" else None


def _dequantise(gs: Any, node: Any) -> Optional[Any]:
    """The FP32 values of a DequantizeLinear of constants; None where it works in blocks or its scale is computed."""
    if node.attrs.get("block_size") or not all(isinstance(tensor, gs.Constant) for tensor in node.inputs):
        return None
    quantised, scale, *zero = [np.asarray(tensor.values) for tensor in node.inputs]
    if scale.ndim == 1 and quantised.ndim:
        shape = [1] * quantised.ndim
        shape[node.attrs.get("axis", 1)] = scale.size
        scale, zero = scale.reshape(shape), [each.reshape(shape) for each in zero]
    offset = zero[0].astype(np.float32) if zero else np.float32(0)
    return ((quantised.astype(np.float32) - offset) * scale.astype(np.float32)).astype(np.float32)


def prepare_quantisers(model: Any, half: str, notes: List[str]) -> FrozenSet[str]:
    """Readies quantised graphs for 16-bit scales; names every quantiser, in place.

    Returns:
        the names of those that have to stay FP32: all, where the graph cannot go to opset 19, else those whose scale
        FP16 cannot hold.
    """
    quantisers = [node for node in model.graph.node if node.op_type in _QUANTISERS]
    if not quantisers:
        return frozenset()
    for node in quantisers:
        node.name = node.name or f"node_of_{node.output[0]}"
    if not raise_opset(model, _SCALE_OPSET, "16-bit scales", notes):
        return frozenset(node.name for node in quantisers)
    if half == "bf16":
        return frozenset()
    small = {tensor.name for tensor in model.graph.initializer if not _fits(tensor)}
    for node in model.graph.node:
        small.update(node.output[0] for item in node.attribute if item.name == "value" and not _fits(item.t))
    # A pair goes together: between the two, and to whoever shares the scale.
    kept: Set[str] = {node.name for node in quantisers if node.input[1] in small}
    if kept:
        notes.append(f"{len(kept)} QuantizeLinear and DequantizeLinear nodes stay FP32: FP16 cannot hold their scales")
    return frozenset(kept)


def _fits(tensor: Any) -> bool:
    types = require("onnx", "export").TensorProto
    if tensor.data_type != types.FLOAT or len(tensor.dims) > 1:  # scales are scalars or vectors
        return True
    values = np.abs(array_of(tensor))
    return bool(((values >= _FP16.tiny) & (values <= _FP16.max)).all())
