"""One node in the place of a sub-graph that is named by its inputs and outputs."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple, Union

from tf2trt.errors import UsageError
from tf2trt.extras import require
from tf2trt.surgery.bindings import dtype_name, find_tensor, node_reads, unused_name
from tf2trt.surgery.edit import drop_unused
from tf2trt.surgery.nodes import label
from tf2trt.surgery.plugins.functions import DOMAIN, opset_of
from tf2trt.surgery.plugins.scope import Scope
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.subgraph_function import add_function

__all__ = ["Collapse", "collapse", "parse_collapse"]

Attribute = Union[int, float, str, Sequence[int], Sequence[float], Sequence[str]]
_FORM = "op=NAME;inputs=A,B;outputs=C;domain=my.plugins;attr alpha=0.1;name=N, the last three as needed"


@dataclass(frozen=True)
class Collapse:
    """What to collapse, and into what.

    Attributes:
        op: the operator of the new node.
        inputs: the tensors that it reads, in order: tensors, or nodes or layers for what they make. Weights too, where
            it needs them: constants that are not named here go with the sub-graph.
        outputs: the tensors that it makes, in order, named in the same way; they keep their names.
        domain: the operator's domain, and the namespace under which TensorRT looks for the plugin; "" for one of
            ONNX's own operators.
        attributes: the node's attributes. A plugin's node gets ``plugin_version`` ("1") and ``plugin_namespace`` (the
            domain) where they are not here.
        name: the node's name; by default that of the node that made the first output, and the operator behind it.

    Raises:
        UsageError: no operator, no inputs or no outputs.
    """

    op: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    domain: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        if not self.op or isinstance(self.inputs, str) or isinstance(self.outputs, str):
            raise UsageError("collapse", received=repr(self), expected="an operator, a list of inputs, one of outputs")
        if not all(self.inputs) or not all(self.outputs) or not self.inputs or not self.outputs:
            raise UsageError("collapse", received=repr(self), expected="at least one input and one output, by name")


def parse_collapse(text: str) -> Collapse:
    """``"op=MyOp;inputs=a,b;outputs=c;domain=my.plugins;attr alpha=0.1"`` of a command line.

    An attribute is a whole number, a number with a point, a list in brackets, or else a string.

    Raises:
        UsageError: the text is not of that form.
    """
    given: Dict[str, str] = {}
    attributes: Dict[str, Attribute] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (part.strip() for part in entry.partition("="))
        words = key.split()
        is_attribute = len(words) == 2 and words[0] == "attr"
        if not equals or not (is_attribute or key in ("op", "inputs", "outputs", "domain", "name")):
            raise UsageError("collapse", received=repr(entry), expected=_FORM)
        if key in given or words[-1] in attributes:
            raise UsageError(f"collapse: {key!r} is there twice", received=repr(text))
        if is_attribute:
            attributes[words[1]] = _value(value)
        else:
            given[key] = value
    missing = [key for key in ("op", "inputs", "outputs") if not given.get(key)]
    if missing:
        raise UsageError(f"collapse: {' and '.join(missing)} missing", received=repr(text), expected=_FORM)
    return Collapse(
        given["op"],
        [name.strip() for name in given["inputs"].split(",")],
        [name.strip() for name in given["outputs"].split(",")],
        given.get("domain", ""),
        attributes,
        given.get("name", ""),
    )


def collapse(item: Collapse, model: Any, notes: List[str]) -> Any:
    """Replaces the nodes between ``item.inputs`` and ``item.outputs`` by one, in the main graph of ``model``.

    Those are the nodes on a way from an input to an output, and constants that only they read. In the domain
    ``tf2trt`` the file keeps what they computed as a function of the operator, where the checker takes it, so that it
    runs in ONNX Runtime as before; ``tf2trt.surgery.lower_plugins`` puts it back. In other domains it does not:
    TensorRT from 10 on would take the function and not the plugin.

    Raises:
        UsageError: a name that does not exist, inputs and outputs that do not cut a sub-graph out (the message names
            the tensor), or an operator of no domain that ONNX does not have.
    """
    onnx = require("onnx", "export")
    if not item.domain and not onnx.defs.has(item.op, opset_of(model)):
        raise UsageError(
            f"collapse: ONNX's opset {opset_of(model)} has no operator {item.op!r}",
            expected="a domain for a plugin's operator, such as domain=my.plugins",
        )
    inputs = [find_tensor(model, name, "collapse: inputs") for name in item.inputs]
    outputs = [find_tensor(model, name, "collapse: outputs") for name in item.outputs]
    for what, names in (("inputs", inputs), ("outputs", outputs)):
        if len(set(names)) < len(names):
            raise UsageError(f"collapse: {what}: a tensor is there twice", received=", ".join(names))
    model = infer_shapes(model)  # the outputs' types, which nobody can tell from the new node
    scope = Scope(model.graph)
    inside, after = _inside(scope, inputs, outputs)
    constants = _constants(scope, inside, inputs)
    node = _new_node(model, item, inputs, outputs, scope.nodes[scope.producer(outputs[0])[0]])
    old = [scope.nodes[index] for index in sorted(inside)]
    notes.append(f"{len(old)} nodes are one {item.op} {node.name!r} now: {_kinds(old)}")
    if constants:
        notes.append(f"it does not get the constants {', '.join(constants)}: name those that it needs among the inputs")
    if item.domain:
        if item.domain == DOMAIN:
            notes.append(add_function(model, node, old, scope))
        else:
            notes.append(f"no function of {item.op} in the file: TensorRT from 10 on would take it and not the plugin")
        if all(known.domain != item.domain for known in model.opset_import):
            model.opset_import.add(domain=item.domain, version=1)
    graph = model.graph
    before = [node for index, node in enumerate(scope.nodes) if index not in inside | after]
    behind = [scope.nodes[index] for index in sorted(after)]
    del graph.node[:]
    graph.node.extend([*before, node, *behind])
    drop_unused(model)
    return model


def _inside(scope: Scope, inputs: Sequence[str], outputs: Sequence[str]) -> Tuple[Set[int], Set[int]]:
    """The places of the nodes to replace, and of those outside that need what they make."""
    forward = _behind(scope, inputs, set())
    backward: Set[int] = set()
    waiting = [name for name in outputs if name not in inputs]
    reached: Set[str] = set(inputs) & set(outputs)
    while waiting:
        name = waiting.pop()
        index, node = scope.producer(name)
        if name in inputs:
            reached.add(name)
        elif node is not None and index not in backward:
            backward.add(index)
            waiting.extend(node_reads(node))
    inside = forward & backward
    made = {name for index in inside for name in scope.nodes[index].output if name}
    for name in inputs:
        if name not in reached or name in outputs:
            raise UsageError(f"collapse: no output needs the input {name!r}", received=", ".join(outputs))
        if name in made:
            raise UsageError(f"collapse: the input {name!r} lies inside, it depends on the others")
    for name in outputs:
        if name not in made:
            raise UsageError(f"collapse: the output {name!r} depends on no input", received=", ".join(inputs))
    for index in sorted(inside):
        for name in node_reads(scope.nodes[index]):
            if name not in made and name not in inputs and not _is_constant(scope, name):
                raise UsageError(
                    f"collapse: the inputs do not cut it off: {label(scope.nodes[index])} reads {name!r} too",
                    received=f"inputs {', '.join(inputs)}",
                    hint=f"add {name} to the inputs, or choose others",
                )
    for name in sorted(made - set(outputs)):
        readers = [reader for reader in scope.users.get(name, ()) if reader not in inside]
        if readers:
            who = "the caller" if readers[0] == Scope.OUTPUT else label(scope.nodes[readers[0]])
            raise UsageError(
                f"collapse: {name!r} inside the sub-graph is read outside, by {who}",
                received=f"outputs {', '.join(outputs)}",
                hint=f"add {name} to the outputs, or choose others",
            )
    after = _behind(scope, outputs, inside)
    fed = {name for index in after for name in scope.nodes[index].output}
    for name in inputs:
        if name in fed:
            raise UsageError(f"collapse: the input {name!r} depends on an output", received=", ".join(outputs))
    return inside, after


def _behind(scope: Scope, names: Sequence[str], without: Set[int]) -> Set[int]:
    """The nodes that need one of the tensors ``names``, directly or not; those ``without`` are not gone through."""
    found: Set[int] = set()
    waiting = list(names)
    while waiting:
        for index in scope.users.get(waiting.pop(), ()):
            if index != Scope.OUTPUT and index not in found | without:
                found.add(index)
                waiting.extend(name for name in scope.nodes[index].output if name)
    return found


def _is_constant(scope: Scope, name: str) -> bool:
    """Whether a tensor depends on no input of the graph."""
    seen: Set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in seen or name in scope.initializers:
            continue
        seen.add(name)
        node = scope.producer(name)[1]
        if node is None:
            return False
        waiting.extend(node_reads(node))
    return True


def _constants(scope: Scope, inside: Set[int], inputs: Sequence[str]) -> List[str]:
    """What the sub-graph reads without its being an input, with its type and shape."""
    made = {name for index in inside for name in scope.nodes[index].output}
    read = dict.fromkeys(name for index in sorted(inside) for name in node_reads(scope.nodes[index]))
    return [
        f"{name} ({dtype_name(scope.type(name))} {'x'.join(map(str, scope.dims(name) or ())) or 'scalar'})"
        for name in read
        if name not in made and name not in inputs
    ]


def _new_node(model: Any, item: Collapse, inputs: Sequence[str], outputs: Sequence[str], last: Any) -> Any:
    taken = {node.name for node in model.graph.node}
    if item.name in taken:
        raise UsageError("collapse: a node of this name is there already", received=item.name)
    plugin = {"plugin_version": "1", "plugin_namespace": item.domain} if item.domain else {}
    attributes = {**plugin, **item.attributes}
    attributes.update((key, str(attributes[key])) for key in plugin)
    name = item.name or unused_name(f"{last.name or outputs[0]}/{item.op}", taken)
    node = require("onnx.helper", "export").make_node(
        item.op, inputs, outputs, name=name, domain=item.domain, **attributes
    )
    node.metadata_props.extend(last.metadata_props)  # the layer that it is a part of
    return node


def _kinds(nodes: Sequence[Any]) -> str:
    counts: Dict[str, int] = {}
    for node in nodes:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return ", ".join(f"{count} {op}" for op, count in sorted(counts.items()))


def _value(text: str) -> Attribute:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (int, float, str, list)) else text
