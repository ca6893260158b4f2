"""Optional packages: import one, or say which pip command brings it."""

from __future__ import annotations

import importlib
from typing import Any

from tf2trt.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str) -> Any:
    """Imports ``module``, which the extra ``extra`` of tf2trt brings, and returns it.

    Only the absence of ``module`` itself (or of a package above it) counts as a missing extra; an import that fails
    inside an installed package is passed on as it is, since reinstalling would not help.

    Raises:
        MissingExtraError: the package is not installed; the message holds the pip command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise MissingExtraError(
            f"the Python package {module.split('.')[0]!r} is not installed",
            hint=f"pip install 'tf2trt[{extra}]'",
        ) from error
