"""A user's function, named ``module:function`` on the command line."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Callable

from tf2trt.errors import UsageError

__all__ = ["is_function_name", "load_function"]


def is_function_name(text: str) -> bool:
    """Whether ``text`` reads ``package.module:function``."""
    module, colon, name = text.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def load_function(text: str) -> Callable[..., Any]:
    """The function that ``text``, ``module:function``, names. Modules of the current folder are found too.

    An error inside the module is passed on as it is.

    Raises:
        UsageError: not of that form, no such module, no such function in it, or nothing to call.
    """
    if not is_function_name(text):
        raise UsageError("a function of yours", received=text, expected="module:function, such as prepare:image")
    module, _, name = text.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise UsageError(
            f"there is no module {module!r}",
            received=text,
            hint=f"a file {module.replace('.', '/')}.py in this folder, or an installed package",
        ) from error
    function = getattr(found, name, None)
    if not callable(function):
        raise UsageError(f"module {module!r} has no function {name!r}", received=text)
    return function  # type: ignore[no-any-return]
