"""Cuts a graph, and the bodies of the loops and branches in it, into segments that TensorRT takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterator, List, Optional, Sequence, Set, Tuple

from tf2trt import _native
from tf2trt.hybrid.frozen import Body, Call, is_constant, tensor_name
from tf2trt.hybrid.refusals import refusals
from tf2trt.hybrid.segments import find_segments
from tf2trt.hybrid.verdict import Accepted, ask

__all__ = ["Cut", "CutBody", "cut"]

Tell = Callable[[str], None]

_SHAPES = ("Shape", "ShapeN", "Size", "Rank")


@dataclass
class Cut:
    """A segment: its name, unique in the model, and what is known of it."""

    name: str
    accepted: Accepted


@dataclass
class CutBody:
    """A graph with its segments, the nodes left native with their reasons, and the functions that it runs, cut too."""

    body: Body
    cuts: List[Cut]
    native: Dict[str, str]
    callees: List[Tuple[Call, CutBody]] = field(default_factory=list)

    def all(self) -> Iterator[CutBody]:
        """This one and all within it."""
        yield self
        for _, callee in self.callees:
            yield from callee.all()

    def with_segments(self) -> List[Tuple[Call, CutBody]]:
        """Those of ``callees`` that hold a segment, directly or further within."""
        return [(call, callee) for call, callee in self.callees if any(each.cuts for each in callee.all())]


def cut(
    body: Body,
    folder: Path,
    minimum: int,
    *,
    prefix: str = "",
    library: _native.Library,
    plugins: Sequence[str] = (),
    tell: Optional[Tell] = None,
) -> CutBody:
    """Cuts ``body`` and, in the same way, each function that it runs. The segments' ONNX files lie in ``folder``;
    ``prefix`` begins their names, by which the process counts their calls.

    A segment that TensorRT does not take is cut anew without the node that is in the way, until all that are left are
    taken. Segments that were taken once are not asked about again.

    Raises:
        DeviceError, LibraryError: TensorRT cannot be asked here.
    """
    return _Cutter(folder, minimum, prefix, library, plugins, tell or _silent).cut(body)


class _Cutter:
    def __init__(
        self,
        folder: Path,
        minimum: int,
        prefix: str,
        library: _native.Library,
        plugins: Sequence[str],
        tell: Tell,
    ) -> None:
        self.folder, self.minimum, self.prefix = folder, minimum, prefix
        self.library, self.plugins, self.tell = library, plugins, tell
        self.functions = self.segments = self.asked = 0

    def cut(self, body: Body) -> CutBody:
        native = refusals(body)
        nodes = body.plain_nodes()
        taken: Dict[FrozenSet[str], Accepted] = {}
        while True:
            supported = {node.name for node in nodes if node.name not in native}
            found = find_segments(nodes, supported, self.minimum)
            refused: Dict[str, str] = {}
            for segment in found:
                key = frozenset(segment.nodes)
                if key in taken:
                    continue
                if _only_shapes(body, segment.nodes):
                    refused.update((name, "its segment only works out shapes") for name in segment.nodes)
                    continue
                self.asked += 1
                self.tell(f"a segment of {len(segment.nodes)} nodes")
                path = self.folder / f"asked_{self.asked}.onnx"
                verdict = ask(body, segment.nodes, path, library=self.library, plugins=self.plugins)
                if isinstance(verdict, Accepted):
                    taken[key] = verdict
                else:
                    refused.update(verdict.reasons)
            if not refused:
                break
            native.update(refused)
        cuts = []
        for segment in found:
            cuts.append(Cut(f"{self.prefix}segment_{self.segments}", taken[frozenset(segment.nodes)]))
            self.segments += 1
        small = supported.difference(*(segment.nodes for segment in found))
        native.update((name, f"its segment has fewer than {self.minimum} nodes") for name in small)
        result = CutBody(body, cuts, native)
        for call in body.calls():
            self.functions += 1
            callee = body.callee(call, f"tf2trt_{self.functions}_{call.function}")
            result.callees.append((call, self.cut(callee)))
        return result


def _only_shapes(body: Body, nodes: Sequence[str]) -> bool:
    """Whether all that ``nodes``, each after what it needs, give is known from the shapes of what they read: a few
    numbers, which TensorFlow works out on the host.
    """
    known: Set[str] = set()
    for name in nodes:
        node = body.node_defs[name]
        sources = (tensor_name(each).split(":")[0] for each in node.input if not each.startswith("^"))
        if node.op in _SHAPES or all(each in known or is_constant(body.node_defs[each]) for each in sources):
            known.add(name)
    return len(known) == len(nodes)


def _silent(text: str) -> None:
    pass
