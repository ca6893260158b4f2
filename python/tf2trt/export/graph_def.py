"""Frozen GraphDef files, ``.pb``: TensorFlow 1's way to save a model for inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from tf2trt.errors import ExportError, UsageError
from tf2trt.export.source import NamedTensors, Source, brief, shape_of, spec_from
from tf2trt.extras import require
from tf2trt.specs import TensorSpec

__all__ = ["is_saved_model_file", "rename_inputs", "source"]

_VARIABLES = ("Variable", "VariableV2", "VarHandleOp", "RefVariable")
# What a graph holds besides the model: nobody reads it, and it is no result.
_NO_RESULTS = (
    *("NoOp", "Assert", "Const", "Placeholder", "PlaceholderWithDefault", "CheckNumerics", "Print", "PrintV2"),
    *("SaveV2", "RestoreV2", "MergeSummary", "ScalarSummary", "HistogramSummary", "WriteSummary"),
)


def is_saved_model_file(path: Path) -> bool:
    """Whether ``path`` is the ``saved_model.pb`` of a SavedModel, whatever it is called: found by parsing it."""
    saved_model = require("tensorflow.core.protobuf.saved_model_pb2", "export").SavedModel()
    try:
        saved_model.ParseFromString(path.read_bytes())
    except Exception:  # noqa: BLE001 (protobuf's DecodeError differs from version to version)
        return False
    return any(graph.HasField("graph_def") or graph.signature_def for graph in saved_model.meta_graphs)


def source(
    tensorflow: Any, path: Path, inputs: Optional[Mapping[str, Any]], outputs: Optional[Sequence[str]]
) -> Source:
    """A frozen graph. Tensors are named as in the graph, ``NAME`` for ``NAME:0``.

    The inputs are the placeholders that the outputs need and the tensors named in ``inputs``, at which the graph is
    cut; the output is ``outputs`` or the one node that nobody reads.

    Raises:
        ExportError: the file is no GraphDef, or is not frozen, or an input's shape is not known.
        UsageError: a name is not in the graph, or there are several nodes that could be the output; they are listed.
    """
    graph_def = _read(tensorflow, path)
    names = [_port(name) for name in inputs or {}]
    given = dict(zip(names, (inputs or {}).values()))
    wrapped = _import(tensorflow, path, graph_def)
    fetches = [_port(name) for name in outputs] if outputs else _find_outputs(path, graph_def)
    _check_names(wrapped.graph, path, names, "inputs")
    _check_names(wrapped.graph, path, fetches, "outputs")
    feeds = _feeds(graph_def, names, fetches)
    specs = tuple(_spec(path, wrapped.graph.get_tensor_by_name(feed), feed, given) for feed in feeds)
    pruned = wrapped.prune(feeds, fetches)

    def run(tensors: Sequence[Any]) -> NamedTensors:
        return list(zip(map(_plain, fetches), pruned(*tensors)))

    detected = f"frozen GraphDef, {len(graph_def.node)} nodes"
    if not outputs:
        detected += f"; output found: {_plain(fetches[0])}"
    return Source("graph_def", path.stem, specs, run, detected)


def _read(tensorflow: Any, path: Path) -> Any:
    graph_def = tensorflow.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's DecodeError
        raise _not_a_graph(path, brief(error)) from error
    if not graph_def.node or not all(node.op and node.name for node in graph_def.node):
        raise _not_a_graph(path, f"{path.stat().st_size} bytes without a node")
    variables = [node.name for node in graph_def.node if node.op in _VARIABLES]
    if variables:
        raise ExportError(
            f"the graph {path} is not frozen: it holds variables, whose values are elsewhere",
            received=", ".join(variables[:10]) + (f" and {len(variables) - 10} more" if len(variables) > 10 else ""),
            hint="freeze it with its checkpoint: tf.compat.v1.graph_util.convert_variables_to_constants",
        )
    return graph_def


def _not_a_graph(path: Path, received: str) -> ExportError:
    return ExportError(
        f"{path} is not a TensorFlow graph",
        received=received,
        expected="a frozen GraphDef, or the folder of a SavedModel",
    )


def _import(tensorflow: Any, path: Path, graph_def: Any) -> Any:
    try:
        return tensorflow.compat.v1.wrap_function(lambda: tensorflow.compat.v1.import_graph_def(graph_def, name=""), [])
    except Exception as error:
        raise ExportError(f"TensorFlow cannot load the graph {path}", received=brief(error)) from error


def _find_outputs(path: Path, graph_def: Any) -> List[str]:
    read = {name.split(":")[0].lstrip("^") for node in graph_def.node for name in node.input}
    ends = [
        node.name
        for node in graph_def.node
        if node.name not in read and node.op not in _NO_RESULTS and "/AssertGuard/" not in node.name
    ]
    if not ends:
        raise ExportError(f"the graph {path} has no node that could be an output", hint="name them: outputs=[...]")
    if len(ends) > 1:
        raise UsageError(
            f"the graph {path} has several nodes that could be outputs",
            received="no outputs",
            expected="one or more of " + ", ".join(ends[:20]) + (f" (and {len(ends) - 20} more)" if ends[20:] else ""),
            hint=f"choose: outputs=[{ends[0]!r}, ...] (on the command line: --outputs)",
        )
    return [_port(ends[0])]


def _check_names(graph: Any, path: Path, names: Sequence[str], argument: str) -> None:
    for name in names:
        try:
            graph.get_tensor_by_name(name)
        except (KeyError, ValueError) as error:
            kind = "Placeholder" if argument == "inputs" else None
            near = [op.name for op in graph.get_operations() if op.outputs and kind in (None, op.type)]
            raise UsageError(
                f"{argument}: the graph {path} has no such tensor",
                received=_plain(name),
                expected=f"a name in the graph, such as {', '.join(near[-10:] if kind is None else near[:10])}",
            ) from error


def _feeds(graph_def: Any, given: Sequence[str], fetches: Sequence[str]) -> List[str]:
    """The inputs that were given, and the placeholders that the outputs still need, in the graph's order."""
    nodes = {node.name: node for node in graph_def.node}
    order = {node.name: index for index, node in enumerate(graph_def.node)}
    found: Set[str] = set()
    seen: Set[str] = set()
    stack = list(fetches)
    while stack:
        tensor = stack.pop()
        node = nodes[tensor.split(":")[0].lstrip("^")]
        port = tensor if ":" in tensor else f"{tensor}:0"
        if port in seen or port in given:
            continue
        seen.add(port)
        if node.op == "Placeholder":
            found.add(port)
        stack.extend(node.input)
    return [*given, *sorted(found, key=lambda port: order[port.split(":")[0]])]


def _spec(path: Path, tensor: Any, feed: str, given: Mapping[str, Any]) -> TensorSpec:
    name = _plain(feed)
    if shape_of(tensor.shape) is not None:
        return spec_from(name, tensor)
    if feed not in given:
        raise ExportError(
            f"the graph {path} does not say which shape the input {name!r} has",
            hint=f"give it: inputs={{{name!r}: (None, 224, 224, 3)}}",
        )
    return spec_from(name, given[feed], tensor.dtype.name)


def _port(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _plain(port: str) -> str:
    """``softmax`` for ``softmax:0``; ``split_1`` for ``split:1``, since a colon ends a name on the command line."""
    name, _, index = port.partition(":")
    return name if index in ("", "0") else f"{name}_{index}"


def rename_inputs(inputs: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """``inputs`` by the names that the source has for them."""
    return {_plain(_port(name)): shape for name, shape in inputs.items()} if inputs else None
