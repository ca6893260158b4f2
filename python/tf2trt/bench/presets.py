"""Ways of measuring, by name: tf2trt's own, and those in which trtexec of 10.x and of 11.x measures by default.

trtexec warms up for 200 ms, then runs for 3 s and 10 calls at least, one batch queued ahead of the one that is waited
for. Up to 10.x inputs and outputs are copied for each call and work is enqueued anew; from 11.0 on nothing is copied,
and work is replayed as a CUDA graph. Its percentiles are of "GPU Compute Time", events around the work of a call
without its copies: compare it with the regime gpu. Its "Throughput" is, in 10.x, the regime pipelined; in 11.x, without
copies, that of the regime gpu. Not the same: 11.x spins while it waits, where tf2trt leaves that to the driver, which
only the host's times show; and each call of tf2trt copies from and to arrays of the caller's, which trtexec has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Optional, Tuple

from tf2trt.bench.results import REGIMES

__all__ = ["DEFAULT", "PRESETS", "Way"]

DEFAULT = "tf2trt"


@dataclass(frozen=True)
class Way:
    """How each subject is measured.

    A turn lasts ``seconds`` and has ``calls`` calls at least; each cell (subject, batch, regime) gets ``repeats``
    turns. ``warm_up``: seconds of untimed calls before; None: until the times are stable (:mod:`~tf2trt.bench.warmup`).
    ``inflight``: calls on their way at once in the regime pipelined. ``graphs``: engines run as CUDA graphs. ``ahead``:
    launches that are queued while one runs, in the regime gpu.
    """

    regimes: Tuple[str, ...] = tuple(REGIMES)
    repeats: int = 5
    seconds: float = 1.0
    calls: int = 10
    warm_up: Optional[float] = None
    inflight: int = 3
    graphs: bool = True
    ahead: int = 0


PRESETS: Mapping[str, Way] = {
    DEFAULT: Way(),
    "trtexec-10": Way(("gpu", "pipelined"), repeats=1, seconds=3.0, warm_up=0.2, inflight=2, graphs=False, ahead=1),
    "trtexec-11": Way(("gpu",), repeats=1, seconds=3.0, warm_up=0.2, inflight=2, ahead=1),
}
