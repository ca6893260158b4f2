"""A GPU's state through NVIDIA's management library, by NVIDIA's own Python binding of it (``pynvml``)."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any, Callable, Dict, Optional, Tuple

from tf2trt.bench.samples import Sample, UnavailableError
from tf2trt.errors import MissingExtraError
from tf2trt.extras import require

__all__ = ["NvmlSource", "throttle_words"]

# nvml.h's bits. Not among them, as nothing there holds back a GPU that has work: idle (0x1), clocks that a person set
# (0x2), synchronised boost (0x10) and a display's setting (0x100).
_REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "thermal slowdown by software",
    0x40: "thermal slowdown by hardware",
    0x80: "power brake",
}


def throttle_words(bits: int) -> Tuple[str, ...]:
    """``nvmlDeviceGetCurrentClocksThrottleReasons`` in words; empty where nothing holds the GPU back."""
    if bits & 0xC0:  # beside the bit that says why
        bits &= ~0x8
    return tuple(word for bit, word in _REASONS.items() if bits & bit)


def _pci_address() -> Optional[str]:
    """Where the first GPU that CUDA sees is plugged in; None: there is no CUDA driver to ask.

    Raises:
        UnavailableError: CUDA sees no GPU.
    """
    address = ctypes.create_string_buffer(32)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        steps = (driver.cuInit, (0,)), (driver.cuDeviceGetPCIBusId, (address, ctypes.c_int(len(address)), 0))
    except (OSError, AttributeError):
        return None
    for function, arguments in steps:
        status = function(*arguments)
        if status != 0:
            raise UnavailableError(f"CUDA sees no GPU: {function.__name__} gives CUresult {status}")
    return address.value.decode()


class NvmlSource:
    """The first GPU that CUDA sees here. NVML knows nothing of ``CUDA_VISIBLE_DEVICES`` and has an order of its own, so
    the GPU is found by its place on the PCI bus.

    Raises:
        UnavailableError: ``pynvml`` is not installed, or there is no driver or no such GPU.
    """

    name = "nvml"
    wait = 0.05  # seconds between readings

    def __init__(self) -> None:
        try:
            self._nvml = require("pynvml", "bench")
        except MissingExtraError as error:
            raise UnavailableError(str(error).replace("\n  hint:", ";")) from error
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            raise UnavailableError(f"no NVML: {error}") from error
        try:
            self._device = self._find()
        except self._nvml.NVMLError as error:
            self.close()
            raise UnavailableError(f"no GPU by NVML: {error}") from error
        except UnavailableError:
            self.close()
            raise

    def _find(self) -> Any:
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        if first.startswith("MIG-"):  # a part of the GPU at that place
            return self._nvml.nvmlDeviceGetHandleByUUID(first)
        address = _pci_address()
        if address is not None:
            return self._nvml.nvmlDeviceGetHandleByPciBusId(address)
        if first.startswith("GPU-"):
            return self._nvml.nvmlDeviceGetHandleByUUID(first)
        return self._nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdigit() else 0)

    def read(self) -> Sample:
        """A reading of now.

        Raises:
            UnavailableError: the GPU answers no more.
        """
        nvml = self._nvml
        power = self._ask(nvml.nvmlDeviceGetPowerUsage)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        bits = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        return Sample(
            time.perf_counter(),
            self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
            None if power is None else power / 1e3,
            self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            None if memory is None else memory.used,
            () if bits is None else throttle_words(bits),
        )

    def facts(self) -> Dict[str, Any]:
        """What does not change while a benchmark runs; None: this GPU does not say."""
        nvml = self._nvml
        capability = self._ask(nvml.nvmlDeviceGetCudaComputeCapability)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        limit = self._ask(nvml.nvmlDeviceGetPowerManagementLimit)
        persistence = self._ask(nvml.nvmlDeviceGetPersistenceMode)
        cuda = self._call(nvml.nvmlSystemGetCudaDriverVersion)
        return {
            "name": _text(self._ask(nvml.nvmlDeviceGetName)),
            "compute_capability": None if capability is None else ".".join(map(str, capability)),
            "memory_bytes": None if memory is None else memory.total,
            "driver": _text(self._call(nvml.nvmlSystemGetDriverVersion)),
            "cuda": None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            "power_limit_w": None if limit is None else limit / 1e3,
            "max_sm_clock_mhz": self._ask(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_SM),
            "max_memory_clock_mhz": self._ask(nvml.nvmlDeviceGetMaxClockInfo, nvml.NVML_CLOCK_MEM),
            "persistence_mode": None if persistence is None else bool(persistence),
        }

    def close(self) -> None:
        """Lets NVML go."""
        self._nvml.nvmlShutdown()

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The GPU's answer, or None where it has none."""
        return self._call(function, self._device, *arguments)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            nvml = self._nvml
            if error.value in (
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_NO_PERMISSION,
                nvml.NVML_ERROR_FUNCTION_NOT_FOUND,  # by an older driver
                nvml.NVML_ERROR_INVALID_ARGUMENT,  # of a part of a GPU (MIG)
                nvml.NVML_ERROR_UNKNOWN,  # by a sandbox that lets only some questions through
            ):
                return None
            raise UnavailableError(f"NVML: {error}") from error


def _text(value: Any) -> Optional[str]:
    """Older bindings answer with bytes."""
    return value.decode() if isinstance(value, bytes) else value
