"""Which inputs of which nodes are quantised, by NVIDIA's rules for explicit quantisation.

- Every input of an operator with weights: the activations per tensor, the weights per output channel. Its bias is not,
  and its output neither: where the next operator takes INT8, its own input's Q/DQ is fused backwards.
- Of an Add behind a convolution only the other branch. TensorRT computes convolution, Add and activation in one kernel
  and reads that branch in INT8; Q/DQ between the convolution and the Add would part them.
- A depthwise convolution only where a Relu or a Clip follows: with another activation behind it TensorRT 8 fuses the
  two into a kernel that it does not have in INT8, and builds nothing (github.com/NVIDIA/TensorRT/issues/3385).
- A MatMul of two activations stays as it is: it has no weights, and attention loses most by 8 bits.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from tf2trt.errors import UsageError

__all__ = ["Place", "Placement", "holds_quantisation", "place"]

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_WEIGHTED = (*_CONVOLUTIONS, "Gemm", "MatMul")
_FUSED = ("BatchNormalization", "Identity")  # between a convolution and the Add that it fuses with
_RECTIFIERS = ("Relu", "Clip")
_QUANTISING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Place:
    """One node to quantise: the indices of its activation inputs, and of its weight where it has one."""

    node: Any
    activations: Tuple[int, ...]
    weight: Optional[int] = None

    @property
    def inputs(self) -> Tuple[int, ...]:
        """All indices."""
        return self.activations if self.weight is None else (*self.activations, self.weight)


@dataclass(frozen=True)
class Placement:
    """``places`` in the graph's order; ``left`` holds (node, reason) of operators with weights that stay FP32."""

    places: Tuple[Place, ...]
    left: Tuple[Tuple[str, str], ...]

    @property
    def activations(self) -> Tuple[str, ...]:
        """The tensors that need a scale from data, in the graph's order."""
        return tuple(dict.fromkeys(place.node.input[index] for place in self.places for index in place.activations))


def place(graph: Any, types: Mapping[str, int], float_type: int, exclude: Sequence[str]) -> Placement:
    """Finds the places in ``graph`` (an ``onnx.GraphProto`` whose nodes have names).

    Args:
        types: the element types of tensors by name.
        float_type: the number of ONNX's FP32.
        exclude: patterns of node names to leave alone (``*``, ``?``, ``[]``).

    Raises:
        UsageError: a pattern that no node's name matches.
    """
    excluded = _matching(graph, exclude)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    found = _Graph(graph, weights)
    places: List[Place] = []
    left: List[Tuple[str, str]] = []
    axes: Dict[str, int] = {}
    for node in graph.node:
        made = reason = None
        if node.op_type in _WEIGHTED and node.domain in ("", "ai.onnx"):
            made, reason = _weighted(node, weights, types, float_type, axes)
            if made is not None and _is_depthwise(node, weights) and not found.is_rectified(node):
                made, reason = None, "a depthwise convolution without a Relu or a Clip behind it"
        elif node.op_type == "Add" and types.get(node.output[0]) == float_type:
            made = found.residual(node)
        if made is not None and node.name in excluded:
            made, reason = None, "excluded"
        if made is not None:
            places.append(made)
        elif reason is not None:
            left.append((node.name, reason))
    return Placement(tuple(places), tuple(left))


def holds_quantisation(graph: Any) -> bool:
    """Whether a graph has Q/DQ nodes of its own, from quantisation-aware training or from an earlier calibration."""
    return any(node.op_type in _QUANTISING for node in graph.node)


def _matching(graph: Any, patterns: Sequence[str]) -> Set[str]:
    names = [node.name for node in graph.node]
    matched: Set[str] = set()
    for pattern in patterns:
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise UsageError(
                "calibration: no node's name matches",
                received=pattern,
                hint="names of operators with weights: "
                + ", ".join(node.name for node in graph.node if node.op_type in _WEIGHTED)[:400],
            )
        matched.update(hits)
    return matched


def _weighted(
    node: Any, weights: Mapping[str, Any], types: Mapping[str, int], float_type: int, axes: Dict[str, int]
) -> Tuple[Optional[Place], Optional[str]]:
    constant = [index for index in (0, 1) if node.input[index] in weights]
    if constant != [1]:
        return None, "its weights are not constant" if node.op_type in _CONVOLUTIONS or not constant else (
            "its first operand is constant"
        )
    weight = weights[node.input[1]]
    if weight.data_type != float_type or types.get(node.input[0]) != float_type:
        return None, "it is not FP32"
    if node.op_type == "MatMul" and len(weight.dims) != 2:
        return None, "its weights are not a matrix"
    axis = _channel_axis(node)
    if axes.setdefault(weight.name, axis) != axis:
        return None, "another operator uses its weights along another axis"
    return Place(node, (0,), 1), None


def _channel_axis(node: Any) -> int:
    """The axis of the output channels in the weights, as ONNX Runtime's quantiser takes it."""
    if node.op_type == "Gemm":
        return 0 if any(item.name == "transB" and item.i for item in node.attribute) else 1
    return 0 if node.op_type == "Conv" else 1


def _is_depthwise(node: Any, weights: Mapping[str, Any]) -> bool:
    group = next((item.i for item in node.attribute if item.name == "group"), 1)
    return node.op_type == "Conv" and group > 1 and weights[node.input[1]].dims[1] == 1


class _Graph:
    """Who makes a tensor, and how often it is read."""

    def __init__(self, graph: Any, weights: Mapping[str, Any]) -> None:
        self._weights = weights
        self._producer = {name: node for node in graph.node for name in node.output}
        self._reader = {name: node for node in graph.node for name in node.input}
        self._reads: Dict[str, int] = {output.name: 1 for output in graph.output}
        self._depth: Dict[str, int] = {}
        for node in graph.node:
            for name in _all_inputs(node):
                self._reads[name] = self._reads.get(name, 0) + 1
            depth = max((self._depth.get(name, 0) for name in node.input), default=0)
            self._depth.update(dict.fromkeys(node.output, depth + (node.op_type in _WEIGHTED)))

    def residual(self, node: Any) -> Optional[Place]:
        """The branch of an Add that is not fused with a convolution; None where neither or a constant is."""
        if len(node.input) != 2 or node.input[0] == node.input[1] or any(name in self._weights for name in node.input):
            return None
        fused = [index for index in (0, 1) if self._behind_convolution(node.input[index])]
        if not fused:
            return None
        # A projection on the short branch is a convolution too: the longer branch is the one to fuse with.
        kept = max(fused, key=lambda index: self._depth[node.input[index]])
        return Place(node, (1 - kept,))

    def is_rectified(self, node: Any) -> bool:
        """Whether a Relu or a Clip reads what the node gives, and nobody else does."""
        name = node.output[0]
        while self._reads.get(name, 0) == 1 and name in self._reader:
            reader = self._reader[name]
            if reader.op_type in _RECTIFIERS:
                return True
            if not self._is_fused(reader):
                return False
            name = reader.output[0]
        return False

    def _is_fused(self, node: Any) -> bool:
        constant_add = node.op_type == "Add" and sum(each in self._weights for each in node.input) == 1
        return constant_add or node.op_type in _FUSED

    def _behind_convolution(self, name: str) -> bool:
        while self._reads.get(name, 0) == 1:
            node = self._producer.get(name)
            if node is None:
                return False
            if node.op_type in _CONVOLUTIONS:
                return True
            if not self._is_fused(node):
                return False
            name = next(each for each in node.input if each not in self._weights)
        return False


def _all_inputs(node: Any) -> List[str]:
    """What a node reads, in its bodies too."""
    names = list(node.input)
    for item in node.attribute:
        for graph in (*([item.g] if item.HasField("g") else []), *item.graphs):
            for inner in graph.node:
                names.extend(_all_inputs(inner))
    return names
