"""The machine that a benchmark ran on: what its figures depend on beside the model."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List, Optional

from tf2trt.bench.monitor import open_source
from tf2trt.bench.nvml import NvmlSource
from tf2trt.bench.samples import UnavailableError

__all__ = ["record"]

_LIBRARIES = (
    "tf2trt", "numpy", "tensorrt", "tensorrt_lean", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "tensorflow", "keras",
    "tf_keras", "onnx", "onnxruntime", "tf2onnx", "torch",
)  # fmt: skip


def record() -> Dict[str, Any]:
    """Everything by name, as docs/bench.md lists it. What cannot be found out is None, and ``gpu_reason`` says why."""
    gpu, reason = _gpu()
    return {
        "gpu": gpu,
        "gpu_reason": reason,
        "jetson": _jetson(),
        "cpu": _cpu(),
        "os": _os(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _libraries(),
    }


def _gpu() -> Any:
    try:
        source = open_source()
    except UnavailableError as error:
        return None, str(error)
    try:
        if isinstance(source, NvmlSource):
            return source.facts(), None
        return _integrated(), None
    except UnavailableError as error:
        return None, str(error)
    finally:
        source.close()


def _integrated() -> Dict[str, Any]:
    """A Jetson's GPU, by CUDA's driver, as NVML knows little of it."""
    from tf2trt import _native
    from tf2trt.errors import DeviceError

    try:
        device = _native.device()
    except DeviceError as error:
        raise UnavailableError(str(error)) from error
    return {
        "name": device.name,
        "compute_capability": ".".join(map(str, device.compute_capability)),
        "memory_bytes": device.total_memory,
        "driver": _line(Path("/etc/nv_tegra_release")),
        "cuda": f"{device.driver_version // 1000}.{device.driver_version % 1000 // 10}",
        "power_limit_w": None,
        "max_sm_clock_mhz": None,
        "max_memory_clock_mhz": None,
        "persistence_mode": None,
    }


def _jetson() -> Optional[Dict[str, Any]]:
    """The board's name and its power mode (``nvpmodel``); None where this is no Jetson."""
    if not Path("/etc/nv_tegra_release").exists():
        return None
    return {
        "model": _line(Path("/proc/device-tree/model")),
        "power_mode": _line(Path("/var/lib/nvpmodel/status")),
    }


def _cpu() -> Dict[str, Any]:
    """Its name, the cores that this process may use, and the clock's governor, if the kernel says."""
    names = [line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "name": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "governor": _line(governor),
    }


def _os() -> Optional[str]:
    for line in _lines(Path("/etc/os-release")):
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip().strip('"')
    return None


def _libraries() -> Dict[str, str]:
    """The versions of what is installed, without importing any of it."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _line(path: Path) -> Optional[str]:
    """A file's first line, without the zero byte that the device tree ends with; None where it cannot be read."""
    lines = _lines(path)
    return lines[0].strip("\0 ") or None if lines else None


def _lines(path: Path) -> List[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
