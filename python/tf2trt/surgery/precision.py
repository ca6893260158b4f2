"""Precision in the graph's own types, for TensorRT 11 and TensorRT-RTX, whose networks are strongly typed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Optional, Sequence, Tuple, Union

from tf2trt.errors import SurgeryError, UsageError
from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.precisions import Rules, assign, check_precision, check_rules
from tf2trt.surgery.files import read_model, write_model
from tf2trt.surgery.fp16_guard import fragile_nodes
from tf2trt.surgery.gs_graph import import_graph
from tf2trt.surgery.plugins.functions import DOMAIN, FP16_OPSET, opset_of
from tf2trt.surgery.precision_casts import graph_name, is_converted, lower_constants, place_casts
from tf2trt.surgery.precision_quantised import prepare_quantisers, take_out_quantisers
from tf2trt.surgery.report import PassReport
from tf2trt.surgery.runner import run_pass
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["set_precision"]

PathLike = Union[str, "os.PathLike[str]"]

_HALVES = ("fp16", "bf16")


@dataclass(frozen=True)
class _Wish:
    """What was asked: ``half`` is the 16-bit type that is in play, ``everywhere`` whether it is for all nodes that no
    rule is for, ``rules`` what single layers are to be.
    """

    half: Optional[str]
    everywhere: bool
    rules: Rules


def set_precision(
    source: PathLike, output: PathLike, precision: str, layer_precision: Sequence[Tuple[str, str]] = ()
) -> PassReport:
    """Writes the types of a precision into an FP32 model; inputs and outputs keep theirs, nodes keep their names.

    ``"fp16"`` and ``"bf16"`` make all nodes compute in that type, ``"int8+fp16"`` those that the QuantizeLinear and
    DequantizeLinear nodes of the graph leave; ``"fp32"``, ``"tf32"`` and ``"int8"`` leave the types as they are.
    ``layer_precision`` says otherwise for single layers. A quantised layer that is to be ``"fp32"``, ``"fp16"`` or
    ``"bf16"`` reads past its DequantizeLinear nodes: its input as it was before, and of weights that are integers the
    values that these stand for.

    Casts are placed by ``onnxruntime.transformers.float16.convert_float_to_float16``, which Microsoft keeps for ONNX
    Runtime's own optimiser: it knows operators with inputs that are always FP32, works through subgraphs, and comes
    with a package that tf2trt needs anyway. NVIDIA's AutoCast (nvidia-modelopt) places casts for BF16 too, but needs
    PyTorch and CuPy and pins older releases of onnx and ONNX Runtime; onnxconverter-common has the elder copy of
    the same function. BF16 is made with the same casts, since where they stand does not depend on which 16-bit type it
    is; its weights are rounded from the FP32 ones.

    What is done around the library: nodes whose epsilon FP16 cannot hold stay in FP32 (see
    :mod:`tf2trt.surgery.fp16_guard`) unless a rule is for them, constants of FP32 nodes are their own, and casts to 16
    bits and back between two FP32 nodes are taken out, since the value would be lost there. Quantised graphs go to
    opset 19, from which on scales may be 16 bits wide, so that no cast stands between a DequantizeLinear and its layer;
    graphs in BF16 go to opset 22, from which on operators have it. Where a graph cannot be written in that opset a note
    says so, and scales stay FP32.

    A file that this function wrote comes out as it is where no rules are given.

    Args:
        source: an ONNX file, its weights inside or beside it.
        output: the ONNX file to write, whole or not at all; may be ``source``.
        precision: one of :data:`tf2trt.precisions.PRECISIONS`.
        layer_precision: pairs of a pattern over node names (``fnmatch``) and ``"fp32"``, ``"fp16"``, ``"bf16"`` or
            ``"int8"`` (its scales stay); the last match wins. A node without a name goes by ``node_of_`` and its first
            output, as in TensorRT.

    Returns:
        a report whose ``changed`` counts the nodes that produce the 16-bit type now and did not before, casts included,
        and those that are quantised no longer.

    Raises:
        UsageError: a precision that is none, FP16 and BF16 together, or a pattern that no node's name matches.
        OnnxError: ``source`` cannot be read.
        OutputError: ``output`` cannot be written; found before any work is done.
        SurgeryError: the conversion failed, or made a model whose types do not fit together; or ``source`` was
            converted before, and rules are given.
        MissingExtraError: onnx, onnx-graphsurgeon (extra ``export``) or ONNX Runtime (``verify``) is missing.
    """
    wish = _read_wish(check_precision(precision), check_rules(layer_precision))
    check_writable(Path(output))
    onnx = require("onnx", "export")
    require("onnx_graphsurgeon", "export")
    if wish.half is not None:
        require("onnxruntime.transformers.float16", "verify")
    model = read_model(source)
    if wish.rules and is_converted(model):
        raise SurgeryError(
            f"{Path(source)} has casts of an earlier conversion",
            received=f"layer precision {', '.join('='.join(rule) for rule in wish.rules)}",
            hint="start from the FP32 file",
        )
    of_nodes = assign((node_name(node) for node in model.graph.node), wish.rules)
    before = _count(onnx, infer_shapes(model), wish.half)
    quantised: List[str] = []
    model, report = run_pass(
        "set_precision", lambda given, notes: _convert(given, wish, of_nodes, quantised, notes), model
    )
    changed = _count(onnx, model, wish.half) - before + len(quantised)
    write_model(model, output)
    return PassReport(report.name, changed, report.seconds, report.notes)


def node_name(node: Any) -> str:
    """A node's name, or the one that TensorRT's parser gives to one that has none."""
    return str(node.name) or f"node_of_{node.output[0] if node.output else ''}"


def _read_wish(precision: str, rules: Rules) -> _Wish:
    halves = {kind for kind in (*precision.split("+"), *(kind for _, kind in rules)) if kind in _HALVES}
    if len(halves) > 1:
        raise UsageError(
            "FP16 and BF16 in one graph", received=f"precision {precision}, rules {rules}", expected="one of the two"
        )
    half = next(iter(halves), None)
    return _Wish(half, half in precision.split("+"), rules)


def _convert(model: Any, wish: _Wish, of_nodes: Dict[str, str], quantised: List[str], notes: List[str]) -> Any:
    if is_converted(model):
        return model
    narrow = frozenset(name for name, kind in of_nodes.items() if kind != "int8")
    if narrow:
        model, taken = take_out_quantisers(model, narrow, node_name)
        quantised += taken
        if taken:
            notes.append(f"{len(taken)} nodes quantised no longer: {', '.join(taken)}")
    if wish.half is None:
        return model
    kept_fp32 = prepare_quantisers(model, wish.half, notes) if wish.everywhere else frozenset()
    kept = _kept(model, wish, of_nodes, kept_fp32)
    if kept and wish.everywhere:
        notes.append(f"{len(kept)} nodes stay FP32")
    return place_casts(model, wish.half, kept, notes)


def _kept(model: Any, wish: _Wish, of_nodes: Dict[str, str], quantisers: FrozenSet[str]) -> FrozenSet[str]:
    """The names of the nodes that stay FP32."""
    names = {node_name(node) for node in model.graph.node}
    if wish.everywhere:
        graph = import_graph(model)
        lower_constants(graph)
        needed = _fp32_plugins(graph, opset_of(model))
        if wish.half == "fp16":
            needed = [*needed, *fragile_nodes(graph)]
        kept = {graph_name(item) for item in needed} | quantisers
        kept -= {name for name, kind in of_nodes.items() if kind == wish.half}
    else:
        kept = {name for name in names if of_nodes.get(name) != wish.half}
    kept |= {name for name, kind in of_nodes.items() if kind == "fp32"}
    return frozenset(kept & names)


def _fp32_plugins(graph: Any, opset: int) -> List[Any]:
    """Nodes of ours whose function in the file is for FP32 alone. The others take FP16, and compute in FP32 inside."""
    return [node for node in graph.nodes if node.domain == DOMAIN and node.op == "L2Normalize" and opset < FP16_OPSET]


def _count(onnx: Any, model: Any, half: Optional[str]) -> int:
    kind = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}.get(half or "")
    values = [*model.graph.value_info, *model.graph.output]
    typed = {value.name for value in values if value.type.tensor_type.elem_type == kind}
    return sum(any(name in typed for name in node.output) for node in model.graph.node)
