"""Public names that are looked up when they are first used (PEP 562), so that importing a package is cheap."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Mapping

__all__ = ["look_up"]


def look_up(package: str, homes: Mapping[str, str], name: str) -> Any:
    """``name`` of ``package``, from the module that ``homes`` names for it; from then on it is the package's own.

    Raises:
        AttributeError: ``homes`` has no such name.
    """
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(homes[name]), name)
    setattr(sys.modules[package], name, value)  # found without this function the next time
    return value
