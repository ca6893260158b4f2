"""What each ONNX node came from: ``tf2trt.op`` and ``tf2trt.layer`` in ``NodeProto.metadata_props``.

tf2onnx calls most nodes after the TensorFlow op that they stand for, with a number behind the name. What it makes
besides (a transpose, the parts of a reshape, a whole LSTM) takes its origin from the nodes around it.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

from tf2trt.export.layers import CALL, scope_layer

__all__ = ["LAYER", "OP", "Ops", "keep_origins", "write_origins"]

OP = "tf2trt.op"
LAYER = "tf2trt.layer"

_NUMBER = re.compile(r"__\d+$")  # what tf2onnx puts behind a name
_MERGED = "/merged_input"
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_WEIGHT_OPS = ("Const", "Identity", "ReadVariableOp", "Placeholder", "Cast")
_LOOPS = ("While", "StatelessWhile")
_RECURRENT = ("LSTM", "GRU", "RNN", "Loop", "Scan")


class Ops:
    """The ops of a frozen TensorFlow graph, its functions included."""

    def __init__(self, types: Dict[str, str], inputs: Dict[str, List[str]]) -> None:
        self.types, self.inputs = types, inputs

    @classmethod
    def of(cls, graph_def: Any) -> Ops:
        """The ops of a ``tf.compat.v1.GraphDef``."""
        bodies = [function.node_def for function in graph_def.library.function]
        nodes = [node for each in [*bodies, graph_def.node] for node in each]
        return cls(
            {node.name: node.op for node in nodes},
            {node.name: [name.split(":")[0] for name in node.input if not name.startswith("^")] for node in nodes},
        )

    def real(self, name: str) -> str:
        """The op that ``name`` was before TensorFlow pushed a multiplication into a convolution's kernel: it gives the
        convolution the multiplication's name, and the kernel the convolution's.
        """
        merged = (source for source in self.inputs.get(name, ()) if source.endswith(_MERGED))
        return next((source[: -len(_MERGED)] for source in merged), name)

    def __contains__(self, name: str) -> bool:
        return name in self.types

    def loop_before(self, name: str) -> Optional[str]:
        """The nearest loop that ``name``'s value comes from."""
        seen: Set[str] = {name}
        level = [name]
        while level:
            for op in level:
                if self.types.get(op) in _LOOPS:
                    return op
            level = [source for op in level for source in self.inputs.get(op, ()) if source not in seen]
            level = list(dict.fromkeys(level))
            seen.update(level)
        return None


def write_origins(
    model: Any,
    ops: Ops,
    scopes: Mapping[str, str],
    outputs: Mapping[str, str],
    made: Optional[Mapping[str, str]] = None,
) -> None:
    """Gives every node of ``model``, those of subgraphs included, the op that it came from, and where known the layer.

    Args:
        scopes: from :func:`record_layers`; where it is empty, an op's layer is its name scope.
        outputs: the op behind each output of the model, whose tensors have got names of their own.
        made: from :func:`tf2trt.export.optimize.optimized`.
    """
    root = _root(ops)
    _Graph(model.graph, ops, made or {}).match(outputs, None)
    for node in _every_node(model.graph):
        op = next(entry.value for entry in node.metadata_props if entry.key == OP)
        plain = "/".join(part for part in op.split("/") if not CALL.match(part)) or op
        _set(node, OP, plain)
        layer = scope_layer(op if scopes else plain, scopes, root)
        if layer:
            _set(node, LAYER, layer)


def keep_origins(model: Any) -> None:
    """For an ONNX file of another exporter: the op is the scope that PyTorch wrote, else the node's own name."""
    for node in _every_node(model.graph):
        known = {entry.key: entry.value for entry in node.metadata_props}
        if OP in known:
            continue
        scopes = known.get("pkg.torch.onnx.name_scopes") or known.get("namespace")
        op = _last_scope(scopes) if scopes else node.name
        _set(node, OP, op or node.name or node.op_type)


class _Graph:
    """One graph of the model, and which op each of its nodes is found to come from, by the node's identity."""

    def __init__(self, graph: Any, ops: Ops, made: Mapping[str, str]) -> None:
        self.nodes = list(graph.node)  # held here, since protobuf makes a new object each time it is asked otherwise
        self.outputs = [value.name for value in graph.output]
        self.ops = ops
        self.made = made
        self.found: Dict[int, str] = {}
        self.readers: Dict[str, List[Any]] = {}
        self.makers: Dict[str, Any] = {}
        for node in self.nodes:
            self.makers.update((name, node) for name in node.output)
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def match(self, outputs: Mapping[str, str], owner: Optional[str]) -> None:
        """Finds the op of each node, and writes it down as it stands in the graph."""
        for node in self.nodes:
            op = self._by_name(node) or self._by_weight(node)
            if op is not None:
                self.found[id(node)] = self.ops.real(op)
        self._recurrent(outputs)
        for node in reversed(self.nodes):  # in topological order a reader stands behind: it has its op by now
            self._copy(node, (reader for name in node.output for reader in self.readers.get(name, ())))
        for node in self.nodes:
            self._copy(node, (self.makers[name] for name in node.input if name in self.makers))
            if id(node) not in self.found:
                made = next((outputs[name] for name in node.output if name in outputs), owner)
                if made is not None:
                    self.found[id(node)] = made
        for node in self.nodes:
            op = self.found.get(id(node), node.name)
            _set(node, OP, op)
            for body in _bodies(node):
                _Graph(body, self.ops, self.made).match({}, op)

    def _by_name(self, node: Any) -> Optional[str]:
        for name in (node.name, *(output.rsplit(":", 1)[0] for output in node.output)):
            if name in self.ops:
                return str(name)
        name = node.name
        if name in self.made:
            return self.made[name]
        while _NUMBER.search(name):
            name = _NUMBER.sub("", name)
        for position in (match.end() for match in re.finditer("_", name)):
            if "/" in name[position:] and name[position:] in self.ops:  # a loop's condition: FUNCTION_OP
                return str(name[position:])
        if name == node.op_type:  # a name that tf2onnx made up; an op of the graph may be called so by chance
            return None
        while name and name not in self.ops:
            name = name[: max(name.rfind(separator) for separator in "_/:")] if re.search("[_/:]", name) else ""
        return name or None

    def _by_weight(self, node: Any) -> Optional[str]:
        """tf2onnx gives a new name to a convolution into which it merges the addition behind it."""
        if node.op_type not in _WEIGHTED or len(node.input) < 2 or node.input[1] in self.makers:
            return None
        name = str(node.input[1].rsplit(":", 1)[0])
        if name.endswith(_MERGED):
            return name[: -len(_MERGED)]
        while name and (name not in self.ops or self.ops.types[name] in _WEIGHT_OPS):
            name = name.rpartition("/")[0]
        return name or None

    def _recurrent(self, outputs: Mapping[str, str]) -> None:
        """A loop that became an LSTM node has lost its name. What reads the node's result read the loop's."""
        for node in self.nodes:
            if node.op_type not in _RECURRENT or id(node) in self.found:
                continue
            chain = [node]
            behind: List[Any] = []
            while chain and not behind:
                names = [name for each in chain for name in each.output]
                behind = [outputs[name] for name in names if name in outputs]
                readers = [reader for name in names for reader in self.readers.get(name, ())]
                behind += [self.found[id(reader)] for reader in readers if id(reader) in self.found]
                if not behind:
                    chain = readers
            loop = next(filter(None, map(self.ops.loop_before, behind)), None)
            if loop is None:
                continue
            self.found[id(node)] = loop
            for each in self._unnamed_behind(node):
                self.found[id(each)] = loop

    def _unnamed_behind(self, node: Any) -> Iterator[Any]:
        for name in node.output:
            for reader in self.readers.get(name, ()):
                if id(reader) not in self.found and reader.op_type not in _RECURRENT:
                    yield reader
                    yield from self._unnamed_behind(reader)

    def _copy(self, node: Any, near: Iterator[Any]) -> None:
        if id(node) not in self.found:
            op = next((self.found[id(other)] for other in near if id(other) in self.found), None)
            if op is not None:
                self.found[id(node)] = op


def _root(ops: Ops) -> str:
    """The scope that all others lie in: the model's own, which says nothing of a layer."""
    tops = {
        parts[0]
        for parts in ([part for part in name.split("/") if not CALL.match(part)] for name in ops.types)
        if len(parts) > 2
    }
    return tops.pop() if len(tops) == 1 else ""


def _last_scope(scopes: str) -> str:
    """PyTorch writes a list, outermost first, the node last: ``['', 'layer1', 'layer1.conv', 'conv2d_1']``."""
    names = re.findall(r"'([^']*)'|\"([^\"]*)\"", scopes)
    parts: Tuple[str, ...] = tuple(first or second for first, second in names) or tuple(scopes.split("/"))
    return next((part for part in reversed(parts) if part), "")


def _bodies(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _every_node(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for body in _bodies(node):
            yield from _every_node(body)


def _set(node: Any, key: str, value: str) -> None:
    for entry in node.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    node.metadata_props.add(key=key, value=value)
