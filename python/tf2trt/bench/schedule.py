"""Who is measured when: turns of all cells in rounds, so that what changes with time hits all alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Iterator

import numpy as np

__all__ = ["Cell", "rounds"]


@dataclass(frozen=True)
class Cell:
    """What one row of the result is about."""

    subject: str
    batch: int
    regime: str


def rounds(cells: Iterable[Cell], repeats: int, seed: int) -> Iterator[Cell]:
    """Each cell once in each of ``repeats`` rounds; every round in an order of its own, drawn from ``seed``.

    A fixed order would let the same neighbour heat the GPU before the same subject every time.
    """
    every = list(cells)
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        for place in rng.permutation(len(every)):
            yield every[place]
