"""The page of a file, or of two side by side: searchable, one HTML file that fetches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from tf2trt.drawing.svg import tip
from tf2trt.inspect.diff import Comparison
from tf2trt.inspect.inspection import Inspection
from tf2trt.inspect.network import Network
from tf2trt.inspect.page_facts import facts_section, key, notes_section, precision_section, slowest_section
from tf2trt.inspect.page_tables import differences_section, layers_table, pairs_table
from tf2trt.inspect.palette import COLORS, LINE, legend, style
from tf2trt.inspect.picture import caption, draw_network
from tf2trt.page import document, embedded, escape

__all__ = ["comparison_page", "inspection_page"]

Drawn = Sequence[Tuple[str, str, Network]]  # the name that the script knows it by, what its button says, the network


def inspection_page(inspection: Inspection, color: str) -> str:
    """The HTML of one file. ``color`` is what its picture starts with: ``"time"`` or ``"precision"``."""
    file = Path(inspection.path).name
    drawn: List[Tuple[str, str, Network]] = []
    if inspection.before is not None:
        drawn.append(("b", f"before: {inspection.before.title}", inspection.before))
    if inspection.network.layers:
        drawn.append(("a", f"after: {file}", inspection.network))
    body = [
        f'<p class="dim" id="summary">{escape(inspection.summary)}</p>',
        notes_section(inspection.notes),
        facts_section(inspection),
        precision_section(inspection),
        slowest_section(inspection),
    ]
    if drawn:
        body.append(_picture(drawn, drawn[-1][0], color))
    if inspection.network.layers:
        body.append(layers_table(inspection))
    return _document(file, body, drawn)


def comparison_page(comparison: Comparison, color: str) -> str:
    """The HTML of two files side by side."""
    first, second = comparison.first, comparison.second
    names = [Path(each.path).name for each in (first, second)]
    drawn = [("a", f"first: {names[0]}", first.network), ("b", f"second: {names[1]}", second.network)]
    body = [
        f'<p class="dim" id="summary">{escape(first.summary)}<br>{escape(second.summary)}</p>',
        notes_section([f"{name}: {note}" for name, each in zip(names, (first, second)) for note in each.notes]),
        differences_section(comparison, names),
    ]
    if first.network.layers and second.network.layers:
        body += [_picture(drawn, "both", color), pairs_table(comparison, names)]
    return _document(f"{names[0]} and {names[1]}", body, drawn)


def _document(title: str, body: Sequence[str], drawn: Drawn) -> str:
    folder = Path(__file__).parent
    colours = "".join(
        f"{style(color, dark=False)}@media (prefers-color-scheme: dark){{{_under(style(color, dark=True), _SYSTEM)}}}"
        f"{_under(style(color, dark=True), _CHOSEN)}"
        for color in COLORS
    )
    data = {name: [layer.to_json() for layer in network.layers] for name, _, network in drawn}
    return document(
        title,
        "\n".join([*body, embedded("layers-data", data)]),
        style=folder.joinpath("page.css").read_text("utf-8") + colours,
        script=folder.joinpath("page.js").read_text("utf-8"),
    )


# The page's switch of light and dark is stronger than the system's setting.
_SYSTEM, _CHOSEN = ':root:not([data-theme="light"])', ':root[data-theme="dark"]'


def _under(rules: str, root: str) -> str:
    return "".join(f"{root} {rule}}}" for rule in rules.split("}") if rule)


def _picture(drawn: Drawn, shown: str, color: str) -> str:
    timed = any(network.milliseconds is not None for _, _, network in drawn)
    slowest = max(network.slowest for _, _, network in drawn)
    parts = [f'<h2>Picture</h2><div id="picture" class="by-{color}"><div class="tools">']
    if len(drawn) > 1:
        choices = [(name, label) for name, label, _ in drawn]
        parts.append(_buttons("view", [*choices, ("both", "both")], shown, "What is shown"))
    if timed:
        parts.append(_buttons("color", [(name, name) for name in COLORS], color, "Colour by"))
    parts.append(
        '<span class="group"><button type="button" id="out" aria-label="Smaller">&minus;</button>'
        '<button type="button" id="in" aria-label="Larger">+</button>'
        '<button type="button" id="fit">Fit</button></span></div>'
    )
    for each in COLORS if timed else (color,):
        parts.append(_legend([network for _, _, network in drawn], each))
    for _, _, network in drawn:
        if network.adrift:
            parts.append(f'<p class="dim">{escape(caption(network))}</p>')
    parts.append(f'<div class="viewer"><div class="canvas" tabindex="0" aria-label="The network" data-shown="{shown}">')
    parts.append(f'<svg width="0" height="0" class="tips"><defs>{tip("tip", LINE[0])}</defs></svg>')
    for name, _, network in drawn:
        inner, (width, height) = draw_network(network, color, slowest, name)
        parts.append(
            f'<svg id="view-{name}" xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {width + 16:.0f} '
            f'{height + 16:.0f}" width="{width + 16:.0f}" height="{height + 16:.0f}"'
            f"{'' if shown in (name, 'both') else ' class=hidden'}>{inner}</svg>"
        )
    parts.append('</div><aside id="detail" class="hidden" aria-live="polite"></aside></div></div>')
    return "".join(parts)


def _buttons(kind: str, choices: Sequence[Tuple[str, str]], chosen: Optional[str], label: str) -> str:
    buttons = "".join(
        f'<button type="button" data-{kind}="{escape(name)}" aria-pressed="{"true" if name == chosen else "false"}">'
        f"{escape(words)}</button>"
        for name, words in choices
    )
    return f'<span class="group" role="group" aria-label="{escape(label)}">{buttons}</span>'


def _legend(networks: Sequence[Network], color: str) -> str:
    slowest = max(network.slowest for network in networks)
    entries = {name: words for network in networks for name, _, words in legend(network, color, slowest)}
    items = "".join(
        f'<span class="by-{"precision" if name.startswith("p-") else "time"}">{key(name, words)}</span>'
        for name, words in entries.items()
    )
    return f'<div class="legend for-{color}">{items}</div>'
