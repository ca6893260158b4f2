"""Pushes Transposes through the graph until they meet and cancel: convolutions want NCHW, TensorFlow writes NHWC."""

from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, Hashable, List, NamedTuple, Set, Tuple

from tf2trt.surgery.gs_graph import export_graph, import_graph
from tf2trt.surgery.shapes import infer_shapes
from tf2trt.surgery.transpose_cut import Cut
from tf2trt.surgery.transpose_graph import Names, Perm, TransposeGraph, inverse, is_transpose, perm_of
from tf2trt.surgery.transpose_moves import Ask, Move
from tf2trt.surgery.transpose_rules import move

__all__ = ["transposes"]


def transposes(model: Any, notes: List[str]) -> Any:
    """Moves operators from one order of axes to another where fewer Transposes are left, bodies of If and Loop too.

    Transposes in a row become one, or none. Around each that is left lies a region of operators that can work in the
    order before it as well as in the one after it (:mod:`tf2trt.surgery.transpose_rules`), and ends at those that
    cannot: convolutions, matrix products, inputs and outputs of the graph. A minimum cut tells which operators of the
    region should work in which order so that the fewest Transposes are left, and then that the fewest operators change.
    """
    graph = import_graph(infer_shapes(model))
    graphs = [graph, *graph.subgraphs(recursive=True)]
    names = Names(graphs)
    before = sum(is_transpose(node) for item in graphs for node in item.nodes)
    for item in graphs:
        _cancel(TransposeGraph(item, names))
    graph.cleanup().toposort()
    after = sum(is_transpose(node) for item in graphs for node in item.nodes)
    if after != before:
        notes.append(f"{before} Transpose before, {after} after")
    return export_graph(graph)


def _cancel(graph: TransposeGraph) -> None:
    graph.tidy()
    left = len(graph.transposes()) + 1
    while len(graph.transposes()) < left:
        left = len(graph.transposes())
        seen: Set[int] = set()
        for seed in graph.transposes():
            if seed.outputs and id(seed) not in seen:
                region = _Region(graph, seed)
                seen.update(region.transposes)
                if region.move():
                    graph.tidy()


class _Unit(NamedTuple):
    """A node that can move, and in which of the region's two layouts (0 or 1) it works now."""

    node: Any
    layout: int
    move: Move


class _Region:
    """The tensors that can be had in two layouts, from one Transpose on.

    ``_tensors`` holds for each the layout that it has, 0 or 1, and the order of axes that leads to the other one. A
    Transpose from one to the other is no operator here but part of a net: a tensor with all those that are the same
    but for the layout. A net costs one Transpose where a reader wants the layout that its maker does not make.
    """

    def __init__(self, graph: TransposeGraph, seed: Any) -> None:
        self._graph = graph
        self._tensors: Dict[int, Tuple[Any, int, Perm]] = {}
        self._waiting: Deque[Any] = deque()
        units: Dict[Hashable, _Unit] = {}
        perm = perm_of(seed)
        if perm is not None:
            self._reach(seed.inputs[0], 0, perm)
            self._reach(seed.outputs[0], 1, inverse(perm))
        while self._waiting:
            tensor, layout, order = self._waiting.popleft()
            maker = graph.producer(tensor)
            if maker is not None:
                self._visit(units, maker, layout, order, True)
            for reader, _ in list(graph.readers(tensor)):
                self._visit(units, reader, layout, order, False)
        self._units = [unit for unit in units.values() if self._fits(unit)]
        self.transposes = {id(node) for node in graph.transposes() if self._joins(node)}

    def _reach(self, tensor: Any, layout: int, perm: Perm) -> None:
        if id(tensor) not in self._tensors:
            self._tensors[id(tensor)] = (tensor, layout, perm)
            self._waiting.append(self._tensors[id(tensor)])

    def _visit(self, units: Dict[Hashable, _Unit], node: Any, layout: int, perm: Perm, up: bool) -> None:
        # A Transpose that leads to the other layout joins its two tensors; to any other one anything may come.
        if is_transpose(node) and perm_of(node) == (inverse(perm) if up else perm):
            self._reach(node.inputs[0] if up else node.outputs[0], 1 - layout, inverse(perm))
            return
        found = move(Ask(self._graph, node, perm, up))
        if found is None or (id(node), found.port) in units:
            return
        units[id(node), found.port] = _Unit(node, layout, found)
        for place, order in found.inputs.items():
            self._reach(node.inputs[place], layout, order)
        for place, order in found.outputs.items():
            self._reach(node.outputs[place], layout, order)

    def _fits(self, unit: _Unit) -> bool:
        """Whether all tensors of a unit were reached as it needs them; not so where orders contradict each other."""
        wanted = [(unit.node.inputs[place], perm) for place, perm in unit.move.inputs.items()]
        wanted += [(unit.node.outputs[place], perm) for place, perm in unit.move.outputs.items()]
        return all(self._tensors[id(tensor)][1:] == (unit.layout, perm) for tensor, perm in wanted)

    def _joins(self, node: Any) -> bool:
        source, result = self._tensors.get(id(node.inputs[0])), self._tensors.get(id(node.outputs[0]))
        if source is None or result is None:
            return False
        return source[1] != result[1] and source[2] == perm_of(node) == inverse(result[2])

    def _nets(self) -> List[Tuple[Hashable, Set[Hashable]]]:
        """For each net who makes it and who reads it: the number of a unit, or the side of a cut that is certain."""
        made = {id(unit.node.outputs[k]): number for number, unit in enumerate(self._units) for k in unit.move.outputs}
        read = {(id(unit.node), k): number for number, unit in enumerate(self._units) for k in unit.move.inputs}
        sides = (Cut.A, Cut.B)
        readers: Dict[int, Set[Hashable]] = {}
        makers: Dict[int, Hashable] = {}
        for tensor, layout, _ in self._tensors.values():
            root = tensor
            while id(self._graph.producer(root)) in self.transposes:
                root = self._graph.producer(root).inputs[0]
            if root is tensor:
                makers[id(root)] = made.get(id(root), sides[layout])
            wanted = readers.setdefault(id(root), set())
            if self._graph.keeps(tensor):
                wanted.add(sides[layout])
            for reader, place in self._graph.readers(tensor):
                if id(reader) not in self.transposes:
                    wanted.add(read.get((id(reader), place), sides[layout]))
        return [(makers[root], wanted) for root, wanted in readers.items()]

    def move(self) -> bool:
        """Moves what should be moved; False, and nothing done, where no Transpose would be saved."""
        nets = self._nets()
        now: Dict[Hashable, int] = {Cut.A: 0, Cut.B: 1}
        now.update(enumerate(unit.layout for unit in self._units))
        cut = Cut()
        for number, unit in enumerate(self._units):
            ends: Tuple[Hashable, Hashable] = (number, Cut.B) if unit.layout else (Cut.A, number)
            cut.edge(*ends, cost=1)
        for index, (maker, readers) in enumerate(nets):
            cut.tie(maker, readers, len(self._units) + 1, ("net", index))
        side = cut.side_of_a()
        wanted = {name: int(name not in side) for name in now}

        def cost(layouts: Dict[Hashable, int]) -> int:
            return sum(any(layouts[reader] != layouts[maker] for reader in readers) for maker, readers in nets)

        if cost(wanted) >= cost(now):
            return False
        for number, unit in enumerate(self._units):
            if wanted[number] != unit.layout:
                unit.move.change()
                for place, perm in unit.move.inputs.items():
                    self._graph.permute_input(unit.node, place, perm)
                for place, perm in unit.move.outputs.items():
                    self._graph.permute_output(unit.node, place, perm)
        return True
