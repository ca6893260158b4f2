"""Why a row must not be used: what happened in its turns that must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

__all__ = ["Turn", "void_reasons"]


@dataclass(frozen=True)
class Turn:
    """Milliseconds of each call, seconds in all, and what happened meanwhile, such as ``"fallback: ..."``."""

    times: np.ndarray[Any, Any]
    wall: float
    reasons: Tuple[str, ...] = ()


def void_reasons(turns: Sequence[Turn]) -> Tuple[str, ...]:
    """Each kind of reason once, with the first turn's words and the number of turns that had it.

    A kind is what stands before the colon: each turn's counts differ.
    """
    kinds: Dict[str, List[str]] = {}
    for turn in turns:
        own: Dict[str, str] = {}
        for reason in turn.reasons:
            own.setdefault(reason.partition(":")[0], reason)
        for kind, reason in own.items():
            kinds.setdefault(kind, []).append(reason)
    return tuple(f"{texts[0]} (in {len(texts)} of {len(turns)} turns)" for texts in kinds.values())
