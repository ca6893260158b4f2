"""Writes the Q/DQ nodes: ONNX Runtime's static quantiser, kept to the places that were chosen."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Set, Tuple

import numpy as np

from tf2trt.calibration.placement import Placement
from tf2trt.errors import SurgeryError
from tf2trt.extras import require

__all__ = ["insert"]

_TAP = "/tf2trt_before_quantize"
_ADDED = ("QuantizeLinear", "DequantizeLinear")
Key = Tuple[str, int]  # a node's first output and the index of its input


def insert(model: Any, placement: Placement, ranges: Mapping[str, float], target: Path) -> None:
    """Quantises ``model`` (changed meanwhile) at the places and writes it to ``target``, whole or not at all.

    The quantiser knows nodes and tensors but no single inputs: what it did at other inputs, such as those of nodes that
    read a quantised tensor too, is taken back.

    Args:
        ranges: the largest absolute value to hold, by activation tensor.

    Raises:
        SurgeryError: the quantiser left a place out or chose a zero point, or the result is no valid model.
        OutputError: ``target`` cannot be written.
    """
    from tf2trt.surgery.files import write_model

    onnx = require("onnx", "calibrate")
    wanted = {(place.node.output[0], index) for place in placement.places for index in place.inputs}
    before = onnx.GraphProto()
    before.node.extend(model.graph.node)
    inputs = {node.output[0]: list(node.input) for node in before.node}
    constants = {tensor.name for tensor in model.graph.initializer}
    taps = _tap_outputs(onnx, model.graph, placement)
    # It wants a range for every input of a node. One that is not wanted gets any, and is taken out again.
    given = {name: 1.0 for place in placement.places for name in place.node.input}
    given.update({taps.get(name, name): value for name, value in ranges.items()})
    result = _run_quantizer(model, [place.node.name for place in placement.places], given)
    _restore(result.graph, before, wanted)
    _remove_taps(result.graph, taps)
    _remove_unused(result.graph, constants)
    _sort(result.graph)
    del result.graph.value_info[:]
    result.producer_name, result.producer_version = model.producer_name, model.producer_version
    _keep(result.metadata_props, model.metadata_props)
    try:
        _check(onnx, result, inputs, wanted)
    except onnx.checker.ValidationError as error:
        raise SurgeryError("the quantised model is not valid", received=str(error)[:1000]) from error
    write_model(result, target)


def _run_quantizer(model: Any, nodes: List[str], ranges: Mapping[str, float]) -> Any:
    quantization = require("onnxruntime.quantization", "calibrate")
    kinds = {node.op_type for node in model.graph.node if node.name in set(nodes)}
    ranges_of = require("onnxruntime.quantization.calibrate", "calibrate")
    tensors = ranges_of.TensorsData(
        ranges_of.CalibrationMethod.MinMax,
        {name: (np.float32(-value), np.float32(value)) for name, value in ranges.items()},
    )
    copy = type(model)()
    copy.CopyFrom(model)
    with _quiet():
        quantizer = quantization.QDQQuantizer(
            copy,
            per_channel=True,
            reduce_range=False,
            weight_qType=quantization.QuantType.QInt8,
            activation_qType=quantization.QuantType.QInt8,
            tensors_range=tensors,
            nodes_to_quantize=nodes,
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(kinds),
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,  # TensorRT 8 takes no INT8 weights from a file
                "QuantizeBias": False,  # TensorRT's biases are FP32
                "QDQDisableWeightAdjustForInt32Bias": True,
                "OpTypesToExcludeOutputQuantization": sorted(kinds),
            },
        )
        return quantizer.quantize_model()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser warns on the root logger and prints, about options that are meant."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


def _tap_outputs(onnx: Any, graph: Any, placement: Placement) -> Dict[str, str]:
    """Lets quantised nodes read the graph's outputs through an Identity: the quantiser would quantise the outputs."""
    outputs = {output.name for output in graph.output}
    taps = {name: name + _TAP for name in placement.activations if name in outputs}
    quantised = {place.node.name: place for place in placement.places}
    for node in graph.node:
        for index in quantised[node.name].activations if node.name in quantised else ():
            node.input[index] = taps.get(node.input[index], node.input[index])
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for name in node.output:
            if name in taps:
                nodes.append(onnx.helper.make_node("Identity", [name], [taps[name]], name=taps[name]))
                graph.value_info.append(onnx.helper.make_tensor_value_info(taps[name], onnx.TensorProto.FLOAT, None))
    _keep(graph.node, nodes)
    return taps


def _remove_taps(graph: Any, taps: Mapping[str, str]) -> None:
    names = {tap: name for name, tap in taps.items()}
    _keep(graph.node, [node for node in graph.node if node.output[0] not in names])
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)


def _restore(graph: Any, before: Any, wanted: Set[Key]) -> None:
    """Gives each node the inputs back that were not to be quantised, and its attributes: Gemm's beta was set to 1."""
    originals = {node.output[0]: node for node in before.node}
    for node in graph.node:
        original = originals.get(node.output[0])
        if original is None:
            continue
        _keep(node.attribute, original.attribute)
        for index, name in enumerate(original.input):
            if (node.output[0], index) not in wanted:
                node.input[index] = name


def _remove_unused(graph: Any, constants: Set[str]) -> None:
    """Takes out added nodes that nobody reads, and added constants that none of the others reads."""
    count = -1
    while count != len(graph.node):
        count = len(graph.node)
        read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        _keep(graph.node, [node for node in graph.node if node.op_type not in _ADDED or node.output[0] in read])
    _keep(graph.initializer, [item for item in graph.initializer if item.name in constants or item.name in read])


def _keep(items: Any, kept: Iterable[Any]) -> None:
    copies = list(kept)
    del items[:]
    items.extend(copies)


def _sort(graph: Any) -> None:
    """Puts each added node behind what it reads; the others stay in their order."""
    added = {node.output[0]: node for node in graph.node if node.op_type in _ADDED}
    placed: Set[str] = set()
    ordered: List[Any] = []

    def put(name: str) -> None:
        if name in added and name not in placed:
            put(added[name].input[0])
            placed.add(name)
            ordered.append(added[name])

    for node in graph.node:
        if node.op_type not in _ADDED:
            for name in node.input:
                put(name)
            ordered.append(node)
    _keep(graph.node, ordered)


def _check(onnx: Any, model: Any, inputs: Mapping[str, List[str]], wanted: Set[Key]) -> None:
    """That each place, and nothing else, is quantised, and with zero points of 0."""
    from tf2trt.onnx_skeleton import check_graph

    made = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    found = {
        (node.output[0], index)
        for node in model.graph.node
        for index, name in enumerate(node.input)
        if node.output[0] in inputs and name in made
    }
    if found != wanted:
        off = sorted(f"input {index} of the node that makes {name}" for name, index in found ^ wanted)
        raise SurgeryError("ONNX Runtime's quantiser did not do what it was asked", received="; ".join(off)[:1000])
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _ADDED:
            zero = onnx.numpy_helper.to_array(constants[node.input[2]])
            if zero.dtype != np.int8 or zero.any():
                raise SurgeryError(
                    "ONNX Runtime's quantiser chose a zero point that TensorRT does not take", received=node.name
                )
    check_graph(model)
