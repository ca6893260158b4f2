"""The opposite: standard operators in the place of the nodes of domain ``tf2trt``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator, List, Tuple, Union

from tf2trt.errors import OnnxError, SurgeryError
from tf2trt.extras import require
from tf2trt.surgery.fold_constants import fold_constants
from tf2trt.surgery.nodes import nested
from tf2trt.surgery.plugins.functions import DOMAIN, OPERATORS, add_functions
from tf2trt.surgery.plugins.scope import scopes
from tf2trt.surgery.remove_casts import remove_casts
from tf2trt.surgery.shapes import infer_shapes, weights_aside

__all__ = ["lower_model", "needs_plugins"]

PathLike = Union[str, "os.PathLike[str]"]


def needs_plugins(source: Any) -> Tuple[str, ...]:
    """The operators of domain ``tf2trt`` that a model uses, sorted; empty for one of standard operators only.

    Args:
        source: an ONNX file, whose weights beside it are not read, or an ``onnx.ModelProto``.

    Raises:
        OnnxError: there is no such file, or it is not ONNX.
        MissingExtraError: onnx is not installed.
    """
    onnx = require("onnx", "export")
    if not isinstance(source, (str, os.PathLike)):
        return _used(source)
    path = Path(source)
    if not path.is_file():
        raise OnnxError(f"there is no ONNX file at {path}")
    try:
        return _used(onnx.load(str(path), load_external_data=False))
    except Exception as error:
        raise OnnxError(f"{path} cannot be read", received=f"{type(error).__name__}: {str(error)[:500]}") from error


def lower_model(model: Any, notes: List[str]) -> Any:
    """Replaces every node of domain ``tf2trt`` by its function's nodes: the model's or ours. May change ``model``.

    Inputs, outputs and all other nodes keep their names. What is left holds standard operators only, with axes and
    epsilons as initializers, and neither functions nor an import of the domain.

    Raises:
        SurgeryError: an operator of the domain is neither ours nor has a function in the model.
    """
    used = _used(model)
    present = {function.name for function in model.functions if function.domain == DOMAIN}
    unknown = sorted(set(used) - present - set(OPERATORS))
    if unknown:
        raise SurgeryError(
            f"there are operators of domain {DOMAIN!r} that tf2trt does not know",
            received=", ".join(unknown),
            expected=f"{' or '.join(OPERATORS)}, or a function in the file that says what they compute",
        )
    if used:
        ir_version = model.ir_version
        add_functions(model, used)
        model = _with_plain_casts(_inlined(model))
        model.ir_version = ir_version
    # Functions and an import may also be left of nodes that another tool took away.
    for items in (model.functions, model.opset_import):
        for item in [item for item in items if item.domain == DOMAIN]:
            items.remove(item)
    return remove_casts(fold_constants(model, notes), notes) if used else model


def _used(model: Any) -> Tuple[str, ...]:
    nodes = [node for holder in [model.graph, *model.functions] for node in _nodes(holder)]
    return tuple(sorted({node.op_type for node in nodes if node.domain == DOMAIN}))


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for body in nested(node):
            yield from _nodes(body)


def _inlined(model: Any) -> Any:
    inliner = require("onnx.inliner", "export")
    functions = {function.name: function for function in model.functions if function.domain == DOMAIN}
    for holder in [model.graph, *model.functions]:
        for node in _nodes(holder):
            if node.domain == DOMAIN:
                # The inliner does not know a function's default values.
                given = {item.name for item in node.attribute}
                defaults = functions[node.op_type].attribute_proto
                node.attribute.extend(item for item in defaults if item.name not in given)
    with weights_aside(model) as restore:
        inlined = inliner.inline_selected_functions(model, [(DOMAIN, name) for name in functions])
        restore(inlined)
    return inlined


def _with_plain_casts(model: Any) -> Any:
    """CastLike as Cast, where the type is known: a Cast to the type that there is goes away in the end."""
    onnx = require("onnx", "export")
    model = infer_shapes(model)
    for scope in scopes(model):
        for node in scope.nodes:
            kind = scope.type(node.input[1]) if node.op_type == "CastLike" else 0
            if kind:
                node.CopyFrom(onnx.helper.make_node("Cast", node.input[:1], node.output, name=node.name, to=kind))
    return model
