"""A network as a picture: one SVG file that needs nothing else, or the part of it that a page takes in."""

from __future__ import annotations

from typing import Dict, List, Sequence, Set, Tuple

from tf2trt.drawing.layout import Layout, lay_out
from tf2trt.drawing.svg import curve, cut, text, tip
from tf2trt.inspect.network import Layer, Network, Tensor
from tf2trt.inspect.palette import COLORS, INK, KINDS, LINE, class_of, fill_of, legend, style
from tf2trt.inspect.words import box_lines, plain, told
from tf2trt.page import escape

__all__ = ["caption", "draw_network", "network_picture"]

_BOX, _GAP, _MARGIN = (288, 80), (22, 30), 20  # in pixels
_HEAD, _TITLE, _BESIDE = 76, 26, 60  # above all networks, above each, between two
_LETTER = 8.0  # pixels of a caption's letter
_LETTERS, _SMALL_LETTERS = 33, 38  # that fit into a box's line

Box = Tuple[str, int]  # "input", "layer" or "output", and the place


def network_picture(title: str, networks: Sequence[Network], color: str) -> str:
    """An SVG of one or two networks side by side, data from top to bottom, dark on a dark ground.

    Args:
        color: ``"time"`` or ``"precision"``.
    """
    panels, across, height = [], float(_MARGIN), 0.0
    slowest = max((network.slowest for network in networks), default=0.0)
    for network in networks:
        inner, size = draw_network(network, color, slowest)
        panels.append(
            f'<g transform="translate({across:.0f} {_HEAD})">'
            f'{text(0, 14, caption(network), weight="bold")}<g transform="translate(0 {_TITLE})">{inner}</g></g>'
        )
        wide = max(size[0], _LETTER * len(caption(network)))
        across, height = across + wide + _BESIDE, max(height, size[1])
    width, height = max(across - _BESIDE + _MARGIN, 560.0), height + _HEAD + _TITLE + _MARGIN
    dark = (
        f"svg{{background:#0f1419}}text{{fill:{INK[1]}}}.edge{{stroke:{LINE[1]}}}.box{{stroke:{LINE[1]}}}"
        f"#tip path{{fill:{LINE[1]}}}.end{{fill:#182029}}{''.join(style(each, dark=True) for each in COLORS)}"
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" fill="{INK[0]}" class="by-{color}">',
            f"<style>svg{{background:#ffffff}}@media (prefers-color-scheme: dark){{{dark}}}</style>",
            f"<defs>{tip('tip', LINE[0])}</defs>",
            text(_MARGIN, 26, title, 15, weight="bold"),
            *_legend(networks, color),
            *panels,
            "</svg>",
            "",
        ]
    )


def draw_network(network: Network, color: str, slowest: float, prefix: str = "") -> Tuple[str, Tuple[float, float]]:
    """The boxes and edges as SVG elements, and their width and height in pixels. ``slowest`` is the time in
    milliseconds that has the last colour.

    Each layer is a ``<g class="layer">``, with ``data-at="PREFIX3"`` where there is a prefix; its ``rect`` has the
    classes of :mod:`~tf2trt.inspect.palette`. Edges end in ``url(#tip)``, which is for the caller to define.
    """
    boxes, layout = _lay_out(network)
    parts = [
        f'<path class="edge" d="{curve(line)}" fill="none" stroke="{LINE[0]}" marker-end="url(#tip)"/>'
        for line in layout.lines.values()
    ]
    for (kind, place), corner in zip(boxes, layout.corners):
        if kind == "layer":
            parts.append(_layer(network, place, corner, color, slowest if network.slowest else 0.0, prefix))
        else:
            parts.append(_end(kind, (network.inputs if kind == "input" else network.outputs)[place], corner))
    inner = "".join(parts)
    # Without times it keeps these colours where others beside it show theirs.
    return inner if network.slowest else f'<g class="by-precision">{inner}</g>', (layout.width, layout.height)


def caption(network: Network) -> str:
    """What stands above a network: its title, and how many of its layers are not drawn."""
    count = len(network.adrift)
    if not count:
        return network.title
    return f"{network.title}; without {count} layer{'' if count == 1 else 's'} of which it is not known where"


def _lay_out(network: Network) -> Tuple[List[Box], Layout]:
    """Every layer below all that it reads; where nothing is known of that, one below the other."""
    adrift = set(network.adrift)
    drawn = [place for place in range(len(network.layers)) if place not in adrift]
    boxes: List[Box] = [("layer", place) for place in drawn]
    at = {place: box for box, place in enumerate(drawn)}
    edges = [(at[first], at[second]) for first, second in network.edges()]
    made: Dict[str, List[int]] = {}
    read: Dict[str, List[int]] = {}
    for box, place in enumerate(drawn):
        for tensor in network.layers[place].inputs:
            read.setdefault(tensor.name, []).append(box)
        for tensor in network.layers[place].outputs:
            made.setdefault(tensor.name, []).append(box)
    for place, tensor in enumerate(network.inputs):
        edges += [(len(boxes), reader) for reader in read.get(tensor.name, ())]
        boxes.append(("input", place))
    for place, tensor in enumerate(network.outputs):
        edges += [(maker, len(boxes)) for maker in made.get(tensor.name, ())]
        boxes.append(("output", place))
    if not edges:
        boxes = boxes[: len(drawn)]
        return boxes, lay_out(range(len(boxes)), set(), _BOX, (_GAP[0], _GAP[1] / 2))
    return boxes, lay_out(_levels(len(boxes), edges), set(edges), _BOX, _GAP)


def _levels(count: int, edges: Sequence[Tuple[int, int]]) -> List[int]:
    above: List[Set[int]] = [set() for _ in range(count)]
    below: List[Set[int]] = [set() for _ in range(count)]
    for first, second in edges:
        above[second].add(first)
        below[first].add(second)
    levels = [0] * count
    missing = [len(those) for those in above]
    ready = [box for box in range(count) if not missing[box]]
    while ready:
        box = ready.pop()
        for reader in below[box]:
            levels[reader] = max(levels[reader], levels[box] + 1)
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    for box in range(count):  # what reads nothing stands where it is needed first
        if not above[box] and below[box]:
            levels[box] = min(levels[reader] for reader in below[box]) - 1
    return levels


def _layer(network: Network, place: int, corner: Tuple[float, float], color: str, slowest: float, prefix: str) -> str:
    layer = network.layers[place]
    x, y = corner
    heading, second, third = box_lines(layer, network)
    lines = [text(x + 12, y + 23, cut(heading, _LETTERS, keep_end=len(layer.origins) == 1), 13, weight="bold")]
    lines += [
        text(x + 12, y + 44 + 20 * line, cut(words, _SMALL_LETTERS))
        for line, words in enumerate((second, third))
        if words
    ]
    at = f' data-at="{prefix}{place}"' if prefix else ""
    dashes = ' stroke-dasharray="4 3"' if layer.precision == "unknown" else ""
    return (
        f'<g class="layer"{at}>{_tooltip(layer)}<rect class="box {class_of(layer, slowest)}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{_BOX[0]}" height="{_BOX[1]}" rx="6" fill="{fill_of(layer, slowest, color)}" stroke="{LINE[0]}"'
        f"{dashes}/>{''.join(lines)}</g>"
    )


def _tooltip(layer: Layer) -> str:
    return f"<title>{escape(chr(10).join(told(layer)))}</title>"


def _end(kind: str, tensor: Tensor, corner: Tuple[float, float]) -> str:
    x, y = corner[0], corner[1] + (20 if kind == "input" else 0)  # where its edges begin, or end
    words = f"{tensor.dtype} {tensor.shape_text}".strip()
    return (
        f'<g><rect class="box end" x="{x:.1f}" y="{y:.1f}" width="{_BOX[0]}" height="{_BOX[1] - 20}" rx="30" '
        f'fill="{KINDS["unknown"][0]}" stroke="{LINE[0]}"/>'
        + text(x + 26, y + 26, cut(f"{kind} {plain(tensor.name)}", _LETTERS - 3, keep_end=True), 13, weight="bold")
        + text(x + 26, y + 45, words)
        + "</g>"
    )


def _legend(networks: Sequence[Network], color: str) -> List[str]:
    slowest = max((network.slowest for network in networks), default=0.0)
    entries = {name: (fill, words) for each in networks for name, fill, words in legend(each, color, slowest)}
    parts, across = [], float(_MARGIN)
    for name, (fill, words) in entries.items():
        parts.append(
            f'<g class="by-{"precision" if name.startswith("p-") else "time"}"><rect class="box {name}" '
            f'x="{across:.0f}" y="42" width="22" height="14" rx="3" fill="{fill}" stroke="{LINE[0]}"/></g>'
        )
        parts.append(text(across + 28, 53, words))
        across += 34 + 6.6 * len(words)
    return parts
