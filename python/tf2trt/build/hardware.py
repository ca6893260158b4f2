"""Which GPU computes in which type: known from the compute capability, before a build that would take minutes."""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

from tf2trt import _native
from tf2trt.errors import UsageError
from tf2trt.precisions import Rules

__all__ = ["check_hardware", "has_type"]

Capability = Tuple[int, int]

# The table "Hardware and Precision" of NVIDIA's support matrices for TensorRT 8.5 to 10: the first compute capability
# that has the type, and later ones that lack it all the same. FP16 came with 5.3 (Jetson TX1 and Nano); the desktop's
# 6.1 computes in it 64 times slower than in FP32, and the table says no. INT8 is the instruction dp4a: 6.1 has it, 6.2
# (Jetson TX2) has not.
_FIRST: Dict[str, Capability] = {
    "tf32": (8, 0),
    "fp16": (5, 3),
    "bf16": (8, 0),
    "int8": (6, 1),
    "fp8": (8, 9),
}
_WITHOUT: Dict[str, Tuple[Capability, ...]] = {"fp16": ((6, 1),), "int8": ((6, 2),)}

_INSTEAD = ("fp16", "tf32", "fp32")


def has_type(kind: str, capability: Capability) -> bool:
    """Whether a GPU of that compute capability computes in ``"fp32"``, ``"tf32"``, ``"fp16"``, ``"bf16"``, ``"int8"``
    or ``"fp8"``.
    """
    return capability >= _FIRST.get(kind, (0, 0)) and capability not in _WITHOUT.get(kind, ())


def check_hardware(
    precision: str, rules: Rules, device: Optional[_native.Device], graph_types: Sequence[str] = ()
) -> None:
    """Refuses types that ``device`` lacks: those of ``precision``, of the rules for layers, and of the graph itself.

    Without a device (TensorRT-RTX builds ahead of time for others) nothing is refused.

    Raises:
        UsageError: the GPU has no such type; the message names one that it has.
    """
    if device is None:
        return
    capability = device.compute_capability
    asked = dict.fromkeys(precision.split("+"), f"precision {precision}")
    for pattern, kind in rules:
        asked.setdefault(kind, f"layer precision {pattern}={kind}")
    for kind in graph_types:
        asked.setdefault(kind, f"a graph that holds {kind.upper()}")
    for kind, received in asked.items():
        if not has_type(kind, capability):
            first = ".".join(str(part) for part in _FIRST[kind])
            others = ", ".join("{}.{}".format(*each) for each in _WITHOUT.get(kind, ()))
            raise UsageError(
                "{} does not compute in {}: its compute capability is {}.{}".format(
                    device.name, kind.upper(), *capability
                ),
                received=received,
                expected=f"a GPU of compute capability {first} or later" + (f", {others} excepted" if others else ""),
                hint=f"use {next(each for each in _INSTEAD if has_type(each, capability))}, or --allow-fallback, and "
                "TensorRT takes other types where it can",
            )
