"""Puts the weights that took no part in the conversion into the ONNX graph, as initializers."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Set

import numpy as np

from tf2trt.onnx_files import Weight

__all__ = ["bind_weights"]


class _Array:
    """A weight to be: its ONNX type and shape, and a function that makes the array."""

    def __init__(self, kind: int, shape: Sequence[int], make: Callable[[], Any]) -> None:
        self.kind, self.shape, self.make = kind, tuple(shape), make


def bind_weights(onnx: Any, model: Any, variables: Mapping[str, Any]) -> List[Weight]:
    """Takes the inputs that stand for ``variables`` out of ``model``.

    Nodes that only turn such a weight (tf2onnx would have done so with a constant) are carried out when it is read.

    Args:
        model: an ``onnx.ModelProto``; changed. Nodes then read initializers that it lacks.
        variables: TensorFlow's variables by the names of the inputs.

    Returns:
        the initializers that it lacks.
    """
    graph = model.graph
    arrays: Dict[str, _Array] = {}
    for value in list(graph.input):
        if value.name in variables:
            kind = value.type.tensor_type.elem_type
            variable = variables[value.name]
            arrays[value.name] = _Array(kind, variable.shape, _reader(onnx, variable, kind))
            graph.input.remove(value)
    outputs = {value.name for value in graph.output}
    for node in list(graph.node):
        if len(node.input) == 1 and node.input[0] in arrays and node.output[0] not in outputs:
            turned = _turned(onnx, node, arrays[node.input[0]])
            if turned is not None:
                arrays[node.output[0]] = turned
                graph.node.remove(node)
    read = _names_read(graph) | outputs
    return [_weight(onnx, name, array) for name, array in arrays.items() if name in read]


def _reader(onnx: Any, variable: Any, kind: int) -> Callable[[], Any]:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    return lambda: np.asarray(variable.numpy()).astype(dtype, copy=False)  # tf2onnx has FLOAT16 for bfloat16


def _turned(onnx: Any, node: Any, array: _Array) -> Any:
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Identity":
        return array
    if node.op_type == "Transpose":
        axes = list(attributes.get("perm", reversed(range(len(array.shape)))))
        return _Array(array.kind, [array.shape[axis] for axis in axes], lambda: array.make().transpose(axes))
    if node.op_type == "Cast":
        dtype = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
        return _Array(attributes["to"], array.shape, lambda: array.make().astype(dtype))
    return None


def _weight(onnx: Any, name: str, array: _Array) -> Weight:
    tensor = onnx.TensorProto(name=name, data_type=array.kind, dims=array.shape)
    size = int(np.prod(array.shape)) * onnx.helper.tensor_dtype_to_np_dtype(array.kind).itemsize
    return Weight(tensor, size, lambda: np.ascontiguousarray(array.make()).reshape(-1).view(np.uint8))


def _names_read(graph: Any) -> Set[str]:
    names: Set[str] = set()
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            for body in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                names |= _names_read(body) | {value.name for value in body.output}
    return names
