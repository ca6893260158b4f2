"""FP16 in the graph's own types, for TensorRT 11 and TensorRT-RTX, whose networks are strongly typed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, List, Set, Union

from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.surgery.files import read_model, write_model
from tf2trt.surgery.fp16_guard import fragile_nodes
from tf2trt.surgery.plugins.functions import DOMAIN, FP16_OPSET, opset_of
from tf2trt.surgery.remove_identities import bypass
from tf2trt.surgery.report import PassReport
from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["to_fp16"]

PathLike = Union[str, "os.PathLike[str]"]

# The converter's own list names what ONNX Runtime's CPU kernels lacked once. TensorRT and today's ONNX Runtime have
# these two in FP16; kept in FP32, every Max would cost a pair of casts.
_FP16_AFTER_ALL = {"Max", "Min"}
_CONVERTED = ("graph_input_cast_", "graph_output_cast_")  # the converter's own tensor names


def to_fp16(source: PathLike, output: PathLike) -> PassReport:
    """Rewrites an FP32 model to compute in FP16; inputs and outputs stay FP32, names stay as they are.

    The conversion is ``onnxruntime.transformers.float16.convert_float_to_float16``, a well-kept library that handles
    operators with FP32-only inputs and subgraphs. Around it: normalisations whose epsilon FP16 cannot hold stay in
    FP32 (see :mod:`tf2trt.surgery.fp16_guard`), constants of their own included, and the casts to FP16 and back that
    the converter puts between two FP32 nodes are taken out, since the value would be lost there.

    A file that this function wrote comes out as it is.

    Args:
        source: an ONNX file, its weights inside or beside it.
        output: the ONNX file to write, whole or not at all; may be ``source``.

    Returns:
        a report whose ``changed`` counts the nodes that produce FP16 now and did not before, casts included.

    Raises:
        OnnxError: ``source`` cannot be read.
        OutputError: ``output`` cannot be written; found before any work is done.
        SurgeryError: the conversion failed, or made a model whose types do not fit together.
        MissingExtraError: onnx, onnx-graphsurgeon (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    check_writable(Path(output))
    onnx = require("onnx", "export")
    require("onnx_graphsurgeon", "export")
    require("onnxruntime.transformers.float16", "verify")
    model = read_model(source)
    before = _count_half(onnx, infer_shapes(model))
    model, report = run_pass("to_fp16", lambda given, _: _convert(given), model)
    changed = _count_half(onnx, model) - before
    write_model(model, output)
    return PassReport(report.name, changed, report.seconds)


def _count_half(onnx: Any, model: Any) -> int:
    values = [*model.graph.value_info, *model.graph.output]
    half = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    return sum(any(name in half for name in node.output) for node in model.graph.node)


def _convert(model: Any) -> Any:
    if any(name.startswith(_CONVERTED) for node in model.graph.node for name in node.output):
        return model  # the converter would use its tensor names a second time
    gs = require("onnx_graphsurgeon", "export")
    float16 = require("onnxruntime.transformers.float16", "verify")
    graph = gs.import_onnx(model)
    _lower_constants(graph)
    kept = _name([*fragile_nodes(graph), *_fp32_plugins(graph, opset_of(model))])
    _own_constants(gs, graph, kept)
    model = gs.export_onnx(graph)
    before = {node.name for node in model.graph.node}
    model = float16.convert_float_to_float16(
        infer_shapes(model),
        keep_io_types=True,
        disable_shape_infer=True,  # done in the line above
        op_block_list=[op for op in float16.DEFAULT_OP_BLOCK_LIST if op not in _FP16_AFTER_ALL],
        node_block_list=[node.name for node in kept],
    )
    _drop_duplicates(model)
    # Without the old types: inference below finds them anew, and strictly.
    graph = gs.import_onnx(model)
    _remove_round_trips(gs, graph, before)
    model = gs.export_onnx(graph.cleanup().toposort())
    model.graph.ClearField("value_info")
    return infer_shapes(model, strict=True)


def _fp32_plugins(graph: Any, opset: int) -> List[Any]:
    """Nodes of ours whose function in the file is for FP32 alone. The others take FP16, and compute in FP32 inside."""
    return [node for node in graph.nodes if node.domain == DOMAIN and node.op == "L2Normalize" and opset < FP16_OPSET]


def _lower_constants(graph: Any) -> None:
    """Constant nodes to initializers: the converter would turn the value of such a node to FP16 for all its users."""
    for node in list(graph.nodes):
        value = node.attrs.get("value") if node.op == "Constant" else None
        if value is not None and not any(node.outputs[0] is tensor for tensor in graph.outputs):
            tensor = node.outputs[0]
            node.outputs.clear()
            tensor.to_constant(value.values)
    graph.cleanup()


def _name(nodes: List[Any]) -> List[Any]:
    """The converter tells nodes by their names, so each gets one."""
    for index, node in enumerate(nodes):
        node.name = node.name or f"tf2trt_fp32_{index}"
    return nodes


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
