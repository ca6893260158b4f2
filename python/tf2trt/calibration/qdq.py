"""An ONNX file with QuantizeLinear and DequantizeLinear: INT8 for every TensorRT, and for ONNX Runtime."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from tf2trt.calibration.collect import Collection, Progress, collect
from tf2trt.calibration.data import CalibrationData
from tf2trt.calibration.insert import insert
from tf2trt.calibration.model import model_hash
from tf2trt.calibration.placement import Placement, holds_quantisation, place
from tf2trt.calibration.thresholds import check_method, threshold
from tf2trt.errors import ModelError
from tf2trt.extras import require
from tf2trt.files import check_writable
from tf2trt.onnx_files import check_target, temporary_folder

__all__ = ["QuantizationReport", "has_places", "quantize", "state_path"]

PathLike = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class QuantizationReport:
    """What was quantised, from what data.

    ``scales`` are those of the activations, by tensor: the value of one step. ``nodes`` are the names of the nodes
    that compute on quantised inputs, ``left`` (name, reason) of operators with weights that stayed as they were.
    ``resumed`` counts the batches that an earlier, stopped run had done.
    """

    output: Path
    method: str
    samples: int
    batches: int
    resumed: int
    scales: Dict[str, float]
    nodes: Tuple[str, ...]
    left: Tuple[Tuple[str, str], ...]
    notes: Tuple[str, ...]
    seconds: float

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "output": str(self.output),
            "method": self.method,
            "samples": self.samples,
            "batches": self.batches,
            "resumed": self.resumed,
            "scales": dict(self.scales),
            "nodes": list(self.nodes),
            "left": [{"node": node, "reason": reason} for node, reason in self.left],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def state_path(output: PathLike) -> Path:
    """``m.int8.onnx`` -> ``m.int8.onnx.calibration``: what a calibration keeps until it is done."""
    return Path(f"{os.fspath(output)}.calibration")


def quantize(
    onnx: PathLike,
    output: PathLike,
    data: Any,
    method: str = "minmax",
    *,
    quantile: float = 0.9999,
    exclude: Sequence[str] = (),
    progress: Optional[Progress] = None,
) -> QuantizationReport:
    """Writes ``onnx`` with Q/DQ nodes to ``output``: inputs, outputs and the names of the nodes stay as they are.

    INT8 by TensorRT's rules: symmetric with zero point 0, weights per output channel, biases as they are, placed so
    that convolutions fuse with their Adds and activations (:mod:`tf2trt.calibration.placement`). ONNX Runtime runs the
    model over the data and its static quantiser writes the nodes; the weights stay FP32 in the file, which TensorRT 8
    needs, and become INT8 in the engine.

    What was collected is kept in ``output``.calibration every few seconds: a run that was killed goes on from there.
    The file is removed when ``output`` is written, whole or not at all.

    Args:
        onnx: an FP32 model, opset 13 or later.
        data: a :class:`CalibrationData`, or what one is made of.
        method: ``"minmax"``, ``"percentile"`` or ``"entropy"``; see :func:`tf2trt.calibration.thresholds.threshold`.
        quantile: of ``percentile``: the share of absolute values to hold.
        exclude: patterns of names of nodes to leave in FP32 (``*``, ``?``, ``[]``).
        progress: called with the samples done, and the number of all where that is known.

    Raises:
        UsageError: an unknown method, a pattern that matches nothing, or data that is empty, does not fit the inputs,
            or holds NaN or infinity.
        ModelError: the model has Q/DQ nodes already, no operator that can be quantised, an older opset, or gives NaN.
        OnnxError: ``onnx`` cannot be read, or ONNX Runtime cannot load it.
        OutputError: ``output`` cannot be written; found before any work is done.
        MissingExtraError: onnx or ONNX Runtime is not installed.
    """
    from tf2trt.build.onnx_inputs import read_onnx_inputs

    started = time.monotonic()
    source, target = Path(onnx), Path(output)
    check_method(method, quantile)
    check_writable(target)
    specs = read_onnx_inputs(source)
    check_target(source, target)
    data = data if isinstance(data, CalibrationData) else CalibrationData(data)
    data.batch_size(specs)  # refuses inputs that no batch can be made for
    model = _read(source)
    placement = _place(model, exclude)
    state = state_path(target)
    with temporary_folder(target) as folder:
        taps = _with_outputs(model, placement, folder)
        collection = collect(taps, placement.activations, specs, data, state, _identity(source, data, specs), progress)
        ranges = {name: threshold(histogram, method, quantile) for name, histogram in collection.histograms.items()}
        insert(model, placement, ranges, target)
    state.unlink()
    return _report(target, method, collection, ranges, placement, time.monotonic() - started)


def _read(source: Path) -> Any:
    from tf2trt.surgery.files import read_model
    from tf2trt.surgery.shapes import infer_shapes

    require("onnxruntime.quantization", "calibrate")
    model = read_model(source)
    if holds_quantisation(model.graph):
        raise ModelError(
            f"{source} is quantised already: it holds QuantizeLinear or DequantizeLinear nodes, which are kept",
            hint="build it as it is: tf2trt build --precision int8 takes the scales in the file",
        )
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if opset < 13:
        raise ModelError(
            f"{source} has an operator set without scales per channel",
            received=f"opset {opset}",
            expected="13 or later",
            hint="export the model again; tf2trt export writes a later one",
        )
    model = infer_shapes(model)
    _lower_constants(model.graph)
    _name_nodes(model.graph)
    return model


def has_places(onnx: PathLike) -> bool:
    """Whether there is an operator in ``onnx`` that :func:`quantize` would quantise.

    Raises:
        ModelError, OnnxError, MissingExtraError: as :func:`quantize` does.
    """
    return bool(_places(_read(Path(onnx)), ()).places)


def _places(model: Any, exclude: Sequence[str]) -> Placement:
    onnx = require("onnx", "calibrate")
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return place(model.graph, types, onnx.TensorProto.FLOAT, exclude)


def _place(model: Any, exclude: Sequence[str]) -> Placement:
    placement = _places(model, exclude)
    if not placement.places:
        raise ModelError(
            "there is nothing to quantise in this model",
            received="; ".join(f"{node}: {reason}" for node, reason in placement.left[:10])
            or "no operator has weights",
            expected="convolutions, Gemm or MatMul in FP32 with constant weights",
        )
    return placement


def _lower_constants(graph: Any) -> None:
    """Constant nodes that hold tensors become initializers, where the quantiser looks for weights."""
    outputs = {output.name for output in graph.output}
    kept = []
    for node in graph.node:
        value = [item.t for item in node.attribute if item.name == "value"] if node.op_type == "Constant" else []
        if value and node.output[0] not in outputs:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value[0])
            tensor.name = node.output[0]
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _name_nodes(graph: Any) -> None:
    """Gives each node a name of its own: that is how the quantiser is told of nodes."""
    taken: Dict[str, int] = {}
    for node in graph.node:
        base = name = node.name or f"node_of_{node.output[0]}"  # as TensorRT's parser calls it
        while name in taken:
            taken[base] += 1
            name = f"{base}_{taken[base]}"
        taken[name] = 0
        node.name = name


def _with_outputs(model: Any, placement: Placement, folder: Path) -> Path:
    """The model with the tensors that need a scale as its outputs, as a file in ``folder``."""
    from tf2trt.surgery.files import write_model

    onnx = require("onnx", "calibrate")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for name in placement.activations:
        copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    path = folder / "taps.onnx"
    write_model(copy, path)
    return path


def _identity(source: Path, data: CalibrationData, specs: Any) -> str:
    return f"{model_hash(source)} batch {data.batch_size(specs)}"


def _report(
    target: Path, method: str, found: Collection, ranges: Dict[str, float], placement: Placement, seconds: float
) -> QuantizationReport:
    notes: List[str] = list(found.notes)
    if found.resumed:
        notes.append(f"{found.resumed} of {found.batches} batches were done by an earlier run")
    zeros = [name for name, value in ranges.items() if not value]
    if zeros:
        notes.append(f"nothing but zeros on this data: {', '.join(zeros)}")
    return QuantizationReport(
        target,
        method,
        found.samples,
        found.batches,
        found.resumed,
        {name: value / 127 for name, value in ranges.items()},
        tuple(place.node.name for place in placement.places),
        placement.left,
        tuple(notes),
        seconds,
    )
