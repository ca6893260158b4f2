"""What a user asks of surgery."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Tuple, Union

from tf2trt.surgery.collapse import Collapse
from tf2trt.surgery.interface import Interface

__all__ = ["SurgeryOptions"]


@dataclass(frozen=True)
class SurgeryOptions:
    """What is to happen besides the passes that every model goes through.

    Attributes:
        interface: other inputs and outputs; before the passes.
        collapses: sub-graphs that become one node each; after the passes, so that names are those of the result.
        rewrites: Python files with rewrites of the user's; after the collapses.
    """

    interface: Interface = field(default_factory=Interface)
    collapses: Tuple[Collapse, ...] = ()
    rewrites: Tuple[Union[str, os.PathLike[str]], ...] = ()
