"""What the layers of a built engine compute in, read back from TensorRT's engine inspector."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

__all__ = ["EngineLayer", "count_layer_types", "read_layers", "tensor_dtype"]

# The inspector names a tensor's format and type in words, such as "Row major linear FP32" or "Channel major FP16
# format where channel % 8 == 0" (TensorRT 8.6); 10 and 11 also say "Half" and "Float". The first match counts.
_TYPES = (
    ("bfloat16", re.compile(r"BF16|BFloat16", re.IGNORECASE)),
    ("float16", re.compile(r"FP16|Half", re.IGNORECASE)),
    ("float8", re.compile(r"FP8|Float8", re.IGNORECASE)),
    ("float32", re.compile(r"FP32|Float", re.IGNORECASE)),
    ("uint8", re.compile(r"UInt8", re.IGNORECASE)),
    ("int8", re.compile(r"Int8", re.IGNORECASE)),
    ("int32", re.compile(r"Int32", re.IGNORECASE)),
    ("int64", re.compile(r"Int64", re.IGNORECASE)),
    ("bool", re.compile(r"Bool", re.IGNORECASE)),
)
# Operands in a kernel's name: "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc", "..._i8i8_i8i32_f32_...",
# "..._tf32f32_tf32f32_f32_...", "ampere_h16816cudnn_...", "ampere_scudnn_128x64_relu_...".
_TACTICS = (
    ("tf32", re.compile(r"tf32")),
    ("int8", re.compile(r"(?<![a-z0-9])i8|int8|imma", re.IGNORECASE)),
    ("bfloat16", re.compile(r"bf16")),
    ("float16", re.compile(r"(?<![a-z0-9])(f16|fp16|h884|h1688|h16816|hmma|hgemm|hcudnn)")),
    ("float32", re.compile(r"(?<![a-z0-9])(f32f32|scudnn|sgemm)")),
)
_COMPUTED_IN = {"bfloat16", "float16", "float8", "float32", "int8", "uint8"}
_REGION = re.compile(r"ForeignNode\[(.*)\]")
_PROFILE = re.compile(r" \[profile \d+\]$")  # behind the names of an engine's second and later sets of layers
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]\x1e\x1f]*)\]")
_HEAVY = re.compile(r"conv|gemm|matrixmultiply|matmul|fullyconnected|einsum|rnn|mha|attention", re.IGNORECASE)
# They carry the names of what they are there for.
_LIGHT = re.compile(r"reformat|noop|constant|shuffle|copy|kgen|pointwise|signal|wait|shape", re.IGNORECASE)


@dataclass(frozen=True)
class EngineLayer:
    """A layer of an engine, made of one or more layers of the network.

    ``parts`` are the names of the latter, as far as TensorRT tells them. ``precision`` is the type of its operands, or
    ``"unknown"``. ``opaque`` marks a region that TensorRT compiled as a whole, where ``precision`` is that of what goes
    in and comes out: FP32 there leaves open what is inside.
    """

    name: str
    kind: str
    parts: Tuple[str, ...]
    precision: str
    tactic: str
    opaque: bool
    heavy: bool


def read_layers(information: str, order: Mapping[str, int], heavy: Sequence[str]) -> List[EngineLayer]:
    """The layers in the inspector's JSON, made with detailed profiling verbosity.

    Args:
        information: the JSON of TensorRT 8, 10 or 11.
        order: the place of each layer in the parsed network, by name.
        heavy: the names of those that are convolutions, matrix products, deconvolutions and recurrent layers.

    Raises:
        ValueError: it is no JSON.
    """
    known = set(heavy)
    return [_layer(value, order, known) for value in _load(information) if isinstance(value, dict)]


def count_layer_types(information: str) -> Dict[str, int]:
    """Counts the layers in the inspector's JSON by the type of their first output, such as ``{"float16": 12}``.

    What names no type that is known counts as ``"other"``.

    Raises:
        ValueError: it is no JSON.
    """
    counts = Counter(_type_of(layer) for layer in _load(information))
    return dict(sorted(counts.items()))


def _load(information: str) -> List[Any]:
    # Not strict: TensorRT 8.6 leaves control characters in its strings, between the names of fused layers.
    layers = json.loads(information, strict=False).get("Layers", [])
    return list(layers)


def _layer(value: Mapping[str, Any], order: Mapping[str, int], heavy: Any) -> EngineLayer:
    name, kind = str(value.get("Name", "")), str(value.get("LayerType", ""))
    tactic = str(value.get("TacticName", ""))
    plain = _PROFILE.sub("", name)
    region = _REGION.search(plain)
    parts = _parts(plain, str(value.get("Metadata", "")), region.group(1) if region else "", order)
    named = bool(_HEAVY.search(kind) or _HEAVY.search(str(value.get("ParameterType", ""))))
    light = bool(_LIGHT.match(kind)) or name.startswith("Reformatting CopyNode")
    return EngineLayer(
        name=name,
        kind=kind,
        parts=parts,
        precision=_precision(value, tactic, bool(region)),
        tactic=tactic,
        opaque=bool(region) or kind.lower() == "myelin",
        heavy=not light and (named or any(part in heavy for part in parts)),
    )


def _parts(name: str, metadata: str, region: str, order: Mapping[str, int]) -> Tuple[str, ...]:
    """Names of network layers. From 8.6 on the metadata has them all; before, the name has, of a region only two."""
    found = _ONNX_LAYER.findall(metadata)
    if not found and region:
        first, _, last = region.partition("...")
        ends = [order[end] for end in (first, last) if end in order]
        if len(ends) == 2:
            found = [each for each, place in order.items() if min(ends) <= place <= max(ends)]
    if not found:
        pieces = re.split(r" \+ |[(),] ?", name)
        found = [name] if name in order else [piece for piece in pieces if piece in order]
    return tuple(dict.fromkeys(found))


def _precision(value: Mapping[str, Any], tactic: str, region: bool) -> str:
    given = [tensor_dtype(tensor) for tensor in value.get("Inputs") or []]
    made = [tensor_dtype(tensor) for tensor in value.get("Outputs") or []]
    weights = value.get("Weights")
    if region:  # anything narrower at its border was made narrower inside
        types = [each for each in [*given, *made] if each in _COMPUTED_IN]
        return next((each for each in types if each != "float32"), types[0] if types else "unknown")
    operand = next((each for each in given if each in _COMPUTED_IN), "")
    if not operand and isinstance(weights, dict):
        operand = _match(_TYPES, str(weights.get("Type", "")))
    if operand in ("", "other"):
        operand = _match(_TACTICS, tactic)
    if operand == "other":
        operand = next((each for each in made if each in _COMPUTED_IN), "unknown")
    return "tf32" if operand == "float32" and "tf32" in tactic.lower() else operand


def _type_of(layer: Any) -> str:
    outputs = layer.get("Outputs", []) if isinstance(layer, dict) else []
    return tensor_dtype(outputs[0]) if outputs else "other"


def tensor_dtype(tensor: Any) -> str:
    """The type in a layer's entry of ``Inputs`` or ``Outputs``, such as ``"float16"``; ``"other"`` where it is none."""
    if not isinstance(tensor, dict):
        return "other"
    return _match(_TYPES, str(tensor.get("Format/Datatype") or tensor.get("Datatype") or tensor.get("DataType") or ""))


def _match(table: Sequence[Tuple[str, Any]], text: str) -> str:
    return next((name for name, pattern in table if pattern.search(text)), "other")
