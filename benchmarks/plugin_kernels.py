"""How close the plugins' kernels come to the GPU's own copy: bytes that must move (input read once, output written
once) a second, as a share of what cudaMemcpy from device to device reaches in this process.

    python benchmarks/plugin_kernels.py [--json FILE] [--only TEXT]

Exit status: 0 all bounds met, 1 one missed (named at the end) or no GPU. TF2TRT_PLUGINS_LIBRARY names another library
than the installed one. Tensors are several times the L2 cache, and each launch takes the next of several buffers.
"""

import argparse
import ctypes
import json
import sys
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from tf2trt import _native

TENSOR_BYTES = 512 << 20
BUFFERS = 2  # of input and of output each
REPEATS = 21
WARM_UP = 4
TYPES = {"fp32": (0, 4), "fp16": (1, 2), "bf16": (7, 2), "int8": (2, 1)}


class Case(NamedTuple):
    """One row of the table; ``bound`` is a share of the copy rate, None for a row that is only reported."""

    operator: str
    types: Tuple[str, str]
    shape: Tuple[int, ...]
    axes: int
    bound: Optional[float]

    @property
    def name(self) -> str:
        """Operator, types, shape and axes."""
        types = self.types[0] if self.types[0] == self.types[1] else "->".join(self.types)
        axes = ",".join(str(i) for i in range(len(self.shape)) if self.axes >> i & 1)
        return f"{self.operator} {types} {'x'.join(map(str, self.shape))}" + (f" axes {axes}" if axes else "")

    @property
    def bytes(self) -> int:
        """What must move: the input and the output, once each."""
        return int(np.prod(self.shape, dtype=np.int64)) * sum(TYPES[t][1] for t in self.types)


def cases() -> List[Case]:
    """The rows of the table."""

    def count(kind: str) -> int:
        return TENSOR_BYTES // TYPES[kind][1]

    table = [Case("leaky_relu", (t, t), (count(t),), 0, 0.9) for t in TYPES]
    bounded = [(w, 0.7) for w in (1, 2, 3, 7, 16, 31, 32, 33)]
    bounded += [(w, 0.85) for w in (64, 100, 128, 256, 512, 1000, 1001, 1024, 2048, 4096, 5001, 8192, 16384)]
    bounded += [(w, 0.7) for w in (16385, 32768, 65536, 65537, 1048576)]
    for kind in ("fp32", "fp16"):
        for width, bound in bounded:
            table.append(Case("l2_normalize", (kind, kind), (count(kind) // width, width), 2, bound))
    for width in (64, 1000, 4096, 65537):
        table.append(Case("l2_normalize", ("bf16", "bf16"), (count("bf16") // width, width), 2, None))
        for out in ("int8", "fp16", "fp32"):
            table.append(Case("l2_normalize", ("int8", out), (count(out) // width, width), 2, None))
    for kind in ("fp32", "fp16"):
        for axis, inner in (
            (3, 5),
            (16, 64),
            (64, 3136),
            (256, 784),
            (100, 1001),
            (1000, 1000),
            (4096, 512),
            (4096, 7),
        ):
            shape = (max(count(kind) // (axis * inner), 1), axis, inner)
            table.append(Case("l2_normalize", (kind, kind), shape, 2, None))
        table.append(Case("l2_normalize", (kind, kind), (65537, count(kind) // 65537), 1, None))
        table.append(Case("l2_normalize", (kind, kind), (64, 256, count(kind) // (64 * 256)), 5, None))
        table.append(Case("l2_normalize", (kind, kind), (1, count(kind)), 2, None))  # a row several times L2
    return table


class Driver:
    """What this needs of libcuda; a call that fails raises RuntimeError."""

    def __init__(self) -> None:
        try:
            self._cuda = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise RuntimeError(f"no NVIDIA driver here: {error}") from error
        self.call("cuInit", 0)
        device, self._context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.call("cuCtxSetCurrent", self._context)
        name = ctypes.create_string_buffer(100)
        self.call("cuDeviceGetName", name, 100, device)
        self.name = name.value.decode()
        self.stream = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(self.stream), 1)

    def call(self, name: str, *arguments: Any) -> None:
        """Calls the driver."""
        status = getattr(self._cuda, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} failed with {status}")

    def allocate(self, size: int) -> int:
        """Device memory, kept until the process ends."""
        address = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value

    def fill(self, address: int, size: int, seed: int) -> None:
        """Random bytes of which every type makes ordinary numbers: no infinity, NaN or denormal."""
        piece = np.random.default_rng(seed).integers(0, 256, 1 << 24, np.uint8)
        piece[1::2] = (piece[1::2] & 0x83) | 0x38  # the upper bytes: exponents near 1 in FP32, FP16 and BF16
        for start in range(0, size, piece.size):
            length = min(piece.size, size - start)
            self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(address + start), ctypes.c_void_p(piece.ctypes.data), length)

    def copy(self, to: int, source: int, size: int) -> None:
        """Queues a copy from device to device."""
        self.call(
            "cuMemcpyDtoDAsync_v2", ctypes.c_uint64(to), ctypes.c_uint64(source), ctypes.c_size_t(size), self.stream
        )

    def milliseconds(self, launch: Any) -> List[float]:
        """Of each of REPEATS launches, between events on the stream, queued without waiting."""
        events = [ctypes.c_void_p() for _ in range(REPEATS + 1)]
        for event in events:
            self.call("cuEventCreate", ctypes.byref(event), 0)
        for i in range(WARM_UP):
            launch(i)
        for i, event in enumerate(events):
            self.call("cuEventRecord", event, self.stream)
            if i < REPEATS:
                launch(i)
        self.call("cuStreamSynchronize", self.stream)
        times = []
        for start, stop in zip(events, events[1:]):
            elapsed = ctypes.c_float()
            self.call("cuEventElapsedTime", ctypes.byref(elapsed), start, stop)
            times.append(elapsed.value)
        for event in events:
            self.call("cuEventDestroy_v2", event)
        return times


def load(path: str) -> Any:
    """The plugin library, its entry points declared."""
    library = ctypes.CDLL(str(path))
    pointer, i32, i64, real = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_float
    library.tf2trt_l2_normalize.argtypes = [
        pointer, pointer, i32, i32, real, real, i32, ctypes.POINTER(i64), ctypes.c_uint32, real, i32, pointer, pointer,
    ]  # fmt: skip
    library.tf2trt_l2_normalize_workspace.restype = i64
    library.tf2trt_leaky_relu.argtypes = [pointer, pointer, i32, i64, real, real, real, pointer]
    return library


def launcher(case: Case, library: Any, driver: Driver, buffers: Any, workspace: int) -> Any:
    """A function that queues one launch, on buffer pair i of those in turn."""
    source, out = (TYPES[t][0] for t in case.types)
    dims = (ctypes.c_int64 * len(case.shape))(*case.shape)

    def launch(i: int) -> None:
        x, y = buffers[i % BUFFERS]
        if case.operator == "leaky_relu":
            status = library.tf2trt_leaky_relu(x, y, source, case.shape[0], 0.1, 0.02, 0.02, driver.stream)
        else:
            status = library.tf2trt_l2_normalize(
                x, y, source, out, 0.02, 0.01, len(dims), dims, case.axes, 1e-12, 0, workspace, driver.stream
            )
        if status != 0:
            raise RuntimeError(f"{case.name} failed with {status}")

    return launch


def rates(size: int, times: List[float]) -> Tuple[float, float, float]:
    """The 10th, 50th and 90th percentile in GB/s."""
    return tuple(float(r) for r in np.percentile(size / np.array(times) / 1e6, [10, 50, 90]))


def main() -> int:
    """Measures, prints, judges; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table there, too")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    arguments = parser.parse_args()
    path = _native.find_plugin_library()
    if not path:
        print("the plugin library is missing: install tf2trt where there is nvcc", file=sys.stderr)
        return 1
    try:
        driver = Driver()
    except RuntimeError as error:
        print(f"no GPU to measure on: {error}", file=sys.stderr)
        return 1
    library = load(path)
    buffers = [(driver.allocate(TENSOR_BYTES), driver.allocate(TENSOR_BYTES)) for _ in range(BUFFERS)]
    for i, (x, _) in enumerate(buffers):
        driver.fill(x, TENSOR_BYTES, i)
    workspace = driver.allocate(library.tf2trt_l2_normalize_workspace())

    def copy(i: int) -> None:
        x, y = buffers[i % BUFFERS]
        driver.copy(y, x, TENSOR_BYTES)

    ceiling = rates(2 * TENSOR_BYTES, driver.milliseconds(copy))
    print(f"{driver.name}: device-to-device copy {ceiling[1]:.0f} GB/s ({ceiling[0]:.0f}..{ceiling[2]:.0f})\n")
    print(f"{'operator, types, shape':54} {'GB/s':>6} {'p10..p90':>11} {'share':>6} {'bound':>6}")
    rows, missed = [], []
    for case in cases():
        if arguments.only not in case.name:
            continue
        low, median, high = rates(case.bytes, driver.milliseconds(launcher(case, library, driver, buffers, workspace)))
        share = median / ceiling[1]
        if case.bound is not None and share < case.bound:
            missed.append(f"{case.name}: {share:.1%}, bound {case.bound:.0%}")
        bound = "" if case.bound is None else f"{case.bound:.0%}"
        print(f"{case.name:54} {median:6.0f} {low:5.0f}..{high:4.0f} {share:6.1%} {bound:>6}", flush=True)
        rows.append({**case._asdict(), "gbps": median, "p10": low, "p90": high, "share": share})
    if arguments.json is not None:
        report = {"gpu": driver.name, "copy_gbps": ceiling[1], "rows": rows, "missed": missed}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    for line in missed:
        print(f"under its bound: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
