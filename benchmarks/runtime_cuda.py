"""CUDA beside the runtime, for what is compared with it: through pycuda, and events around a session's graph."""

import contextlib
import ctypes
from functools import lru_cache
from typing import Any, Iterator, List

import numpy as np

from tf2trt import _native


@lru_cache(maxsize=1)
def _retained() -> Any:
    """The GPU's primary context, for the life of the process."""
    _native.device(0)  # says plainly that there is no driver, where pycuda's import would only name a library
    import pycuda.driver

    pycuda.driver.init()
    return pycuda.driver.Device(0).retain_primary_context()


@contextlib.contextmanager
def primary() -> Iterator[Any]:
    """``pycuda.driver`` with the primary context current, which is the one that engines run in.

    Not left current while the runtime is timed: an ordinary caller has none current either.
    """
    context = _retained()
    import pycuda.driver

    context.push()
    try:
        yield pycuda.driver
    finally:
        pycuda.driver.Context.pop()


def graph_microseconds(session: _native.Session, count: int) -> List[float]:
    """Between events around each of ``count`` launches of an idle session's graph, copies included.

    Straight from libcuda: pycuda takes no stream that it did not make.
    """
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: Any) -> None:
        status = getattr(cuda, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} failed with {status}")

    stream, times = ctypes.c_void_p(session.stream), []
    start, stop, elapsed = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_float()
    with primary():
        call("cuEventCreate", ctypes.byref(start), 0)
        call("cuEventCreate", ctypes.byref(stop), 0)
        session.acquire()
        try:
            for _ in range(count):
                call("cuEventRecord", start, stream)
                session.launch()
                call("cuEventRecord", stop, stream)
                session.wait()
                call("cuEventElapsedTime", ctypes.byref(elapsed), start, stop)
                times.append(1e3 * elapsed.value)
        finally:
            session.release()
            call("cuEventDestroy_v2", start)
            call("cuEventDestroy_v2", stop)
    return times


class Trip:
    """Batches of an engine's inputs and outputs over the bus and back, pinned, on two streams, and nothing else.

    Free it with the primary context current.
    """

    def __init__(self, driver: Any, up: int, down: int) -> None:
        """``up`` and ``down``: bytes of a batch's inputs and outputs."""
        self._driver = driver
        self._streams = [driver.Stream(1) for _ in range(2)]  # CU_STREAM_NON_BLOCKING
        self._hosts = [[driver.pagelocked_empty(size, np.uint8) for size in (up, down)] for _ in range(2)]
        self._devices = [[driver.mem_alloc(size) for size in (up, down)] for _ in range(2)]
        for host, _ in self._hosts:
            host[...] = 1

    def host(self, index: int) -> np.ndarray:
        """The pinned bytes of a batch's inputs."""
        return self._hosts[index][0]

    def run(self, count: int) -> None:
        """Moves ``count`` batches, one stream after the other, and waits."""
        for index in range(count):
            stream = self._streams[index % 2]
            (up, down), (inputs, outputs) = self._hosts[index % 2], self._devices[index % 2]
            self._driver.memcpy_htod_async(inputs, up, stream)
            self._driver.memcpy_dtoh_async(down, outputs, stream)
        for stream in self._streams:
            stream.synchronize()

    def free(self) -> None:
        """Gives the memory back."""
        for host, device in zip(self._hosts, self._devices):
            for pinned, memory in zip(host, device):
                pinned.base.free()
                memory.free()
        self._hosts.clear()
        self._devices.clear()
        self._streams.clear()
