"""A layer in words: the lines in its box, and all that is known of it."""

from __future__ import annotations

from typing import List, Tuple

from tf2trt.inspect.network import Layer, Network

__all__ = ["box_lines", "format_time", "one_line", "plain", "told"]

_CONTROLS = dict.fromkeys(range(32), " ")
_MOST = 8  # names in a list
_TOLD_IN_BOX = ("weights", "kernel_shape", "perm", "axes", "axis")  # the first of these


def plain(words: str) -> str:
    """Without control characters, which TensorRT 8.6 puts between the names of fused layers."""
    return " ".join(words.translate(_CONTROLS).split())


def one_line(error: Exception) -> str:
    """An error's message with all that was received, expected and hinted at."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def format_time(milliseconds: float) -> str:
    """``"0.125 ms"``; below a hundredth in microseconds."""
    return f"{milliseconds:.3f} ms" if milliseconds >= 0.01 else f"{milliseconds * 1000:.2f} \N{MICRO SIGN}s"


def box_lines(layer: Layer, network: Network) -> Tuple[str, str, str]:
    """The heading of a layer's box, and two lines below it."""
    shape = layer.outputs[0].shape_text if layer.outputs else ""
    second = ", ".join(filter(None, [layer.kind, layer.precision if layer.precision != "unknown" else "", shape]))
    third = plain(layer.tactic)
    if layer.milliseconds is not None:
        total = network.milliseconds or 0.0
        share = f" ({layer.milliseconds / total:.1%})" if total else ""
        third = f"{format_time(layer.milliseconds)}{share}"
    elif not third and layer.details:
        third = next((f"{name} {layer.details[name]}" for name in _TOLD_IN_BOX if name in layer.details), "")
    return plain(layer.title), second, third


def told(layer: Layer) -> List[str]:
    """Everything that is known of a layer, line by line."""
    lines = [plain(layer.name), f"{layer.kind or 'layer'}, {layer.precision}"]
    if layer.milliseconds is not None:
        lines[-1] += f", {format_time(layer.milliseconds)}"
    for label, names in (("Keras", layer.keras), ("op", layer.ops), ("ONNX", layer.nodes)):
        if names and names != (layer.name,):
            more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
            lines.append(f"{label}: {', '.join(names[:_MOST])}{more}")
    for label, tensors in (("in", layer.inputs), ("out", layer.outputs)):
        lines += [f"{label}: {plain(each.name)} {each.dtype} {each.shape_text}".rstrip() for each in tensors[:_MOST]]
    if layer.tactic:
        lines.append(f"tactic: {plain(layer.tactic)}")
    return lines + [f"{name}: {plain(value)}" for name, value in layer.details.items()]
