"""The graph that TF-TRT made: which nodes went into which engine, and which did not, with TF-TRT's own reasons."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from tf2trt.hybrid.report import NodeReport

__all__ = ["ConvertedGraph", "Reasons", "engine_name", "read_reasons"]

_ENGINE_OP = "TRTEngineOp"
_SEGMENT = "_native_segment"

Reasons = Dict[str, List[str]]


def engine_name(name: str) -> str:
    """The name under which TF-TRT keeps a node's engines: without the scopes that functions put before it."""
    return name.split("/")[-1]


class ConvertedGraph:
    """A ``GraphDef`` with TF-TRT's engine nodes, seen as the nodes that it was made of.

    ``engines`` are the engine nodes of the graph and of the functions that it calls, by :func:`engine_name`.
    """

    def __init__(self, graph: Any) -> None:
        self.engines: Dict[str, Any] = {}
        library = {function.signature.name: function for function in graph.library.function}
        self._parts: List[Tuple[Optional[str], Any]] = list(_parts(graph.node, library))
        self._segments = {engine_name(name): function for name, function in library.items() if name.endswith(_SEGMENT)}
        self._home: Dict[str, Optional[str]] = {}
        for function, nodes in self._parts:
            for node in nodes:
                if node.op == _ENGINE_OP:
                    self.engines[engine_name(node.name)] = node
                    self._home[engine_name(node.name)] = function

    def segment(self, name: str) -> Tuple[NodeReport, ...]:
        """What engine ``name`` computes: the nodes of its native segment, under their own names."""
        function = self._segments.get(name + _SEGMENT)
        if function is None:
            return ()
        arguments = self._arguments(name)
        return tuple(
            NodeReport(node.name, node.op, self._inputs(node, arguments), function=self._home[name])
            for node in function.node_def
        )

    def native(self, reasons: Reasons, minimum: int) -> Tuple[NodeReport, ...]:
        """The nodes in no engine. ``reasons`` are those of :func:`read_reasons`, ``minimum`` is the
        ``minimum_segment_size``.
        """
        small = f"TF-TRT takes it, but not in a group of minimum_segment_size={minimum} nodes that can be cut out"
        return tuple(
            NodeReport(
                node.name, node.op, self._inputs(node, {}), "; ".join(reasons.get(node.op, [])) or small, None, function
            )
            for function, nodes in self._parts
            for node in nodes
            if node.op != _ENGINE_OP
        )

    def _arguments(self, name: str) -> Dict[str, str]:
        """What the arguments of an engine's native segment are outside of it."""
        outside = [each for each in self.engines[name].input if not each.startswith("^")]
        return {each.name: source for each, source in zip(self._segments[name + _SEGMENT].signature.input_arg, outside)}

    def _inputs(self, node: Any, arguments: Dict[str, str]) -> Tuple[str, ...]:
        """The names of the nodes that it reads; engines are looked through."""
        return tuple(dict.fromkeys(self._source(each, arguments) for each in node.input))

    def _source(self, text: str, arguments: Dict[str, str]) -> str:
        # "^a", "a", "a:1", or "a:out:1" in a function
        name, *rest = text.lstrip("^").split(":")
        if name in arguments:
            return self._source(arguments[name], {})
        engine = engine_name(name)
        function = self._segments.get(engine + _SEGMENT) if engine in self.engines else None
        index = int(rest[-1]) if rest else 0
        if function is None or index >= len(function.signature.output_arg):
            return name
        return self._source(function.ret[function.signature.output_arg[index].name], self._arguments(engine))


def read_reasons(path: Path) -> Reasons:
    """Why TF-TRT took no node, or not all nodes, of an operator: from the file that it writes where
    ``TF_TRT_SHOW_DETAILED_REPORT`` names one (``operator|reason|count`` in each line). Empty where there is none.
    """
    reasons: Reasons = {}
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE):
                # A reason may hold a line's end, which leaves half rows, or the separator itself.
                if len(row) >= 3 and row[-1].isdigit():
                    reasons.setdefault(row[0], []).append(" ".join("|".join(row[1:-1]).split()))
    return reasons


def _parts(nodes: Any, library: Dict[str, Any]) -> Iterator[Tuple[Optional[str], Any]]:
    """The graph's nodes, then those of each function that they call, directly or through others. The native segments
    are named by engines only, and left out.
    """
    yield None, nodes
    done: Set[str] = set()
    waiting = list(_called(nodes, library))
    while waiting:
        name = waiting.pop(0)
        if name not in done:
            done.add(name)
            body = library[name].node_def
            yield name, body
            waiting.extend(_called(body, library))


def _called(nodes: Any, library: Dict[str, Any]) -> Iterator[str]:
    for node in nodes:
        if node.op == _ENGINE_OP:
            continue
        if node.op in library:
            yield node.op
        for value in node.attr.values():
            for function in (value.func, *value.list.func):
                if function.name in library:
                    yield function.name
