"""What goes between the benchmark and a worker: one JSON object a line, requests one way and answers the other.

A request is ``{"do": NAME, ...}``. The answer is ``{"ok": true, ...}``, or ``{"ok": false, "error": TEXT}`` for what
went wrong inside the worker, which then takes further requests. Times of calls travel as the bytes of an array, in
base64: a turn may have a hundred thousand.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Mapping, Sequence

import numpy as np

__all__ = ["decode", "encode", "pack", "unpack"]


def encode(message: Mapping[str, Any]) -> bytes:
    """One line, with its end."""
    return json.dumps(message).encode() + b"\n"


def decode(line: bytes) -> Any:
    """A line's object.

    Raises:
        ValueError: it is no JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError(f"not an object: {line[:80]!r}")
    return message


def pack(times: Sequence[float]) -> str:
    """Numbers as text."""
    return base64.b64encode(np.asarray(times, "<f8").tobytes()).decode()


def unpack(text: str) -> np.ndarray[Any, Any]:
    """The other way: an array of float64."""
    return np.frombuffer(base64.b64decode(text), "<f8")
