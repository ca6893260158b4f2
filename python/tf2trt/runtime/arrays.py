"""Arrays in device memory, to and from other libraries without a copy.

CuPy, PyTorch, JAX, numba and pycuda speak one or both of two protocols: DLPack, through the methods that the Python
array API standard describes, and the CUDA array interface, version 3. Both carry a stream, so that nobody has to wait
on the host for a result to be ready.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tf2trt import _native
from tf2trt.errors import InputError, UsageError
from tf2trt.specs import Shape, format_shape

__all__ = ["DeviceArray", "DeviceInput", "device_view"]

LEGACY_STREAM = 1  # CUDA's legacy default stream, in both protocols
_CPU, _CUDA, _CUDA_HOST, _CUDA_MANAGED = 1, 2, 3, 13  # DLPack's device types
_BITS = {"bfloat16": 16, "float8": 8, "int4": 4}  # what NumPy lacks; int4 packs two in a byte


class DeviceArray:
    """A tensor in device memory: C-contiguous, and kept alive by ``owner``, which this object holds.

    ``torch.from_dlpack``, ``cupy.from_dlpack``, ``jax.dlpack.from_dlpack`` and everything that reads
    ``__cuda_array_interface__`` (``cupy.asarray``, ``torch.as_tensor``, numba) see the same memory.

    Attributes:
        shape: the extents, all known.
        dtype: a NumPy name such as ``"float32"``, or ``"bfloat16"``, ``"float8"``, ``"int4"``, which NumPy lacks.
        address: the first element's device address (``CUdeviceptr``).
        device: the CUDA device's ordinal.
        stream: the handle of the CUDA stream on which the content becomes ready; None where it is ready.
    """

    __slots__ = ("__weakref__", "_owner", "_wait", "address", "device", "dtype", "shape", "stream")

    def __init__(
        self,
        address: int,
        shape: Sequence[int],
        dtype: str,
        *,
        owner: object,
        wait: Callable[[int, int], None],
        stream: Optional[int] = None,
        device: int = 0,
    ) -> None:
        """``wait(consumer, producer)`` makes one stream wait for the other, as ``_native.stream_wait`` does.

        Raises:
            UsageError: ``stream`` is no stream's handle; 0 may mean more than one stream.
        """
        if stream is not None and stream <= 0:
            raise UsageError("stream", received=stream, expected="a stream's handle, 1 for the legacy default, or None")
        self.address, self.shape, self.dtype = address, tuple(shape), dtype
        self.device, self.stream = device, stream
        self._owner, self._wait = owner, wait

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype} {format_shape(self.shape)} at {self.address:#x} of GPU {self.device})"

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        bits = _BITS.get(self.dtype) or 8 * np.dtype(self.dtype).itemsize
        return (math.prod(self.shape) * bits + 7) // 8

    @property
    def __cuda_array_interface__(self) -> Dict[str, Any]:
        """Version 3 of the CUDA array interface; the consumer waits for ``stream`` itself.

        Raises:
            AttributeError: the dtype is one that NumPy lacks: ``hasattr`` is False, and DLPack is what remains.
        """
        if self.dtype in _BITS:
            raise AttributeError(
                f"the CUDA array interface has no {self.dtype}, only NumPy's dtypes: use DLPack for bfloat16, as in "
                "torch.from_dlpack(array)"
            )
        return {
            "shape": self.shape,
            "typestr": np.dtype(self.dtype).str,
            "data": (0 if 0 in self.shape else self.address, False),
            "strides": None,
            "version": 3,
            "stream": self.stream,
        }

    def __dlpack__(
        self,
        *,
        stream: Optional[int] = None,
        max_version: Optional[Tuple[int, int]] = None,
        dl_device: Optional[Tuple[Any, int]] = None,
        copy: Optional[bool] = None,
    ) -> object:
        """A DLPack capsule, of version 1.0 where ``max_version`` allows it, else without a version.

        ``stream`` is the consumer's: None or 1 for CUDA's legacy default, 2 for the per-thread default, -1 to leave
        the order to the consumer, else a handle. It is made to wait until the content is ready; the host does not wait.

        Raises:
            BufferError: a copy or another device was asked for, or DLPack 1.0 has no such dtype.
            UsageError: ``stream`` is no stream's handle; 0 may mean more than one stream.
            DeviceError: CUDA did not take the streams.
        """
        if copy:
            raise BufferError("the array is not copied for DLPack: copy the tensor that comes out of it")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f"the array is on DLPack device {self.__dlpack_device__()}, not {tuple(dl_device)}")
        consumer = LEGACY_STREAM if stream is None else stream
        if not isinstance(consumer, int) or consumer < -1 or consumer == 0:
            raise UsageError(
                "stream", received=stream, expected="None, -1, 1 (legacy default), 2 (per-thread default) or a handle"
            )
        versioned = max_version is not None and max_version[0] >= 1
        try:
            capsule = _native.dlpack_capsule(
                self.address, self.shape, self.dtype, _CUDA, self.device, self, versioned=versioned
            )
        except InputError as error:
            raise BufferError(str(error)) from error
        if self.stream is not None and consumer not in (-1, self.stream):
            self._wait(consumer, self.stream)
        return capsule

    def __dlpack_device__(self) -> Tuple[int, int]:
        """``(2, ordinal)``: a CUDA device."""
        return (_CUDA, self.device)


class DeviceInput(NamedTuple):
    """Somebody's array in device memory, C-contiguous and ready for the stream it was asked for.

    ``owner`` has to be kept until the work that reads the memory is done. ``device`` is None where the producer does
    not say it. ``address`` is what the producer gave: not always a multiple of the 256 that TensorRT asks for (a slice
    of a tensor), and 0 for most empty arrays.
    """

    address: int
    shape: Shape
    dtype: str
    device: Optional[int]
    owner: object


def device_view(value: object, stream: int, what: str = "the device array") -> Optional[DeviceInput]:
    """The device memory of ``value``, or None where it is no device array (a NumPy array, a list, a CPU tensor).

    ``stream`` is the handle of the stream that will read; it is made to wait for the producer, the host does not wait.
    DLPack comes first, since it has all dtypes and says which device it is; then the CUDA array interface. ``what``
    names the array in errors.

    Raises:
        InputError: the memory is not C-contiguous, is on no CUDA device, or cannot be described by either protocol.
        DeviceError: CUDA did not take the streams.
    """
    if isinstance(value, np.ndarray):
        return None
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        return _from_dlpack(value, stream, what)
    interface = getattr(value, "__cuda_array_interface__", None)
    return None if interface is None else _from_interface(value, interface, stream, what)


def _from_dlpack(value: Any, stream: int, what: str) -> Optional[DeviceInput]:
    try:
        if int(value.__dlpack_device__()[0]) in (_CPU, _CUDA_HOST):
            return None
        try:
            capsule = value.__dlpack__(stream=stream, max_version=(1, 0))
        except TypeError:  # a producer from before DLPack 1.0
            capsule = value.__dlpack__(stream=stream)
    except (BufferError, RuntimeError, ValueError) as error:  # how producers say that an array cannot be exported
        raise InputError(
            f"{what} cannot be taken over through DLPack",
            received=f"{type(value).__name__}: {error}",
            hint="x.detach()" if getattr(value, "requires_grad", False) else None,
        ) from error
    view = _native.dlpack_view(capsule)
    if view.device_type not in (_CUDA, _CUDA_MANAGED):
        raise InputError(
            f"{what} is on no CUDA device",
            received=f"DLPack device type {view.device_type}",
            expected=f"{_CUDA} (CUDA) or {_CUDA_MANAGED} (CUDA managed), or a NumPy array",
        )
    _check_contiguous(view.shape, view.strides, 1, what)
    device = view.device_id if view.device_type == _CUDA else None  # managed memory is every GPU's
    return DeviceInput(view.address, view.shape, view.dtype, device, view)


def _from_interface(value: object, interface: Any, stream: int, what: str) -> DeviceInput:
    try:
        shape = tuple(int(extent) for extent in interface["shape"])
        dtype = np.dtype(interface["typestr"])
        address = int(interface["data"][0] or 0)  # some say None for an empty array
        strides = interface.get("strides")
        if strides is not None and len(strides) != len(shape):
            raise ValueError(f"{len(strides)} strides for {len(shape)} dimensions")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"{what} has a damaged __cuda_array_interface__",
            received=f"{type(error).__name__}: {error}",
            expected="shape, typestr and data, as version 3 describes them",
        ) from error
    if dtype.kind not in "biufc" or not dtype.isnative or interface.get("mask") is not None:
        raise InputError(
            f"{what} has elements that an engine cannot read",
            received=f"typestr {dtype.str!r}" + (" with a mask" if interface.get("mask") is not None else ""),
            expected="plain numbers in the machine's byte order",
            hint="bfloat16 comes in through DLPack only" if dtype.kind == "V" else None,
        )
    _check_contiguous(shape, strides, dtype.itemsize, what)
    # Where no stream is named, numba and pycuda mean the legacy default stream, and torch too. Ours is not ordered with
    # that by itself.
    producer = interface.get("stream")
    _native.stream_wait(stream, LEGACY_STREAM if producer is None else producer)
    return DeviceInput(address, shape, dtype.name, None, value)


def _check_contiguous(shape: Shape, strides: Optional[Sequence[int]], step: int, what: str) -> None:
    """``step`` is the last dimension's stride, in the unit of ``strides``."""
    if strides is None or 0 in shape:
        return
    wanted = step
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and stride != wanted:
            raise InputError(
                f"{what} is not C-contiguous",
                received=f"shape {format_shape(shape)}, strides {tuple(stride // step for stride in strides)}",
                expected="row-major memory without gaps",
                hint="x.contiguous() in PyTorch, cupy.ascontiguousarray(x) in CuPy",
            )
        wanted *= extent
