"""FP16 and BF16 graphs as they are meant, for ONNX Runtime on the CPU.

It has few kernels for them there: it computes in FP32 and takes the casts out between one operator and the next, so
that nothing is rounded and nothing overflows. Here each result is rounded by a pair of casts, which it keeps.
"""

from __future__ import annotations

from typing import Any, Dict, List

import numpy as np

from tf2trt.extras import require

__all__ = ["graph_precision", "rounded"]


def graph_precision(model: Any) -> str:
    """The precision that a graph's own types and nodes tell: ``"int8"``, ``"int8+fp16"``, ``"fp16"``, ``"bf16"`` or
    ``"fp32"``.
    """
    from tf2trt.surgery.nodes import attribute

    types = require("onnx", "export").TensorProto
    quantized = any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node)
    held = {tensor.data_type for tensor in model.graph.initializer}
    held |= {value.type.tensor_type.elem_type for value in model.graph.input}
    held |= {attribute(node, "to") for node in model.graph.node if node.op_type == "Cast"}
    half = types.FLOAT16 in held
    if quantized:
        return "int8+fp16" if half else "int8"
    return "fp16" if half else "bf16" if types.BFLOAT16 in held else "fp32"


def rounded(model: Any) -> Any:
    """``model`` with FP32 in place of each FP16 and BF16 tensor, rounded to that type by casts where it is made.

    Inputs, outputs and names stay as they are. A model without such tensors comes back as it is.
    """
    from tf2trt.surgery.shapes import infer_shapes

    types = require("onnx", "export").TensorProto
    if graph_precision(model) not in ("fp16", "bf16", "int8+fp16"):
        return model
    known = infer_shapes(model)
    copy = type(model)()
    copy.CopyFrom(model)
    _Graph(copy.graph, known.graph, {}, (types.FLOAT16, types.BFLOAT16)).round(outer=True)
    return copy


class _Graph:
    """One graph, changed in place. ``known`` is the same graph with the types of its tensors."""

    def __init__(self, graph: Any, known: Any, around: Dict[str, int], halves: Any) -> None:
        self.graph, self.halves = graph, halves
        self.known = known
        self.types = dict(around)
        for value in [*known.input, *known.output, *known.value_info]:
            self.types[value.name] = value.type.tensor_type.elem_type
        self.types.update((tensor.name, tensor.data_type) for tensor in known.initializer)
        self.nodes: List[Any] = []

    def round(self, outer: bool) -> None:
        onnx = require("onnx", "export")
        values = [*self.graph.input, *self.graph.output]
        half_io = {value.name: self.types[value.name] for value in values if self.is_half(value.name)}
        for tensor in self.graph.initializer:
            _widen(onnx, tensor, self.halves)
        if outer:
            for value in self.graph.input:
                if value.name in half_io:
                    self.cast(value.name, self.inside(value.name), onnx.TensorProto.FLOAT)
        else:
            for value in values:
                if value.name in half_io:
                    value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            half_io = {}
        for node, typed in zip(list(self.graph.node), self.known.node):
            self.node(onnx, node, typed, half_io)
        for value in self.graph.output:
            if value.name in half_io:
                self.cast(self.inside(value.name), value.name, half_io[value.name])
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]

    def node(self, onnx: Any, node: Any, typed: Any, half_io: Dict[str, int]) -> None:
        from tf2trt.surgery.bindings import rename_tensors

        for item, known in zip(node.attribute, typed.attribute):
            if item.HasField("t"):
                _widen(onnx, item.t, self.halves)
            bodies = [(item.g, known.g)] if item.HasField("g") else list(zip(item.graphs, known.graphs))
            for body, inner in bodies:
                _Graph(body, inner, self.types, self.halves).round(outer=False)
                renamed = {name: self.inside(name) for name in half_io}  # a body reads what is around it by name
                rename_tensors(body.node, renamed)
                for value in body.output:
                    value.name = renamed.get(value.name, value.name)
        node.input[:] = [self.inside(name) if name in half_io else name for name in node.input]
        made = [(index, name) for index, name in enumerate(node.output) if name and self.is_half(name)]
        if node.op_type in ("Constant", "ConstantOfShape"):
            made = []  # its value was widened where it is written
        for index, name in made:
            node.output[index] = f"{name}__unrounded"
        self.nodes.append(node)
        for _, name in made:
            target = self.inside(name) if name in half_io else name
            source = f"{name}__unrounded"
            if node.op_type != "Cast":
                self.cast(source, f"{name}__half", self.types[name])
                source = f"{name}__half"
            self.cast(source, target, onnx.TensorProto.FLOAT)

    def cast(self, source: str, target: str, to: int) -> None:
        onnx = require("onnx", "export")
        self.nodes.append(onnx.helper.make_node("Cast", [source], [target], name=f"{target}__cast", to=to))

    def is_half(self, name: str) -> bool:
        return self.types.get(name) in self.halves

    @staticmethod
    def inside(name: str) -> str:
        """What a half input or output is called inside the graph, where it is FP32."""
        return f"{name}__inside"


def _widen(onnx: Any, tensor: Any, halves: Any) -> None:
    if tensor.data_type in halves:
        values = np.asarray(onnx.numpy_helper.to_array(tensor)).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
