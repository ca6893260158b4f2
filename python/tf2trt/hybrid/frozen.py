"""A signature of a SavedModel as one graph without variables, and the function bodies that it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from tf2trt.errors import ExportError
from tf2trt.export import saved_model
from tf2trt.export.source import brief
from tf2trt.extras import require
from tf2trt.hybrid.graph import Node, topological_order
from tf2trt.specs import TensorSpec

__all__ = ["Body", "Call", "Frozen", "freeze_saved_model", "is_constant", "tensor_name"]

# The operators that run functions, and their attributes that name those whose work is worth a segment. The condition of
# a loop is not: a few scalars.
_CALLS: Dict[str, Tuple[str, ...]] = {
    "While": ("body",),
    "StatelessWhile": ("body",),
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
    "PartitionedCall": ("f",),
    "StatefulPartitionedCall": ("f",),
}
_LOOPS = ("While", "StatelessWhile")
_SELECTORS = ("If", "StatelessIf", "Case", "StatelessCase")  # their first input chooses the function


@dataclass(frozen=True)
class Call:
    """A node that runs a function: the attribute that names it, and its place where that is a list (else None)."""

    node: str
    attribute: str
    index: Optional[int]
    function: str


@dataclass
class Body:
    """A graph to be cut: the main one (``name`` is ``""``) or a function's body.

    ``graph_def`` has the functions that it calls in its library. ``inputs`` and ``outputs`` are names of tensors,
    ``NAME:INDEX``; ``control_outputs`` names nodes that have to run though nothing reads them.
    """

    name: str
    graph_def: Any
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    control_outputs: Dict[str, str] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Any:
        """The ``tf.Graph``, which knows each tensor's dtype and, as far as it can be inferred, shape."""
        tensorflow = require("tensorflow", "export")
        with tensorflow.Graph().as_default() as graph:
            tensorflow.import_graph_def(self.graph_def, name="")
        return graph

    @cached_property
    def node_defs(self) -> Dict[str, Any]:
        """The nodes by their names."""
        return {node.name: node for node in self.graph_def.node}

    def tensor(self, name: str) -> Any:
        """The symbolic tensor called ``name``."""
        return self.graph.get_tensor_by_name(name)

    @cached_property
    def ordered(self) -> List[Node]:
        """All nodes, in an order in which they can run."""
        nodes = {}
        for node in self.graph_def.node:
            reads = tuple(name.split(":")[0] for name in node.input if not name.startswith("^"))
            nodes[node.name] = Node(node.name, reads, tuple(name[1:] for name in node.input if name.startswith("^")))
        return [nodes[name] for name in topological_order(list(nodes.values()))]

    @cached_property
    def worth_waiting_for(self) -> Set[str]:
        """The nodes that have an effect, or come after one. A control edge from another holds back nothing:
        TensorFlow's optimiser leaves some of these.
        """
        found: Set[str] = set()
        for node in self.ordered:
            is_stateful = self.graph.get_operation_by_name(node.name).op_def.is_stateful
            if is_stateful or found.intersection((*node.inputs, *node.controls)):
                found.add(node.name)
        return found

    def plain_nodes(self) -> List[Node]:
        """The graph for :func:`~tf2trt.hybrid.segments.find_segments`, in an order in which it can run.

        It has no constants, since every segment that reads one gets a copy of it, and no control edges that hold back
        nothing.
        """
        constants = {node.name for node in self.graph_def.node if is_constant(node)}
        return [
            Node(
                node.name,
                tuple(name for name in node.inputs if name not in constants),
                tuple(name for name in node.controls if name in self.worth_waiting_for - constants),
            )
            for node in self.ordered
            if node.name not in constants
        ]

    def without_idle_waiting(self) -> List[Any]:
        """Copies of the nodes without the control edges that hold back nothing."""
        copies = []
        for node in self.graph_def.node:
            copy = type(node)()
            copy.CopyFrom(node)
            kept = [name for name in node.input if not name.startswith("^") or name[1:] in self.worth_waiting_for]
            del copy.input[:]
            copy.input.extend(kept)
            copies.append(copy)
        return copies

    @property
    def effects(self) -> Dict[str, str]:
        """``control_outputs`` without what has no effect, which need not run."""
        return {
            key: name
            for key, name in self.control_outputs.items()
            if name in self.node_defs and self.graph.get_operation_by_name(name).op_def.is_stateful
        }

    def calls(self) -> Iterator[Call]:
        """Each function that a node of this graph runs and that may hold segments of its own."""
        for node in self.graph_def.node:
            for attribute in _CALLS.get(node.op, ()):
                value = node.attr[attribute]
                if value.HasField("func"):
                    yield Call(node.name, attribute, None, value.func.name)
                else:
                    for index, function in enumerate(value.list.func):
                        yield Call(node.name, attribute, index, function.name)

    def callee(self, call: Call, name: str) -> Body:
        """The body of the function that ``call`` runs, under a name of its own, with the shapes that it gets here.

        What the caller hands in as a constant, a loop's weights among it, is a constant in it.
        """
        node = self.node_defs[call.node]
        function = next(each for each in self.graph_def.library.function if each.signature.name == call.function)
        convert = require("tensorflow.python.framework.function_def_to_graph", "export")
        with self.graph.as_default():
            graph_def, flat = convert.function_def_to_graph_def(function)
        graph_def.library.CopyFrom(self.graph_def.library)
        arguments = [tensor_name(each) for each in node.input if not each.startswith("^")]
        arguments = arguments[1:] if node.op in _SELECTORS else arguments
        outputs = tuple(tensor_name(flat[function.ret[each.name]]) for each in function.signature.output_arg)
        names = [each.name for each in function.signature.input_arg]
        shapes = _shapes(self, node, arguments)
        placeholders = {each.name: each for each in graph_def.node if each.op == "Placeholder"}
        for argument, shape in zip(names, shapes):
            placeholders[argument].attr["shape"].shape.CopyFrom(shape.as_proto())
        fixed = {
            argument: self.node_defs[source.split(":")[0]]
            for place, (argument, source) in enumerate(zip(names, arguments))
            if is_constant(self.node_defs[source.split(":")[0]])
            and (node.op not in _LOOPS or _handed_through(graph_def, outputs[place], argument))
        }
        _fix(graph_def, fixed, outputs)
        return Body(name, graph_def, tuple(f"{each}:0" for each in names), outputs, dict(function.control_ret))


@dataclass(frozen=True)
class Frozen:
    """The main graph, with what its inputs and outputs are called outside.

    ``inputs`` and ``outputs`` of the body are in the order of ``inputs`` and ``outputs`` here. ``captures`` are the
    tensors, handles of tables for instance, for the placeholders of those names; ``loaded`` owns them.
    """

    body: Body
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[str, ...]
    captures: Dict[str, Any]
    loaded: Any
    detected: str


def is_constant(node: Any) -> bool:
    """Whether ``node`` (a NodeDef) is a constant."""
    return bool(node.op == "Const")


def tensor_name(name: str) -> str:
    """``NAME`` as ``NAME:0``."""
    return name if ":" in name else f"{name}:0"


def freeze_saved_model(path: Path, signature: Optional[str] = None, tags: Optional[Sequence[str]] = None) -> Frozen:
    """One signature of the SavedModel ``path``, its variables made constants. Everything else stays, control flow too.

    Raises:
        UsageError: the signature or the tags are not there, or several are and none was asked for.
        ExportError: there is no SavedModel, or TensorFlow cannot load, trace or freeze it.
    """
    tensorflow = require("tensorflow", "export")
    if not saved_model.is_saved_model(path):
        raise ExportError(f"there is no SavedModel at {path}", expected="a folder with saved_model.pb in it")
    source = saved_model.source(tensorflow, path, signature, tags)
    names: List[str] = []

    def traced(*tensors: Any) -> Any:
        pairs = source.run(tensors)
        names[:] = [name for name, _ in pairs]
        # A node of its own for each: the same tensor given out twice, or an input handed through.
        return [tensorflow.identity(tensor) for _, tensor in pairs]

    given = [
        tensorflow.TensorSpec([None if extent < 0 else extent for extent in spec.shape], spec.dtype, spec.name)
        for spec in source.inputs
    ]
    try:
        concrete = tensorflow.function(traced, input_signature=given).get_concrete_function()
        inputs = [tensor.name for tensor in concrete.inputs[: len(given)]]
        outputs = [tensor.name for tensor in concrete.outputs]
        with tensorflow.device("/cpu:0"):
            graph_def = require("tf2onnx.tf_loader", "export").from_function(concrete, inputs, outputs)
    except Exception as error:
        raise ExportError(f"TensorFlow cannot freeze the SavedModel {path}", received=brief(error)) from error
    for node in [*graph_def.node, *(each for function in graph_def.library.function for each in function.node_def)]:
        # TensorFlow places the nodes anew: a GPU of another name, or none, must not keep the result from running.
        node.device = ""
        # Freezing turns it off. As a kernel of its own a loop or branch is slower, and all of it runs on one device.
        if "_lower_using_switch_merge" in node.attr:
            node.attr["_lower_using_switch_merge"].b = True
    left = {node.name for node in graph_def.node if node.op == "Placeholder"} - {name.split(":")[0] for name in inputs}
    captures = {inner.op.name: outer for outer, inner in concrete.graph.captures if inner.op.name in left}
    body = Body("", graph_def, tuple(inputs), tuple(outputs))
    loaded = source.run.model  # type: ignore[attr-defined]
    return Frozen(body, source.inputs, tuple(names), captures, loaded, source.detected)


def _shapes(caller: Body, node: Any, arguments: Sequence[str]) -> List[Any]:
    """The shapes of a function's arguments; a loop's are those that hold in each round."""
    shapes = [caller.tensor(name).shape for name in arguments]
    if node.op not in _LOOPS:
        return shapes
    tensor_shape = require("tensorflow", "export").TensorShape
    stated = [tensor_shape(shape) for shape in node.attr["output_shapes"].list.shape]
    return stated if len(stated) == len(shapes) else [tensor_shape(None)] * len(shapes)


def _handed_through(graph_def: Any, output: str, argument: str) -> bool:
    nodes = {node.name: node for node in graph_def.node}
    name = output.split(":")[0]
    while nodes[name].op == "Identity":
        name = tensor_name(nodes[name].input[0]).split(":")[0]
    return name == argument


def _fix(graph_def: Any, constants: Dict[str, Any], outputs: Sequence[str]) -> None:
    """Lets the readers of these arguments read constants; the arguments stay, since the function has them."""
    stands_for = {argument: f"{argument}/tf2trt_constant" for argument in constants}
    handed_on = True
    while handed_on:
        handed_on = False
        for node in list(graph_def.node):
            for place, name in enumerate(node.input):
                if name.split(":")[0] in stands_for:
                    node.input[place] = stands_for[name.split(":")[0]]
            # What was the reading of a variable once: its readers are to have the constant too.
            is_copy = node.op == "Identity" and list(node.input)[1:] == [] and node.input[0] in stands_for.values()
            if is_copy and f"{node.name}:0" not in outputs:
                stands_for[node.name] = node.input[0]
                graph_def.node.remove(node)
                handed_on = True
    for node in graph_def.node:
        kept = [name for name in node.input if not (name.startswith("^") and name[1:] in stands_for)]
        if len(kept) < len(node.input):
            del node.input[:]
            node.input.extend(kept)
    for argument, constant in constants.items():
        copy = graph_def.node.add()
        copy.CopyFrom(constant)
        copy.name = stands_for[argument]
        del copy.input[:]
