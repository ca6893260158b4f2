"""A model's inputs, outputs and inner tensors, as the user names them."""

from __future__ import annotations

import difflib
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Sequence, Set

from tf2trt.errors import UsageError
from tf2trt.extras import require
from tf2trt.specs import format_shape
from tf2trt.surgery.nodes import nested

__all__ = [
    "LAYER",
    "describe",
    "dtype_name",
    "find_tensor",
    "graph_inputs",
    "known_names",
    "node_reads",
    "rename_tensors",
    "shape_of",
    "unused_name",
]

LAYER = "tf2trt.layer"  # the key of a node's metadata under which the export keeps the layer's name
_SUGGESTIONS = 5


def graph_inputs(model: Any) -> List[Any]:
    """The inputs that a caller must give (ValueInfoProto); initializers that are listed as inputs have defaults."""
    constant = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constant]


def dtype_name(elem_type: int) -> str:
    """NumPy's name of ONNX's element type, such as ``"float32"``; ``"string"``; ``"unknown"`` for 0."""
    onnx = require("onnx", "export")
    if elem_type == onnx.TensorProto.STRING:
        return "string"
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type).name) if elem_type else "unknown"


def shape_of(value: Any) -> Any:
    """The extents of a ValueInfoProto, -1 for those known at run time only; None where not even the rank is known."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)


def describe(value: Any) -> str:
    """What messages call an input or output: ``"x: float32 ?x224x224x3"``."""
    if not value.type.HasField("tensor_type"):
        return f"{value.name}: not a tensor"
    shape = shape_of(value)
    dtype = dtype_name(value.type.tensor_type.elem_type)
    return f"{value.name}: {dtype} {'of unknown rank' if shape is None else format_shape(shape)}"


def node_reads(node: Any) -> Iterator[str]:
    """The tensors that a node reads, those from around its bodies (If, Loop, Scan) that these read included."""
    yield from (name for name in node.input if name)
    for body in nested(node):
        own = {item.name for items in (body.input, body.initializer) for item in items}
        own.update(name for inner in body.node for name in inner.output)
        read = [*(value.name for value in body.output), *(name for inner in body.node for name in node_reads(inner))]
        yield from (name for name in read if name not in own)


def known_names(graph: Any) -> Set[str]:
    """The names of all tensors of a graph and of the bodies inside it."""
    names = {item.name for items in (graph.input, graph.output, graph.initializer) for item in items}
    for node in graph.node:
        names.update(node.input, node.output)
        for body in nested(node):
            names |= known_names(body)
    return names - {""}


def unused_name(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, or the first of ``wanted_2``, ``wanted_3``, ... that is not in ``taken``."""
    taken = set(taken)
    names = (wanted if count == 1 else f"{wanted}_{count}" for count in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def rename_tensors(nodes: Iterable[Any], names: Mapping[str, str]) -> None:
    """Renames tensors in ``nodes`` and in the bodies that they hold; several names may change places at once."""
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for body in nested(node):
            for item in [*body.input, *body.output, *body.initializer, *body.value_info]:
                item.name = names.get(item.name, item.name)
            rename_tensors(body.node, names)


def find_tensor(model: Any, name: str, what: str) -> str:
    """The tensor of the main graph that a user means by ``name``.

    That is the tensor of this name; else what the node of this name makes; else the last tensor of the layer (the
    node metadata ``tf2trt.layer``) of this name.

    Args:
        what: what messages call the argument, such as ``"outputs"``.

    Raises:
        UsageError: there is nothing of this name, or it makes several tensors; the message lists the closest names,
            or those tensors.
    """
    graph = model.graph
    own = {item.name for items in (graph.input, graph.initializer) for item in items}
    own.update(output for node in graph.node for output in node.output)
    if name and name in own:
        return name
    found = _used_outputs(model, [node for node in graph.node if node.name == name]) if name else []
    if not found:
        found = _used_outputs(model, [node for node in graph.node if name and name in _layers(node)])
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{what}: {name!r} makes several tensors", received=repr(name), expected=f"one of {', '.join(found)}"
        )
    if name in known_names(graph):
        raise UsageError(f"{what}: {name!r} is inside the body of an If, Loop or Scan", expected="a tensor outside")
    choice = own | {node.name for node in graph.node} | {layer for node in graph.node for layer in _layers(node)}
    close = difflib.get_close_matches(name, sorted(choice - {""}), _SUGGESTIONS, 0.5)
    raise UsageError(
        f"{what}: the model has no tensor, node or layer of this name",
        received=repr(name),
        expected=f"perhaps {', '.join(close)}" if close else f"such as {', '.join(_ends(model))}",
    )


def _used_outputs(model: Any, nodes: Sequence[Any]) -> List[str]:
    """What ``nodes`` make for others: the rest of the graph, or the caller; where nothing is used, all they make."""
    inside = {id(node) for node in nodes}
    used = {value.name for value in model.graph.output}
    used.update(name for node in model.graph.node if id(node) not in inside for name in node_reads(node))
    made = [name for node in nodes for name in node.output if name]
    return [name for name in made if name in used] or made


def _layers(node: Any) -> List[str]:
    return [item.value for item in node.metadata_props if item.key == LAYER]


def _ends(model: Any) -> List[str]:
    values: Dict[str, None] = dict.fromkeys(value.name for value in [*graph_inputs(model), *model.graph.output])
    return list(values)
