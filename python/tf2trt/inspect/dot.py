"""A network as text for Graphviz: ``dot -Tsvg m.dot``."""

from __future__ import annotations

from typing import Dict, List, Sequence

from tf2trt.inspect.network import Network
from tf2trt.inspect.palette import INK, LINE, fill_of
from tf2trt.inspect.words import box_lines, plain, told

__all__ = ["network_dot"]

_SHOWN = 60  # letters of a line


def network_dot(networks: Sequence[Network], color: str) -> str:
    """One digraph, a cluster for each network, boxes filled by ``color`` (``"time"`` or ``"precision"``)."""
    lines = ["digraph network {", "  rankdir=TB;"]
    lines.append(f'  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=10, color="{LINE[0]}", ')
    lines[-1] += f'fontcolor="{INK[0]}"];'
    lines.append(f'  edge [color="{LINE[0]}", arrowsize=0.7];')
    slowest = max((network.slowest for network in networks), default=0.0)
    for number, network in enumerate(networks):
        lines += _cluster(number, network, color, slowest if network.slowest else 0.0)
    return "\n".join([*lines, "}", ""])


def _cluster(number: int, network: Network, color: str, slowest: float) -> List[str]:
    lines = [f"  subgraph cluster_{number} {{", f"    label={_quoted([network.title])};"]
    makers: Dict[str, List[int]] = {}
    readers: Dict[str, List[int]] = {}
    for place, layer in enumerate(network.layers):
        label = [words for words in box_lines(layer, network) if words]
        lines.append(
            f"    n{number}_{place} [label={_quoted(label)}, tooltip={_quoted(told(layer))}, "
            f'fillcolor="{fill_of(layer, slowest, color)}"];'
        )
        for tensor in layer.outputs:
            makers.setdefault(tensor.name, []).append(place)
        for tensor in layer.inputs:
            readers.setdefault(tensor.name, []).append(place)
    for kind, tensors, places in (("input", network.inputs, readers), ("output", network.outputs, makers)):
        for at, tensor in enumerate(tensors):
            end = f"{kind}{number}_{at}"
            words = [f"{kind} {tensor.name}", f"{tensor.dtype} {tensor.shape_text}".strip()]
            lines.append(f'    {end} [label={_quoted(words)}, shape=oval, fillcolor="#ffffff"];')
            for place in places.get(tensor.name, ()):
                box = f"n{number}_{place}"
                lines.append(f"    {end} -> {box};" if kind == "input" else f"    {box} -> {end};")
    lines += [f"    n{number}_{first} -> n{number}_{second};" for first, second in network.edges()]
    return [*lines, "  }"]


def _quoted(words: Sequence[str]) -> str:
    """Lines as one quoted string: Graphviz knows backslashes in it, and its line breaks are ``\\\\n``."""
    cut = [line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..." for line in map(plain, words)]
    return '"' + "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in cut) + '"'
