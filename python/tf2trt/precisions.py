"""Precisions by name: what can be asked of a whole engine and of a layer, and the proof of what was built.

For surgery, build and the command line, which have the names from here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

from tf2trt.errors import UsageError

__all__ = [
    "DTYPES",
    "LAYER_PRECISIONS",
    "PRECISIONS",
    "LayerPrecision",
    "PrecisionProof",
    "Rules",
    "assign",
    "check_precision",
    "check_rules",
    "parse_rule",
]

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8", "int8+fp16")
LAYER_PRECISIONS = ("fp32", "fp16", "bf16", "int8")

DTYPES: Mapping[str, str] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}
"""What TensorRT calls the type of a layer's precision."""

Rules = Tuple[Tuple[str, str], ...]
"""Pairs of a pattern over layer names (``fnmatch``: ``*``, ``?``, ``[abc]``) and a precision; the last match wins."""

_NEAR = 5  # names in the message of a pattern that matches nothing


def check_precision(precision: str) -> str:
    """Returns ``precision``.

    Raises:
        UsageError: there is none of that name.
    """
    if precision not in PRECISIONS:
        raise UsageError("precision", received=repr(precision), expected=", ".join(PRECISIONS))
    return precision


def parse_rule(text: str) -> Tuple[str, str]:
    """``"conv1*=fp32"`` as ``("conv1*", "fp32")``. The last ``=`` counts: names may hold others.

    Raises:
        UsageError: the text is no rule.
    """
    pattern, _, precision = text.rpartition("=")
    return check_rules([(pattern.strip(), precision.strip())])[0]


def check_rules(rules: Iterable[Tuple[str, str]]) -> Rules:
    """The rules as a tuple of pairs.

    Raises:
        UsageError: something else than pairs of a pattern and a precision that a layer can have.
    """
    expected = f"PATTERN=PRECISION, with one of {', '.join(LAYER_PRECISIONS)}"
    if isinstance(rules, (str, Mapping)):
        raise UsageError("layer precision", received=repr(rules), expected="a sequence of (pattern, precision)")
    checked = tuple(tuple(rule) if not isinstance(rule, str) else (rule,) for rule in rules)
    for rule in checked:
        if len(rule) != 2 or not all(isinstance(part, str) for part in rule):
            raise UsageError("layer precision", received=repr(rule), expected=expected)
        if not rule[0] or rule[1] not in LAYER_PRECISIONS:
            raise UsageError("layer precision", received="=".join(rule), expected=expected)
    return tuple((str(pattern), str(precision)) for pattern, precision in checked)


def assign(names: Iterable[str], rules: Rules) -> Dict[str, str]:
    """The precision of each name that a rule is for. A pattern that is a name as it stands matches that name too.

    Raises:
        UsageError: a pattern matches no name; the message holds the nearest ones.
    """
    known = list(dict.fromkeys(name for name in names if name))
    found: Dict[str, str] = {}
    for pattern, precision in rules:
        matches = [name for name in known if name == pattern or fnmatchcase(name, pattern)]
        if not matches:
            near = difflib.get_close_matches(pattern.strip("*"), known, _NEAR, 0.0)
            raise UsageError(
                "layer precision: no layer has such a name",
                received=f"{pattern}={precision}",
                expected=f"names such as {', '.join(near)}" if near else "a network with layers",
                hint="* stands for any characters; names are those of the ONNX nodes",
            )
        found.update(dict.fromkeys(matches, precision))
    return found


@dataclass(frozen=True)
class LayerPrecision:
    """One layer and the type that it computes in.

    ``name`` is TensorRT's, in an engine those of all layers that were fused; ``kind`` is TensorRT's word for what it
    is. ``precision`` is the type of its operands, such as ``"float16"`` or ``"tf32"``, ``"unknown"`` where TensorRT
    does not say. ``heavy`` marks convolutions, matrix products, deconvolutions and recurrent layers. ``asked`` says of
    a heavy layer whether the type is the one that was asked for; None of others, and where it cannot be told.
    ``milliseconds`` is its time in one run, None where it was not run. ``nodes`` are those of the ONNX file that it was
    made of, as far as TensorRT tells.
    """

    name: str
    kind: str
    precision: str
    heavy: bool
    asked: Optional[bool] = None
    milliseconds: Optional[float] = None
    nodes: Tuple[str, ...] = ()

    def to_json(self) -> Dict[str, Any]:
        """Plain values; what is not known is left out."""
        value: Dict[str, Any] = {"name": self.name, "kind": self.kind, "precision": self.precision}
        if self.heavy:
            value["heavy"] = True
        if self.asked is not None:
            value["asked"] = self.asked
        if self.milliseconds is not None:
            value["ms"] = round(self.milliseconds, 6)
        if self.nodes:
            value["nodes"] = list(self.nodes)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LayerPrecision:
        """The inverse of :meth:`to_json`."""
        asked, time = value.get("asked"), value.get("ms")
        return cls(
            name=str(value["name"]),
            kind=str(value["kind"]),
            precision=str(value["precision"]),
            heavy=bool(value.get("heavy", False)),
            asked=None if asked is None else bool(asked),
            milliseconds=None if time is None else float(time),
            nodes=tuple(str(node) for node in value.get("nodes", ())),
        )


@dataclass(frozen=True)
class PrecisionProof:
    """What the layers of an engine compute in, and how much of it was asked for.

    ``source`` is ``"engine"`` where TensorRT's inspector was asked about the plan, and ``"network"`` where networks are
    strongly typed, so that the parsed network says it. ``share`` is the part of the heavy layers whose type is known
    that are in the type asked for, 0 to 1, and ``time_share`` the same by their time on the GPU; None where there is no
    such layer, or no GPU.
    """

    source: str
    share: Optional[float]
    time_share: Optional[float]
    layers: Tuple[LayerPrecision, ...]

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        return {
            "source": self.source,
            "share": self.share,
            "time_share": self.time_share,
            "layers": [layer.to_json() for layer in self.layers],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PrecisionProof:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: the value is no proof.
        """
        return cls(
            source=str(value["source"]),
            share=_number(value["share"]),
            time_share=_number(value["time_share"]),
            layers=tuple(LayerPrecision.from_json(layer) for layer in value["layers"]),
        )


def _number(value: Any) -> Optional[float]:
    return None if value is None else float(value)
