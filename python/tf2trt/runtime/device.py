"""The GPU through pycuda: its primary context, and memory that lives in it.

pycuda is imported when it is first needed: it cannot be imported at all without a driver.
"""

from __future__ import annotations

from functools import lru_cache
from types import TracebackType
from typing import Any, Optional, Type

import numpy as np

from tf2trt import _native
from tf2trt.errors import DeviceError, MissingExtraError
from tf2trt.extras import require

__all__ = ["Buffer", "PrimaryContext", "primary_context"]


@lru_cache(maxsize=1)
def _driver() -> Any:
    """``pycuda.driver``, initialised."""
    try:
        driver = require("pycuda.driver", "cuda")
    except MissingExtraError:
        raise
    except ImportError as error:  # its extension module found no libcuda, or was built for another Python
        raise DeviceError(
            "pycuda is installed but cannot be loaded",
            received=str(error),
            hint="pycuda was built for another CUDA or Python: pip install --force-reinstall --no-binary pycuda pycuda",
        ) from error
    driver.init()
    return driver


class PrimaryContext:
    """The device's primary context, the one that CUDA's runtime API, TensorRT and torch use too.

    ``with context:`` makes it current for the calling thread and restores what was current before, so that nothing is
    left pushed between our operations. It may be entered from any thread. A CUDA call of pycuda's that fails inside
    comes out as DeviceError.
    """

    def __init__(self, ordinal: int) -> None:
        self.driver = _driver()
        self._context = self.driver.Device(ordinal).retain_primary_context()

    def __enter__(self) -> PrimaryContext:
        self._context.push()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.driver.Context.pop()
        if isinstance(error, self.driver.Error):
            hint = (
                "the GPU's memory is full: use a smaller batch" if isinstance(error, self.driver.MemoryError) else None
            )
            raise DeviceError("a CUDA call failed", received=str(error), hint=hint) from error


@lru_cache(maxsize=None)
def primary_context(ordinal: int) -> PrimaryContext:
    """The primary context of a device; retained once for the life of the process, as CUDA's runtime API does.

    It is never handed back: pycuda's ``detach`` of a context that is not current leaves that context pushed.

    Raises:
        DeviceError: no NVIDIA driver, no such GPU, or pycuda does not fit this machine.
        MissingExtraError: pycuda is not installed.
    """
    _native.device(ordinal)  # says plainly when there is no driver, where pycuda's import would only name a library
    return PrimaryContext(ordinal)


class Buffer:
    """One tensor's pinned host memory and its device memory, of one size in bytes; they only grow.

    All methods need the primary context current.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._host: Any = None  # a uint8 array over pinned memory
        self._device: Any = None

    @property
    def address(self) -> int:
        """The device address (``CUdeviceptr``); it changes only when :meth:`reserve` grows the buffer."""
        return int(self._device)

    def reserve(self, size: int) -> None:
        """Makes room for ``size`` bytes; drops the content when it must grow. No work may be in flight on it."""
        if self._host is not None and self._host.nbytes >= size:
            return
        self.free()
        size = max(size, 1)  # an empty tensor still needs an address
        device = self._driver.mem_alloc(size)  # kept only if the second allocation succeeds too
        self._host, self._device = self._driver.pagelocked_empty(size, np.uint8), device

    def host(self, shape: Any, dtype: Any) -> Any:
        """The pinned memory as an array of that shape and dtype: a view, overwritten by the next run."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return self._host[:size].view(dtype).reshape(shape)

    def upload(self, size: int, stream: Any) -> None:
        """Starts the copy of ``size`` bytes to the device on ``stream``; does not wait."""
        if size:
            self._driver.memcpy_htod_async(self._device, self._host[:size], stream)

    def download(self, size: int, stream: Any) -> None:
        """Starts the copy of ``size`` bytes to the host on ``stream``; does not wait."""
        if size:
            self._driver.memcpy_dtoh_async(self._host[:size], self._device, stream)

    def free(self) -> None:
        """Gives both memories back; the buffer may be reserved again."""
        if self._device is not None:
            self._device.free()
        if self._host is not None:
            self._host.base.free()
        self._host = self._device = None
