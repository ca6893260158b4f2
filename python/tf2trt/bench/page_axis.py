"""Where a value lies on an axis, and which values are written there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Sequence

__all__ = ["Axis", "axis"]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOGARITHMIC_FROM = 20.0  # largest over smallest: beyond it the small ones would lie on each other


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``; ``logarithmic`` ones have no 0."""

    low: float
    high: float
    logarithmic: bool

    def share(self, value: float) -> float:
        """0 at ``low``, 1 at ``high``; what lies outside is put on the end."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = (math.log(max(each, self.low)) for each in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def ticks(self, most: int) -> List[float]:
        """Round values on the axis, ``most`` or fewer, and two at least where it has them."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for digits in ((1, 2, 5), (1, 3), (1,)):
                found = [digit * 10.0**power for power in powers for digit in digits]
                found = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
                if len(found) <= most:
                    return found
            return found[:: math.ceil(len(found) / most)]
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(each * power for each in _STEPS if each * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def axis(values: Sequence[float]) -> Axis:
    """An axis for positive values: from 0, or logarithmic where they differ much."""
    low, high = min(values), max(values)
    if low > 0 and high / low > _LOGARITHMIC_FROM:
        return Axis(low / 1.25, high * 1.25, True)
    return Axis(0.0, high * 1.08 or 1.0, False)
