"""What callers see of a model: its inputs and outputs, their names, shapes, types and layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from tf2trt.errors import UsageError
from tf2trt.surgery.bindings import describe, find_tensor, graph_inputs, known_names, node_reads, rename_tensors
from tf2trt.surgery.edit import drop_unused
from tf2trt.surgery.input_shapes import check_shapes, set_shapes
from tf2trt.surgery.input_types import check_layouts, check_types, set_layouts, set_types
from tf2trt.surgery.shapes import infer_shapes

__all__ = ["Interface", "apply_interface", "parse_dtypes", "parse_pairs"]


@dataclass(frozen=True)
class Interface:
    """What is to change. Everything is named as it was before; what is not named stays as it is.

    Attributes:
        shapes: by input, in the model's own layout: a number makes an extent static, -1 keeps or makes it dynamic.
            Extents of the same symbolic name stay equal. Of the static ones only the first can be changed, and only
            where ONNX Runtime shows that the graph has nothing of it built in.
        outputs: in this order instead of those that there are: outputs, inner tensors, nodes (what they make), or
            layers (the last tensor of the nodes whose metadata ``tf2trt.layer`` is this name). What they do not need
            goes, inputs included. Empty: those that there are.
        rename: new names of inputs and outputs by their old ones.
        inputs_as_nchw: inputs of rank 4 that callers are to give as NCHW in place of NHWC; ``"all"`` for all of them.
        input_dtypes: new types by input, such as ``{"image": "uint8"}``; ``"all"`` for all floating-point inputs of
            rank 4. The graph converts to the type that it had.

    Raises:
        UsageError: a string in the place of a list.
    """

    shapes: Mapping[str, Tuple[int, ...]] = field(default_factory=dict)
    outputs: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    inputs_as_nchw: Sequence[str] = ()
    input_dtypes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("outputs", "inputs_as_nchw"):
            if isinstance(getattr(self, name), str):
                raise UsageError(name, received=repr(getattr(self, name)), expected="a list of names")

    def __bool__(self) -> bool:
        """Whether anything is to change."""
        return bool(self.shapes or self.outputs or self.rename or self.inputs_as_nchw or self.input_dtypes)


def apply_interface(model: Any, interface: Interface, notes: List[str]) -> Any:
    """Changes a model's inputs and outputs; it computes the same on them. Not a pass: passes keep inputs and outputs.

    Args:
        model: an ``onnx.ModelProto``, which may be changed, also where an error is raised.
        notes: gets a sentence for each thing done.

    Returns:
        the model.

    Raises:
        UsageError: a name that does not exist or that would be there twice, a shape or type that cannot be, all found
            before long work; or a shape that the graph does not take.
        MissingExtraError: onnx, or ONNX Runtime where it is needed to check a shape, is not installed.
    """
    inputs = {value.name: value for value in graph_inputs(model)}
    for what, names in (("shapes", interface.shapes), ("inputs", [*interface.inputs_as_nchw, *interface.input_dtypes])):
        for name in names:
            if name not in inputs and (what == "shapes" or name != "all"):
                _refuse(f"{what}: the model has no such input", name, inputs.values())
    check_shapes(inputs, interface.shapes)
    types = check_types(inputs, interface.input_dtypes)
    layouts = check_layouts(inputs, interface.inputs_as_nchw)
    marked = _outputs(model, interface.outputs)
    renamed = _renamed(model, interface.rename, marked)
    for value in model.graph.output:
        if value.name in types or value.name in layouts:
            raise UsageError(f"the input {value.name!r} is an output as well: its type and layout have to stay")

    if marked:
        model = _choose_outputs(model, marked, notes)
    _check_clashes(model, renamed)
    left = {value.name for value in graph_inputs(model)}
    model = set_shapes(model, {name: shape for name, shape in interface.shapes.items() if name in left}, notes)
    # Each puts its node right behind the input, and TensorRT takes bytes only where a Cast is what reads them.
    set_layouts(model, [name for name in layouts if name in left], renamed.values(), notes)
    set_types(model, {name: dtype for name, dtype in types.items() if name in left}, renamed.values(), notes)
    _rename(model, renamed, notes)
    return model


def parse_pairs(text: str, what: str = "rename") -> Dict[str, str]:
    """``"old=new,..."`` of a command line.

    Args:
        what: what messages call the option.

    Raises:
        UsageError: the text is not of that form, or names something twice.
    """
    pairs: Dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        old, equals, new = (part.strip() for part in entry.partition("="))
        if not (old and equals and new) or "=" in new or old in pairs:
            raise UsageError(what, received=repr(entry), expected="OLD=NEW,OLD=NEW,... with each OLD once")
        pairs[old] = new
    return pairs


def parse_dtypes(text: str) -> Dict[str, str]:
    """``"image=uint8,..."``, or ``"uint8"`` alone for all images, as :attr:`Interface.input_dtypes`.

    Raises:
        UsageError: the text is not of that form.
    """
    return parse_pairs(text, "input dtype") if "=" in text else {"all": text.strip()}


def _refuse(what: str, name: str, values: Any) -> None:
    raise UsageError(what, received=repr(name), expected="; ".join(map(describe, values)) or "there are none")


def _outputs(model: Any, names: Sequence[str]) -> Dict[str, str]:
    """The tensors of the outputs chosen, by what the user called them."""
    found: Dict[str, str] = {}
    constant = {item.name for item in model.graph.initializer}
    inputs = {value.name for value in graph_inputs(model)} - {value.name for value in model.graph.output}
    for name in names:
        tensor = find_tensor(model, name, "outputs")
        if tensor in inputs or tensor in constant:
            raise UsageError(
                f"outputs: {name!r} is {'an input' if tensor in inputs else 'a constant'}",
                expected="something that the model computes",
            )
        if tensor in found.values():
            raise UsageError(f"outputs: {tensor!r} is there twice", received=", ".join(names))
        found[name] = tensor
    return found


def _choose_outputs(model: Any, marked: Mapping[str, str], notes: List[str]) -> Any:
    if [value.name for value in model.graph.output] == list(marked.values()):
        return model
    known = infer_shapes(model)  # an inner tensor becomes an output with its type and shape
    values = {value.name: value for value in [*known.graph.value_info, *known.graph.input, *known.graph.output]}
    for name, tensor in marked.items():
        tensor_type = values[tensor].type.tensor_type if tensor in values else None
        if tensor_type is None or not tensor_type.elem_type or not tensor_type.HasField("shape"):
            raise UsageError(f"outputs: type and rank of {name!r} are not known", hint="choose a tensor behind it")
    graph = model.graph
    del graph.output[:]
    graph.output.extend(values[tensor] for tensor in marked.values())
    _prune(model, notes)
    named = (f"{name} ({tensor})" if name != tensor else name for name, tensor in marked.items())
    notes.append(f"outputs are {', '.join(named)}")
    return model


def _prune(model: Any, notes: List[str]) -> None:
    """Takes out what the outputs do not need."""
    graph = model.graph
    before = len(graph.node)
    drop_unused(model)
    outputs = {value.name for value in graph.output}
    needed = outputs.union(*(node_reads(node) for node in graph.node))
    unused = [value for value in graph_inputs(model) if value.name not in needed]
    if len(unused) == len(graph_inputs(model)):
        raise UsageError("outputs: they do not depend on any input", received=", ".join(map(describe, graph.output)))
    for items, wanted in ((graph.input, needed), (graph.initializer, needed)):
        for item in [item for item in items if item.name not in wanted]:
            items.remove(item)
    for item in [item for item in graph.value_info if item.name in outputs]:
        graph.value_info.remove(item)
    notes.extend(f"the input {value.name} is gone: no output needs it" for value in unused)
    if len(graph.node) < before:
        notes.append(f"{before - len(graph.node)} nodes are gone: no output needs them")


def _renamed(model: Any, rename: Mapping[str, str], marked: Mapping[str, str]) -> Dict[str, str]:
    """New names by tensor, checked."""
    outputs = list(marked.values()) or [value.name for value in model.graph.output]
    own = [*(value.name for value in graph_inputs(model)), *outputs]
    names: Dict[str, str] = {}
    for old, new in rename.items():
        tensor = marked.get(old, old)
        if tensor not in own:
            raise UsageError(
                "rename: the model has no such input or output", received=repr(old), expected=f"one of {', '.join(own)}"
            )
        if not new or tensor in names:
            raise UsageError("rename", received=f"{old}={new}", expected="one new name for each")
        names[tensor] = new
    for old, new in names.items():
        if list(names.values()).count(new) > 1:
            raise UsageError(f"rename: {new!r} would be there twice", received=f"{old}={new}", expected="a new name")
    return names


def _check_clashes(model: Any, names: Mapping[str, str]) -> None:
    """After the outputs were chosen: what they do not need has given its name back."""
    stay = known_names(model.graph) - set(names)
    for old, new in names.items():
        if new in stay:
            raise UsageError(
                f"rename: {new!r} would be there twice",
                received=f"{old}={new}",
                expected="a name that no tensor of the graph has",
            )


def _rename(model: Any, names: Mapping[str, str], notes: List[str]) -> None:
    graph = model.graph
    there = {value.name for value in [*graph.input, *graph.output]}
    names = {old: new for old, new in names.items() if old in there and old != new}
    rename_tensors(graph.node, names)
    for item in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        item.name = names.get(item.name, item.name)
    notes.extend(f"{old} is now called {new}" for old, new in names.items())
