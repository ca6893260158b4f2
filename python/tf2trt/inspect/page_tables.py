"""The tables of layers: of one file, and of two side by side."""

from __future__ import annotations

from typing import Optional, Sequence

from tf2trt.inspect.diff import Comparison, Pair
from tf2trt.inspect.inspection import Inspection
from tf2trt.inspect.network import Layer, Network
from tf2trt.inspect.page_facts import table
from tf2trt.inspect.palette import kind_of
from tf2trt.inspect.words import plain
from tf2trt.page import escape

__all__ = ["differences_section", "layers_table", "pairs_table"]


def layers_table(inspection: Inspection) -> str:
    """All layers: a row each, which the script filters, sorts and opens."""
    network = inspection.network
    word = "nodes" if inspection.kind == "onnx" else "layers"
    timed = network.milliseconds is not None
    with_tactics = any(layer.tactic for layer in network.layers)
    heads = [("#", "number"), (word[:-1], "text"), ("type", "text"), ("precision", "text"), ("output", "text")]
    heads += [("ms", "number")] if timed else []
    heads += [("tactic", "text")] if with_tactics else []
    head = "".join(
        f'<th{" class=number" if kind == "number" else ""} aria-sort="none"><button type="button" data-sort="{kind}">'
        f"{escape(name)}</button></th>"
        for name, kind in heads
    )
    rows = "".join(_row(network, place, timed, with_tactics) for place in range(len(network.layers)))
    return (
        f"<h2>{word.capitalize()}</h2>{_search(len(network.layers), word)}"
        f'<table id="layers" class="by-precision"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _search(count: int, word: str, more: str = "") -> str:
    return (
        f'<div class="tools"><input type="search" id="search" placeholder="Search names, types, shapes, tactics ..." '
        f'aria-label="Search {word}">{more}<span class="dim" id="count">{count} {word}</span></div>'
    )


def _row(network: Network, place: int, timed: bool, with_tactics: bool) -> str:
    layer = network.layers[place]
    cells = [
        f'<td class="number">{place}</td>',
        f'<td class="name">{_named(layer)}</td>',
        f'<td data-label="type">{escape(layer.kind)}{" <b>plugin</b>" if layer.plugin else ""}</td>',
        f'<td data-label="precision">{_chip(layer.precision)}</td>',
        f'<td data-label="output">{escape(layer.outputs[0].shape_text if layer.outputs else "")}</td>',
    ]
    if timed:
        share = (layer.milliseconds or 0.0) / (network.slowest or 1.0)
        cells.append(
            f'<td class="number time" data-label="ms"><span>{_time(layer.milliseconds)}</span>'
            f'<span class="track"><span style="width:{100 * share:.1f}%"></span></span></td>'
        )
    if with_tactics:
        cells.append(f'<td class="tactic" data-label="tactic"><code>{escape(plain(layer.tactic))}</code></td>')
    return f'<tr data-at="a{place}" tabindex="0">{"".join(cells)}</tr>'


def _named(layer: Layer) -> str:
    """What it came from, all of it, and TensorRT's name where that is another."""
    words = " + ".join(layer.origins) or layer.name
    own = "" if plain(layer.name) == plain(words) else f'<code class="dim">{escape(plain(layer.name))}</code>'
    return f"<b>{escape(plain(words))}</b>{own}"


def _chip(precision: str) -> str:
    box = f'<rect class="p-{kind_of(precision)}" width="12" height="12" rx="3"/>'
    return f'<span class="chip"><svg width="12" height="12">{box}</svg>{escape(precision)}</span>'


def _time(milliseconds: Optional[float]) -> str:
    return "" if milliseconds is None else f"{milliseconds:.4f}"


def differences_section(comparison: Comparison, names: Sequence[str]) -> str:
    """What differs of the whole."""
    rows = [[escape(what), escape(one), escape(two)] for what, one, two in comparison.facts]
    facts = table(["", *names], rows, name="differences") if rows else "<p>Nothing of the whole.</p>"
    return f'<h2>What differs</h2><div class="panel">{facts}</div>'


def pairs_table(comparison: Comparison, names: Sequence[str]) -> str:
    """The layers of both files, those that are made of the same ONNX nodes in one row."""
    word = "nodes" if comparison.first.kind == "onnx" else "layers"
    timed = any(time is not None for pair in comparison.pairs for time in pair.milliseconds)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    if timed:
        head += '<th class="number">first, ms</th><th class="number">second, ms</th><th class="number">change</th>'
    lines = "".join(_pair(comparison, pair, timed) for pair in comparison.pairs)
    only = '<label><input type="checkbox" id="differing"> only what differs</label>'
    return (
        f"<h2>{word.capitalize()} side by side</h2>{_search(len(comparison.pairs), 'rows', only)}"
        f'<table id="layers" class="by-precision pairs"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
    )


def _pair(comparison: Comparison, pair: Pair, timed: bool) -> str:
    cells = []
    for network, places, name in (
        (comparison.first.network, pair.first, "a"),
        (comparison.second.network, pair.second, "b"),
    ):
        inner = "".join(_half(network.layers[place], f"{name}{place}") for place in places)
        cells.append(f'<td class="name">{inner or "<span class=dim>nothing of it here</span>"}</td>')
    if timed:
        first, second = pair.milliseconds
        cells.append(f'<td class="number" data-label="first, ms">{_time(first)}</td>')
        cells.append(f'<td class="number" data-label="second, ms">{_time(second)}</td>')
        change = f"{(second - first) / first:+.0%}" if first and second is not None else ""
        cells.append(f'<td class="number" data-label="change">{change}</td>')
    at = " ".join([f"a{place}" for place in pair.first] + [f"b{place}" for place in pair.second])
    return f'<tr data-at="{at}"{" class=differs" if pair.differs else ""}>{"".join(cells)}</tr>'


def _half(layer: Layer, at: str) -> str:
    shape = layer.outputs[0].shape_text if layer.outputs else ""
    words = ", ".join(filter(None, [layer.kind, shape]))
    tactic = f'<code class="dim">{escape(plain(layer.tactic))}</code>' if layer.tactic else ""
    kind = f"<span>{_chip(layer.precision)} {escape(words)}</span>"
    return f'<div class="half" data-show="{at}">{_named(layer)}{kind}{tactic}</div>'
