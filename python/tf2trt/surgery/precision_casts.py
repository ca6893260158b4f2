"""Places the casts of a graph that computes in FP16 or BF16, with ONNX Runtime's converter and what it lacks."""

from __future__ import annotations

from typing import Any, FrozenSet, List, Set

from tf2trt.extras import require
from tf2trt.surgery.precision_bf16 import check_no_half, fp32_values, to_bf16
from tf2trt.surgery.precision_opset import raise_opset
from tf2trt.surgery.remove_identities import bypass
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["graph_name", "is_converted", "lower_constants", "place_casts"]

# The converter's own list names what ONNX Runtime's CPU kernels lacked once. TensorRT and today's ONNX Runtime have
# these two in FP16; kept in FP32, every Max would cost a pair of casts.
_FP16_AFTER_ALL = {"Max", "Min"}
_CONVERTED = ("graph_input_cast_", "graph_output_cast_")  # the converter's own tensor names
_SUFFIX = "_cast_to_fp16"  # and what it adds to the output of an FP32 node
_BF16_OPSET = 22  # the first in which Conv and its kin may be BF16


def is_converted(model: Any) -> bool:
    """Whether casts were placed before: the converter would use its tensor names a second time."""
    return any(name.startswith(_CONVERTED) for node in model.graph.node for name in node.output)


def place_casts(model: Any, half: str, kept: FrozenSet[str], notes: List[str]) -> Any:
    """``model`` in ``"fp16"`` or ``"bf16"`` but for the nodes named in ``kept``; inputs and outputs stay as they are.

    A node without a name goes by ``node_of_`` and its first output, and gets that name if it is kept.
    """
    gs = require("onnx_graphsurgeon", "export")
    float16 = require("onnxruntime.transformers.float16", "verify")
    if half == "bf16":
        check_no_half(model)
    graph = gs.import_onnx(model)
    lower_constants(graph)
    nodes = [node for node in graph.nodes if graph_name(node) in kept]
    for node in nodes:
        node.name = graph_name(node)  # the converter tells nodes by their names
    _own_constants(gs, graph, nodes)
    model = gs.export_onnx(graph)
    before = {node.name for node in model.graph.node}
    originals = fp32_values(model) if half == "bf16" else {}
    model = float16.convert_float_to_float16(
        infer_shapes(model),
        keep_io_types=True,
        disable_shape_infer=True,  # done in the line above
        op_block_list=[op for op in float16.DEFAULT_OP_BLOCK_LIST if op not in _FP16_AFTER_ALL],
        node_block_list=[node.name for node in nodes],
    )
    _drop_duplicates(model)
    # Without the old types: inference below finds them anew, and strictly.
    graph = gs.import_onnx(model)
    _remove_round_trips(gs, graph, before)
    graph.cleanup().toposort()
    _give_names_back(graph)
    model = gs.export_onnx(graph)
    model.graph.ClearField("value_info")
    if half == "fp16":
        return infer_shapes(model, strict=True)
    to_bf16(model, originals)
    # In an older opset a Conv in BF16 is none that ONNX knows: then the types are TensorRT's affair.
    return infer_shapes(model, strict=raise_opset(model, _BF16_OPSET, "operators in BF16", notes))


def graph_name(node: Any) -> str:
    """The name of a node of onnx-graphsurgeon, or the one that TensorRT's parser gives to one that has none."""
    return str(node.name) or f"node_of_{node.outputs[0].name if node.outputs else ''}"


def lower_constants(graph: Any) -> None:
    """Constant nodes to initializers: the converter would turn the value of such a node to FP16 for all its users."""
    for node in list(graph.nodes):
        value = node.attrs.get("value") if node.op == "Constant" else None
        if value is not None and not any(node.outputs[0] is tensor for tensor in graph.outputs):
            tensor = node.outputs[0]
            node.outputs.clear()
            tensor.to_constant(value.values)
    graph.cleanup()


def _own_constants(gs: Any, graph: Any, nodes: List[Any]) -> None:
    """Gives the FP32 nodes copies of constants that others use as well: the converter would turn those to FP16."""
    ours = {id(node) for node in nodes}
    for node in nodes:
        for index, tensor in enumerate(list(node.inputs)):
            if isinstance(tensor, gs.Constant) and any(id(user) not in ours for user in tensor.outputs):
                node.inputs[index] = gs.Constant(f"{tensor.name}_fp32_{node.name}_{index}", tensor.values)


def _drop_duplicates(model: Any) -> None:
    """The converter adds the same cast once for each FP32 node that reads a tensor; ONNX allows one of a name."""
    seen: Set[str] = set()
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.output[0] in seen:
            continue
        seen.update(node.output)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _remove_round_trips(gs: Any, graph: Any, original: Set[str]) -> None:
    """Takes out FP32 -> FP16 -> FP32 where the converter made both casts: 1e-12 would not survive it."""
    onnx = require("onnx", "export")
    added = [node for node in graph.nodes if node.op == "Cast" and node.name not in original]
    down = {id(node): node for node in added if node.attrs["to"] == onnx.TensorProto.FLOAT16}
    for node in added:
        if node.attrs["to"] != onnx.TensorProto.FLOAT or not node.inputs[0].inputs:
            continue
        producer = down.get(id(node.inputs[0].inputs[0]))
        if producer is not None:
            node.inputs[0] = producer.inputs[0]
            bypass(gs, graph, node)


def _give_names_back(graph: Any) -> None:
    """A tensor that a cast took the name of has it again where that cast is gone."""
    tensors = graph.tensors()
    for name, tensor in tensors.items():
        plain = name[: -len(_SUFFIX)] if name.endswith(_SUFFIX) else ""
        if plain and plain not in tensors:
            tensor.name = plain
