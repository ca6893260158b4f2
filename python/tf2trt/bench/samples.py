"""What a GPU was doing at one moment, whoever read it: NVML or tegrastats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

__all__ = ["MEASURED", "Sample", "UnavailableError"]

MEASURED = ("sm_clock_mhz", "memory_clock_mhz", "power_w", "temperature_c", "memory_used_bytes")


@dataclass(frozen=True)
class Sample:
    """One reading; None: this GPU does not say. ``time`` is ``time.perf_counter()``'s, ``throttle`` in words."""

    time: float
    sm_clock_mhz: Optional[float] = None
    memory_clock_mhz: Optional[float] = None
    power_w: Optional[float] = None
    temperature_c: Optional[float] = None
    memory_used_bytes: Optional[float] = None
    throttle: Tuple[str, ...] = ()


class UnavailableError(Exception):
    """Nothing can be read here, or no longer; the message says why. It never leaves this folder."""
