"""What the layers of a built engine compute in, read back from TensorRT's engine inspector."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from typing import Any, Dict

from tf2trt import _native

__all__ = ["built_layer_types", "count_layer_types"]

_log = logging.getLogger(__name__)

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


def built_layer_types(library: _native.Library, plan: Any) -> Dict[str, int]:
    """Deserialises ``plan`` and counts its layers by the type of their first output.

    Empty, with a warning in the log, where the inspector's answer cannot be read: a finished build is not lost for it.

    Raises:
        EngineError: the plan cannot be deserialised.
        DeviceError: there is no GPU.
    """
    information = _native.Engine.deserialize(library, plan).information()
    try:
        return count_layer_types(information)
    except ValueError as error:
        _log.warning("the types of the built layers are not known: TensorRT's inspector answered no JSON: %s", error)
        return {}


def count_layer_types(information: str) -> Dict[str, int]:
    """Counts the layers in the inspector's JSON by the type of their first output, such as ``{"float16": 12}``.

    What names no type that is known counts as ``"other"``.
    """
    # Not strict: TensorRT 8.6 leaves control characters in its strings, between the names of fused layers.
    layers = json.loads(information, strict=False).get("Layers", [])
    counts = Counter(_type_of(layer) for layer in layers)
    return dict(sorted(counts.items()))


def _type_of(layer: Any) -> str:
    outputs = layer.get("Outputs", []) if isinstance(layer, dict) else []
    text = str(outputs[0].get("Format/Datatype", "")) if outputs else ""
    return next((name for name, pattern in _TYPES if pattern.search(text)), "other")
