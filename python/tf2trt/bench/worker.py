"""The process that holds one subject: ``python -m tf2trt.bench.worker``; :mod:`~tf2trt.bench.protocol` is its language.

Its standard output is kept for answers: what libraries print there goes to standard error. It ends when its standard
input does, which is also when the benchmark that started it is gone.

Requests:

- ``load`` (``job``, ``batch``, ``seed``): makes the subject and calls it once.
- ``warm`` (``batch``, ``regime``, ``seconds``, ``inflight``): untimed calls, see :mod:`~tf2trt.bench.warmup`.
- ``turn`` (``batch``, ``regime``, ``seconds``, ``calls``, ``inflight``): timed ones.
- ``trace`` (``batch``, ``calls``): what happens in some calls.
- ``close``: gives the subject back, says how much memory the process had at most, and ends.
- ``build`` (``job``): makes a subject's engine, see :mod:`~tf2trt.bench.building`.
"""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
from typing import Any, BinaryIO, Callable, Dict, Iterable, Mapping, Optional, Tuple

from tf2trt.bench.adapter import Adapter, Arrays, make_inputs, nan_outputs
from tf2trt.bench.nvtx_ranges import ranges
from tf2trt.bench.protocol import decode, encode, pack
from tf2trt.bench.timing import BURSTS, Result
from tf2trt.bench.warmup import warm_up
from tf2trt.errors import Tf2TrtError, UsageError

__all__ = ["Worker", "main", "open_subject"]

_RESUME = 0.05  # seconds of untimed calls before a turn: another process had the GPU and the caches meanwhile
_RESUME_CALLS = 3  # in each place of a pipeline: the second captures the CUDA graph


class Worker:
    """Answers requests. ``opener`` makes the adapter of a job."""

    def __init__(self, opener: Callable[[Mapping[str, Any]], Adapter]) -> None:
        self._opener = opener
        self._loaded: Optional[Adapter] = None
        self._inputs: Dict[int, Arrays] = {}
        self._job: Mapping[str, Any] = {}
        self._seed = 0

    @property
    def _adapter(self) -> Adapter:
        if self._loaded is None:
            raise UsageError("a worker's request", received="one before any subject was loaded", expected="load first")
        return self._loaded

    def answer(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        """One request's answer, without ``ok``. What goes wrong is raised."""
        does = {
            "load": self._load,
            "warm": self._warm,
            "turn": self._turn,
            "trace": self._trace,
            "close": self._close,
            "build": self._build,
        }
        return does[str(request["do"])](request)

    def _load(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        self._job, self._seed = request["job"], request["seed"]
        self._loaded = self._opener(self._job)
        loaded = time.perf_counter()
        inputs = self._arrays(request["batch"])
        with self._adapter.watched(request["batch"], timed=False):
            began = time.perf_counter()
            self._adapter.call(inputs)
            seconds = time.perf_counter() - began
        return {"loaded": loaded, "call_seconds": seconds, "facts": self._adapter.facts()}

    def _warm(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        inputs, inflight = self._arrays(request["batch"]), request["inflight"]
        burst = BURSTS[request["regime"]]
        with self._adapter.watched(request["batch"], timed=False):
            warm = warm_up(
                lambda seconds, calls: burst(self._adapter, inputs, inflight, seconds, calls).times, request["seconds"]
            )
        found = {"seconds": warm.seconds, "median_ms": warm.median_ms, "stable": warm.stable}
        return {**found, "inflight": self._adapter.slots(inflight)} if request["regime"] == "pipelined" else found

    def _turn(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        batch, inflight = request["batch"], request["inflight"]
        inputs, burst = self._arrays(batch), BURSTS[request["regime"]]
        text = f"{self._job['name']}, batch {batch}, {request['regime']}"
        with self._adapter.watched(batch, timed=True) as watched, ranges(self._job["nvtx"])(text):
            places = self._adapter.slots(inflight) if request["regime"] == "pipelined" else 1
            burst(self._adapter, inputs, inflight, _RESUME, _RESUME_CALLS * places)
            result: Result = burst(self._adapter, inputs, inflight, request["seconds"], request["calls"])
            watched.times = result.times
        void = [*watched.reasons, *(f"NaN in the output {name}" for name in nan_outputs(result.outputs))]
        return {
            "times": pack(result.times),
            "wall": result.wall,
            "began": result.began,
            "ended": result.ended,
            "void": void,
        }

    def _trace(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        process = f"{self._job['name']}, batch {request['batch']}"
        return {"events": self._adapter.events(self._arrays(request["batch"]), request["calls"], process)}

    def _close(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        if self._loaded is not None:
            self._loaded.close()
        return {"host_peak_bytes": _peak()}

    def _build(self, request: Mapping[str, Any]) -> Dict[str, Any]:
        from tf2trt.bench.building import build

        return build(request["job"])

    def _arrays(self, batch: int) -> Arrays:
        if batch not in self._inputs:
            known = {**self._adapter.shapes(batch), **_shapes(self._job)}
            self._inputs[batch] = make_inputs(self._adapter.inputs, known, batch, self._seed)
        return self._inputs[batch]


def open_subject(job: Mapping[str, Any]) -> Adapter:
    """The adapter for the job's ``holds``."""
    if job["holds"] == "engine":
        from tf2trt.bench.engines import EngineAdapter

        return EngineAdapter(job)
    from tf2trt.bench import tensorflow_models

    kinds = {
        "keras": tensorflow_models.KerasAdapter,
        "tensorflow": tensorflow_models.SavedModelAdapter,
        "tf-trt": tensorflow_models.TfTrtAdapter,
        "hybrid": tensorflow_models.HybridAdapter,
    }
    return kinds[job["holds"]](job)


def serve(worker: Worker, requests: Iterable[bytes], answers: BinaryIO) -> None:
    """Answers until ``close`` or the end of the requests."""
    for line in requests:
        request = decode(line)
        try:
            answer = {"ok": True, **worker.answer(request)}
        except Tf2TrtError as error:
            answer = {"ok": False, "error": str(error)}
        except Exception as error:  # noqa: BLE001  # TensorFlow has classes of its own; the whole of it goes to standard error
            traceback.print_exc()
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(encode(answer))
        answers.flush()
        if request["do"] == "close":
            return


def main(opener: Callable[[Mapping[str, Any]], Adapter] = open_subject) -> None:
    """Serves on standard input and output."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        serve(Worker(opener), sys.stdin.buffer, answers)


def _shapes(job: Mapping[str, Any]) -> Dict[str, Tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in job.get("shapes", {}).items()}


def _peak(status: str = "/proc/self/status") -> int:
    """Bytes that were resident at most. getrusage's figure, which starts with that of the process before exec, only
    where the kernel does not say (gVisor's).
    """
    with open(status) as file:
        lines = dict(line.split(":", 1) for line in file if ":" in line)
    if "VmHWM" not in lines:
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * int(lines["VmHWM"].split()[0])


if __name__ == "__main__":
    main()
