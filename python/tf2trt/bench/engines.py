"""An engine as a benchmark's subject."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from tf2trt import _native
from tf2trt.bench.adapter import Adapter, Arrays
from tf2trt.errors import EngineError
from tf2trt.runtime import Engine
from tf2trt.runtime.context import ExecutionContext

__all__ = ["EngineAdapter"]


class EngineAdapter(Adapter):
    """Calls contexts of its own, one for each call that is on its way at once.

    Job: ``path``, ``graphs``, ``ahead``.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._engine = Engine.load(job["path"], graphs=job["graphs"], plugin_libraries=job.get("plugin_libraries", ()))
        self._ahead = int(job["ahead"])
        self._contexts: List[ExecutionContext] = [self._engine.context()]
        self.inputs = self._engine.inputs

    def shapes(self, batch: int) -> Dict[str, Tuple[int, ...]]:
        """What the first profile that takes the batch is tuned for."""
        for profile in self._engine.profiles:
            if all(limits.min[0] <= batch <= limits.max[0] for limits in profile.values() if limits.min):
                return {name: limits.opt for name, limits in profile.items()}
        return {}

    def facts(self) -> Dict[str, Any]:
        """Size, TensorRT's version, and the precision where the sidecar says it."""
        sidecar = self._engine.sidecar
        plan = self._engine.path.open("rb").read(64)
        return {
            "engine_bytes": self._engine.path.stat().st_size,
            "versions": {"tensorrt": _native.read_plan_header(plan, str(self._engine.path)).version_text},
            **({"precision": sidecar.precision_asked} if sidecar else {}),
        }

    def call(self, inputs: Arrays) -> Arrays:
        """From NumPy arrays to fresh NumPy arrays."""
        return self._named(self._contexts[0](inputs))

    def start(self, inputs: Arrays, slot: int) -> Callable[[], Arrays]:
        """Each slot is a context."""
        ticket = self._contexts[slot].run_async(inputs)
        return lambda: self._named(ticket.result())

    def slots(self, wanted: int) -> int:
        """An engine that TensorRT 8 built may serve one context alone: of trtexec's, for one.

        Raises:
            DeviceError: the contexts do not fit into the GPU's memory.
        """
        with contextlib.suppress(EngineError):
            while len(self._contexts) < wanted:
                self._contexts.append(self._engine.context())
        return min(wanted, len(self._contexts))

    def gpu_times(self, count: int) -> List[float]:
        """CUDA events around each launch, the inputs of the last call on the GPU already."""
        return self._contexts[0].time_launches(count, ahead=self._ahead)

    def events(self, inputs: Arrays, calls: int, process: str) -> Sequence[Any]:
        """By CUPTI, or TensorRT's profiler."""
        from tf2trt.bench.trace import record_engine

        return record_engine(self._engine, inputs, calls, process=process)

    def close(self) -> None:
        """Closes the engine and its contexts."""
        self._engine.close()

    def _named(self, results: Any) -> Arrays:
        return results if isinstance(results, dict) else {self._engine.outputs[0].name: results}
