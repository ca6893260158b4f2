"""The colours of layers: by the type that they compute in, or by their time."""

from __future__ import annotations

import math
from typing import Dict, List, Tuple

from tf2trt.inspect.network import Layer, Network
from tf2trt.inspect.words import format_time

__all__ = ["COLORS", "INK", "KINDS", "LINE", "STEPS", "class_of", "fill_of", "kind_of", "legend", "style"]

COLORS = ("time", "precision")

# Each pair is for light and for dark grounds. Black or white text on it has a contrast of 4.5 and more.
KINDS: Dict[str, Tuple[str, str]] = {
    "float32": ("#c6d8f3", "#274468"),
    "tf32": ("#b5e2ea", "#16525f"),
    "float16": ("#c3e6c5", "#1d5431"),
    "bfloat16": ("#e2e8a6", "#4d5414"),
    "int8": ("#f8d6a0", "#704a0e"),
    "float8": ("#f6c5d8", "#6f2a49"),
    "integer": ("#dde1e7", "#3c4652"),
    "unknown": ("#ffffff", "#182029"),
}
STEPS: Tuple[Tuple[str, str], ...] = (
    ("#fff8ea", "#20262c"),
    ("#ffefcf", "#322b26"),
    ("#fee2ab", "#453022"),
    ("#fdcf86", "#59351f"),
    ("#fbb968", "#6d3a1d"),
    ("#f8a156", "#81401c"),
    ("#f2874a", "#96461c"),
    ("#ec7048", "#ab4d1c"),
)
INK, LINE = ("#1b2430", "#e6eaf0"), ("#8390a0", "#66768a")
_INTEGERS = ("int32", "int64", "uint8", "int16", "uint16", "uint32", "uint64", "bool", "float64", "string")


def kind_of(precision: str) -> str:
    """The key of :data:`KINDS` for a type's name."""
    return precision if precision in KINDS else "integer" if precision in _INTEGERS else "unknown"


def step_of(layer: Layer, slowest: float) -> int:
    """The step of :data:`STEPS` for a layer's time: by its root, so that short times are told apart; -1 without one."""
    if layer.milliseconds is None or slowest <= 0:
        return -1
    return min(int(math.sqrt(max(layer.milliseconds, 0.0) / slowest) * len(STEPS)), len(STEPS) - 1)


def class_of(layer: Layer, slowest: float) -> str:
    """The CSS classes that :func:`style` colours: by precision, and by time in a network that has times."""
    step = step_of(layer, slowest)
    return f"p-{kind_of(layer.precision)}" + (f" t-{'none' if step < 0 else step}" if slowest else "")


def fill_of(layer: Layer, slowest: float, color: str) -> str:
    """The colour on a light ground; by precision also where nothing of the network has a time."""
    if color == "precision" or not slowest:
        return KINDS[kind_of(layer.precision)][0]
    step = step_of(layer, slowest)
    return KINDS["unknown"][0] if step < 0 else STEPS[step][0]


def legend(network: Network, color: str, slowest: float) -> List[Tuple[str, str, str]]:
    """Class, light colour and words for each colour in use, as :func:`fill_of` chooses them."""
    if color == "precision" or not network.slowest:
        kinds: Dict[str, List[str]] = {}
        for name in network.by_precision():
            kinds.setdefault(kind_of(name), []).append(name)
        return [(f"p-{kind}", KINDS[kind][0], ", ".join(names)) for kind, names in kinds.items()]
    entries = []
    for step, (light, _) in enumerate(STEPS):
        time = ((step + 1) / len(STEPS)) ** 2 * slowest
        entries.append((f"t-{step}", light, f"to {format_time(time)}" if step in (0, 3, 7) else ""))
    return entries


def style(color: str, *, dark: bool) -> str:
    """CSS rules that fill what has the classes, by ``color``, below an element of class ``by-COLOR``."""
    place = 1 if dark else 0
    if color == "precision":
        rules = {f"p-{kind}": pair[place] for kind, pair in KINDS.items()}
    else:
        rules = {f"t-{step}": pair[place] for step, pair in enumerate(STEPS)}
        rules["t-none"] = KINDS["unknown"][place]
    return "".join(f".by-{color} .{name}{{fill:{value}}}" for name, value in rules.items())
