"""The graph of an ONNX file, read without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from tf2trt.build.onnx_inputs import read_onnx_origins
from tf2trt.errors import OnnxError
from tf2trt.extras import require
from tf2trt.inspect.network import Layer, Network, Tensor
from tf2trt.inspect.words import one_line
from tf2trt.onnx_skeleton import check_places, read_skeleton, tensor_bytes
from tf2trt.surgery.bindings import dtype_name, graph_inputs, node_reads, shape_of
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["OnnxFile", "read_onnx"]

_STANDARD = ("", "ai.onnx")
_HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SEEN_THROUGH = ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Flatten")
_COMPUTED_IN = ("float", "bfloat", "int8", "uint8")
_LONGEST = 200  # letters of an attribute's value


class OnnxFile:
    """An ONNX file's graph, and what is known of the file: ``versions`` and ``plugins`` by name, ``weights_bytes``, the
    number of ``nodes`` with constants, and in ``notes`` what is wrong with it.
    """

    def __init__(self, path: Path, model: Any) -> None:
        self.notes: List[str] = []
        self.nodes = len(model.graph.node)
        self.weights_bytes = sum(map(tensor_bytes, model.graph.initializer))
        versions = {f"opset {entry.domain or 'ai.onnx'}": str(entry.version) for entry in model.opset_import}
        # tf2onnx puts its own commit behind its version, which is "None" in a release.
        words = f"{model.producer_name} {model.producer_version}".split()
        writer = " ".join(word for word in words if word != "None")
        self.versions = {**({"written by": writer} if writer else {}), "IR": str(model.ir_version), **versions}
        self.plugins = tuple(
            sorted({f"{node.domain}::{node.op_type}" for node in _every(model.graph) if node.domain not in _STANDARD})
        )
        try:
            check_places(path, model)
        except OnnxError as error:
            self.notes.append(one_line(error))
        onnx = require("onnx", "export")
        try:
            model = infer_shapes(model)
        except onnx.shape_inference.InferenceError as error:
            self.notes.append(f"shapes could not be inferred: {str(error).strip().splitlines()[0]}")
        self.network = _Reader(model).network(path.name, read_onnx_origins(path))


def read_onnx(path: Path) -> OnnxFile:
    """Reads ``path``; of its large weights not a byte.

    Raises:
        OnnxError: the file is missing, empty, truncated, or no ONNX file.
        MissingExtraError: onnx is not installed.
    """
    require("onnx", "export")
    if not path.is_file():
        raise OnnxError(f"there is no ONNX file at {path}", hint="check the path")
    try:
        model = read_skeleton(path)
    except Exception as error:  # protobuf's DecodeError differs from version to version
        raise OnnxError(
            f"{path} cannot be read", received=f"{type(error).__name__}: {str(error)[:300]}", expected="an ONNX file"
        ) from error
    if not model.graph.node:
        raise OnnxError(f"{path} cannot be read", received="no graph", expected="an ONNX file")
    return OnnxFile(path, model)


class _Reader:
    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.graph
        self.tensors: Dict[str, Tensor] = {}
        for value in (*self.graph.value_info, *self.graph.input, *self.graph.output):
            dtype = dtype_name(value.type.tensor_type.elem_type)
            self.tensors[value.name] = Tensor(value.name, "" if dtype == "unknown" else dtype, shape_of(value))
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output if name}

    def network(self, title: str, origins: Mapping[str, Tuple[str, str]]) -> Network:
        nodes = [node for node in self.graph.node if node.op_type != "Constant"]
        layers = tuple(self._layer(node).from_nodes(origins) for node in nodes)
        inputs = tuple(self.tensors[value.name] for value in graph_inputs(self.model))
        outputs = tuple(self.tensors[value.name] for value in self.graph.output)
        return Network(title, layers, inputs, outputs)

    def _layer(self, node: Any) -> Layer:
        read = [name for name in dict.fromkeys(node_reads(node)) if name]
        inputs = tuple(self._tensor(name) for name in read if not self._constant(name))
        outputs = tuple(self._tensor(name) for name in node.output if name)
        name = node.name or f"node_of_{next(iter(node.output), '')}"
        details = dict(_attributes(node))
        weights = [tensor for tensor in map(self.weights.get, read) if tensor is not None and len(tensor.dims)]
        if weights:
            details["weights"] = ", ".join(
                f"{'x'.join(map(str, tensor.dims))} {dtype_name(tensor.data_type)}" for tensor in weights
            )
        inner = sum(1 for body in nested(node) for _ in _every(body))
        if inner:
            details["nodes in its bodies"] = str(inner)
        return Layer(
            name=name,
            kind=node.op_type,
            precision=self._precision(node, inputs, outputs),
            inputs=inputs,
            outputs=outputs,
            nodes=(name,),
            plugin=node.domain not in _STANDARD,
            details=details,
        )

    def _tensor(self, name: str) -> Tensor:
        return self.tensors.get(name, Tensor(name))

    def _constant(self, name: str) -> bool:
        maker = self.makers.get(name)
        return name in self.weights or (maker is not None and maker.op_type == "Constant")

    def _precision(self, node: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
        """The type of its operands; of a heavy node behind DequantizeLinear nodes the type that those read."""
        if node.op_type in _HEAVY:
            narrow = {self._quantised(name) for name in node.input[:2]}
            if len(narrow) == 1 and None not in narrow:
                return str(narrow.pop())
        operands = [tensor.dtype for tensor in inputs] + [tensor.dtype for tensor in outputs]
        computed = [dtype for dtype in operands if dtype.startswith(_COMPUTED_IN)]
        return next(iter(computed), next(filter(None, operands), "unknown"))

    def _quantised(self, name: str) -> Optional[str]:
        maker = self.makers.get(name)
        while maker is not None and maker.op_type in _SEEN_THROUGH:
            maker = self.makers.get(maker.input[0])
        if maker is None or maker.op_type != "DequantizeLinear":
            return None
        source = maker.input[0]
        weight = self.weights.get(source)
        if weight is not None:
            return dtype_name(weight.data_type)
        return self._tensor(source).dtype or "int8"


def _every(graph: Any) -> Iterator[Any]:
    """The nodes of a graph, those of bodies included."""
    for node in graph.node:
        yield node
        for body in nested(node):
            yield from _every(body)


def _attributes(node: Any) -> Iterator[Tuple[str, str]]:
    onnx = require("onnx", "export")
    kinds = onnx.AttributeProto
    for item in node.attribute:
        if item.type in (kinds.GRAPH, kinds.GRAPHS, kinds.TENSOR, kinds.TENSORS, kinds.SPARSE_TENSOR):
            continue
        value = onnx.helper.get_attribute_value(item)
        if isinstance(value, bytes):
            text = value.decode("utf-8", "replace")
        elif isinstance(value, float):
            text = f"{value:.6g}"
        elif isinstance(value, (list, tuple)) or hasattr(value, "__len__"):
            parts = [each.decode("utf-8", "replace") if isinstance(each, bytes) else f"{each:.6g}" for each in value]
            text = ", ".join(parts)
        else:
            text = str(value)
        yield item.name, text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
