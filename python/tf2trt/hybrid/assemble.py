"""A cut graph as a GraphDef again: with engines in the place of the segments, or with probes on them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from tf2trt.extras import require
from tf2trt.hybrid.cut import Cut, CutBody
from tf2trt.hybrid.frozen import Body, Call, tensor_name

__all__ = ["ASSET", "EngineSettings", "Plan", "with_engines", "with_probes"]

ASSET = "tf2trt_asset"
"""The placeholder for the path of a file among the SavedModel's assets; the engines lie beside it."""

OPERATOR = "Tf2TrtEngine"

_ARGUMENT_TYPES = {"While": "T", "StatelessWhile": "T"}  # the attribute with the types; elsewhere it is Tin
_LOOPS = tuple(_ARGUMENT_TYPES)


_plans = itertools.count()


@dataclass(frozen=True)
class Plan:
    """A GraphDef with its library, and the names of its input tensors (without :data:`ASSET`'s) and output tensors."""

    graph_def: Any
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


@dataclass(frozen=True)
class EngineSettings:
    """What a segment's node is told: the op's attributes of these names (``cpp/hybrid/op.cpp`` describes them). Files
    are named as they are among the assets.
    """

    engine_file: str = ""
    onnx_file: str = ""
    calibration_file: str = ""
    allow_native: bool = True
    precision: str = "fp32"
    workspace: int = 0
    tensorrt_generation: int = 0
    maximum_cached_engines: int = 1

    def put_into(self, node: Any) -> None:
        """Sets the attributes of a NodeDef."""
        for name, value in vars(self).items():
            if isinstance(value, bool):
                node.attr[name].b = value
            elif isinstance(value, int):
                node.attr[name].i = value
            else:
                node.attr[name].s = value.encode()


def with_engines(cut_body: CutBody, settings: Mapping[str, EngineSettings]) -> Plan:
    """The graph in which each segment that ``settings`` names is one node, and its nodes a function for it to fall
    back on. The other segments stay as they were. The paths come in through the placeholder :data:`ASSET`, which is
    handed on to the loops and branches with segments.

    The op must be loaded (:func:`tf2trt.hybrid.op.load_op`).
    """
    library = _Library(cut_body.body.graph_def)

    def edit(each: CutBody, graph_def: Any) -> Edited:
        moved: Dict[str, str] = {}
        for segment in each.cuts:
            if segment.name in settings:
                native = _native_function(each.body, segment, library)
                node, given = _put_engine(graph_def, segment, each.body, native)
                settings[segment.name].put_into(node)
                moved.update(given)
        return moved, {}

    return _renamed(_rebuild(cut_body, library, edit, with_asset=True))


def with_probes(cut_body: CutBody, make_probe: Callable[[Cut, Sequence[Any]], Any]) -> Plan:
    """The graph with a node beside each segment that gets what it reads and gives. ``make_probe`` makes that node's
    NodeDef without inputs, from the segment and the dtypes of the tensors.
    """
    library = _Library(cut_body.body.graph_def)

    def edit(each: CutBody, graph_def: Any) -> Edited:
        moved: Dict[str, str] = {}
        unchanged: Dict[str, Set[str]] = {}
        for segment in each.cuts:
            piece = segment.accepted.piece
            seen = [*piece.reads, *piece.gives]
            probe = graph_def.node.add()
            probe.CopyFrom(make_probe(segment, [each.body.tensor(name).dtype for name in seen]))
            probe.name = f"{segment.name}/tf2trt_probe"
            probe.input.extend(seen)
            own = {probe.name, *piece.nodes}
            unchanged.update((name, own) for name in piece.gives)
            for index, name in enumerate(piece.gives):
                # What reads the segment's results waits for the probe, which would not run otherwise.
                copy = graph_def.node.add(name=f"{segment.name}/tf2trt_{index}", op="Identity")
                copy.input.extend([name, f"^{probe.name}"])
                copy.attr["T"].type = each.body.tensor(name).dtype.as_datatype_enum
                moved[name] = f"{copy.name}:0"
                own.add(copy.name)
        return moved, unchanged

    return _renamed(_rebuild(cut_body, library, edit, with_asset=False))


def _renamed(plan: Plan) -> Plan:
    """The same with function names that no other plan has: TensorFlow keeps one table of them for the process."""
    number = next(_plans)
    names = {each.signature.name: f"{each.signature.name}_tf2trt{number}" for each in plan.graph_def.library.function}
    bodies = [each.node_def for each in plan.graph_def.library.function]
    for function in plan.graph_def.library.function:
        function.signature.name = names[function.signature.name]
    for node in [node for body in [plan.graph_def.node, *bodies] for node in body]:
        for value in node.attr.values():
            for function in [*([value.func] if value.HasField("func") else []), *value.list.func]:
                function.name = names.get(function.name, function.name)
    return plan


class _Library:
    """The functions of the model, and those that are made of them."""

    def __init__(self, graph_def: Any) -> None:
        self.functions = {each.signature.name: each for each in graph_def.library.function}

    def put_into(self, graph_def: Any) -> None:
        """Adds the functions that ``graph_def`` needs, directly or through others."""
        found: Set[str] = set()
        waiting = [name for node in graph_def.node for name in _functions_of(node)]
        while waiting:
            name = waiting.pop()
            if name not in found and name in self.functions:
                found.add(name)
                function = self.functions[name]
                waiting += [each for node in function.node_def for each in _functions_of(node)]
        graph_def.library.Clear()
        graph_def.library.function.extend(self.functions[name] for name in sorted(found))

    def add(self, name: str, plan: Plan, results: Sequence[str], control_outputs: Mapping[str, str]) -> str:
        """Makes a function of a graph; returns its name."""
        tensorflow = require("tensorflow", "export")
        convert = require("tensorflow.python.framework.graph_to_function_def", "export").graph_to_function_def
        with tensorflow.Graph().as_default() as graph:
            tensorflow.import_graph_def(plan.graph_def, name="")
        inputs = [graph.get_tensor_by_name(each) for each in plan.inputs]
        outputs = [graph.get_tensor_by_name(each) for each in plan.outputs]
        arguments = {tensor.op.name for tensor in inputs}
        operations = [each for each in graph.get_operations() if each.name not in arguments]
        function = convert(graph, operations, inputs, outputs, out_names=list(results))
        function.signature.name = name
        for key, node in control_outputs.items():
            function.control_ret[key] = node
            function.signature.control_output.append(key)
        self.functions[name] = function
        return name


def _functions_of(node: Any) -> List[str]:
    names = []
    for value in node.attr.values():
        if value.HasField("func"):
            names.append(value.func.name)
        names += [function.name for function in value.list.func]
    return names


Edited = Tuple[Dict[str, str], Dict[str, Set[str]]]
Edit = Callable[[CutBody, Any], Edited]


def _rebuild(cut_body: CutBody, library: _Library, edit: Edit, *, with_asset: bool) -> Plan:
    """A cut graph after ``edit``, which changes it and says which tensors took the place of which, and which nodes
    go on reading an old one.
    """
    body = cut_body.body
    graph_def = type(body.graph_def)()
    graph_def.versions.CopyFrom(body.graph_def.versions)
    graph_def.node.extend(body.without_idle_waiting())
    if with_asset:
        asset = graph_def.node.add(name=ASSET, op="Placeholder")
        asset.attr["dtype"].type = require("tensorflow", "export").string.as_datatype_enum
        asset.attr["shape"].shape.SetInParent()
    nodes = {node.name: node for node in graph_def.node}
    callees = cut_body.with_segments()
    for call, callee in callees:
        inner = _rebuild(callee, library, edit, with_asset=with_asset)
        name = _make_function(callee.body, call, nodes[call.node].op, inner, library, with_asset=with_asset)
        _function_of(nodes[call.node], call).name = name
    if with_asset:
        for name in dict.fromkeys(call.node for call, _ in callees):
            changed = {_place(call) for call, _ in callees if call.node == name}
            _hand_asset_on(nodes[name], changed, library)
    moved, unchanged = edit(cut_body, graph_def)
    for node in graph_def.node:
        for place, source in enumerate(node.input):
            tensor = tensor_name(source)
            if tensor in moved and node.name not in unchanged.get(tensor, ()):
                node.input[place] = moved[tensor]
    library.put_into(graph_def)
    inputs = (*body.inputs, f"{ASSET}:0") if with_asset else body.inputs
    return Plan(graph_def, inputs, tuple(moved.get(name, name) for name in body.outputs))


def _make_function(body: Body, call: Call, operator: str, plan: Plan, library: _Library, *, with_asset: bool) -> str:
    original = library.functions[call.function]
    results = [each.name for each in original.signature.output_arg]
    if with_asset and operator in _LOOPS:
        plan = Plan(plan.graph_def, plan.inputs, (*plan.outputs, f"{ASSET}:0"))
        results.append(f"{ASSET}_out")
    return library.add(body.name, plan, results, body.effects)


def _place(call: Call) -> Tuple[str, Optional[int]]:
    return call.attribute, call.index


def _function_of(node: Any, call: Call) -> Any:
    value = node.attr[call.attribute]
    return value.func if call.index is None else value.list.func[call.index]


def _hand_asset_on(node: Any, changed: Set[Tuple[str, Optional[int]]], library: _Library) -> None:
    """Gives a node that runs functions one more argument, and so those of its functions that have no segments."""
    string = require("tensorflow", "export").string.as_datatype_enum
    inputs = [name for name in node.input if not name.startswith("^")]
    controls = [name for name in node.input if name.startswith("^")]
    del node.input[:]
    node.input.extend([*inputs, ASSET, *controls])
    node.attr[_ARGUMENT_TYPES.get(node.op, "Tin")].list.type.append(string)
    if node.op in _LOOPS and node.attr["output_shapes"].list.shape:
        node.attr["output_shapes"].list.shape.add()
    for attribute, value in node.attr.items():
        listed = [(None, value.func)] if value.HasField("func") else list(enumerate(value.list.func))
        for index, function in listed:
            if (attribute, index) not in changed:
                copy = type(library.functions[function.name])()
                copy.CopyFrom(library.functions[function.name])
                copy.signature.name = f"{function.name}_{ASSET}"
                copy.signature.input_arg.add(name=ASSET, type=string)
                library.functions[copy.signature.name] = copy
                function.name = copy.signature.name


def _native_function(body: Body, segment: Cut, library: _Library) -> str:
    piece = segment.accepted.piece
    plan = Plan(piece.graph_def, tuple(f"{name}:0" for name in piece.inputs), piece.gives)
    results = [f"output_{index}" for index in range(len(piece.gives))]
    return library.add(f"tf2trt_native_{segment.name}", plan, results, {})


def _put_engine(graph_def: Any, segment: Cut, body: Body, native: str) -> Tuple[Any, Dict[str, str]]:
    """Replaces the segment's nodes by one; returns it, and which of its tensors took the place of which."""
    piece = segment.accepted.piece
    members = set(piece.nodes)
    kept = [node for node in graph_def.node if node.name not in members]
    del graph_def.node[:]
    graph_def.node.extend(kept)
    name = f"tf2trt/{segment.name}"
    node = graph_def.node.add(name=name, op=OPERATOR)
    node.input.extend([ASSET, *piece.reads, *(f"^{waited}" for waited in piece.waits_for)])
    node.attr["InT"].list.type.extend(body.tensor(each).dtype.as_datatype_enum for each in piece.reads)
    node.attr["OutT"].list.type.extend(body.tensor(each).dtype.as_datatype_enum for each in piece.gives)
    node.attr["segment"].s = segment.name.encode()
    node.attr["output_shapes"].list.shape.extend(body.tensor(each).shape.as_proto() for each in piece.gives)
    node.attr["native"].func.name = native
    node.attr["input_names"].list.s.extend(each.encode() for each in segment.accepted.inputs)
    node.attr["output_names"].list.s.extend(each.encode() for each in segment.accepted.outputs)
    for other in graph_def.node:
        for place, source in enumerate(other.input):
            if source.startswith("^") and source[1:] in members:
                other.input[place] = f"^{name}"
    return node, {tensor: f"{name}:{index}" for index, tensor in enumerate(piece.gives)}
