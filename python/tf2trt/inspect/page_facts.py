"""The upper part of a page: what the file is, its inputs and outputs, its precisions, and where the time goes."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

from tf2trt.inspect.inspection import Inspection
from tf2trt.inspect.network import Tensor
from tf2trt.inspect.palette import kind_of
from tf2trt.inspect.words import plain
from tf2trt.page import escape
from tf2trt.specs import format_shape

__all__ = ["facts_section", "format_size", "key", "notes_section", "precision_section", "slowest_section", "table"]

_SLOWEST = 10
TIMES = {"profile": "measured now, layer by layer", "build": "measured when it was built"}


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, name: str = "") -> str:
    """A table whose cells are HTML already; wide ones are scrolled."""
    columns = "".join(f"<th>{escape(word)}</th>" for word in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table{f" id={name}" if name else ""}><thead><tr>{columns}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def key(name: str, words: str) -> str:
    """A legend's entry: a box of CSS class ``name``, and what it stands for."""
    return (
        f'<span class="key"><svg width="22" height="14"><rect class="{name}" width="22" height="14" rx="3"/></svg>'
        f"{escape(words)}</span>"
    )


def format_size(count: int) -> str:
    """``1536`` as ``"1.5 KiB (1,536 bytes)"``."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{count:,} bytes" if unit == "bytes" else f"{size:.1f} {unit} ({count:,} bytes)"


def notes_section(notes: Sequence[str]) -> str:
    """What is missing, and why."""
    if not notes:
        return ""
    return f'<div class="panel note">{"".join(f"<p>{escape(note)}</p>" for note in notes)}</div>'


def facts_section(inspection: Inspection) -> str:
    """Inputs, outputs, profiles; versions, how it was built, memory, plugins."""
    rows = [
        [escape(kind), f"<code>{escape(tensor.name)}</code>", escape(tensor.dtype), escape(tensor.shape_text)]
        + [escape(words) for words in _ranges(inspection, tensor)]
        for kind, tensors in (("input", inspection.inputs), ("output", inspection.outputs))
        for tensor in tensors
    ]
    head = ["", "name", "type", "shape"]
    for number in range(len(inspection.profiles)):
        head.append("min to max (usual)" if len(inspection.profiles) == 1 else f"profile {number}: min to max (usual)")
    facts: List[Tuple[str, str]] = [*inspection.versions.items(), *inspection.build.items()]
    facts += [(f"memory: {name}", format_size(size)) for name, size in inspection.memory.items()]
    facts += [(f"plugin {name}", words) for name, words in inspection.plugins.items()]
    if inspection.times is not None:
        facts.append(("times", TIMES[inspection.times]))
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    tensors = f'<div class="panel tensors">{table(head, rows)}</div>' if rows else ""
    return f'<h2>What it is</h2>{tensors}<dl class="panel facts">{listed}</dl>'


def _ranges(inspection: Inspection, tensor: Tensor) -> List[str]:
    words = []
    for profile in inspection.profiles:
        limits = profile.get(tensor.name) if tensor in inspection.inputs else None
        if limits is None:
            words.append("")
        else:
            low, usual, high = (format_shape(shape) for shape in (limits.min, limits.opt, limits.max))
            words.append(f"{low} to {high} ({usual})")
    return words


def precision_section(inspection: Inspection) -> str:
    """A bar of how many layers compute in each type, and one of their times."""
    shares = inspection.network.by_precision()
    if not shares:
        return ""
    word = "nodes" if inspection.kind == "onnx" else "layers"
    bars = [_bar(word, {name: float(count) for name, (count, _) in shares.items()}, "{:.0f}")]
    if inspection.network.milliseconds:
        bars.append(_bar("time", {name: time for name, (_, time) in shares.items()}, "{:.3f} ms"))
    return f'<h2>Precision</h2><div class="panel by-precision">{"".join(bars)}</div>'


def _bar(label: str, values: Dict[str, float], form: str) -> str:
    total = sum(values.values())
    parts, keys, across = [], [], 0.0
    for name, value in values.items():
        share = value / total if total else 0.0
        words = f"{name}: {form.format(value)} ({share:.0%})"
        width = 1000 * share
        parts.append(
            f'<rect class="p-{kind_of(name)}" x="{across:.1f}" width="{width:.1f}" height="22">'
            f"<title>{escape(words)}</title></rect>"
        )
        across += width
        keys.append(key(f"p-{kind_of(name)}", words))
    return (
        f'<h3>By {escape(label)}</h3><svg class="bar" viewBox="0 0 1000 22" width="100%" height="22" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(label)} by precision">{"".join(parts)}</svg>'
        f'<div class="legend">{"".join(keys)}</div>'
    )


def slowest_section(inspection: Inspection) -> str:
    """The layers that take the most time."""
    total = inspection.network.milliseconds
    if not total:
        return ""
    timed = [layer for layer in inspection.network.layers if layer.milliseconds]
    timed.sort(key=lambda layer: -(layer.milliseconds or 0.0))
    top, rows = timed[0].milliseconds or 1.0, []
    for layer in timed[:_SLOWEST]:
        time = layer.milliseconds or 0.0
        rows.append(
            f"<li><span>{escape(plain(' + '.join(layer.origins) or layer.name))}</span>"
            f'<span class="figure">{time:.3f} ms, {time / total:.1%}</span>'
            f'<span class="track"><span style="width:{100 * time / top:.1f}%"></span></span></li>'
        )
    shown = sum(layer.milliseconds or 0.0 for layer in timed[:_SLOWEST])
    count = len(inspection.network.layers)
    words = f"The {len(rows)} slowest of {count} layers take {shown / total:.0%} of {total:.3f} ms."
    return (
        f'<h2>Where the time goes</h2><div class="panel"><p class="dim">{words}</p>'
        f'<ol class="slowest">{"".join(rows)}</ol></div>'
    )
