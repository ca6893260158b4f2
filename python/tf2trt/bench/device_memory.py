"""How much of the GPU's memory each subject takes: what is in use more than before, when only one of them works.

Subjects that wait keep theirs, so all have to fit beside each other. Another program that takes or gives back memory
meanwhile is counted to whoever works then.
"""

from __future__ import annotations

from typing import Dict, Optional

from tf2trt.bench.nvml import NvmlSource
from tf2trt.bench.samples import UnavailableError

__all__ = ["DeviceMemory"]


class DeviceMemory:
    """Looks at the GPU through NVML; where that cannot be, nothing is known (a Jetson's memory is the system's)."""

    def __init__(self) -> None:
        self._source: Optional[NvmlSource] = None
        self._held: Dict[str, int] = {}
        self._peaks: Dict[str, int] = {}
        self._before = 0
        try:
            self._source = NvmlSource()
            self._before = self._used()
        except UnavailableError:
            self.close()

    def look(self, subject: str) -> None:
        """To be called while ``subject`` works, or just has."""
        if self._source is None:
            return
        try:
            used = self._used()
        except UnavailableError:
            self.close()
            return
        others = sum(held for name, held in self._held.items() if name != subject)
        self._held[subject] = max(0, used - self._before - others)
        self._peaks[subject] = max(self._peaks.get(subject, 0), self._held[subject])

    def gone(self, subject: str) -> None:
        """Its process has ended."""
        self._held.pop(subject, None)

    def peak(self, subject: str) -> Optional[int]:
        """The most that it was seen to have, in bytes; None: not known."""
        return self._peaks.get(subject) or None

    def close(self) -> None:
        """Lets NVML go; what was seen stays."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _used(self) -> int:
        assert self._source is not None
        used = self._source.read().memory_used_bytes
        if used is None:
            raise UnavailableError("this GPU does not say how much memory is in use")
        return int(used)
