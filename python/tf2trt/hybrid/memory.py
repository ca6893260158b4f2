"""TensorFlow's share of the GPU's memory, set before TensorFlow takes any.

Left alone, TensorFlow takes nearly all of it at its first operation. On a board whose GPU and CPU share one memory the
system then swaps or kills; anywhere, TensorRT finds nothing left for its builds.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from tf2trt import _native
from tf2trt.errors import DeviceError, UsageError
from tf2trt.export.quiet import import_tensorflow

__all__ = ["DeviceMemory", "MemoryPlan", "check_memory", "device_memory", "leave_memory", "prepare_memory"]

_MIB = 1 << 20
_SMALLEST = 64 * _MIB  # below it TensorFlow cannot hold a model's weights, and a mistaken unit is likely


@dataclass(frozen=True)
class DeviceMemory:
    """The memory of the GPU in use, in bytes: all of it, and what programs can still have. ``shared``: it is the
    system's memory, as on a Jetson.
    """

    name: str
    total: int
    available: int
    shared: bool


@dataclass(frozen=True)
class MemoryPlan:
    """What was set: ``limit`` bytes for TensorFlow, or None for memory that grows as it is needed; on ``devices``,
    TensorFlow's names of its GPUs. ``memory`` is None where there is no GPU; then nothing was set.
    """

    limit: Optional[int]
    workspace: Optional[int]
    memory: Optional[DeviceMemory]
    devices: Tuple[str, ...]

    @property
    def text(self) -> str:
        """One line for people."""
        if self.memory is None or not self.devices:
            return "no GPU: nothing to set for TensorFlow's memory"
        share = "grows as it is needed" if self.limit is None else f"is at most {_mib(self.limit)}"
        kind = ", shared with the CPU," if self.memory.shared else ""
        there = f"of {_mib(self.memory.total)}{kind} {_mib(self.memory.available)} were available"
        return f"TensorFlow's memory {share}; {there}"

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes."""
        memory = self.memory
        return {
            "limit": self.limit,
            "growth": self.limit is None,
            "workspace": self.workspace,
            "devices": list(self.devices),
            "total": memory.total if memory else None,
            "available": memory.available if memory else None,
            "shared": memory.shared if memory else None,
        }


def prepare_memory(limit_bytes: Optional[int] = None, workspace: Optional[int] = None) -> MemoryPlan:
    """Limits TensorFlow to ``limit_bytes`` of each GPU, or (None) lets its memory grow as it is needed; checked against
    the engines' ``workspace`` in bytes (None: unknown) and against what is available.

    To be called before TensorFlow's first operation: a Keras model that was made or loaded is one.

    Raises:
        UsageError: not workspace < limit < available, the message names the setting to change; or TensorFlow has
            started already with other settings.
        MissingExtraError: TensorFlow is not installed.
    """
    memory = device_memory()
    check_memory(limit_bytes, workspace, memory)
    tensorflow = import_tensorflow()
    gpus = tensorflow.config.list_physical_devices("GPU")
    for gpu in gpus:
        _configure(tensorflow, gpu, limit_bytes)
    return MemoryPlan(limit_bytes, workspace, memory, tuple(gpu.name for gpu in gpus))


def leave_memory() -> None:
    """Lets TensorFlow's memory grow where nothing else was set and TensorFlow has not started yet: what it would take
    otherwise, TensorRT needs to build.
    """
    config = import_tensorflow().config
    gpus = config.list_physical_devices("GPU")
    if any(config.get_logical_device_configuration(gpu) for gpu in gpus):
        return
    with contextlib.suppress(RuntimeError, ValueError):  # started already
        for gpu in gpus:
            if config.experimental.get_memory_growth(gpu) is None:
                config.experimental.set_memory_growth(gpu, True)


def device_memory() -> Optional[DeviceMemory]:
    """The memory of the first GPU, or None where there is none. Where it is the system's own memory, what the file
    cache would give back counts as available.
    """
    try:
        device = _native.device()
        return DeviceMemory(device.name, device.total_memory, _native.available_memory(), device.integrated)
    except DeviceError:
        return None


def check_memory(limit: Optional[int], workspace: Optional[int], memory: Optional[DeviceMemory]) -> None:
    """Makes sure of workspace < limit < available, as far as these are given. All in bytes.

    Raises:
        UsageError: that does not hold; the message says which setting to change, and to what.
    """
    for name, value, least in (("memory limit", limit, _SMALLEST), ("max_workspace_size_bytes", workspace, 1)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise UsageError(
                f"{name}: not a usable number of bytes",
                received=repr(value),
                expected=f"a whole number from {least} on",
            )
    if memory is not None and limit is not None and limit >= memory.available:
        raise UsageError(
            "memory limit: more than the GPU has left",
            received=_mib(limit),
            expected=f"less than the {_mib(memory.available)} that are available on {_described(memory)}",
            hint=_lower("memory limit (limit_bytes, --memory-limit)", memory.available * 3 // 4, memory),
        )
    if limit is not None and workspace is not None and workspace >= limit:
        raise UsageError(
            "max_workspace_size_bytes: as large as the memory limit or larger",
            received=f"workspace {_mib(workspace)}, memory limit {_mib(limit)}",
            expected="workspace < memory limit: engines run in TensorFlow's memory, beside weights and activations",
            hint=f"lower max_workspace_size_bytes (--workspace), say to {limit // 4}, or raise the memory limit",
        )
    if memory is not None and workspace is not None and workspace >= memory.available:
        raise UsageError(
            "max_workspace_size_bytes: more than the GPU has left",
            received=_mib(workspace),
            expected=f"less than the {_mib(memory.available)} that are available on {_described(memory)}",
            hint=_lower("max_workspace_size_bytes (--workspace)", memory.available // 4, memory),
        )


def _configure(tensorflow: Any, gpu: Any, limit: Optional[int]) -> None:
    try:
        if limit is None:
            tensorflow.config.experimental.set_memory_growth(gpu, True)
        else:
            device = tensorflow.config.LogicalDeviceConfiguration(memory_limit=max(1, limit // _MIB))
            tensorflow.config.set_logical_device_configuration(gpu, [device])
    except (RuntimeError, ValueError) as error:  # started already; or a limit was set and growth is asked for
        raise UsageError(
            f"TensorFlow's memory on {gpu.name} cannot be set any more",
            received=str(error),
            expected="TensorFlow before its first operation, without other memory settings",
            hint="call prepare_memory() first of all, before models are made or loaded",
        ) from error


def _described(memory: DeviceMemory) -> str:
    kind = "shared by CPU and GPU" if memory.shared else "in all"
    return f"{memory.name} ({_mib(memory.total)} {kind})"


def _lower(setting: str, to: int, memory: DeviceMemory) -> str:
    other = "end other programs: CPU and GPU share this memory" if memory.shared else "end other programs on this GPU"
    return f"lower {setting}, say to {to}, or {other}"


def _mib(count: int) -> str:
    return f"{count / _MIB:.0f} MiB"
