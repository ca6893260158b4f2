"""Names for stretches of a run, which NVIDIA's profilers (Nsight Systems) show."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any, Callable, ContextManager

from tf2trt.extras import require

__all__ = ["ranges"]


def ranges(on: bool) -> Callable[[str], ContextManager[Any]]:
    """What marks a block, as in ``with mark("warm-up"):``; it does nothing where ``on`` is false.

    Calls of an engine are marked by the runtime itself, in the same domain, tf2trt.

    Raises:
        MissingExtraError: ``on``, and the package nvtx is not installed.
    """
    if not on:
        return lambda name: contextlib.nullcontext()
    nvtx = require("nvtx", "trace")
    return partial(nvtx.annotate, domain="tf2trt")
