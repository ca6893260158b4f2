"""A Jetson by the lines of NVIDIA's ``tegrastats``, and by the kernel's cooling devices: what is held back."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import List, Optional, Tuple

from tf2trt.bench.samples import Sample, UnavailableError

__all__ = ["TegrastatsSource", "cooling", "parse"]

_MIB = 2**20
_THERMAL = Path("/sys/class/thermal")
# What the whole board takes, by the rail's name: Orin and Xavier NX, AGX Orin, Nano and TX2, ... AGX Xavier has none.
_BOARD = ("VDD_IN", "VIN_SYS_5V0", "POM_5V_IN", "VIN")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)(?:mW)?/\d+(?:mW)?(?= |$)")


def parse(line: str, when: float, throttle: Tuple[str, ...] = ()) -> Sample:
    """A line of tegrastats, of JetPack 4 to 6, as a reading.

    ``RAM X/YMB`` is memory in use, ``GR3D_FREQ X%@Y`` the GPU's clock in MHz (``[Y,Y]``: of each of its parts; newer
    boards leave it out when the GPU sleeps), ``EMC_FREQ X%@Y`` the memory's, ``GPU@XC`` its temperature. Power is the
    rail that feeds the board, or the sum of all where there is none. What is not in the line is None.
    """
    memory = re.search(r"\bRAM (\d+)/\d+MB", line)
    rails = {name: int(value) for name, value in _RAIL.findall(line) if name not in ("RAM", "SWAP", "IRAM")}
    board = [rails[name] for name in _BOARD if name in rails]
    power = board[0] if board else sum(rails.values())
    return Sample(
        when,
        _number(r"\bGR3D_FREQ \d+%@\[?(\d+)", line),
        _number(r"\bEMC_FREQ \d+%@(\d+)", line),
        power / 1e3 if rails else None,
        _number(r"\b(?i:gpu)@(-?[\d.]+)C", line),
        None if memory is None else int(memory.group(1)) * _MIB,
        throttle,
    )


def cooling(folder: Path = _THERMAL) -> Tuple[str, ...]:
    """The kernel's cooling devices that hold something back now, such as ``gpu-balanced``; fans hold nothing back."""
    found: List[str] = []
    for device in sorted(folder.glob("cooling_device*")):
        try:
            kind, state = (device.joinpath(name).read_text().strip() for name in ("type", "cur_state"))
        except OSError:  # some answer only while what they cool is powered
            continue
        if "fan" not in kind.lower() and state.isdigit() and int(state) > 0:
            found.append(f"throttled by {kind}")
    return tuple(found)


class TegrastatsSource:
    """Reads tegrastats' lines as it prints them.

    Raises:
        UnavailableError: there is no tegrastats, so this is no Jetson.
    """

    name = "tegrastats"
    wait = 0.0  # a line comes when it comes

    def __init__(self) -> None:
        program = shutil.which("tegrastats")
        if program is None:
            raise UnavailableError("no tegrastats")
        self._process = subprocess.Popen(
            [program, "--interval", "100"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def read(self) -> Sample:
        """The next line.

        Raises:
            UnavailableError: tegrastats has ended.
        """
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise UnavailableError(f"tegrastats has ended with status {self._process.wait()}")
        return parse(line, time.perf_counter(), cooling())

    def close(self) -> None:
        """Ends tegrastats."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def _number(pattern: str, line: str) -> Optional[float]:
    found = re.search(pattern, line)
    return float(found.group(1)) if found else None
