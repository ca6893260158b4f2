"""Keeps what a sub-graph computes as an ONNX function of the operator that takes its place."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence

from tf2trt.errors import UsageError
from tf2trt.extras import require
from tf2trt.onnx_skeleton import check_graph, is_reference, tensor_bytes
from tf2trt.surgery.bindings import node_reads, rename_tensors
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.plugins.functions import OPERATORS, add_functions
from tf2trt.surgery.plugins.scope import Scope
from tf2trt.surgery.weights import loaded

__all__ = ["add_function"]

_IR_VERSION = 9  # the first that knows functions whose attributes have defaults
_MAX_CONSTANTS = 1 << 20  # bytes; only the graph's own weights can lie in a file of their own


def add_function(model: Any, node: Any, nodes: Sequence[Any], scope: Scope) -> str:
    """Adds to ``model`` a function for ``node`` that computes what ``nodes``, in their order, do.

    Nodes of one operator share the function; tf2trt's own operators have theirs.

    Returns:
        what there is to say of it: that the function is there, or why not.

    Raises:
        UsageError: the model has a function of this operator that computes something else.
    """
    onnx = require("onnx", "export")
    if node.op_type in OPERATORS:
        add_functions(model, [node.op_type])
        return f"the file holds what {node.op_type} computes, as a function"
    body = _with_constants(nodes, list(node.input), scope)
    weights = [item.t for inner in body for item in inner.attribute if item.HasField("t") and is_reference(item.t)]
    size = sum(inner.ByteSize() for inner in body) - sum(inner.ByteSize() for inner in nodes)
    size += sum(map(tensor_bytes, weights))
    if size > _MAX_CONSTANTS:
        return (
            f"no function of {node.op_type} in the file: {size / 2**20:.0f} MiB of constants are not among its inputs"
        )
    for tensor in weights:  # a function's constants lie in the graph
        tensor.CopyFrom(loaded(tensor))
    function = onnx.helper.make_function(
        node.domain,
        node.op_type,
        [f"x{place}" for place in range(len(node.input))],
        [f"y{place}" for place in range(len(node.output))],
        _renamed(body, node),
        [item for item in model.opset_import if item.domain in _domains(body)],
        attribute_protos=list(node.attribute),
    )
    for known in model.functions:
        if (known.domain, known.name) == (function.domain, function.name):
            if known.SerializeToString(deterministic=True) == function.SerializeToString(deterministic=True):
                return f"the file holds what {node.op_type} computes, as a function"
            raise UsageError(
                f"collapse: {node.op_type} computes something else elsewhere in the model",
                hint="name the weights and constants that differ among the inputs, or choose another operator's name",
            )
    model.functions.append(function)
    before, model.ir_version = model.ir_version, max(model.ir_version, _IR_VERSION)
    try:
        check_graph(model)
    except onnx.checker.ValidationError as error:
        model.functions.pop()
        model.ir_version = before
        return f"no function of {node.op_type} in the file: {str(error).strip().splitlines()[0]}"
    return f"the file holds what {node.op_type} computes, as a function"


def _with_constants(nodes: Sequence[Any], inputs: Sequence[str], scope: Scope) -> List[Any]:
    """Copies of ``nodes``, behind others that make the constants which they read: a function has no initializers."""
    helper = require("onnx.helper", "export")
    made = {name for node in nodes for name in node.output} | set(inputs)
    before: List[Any] = []

    def make(name: str) -> None:
        if name in made:
            return
        made.add(name)
        producer = scope.producer(name)[1]
        if producer is None:
            before.append(helper.make_node("Constant", [], [name], value=scope.initializers[name]))
            return
        for needed in node_reads(producer):
            make(needed)
        before.append(producer)
        made.update(producer.output)

    for node in nodes:
        for name in node_reads(node):
            make(name)
    return [type(node).FromString(node.SerializeToString()) for node in [*before, *nodes]]


def _renamed(body: Sequence[Any], node: Any) -> Sequence[Any]:
    """``body`` with names that depend on its structure alone, so that equal sub-graphs give equal functions."""
    names: Dict[str, str] = {name: f"x{place}" for place, name in enumerate(node.input)}
    names.update((name, f"y{place}") for place, name in enumerate(node.output))
    for name in (name for inner in body for name in _names(inner)):
        if name:
            names.setdefault(name, f"t{len(names)}")
    rename_tensors(body, names)
    for place, inner in enumerate(body):
        inner.name = f"{inner.op_type}_{place}"
        inner.ClearField("metadata_props")
        inner.ClearField("doc_string")
        for item in inner.attribute:
            if item.HasField("t"):
                item.t.ClearField("name")
                item.t.ClearField("doc_string")
    return body


def _names(node: Any) -> Iterator[str]:
    yield from node.input
    yield from node.output
    for body in nested(node):
        yield from (item.name for items in (body.input, body.initializer, body.output) for item in items)
        for inner in body.node:
            yield from _names(inner)


def _domains(nodes: Sequence[Any]) -> List[str]:
    domains = [node.domain for node in nodes]
    for node in nodes:
        domains.extend(domain for body in nested(node) for domain in _domains(body.node))
    return domains
