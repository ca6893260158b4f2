"""Whether memory stays flat: 10,000 times loading and closing a small engine, and 100,000 calls of one.

The work is done in a fresh process: in one that built engines before, freed memory would hide what leaks.
"""

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
from runtime_engines import Engines, random_array
from runtime_report import Report, Spread

from tf2trt import _native
from tf2trt.runtime import Engine

STEPS = {"load and close": 10_000, "calls": 100_000}
UNITS = {"load and close": ("ms", 1e3), "calls": ("us", 1e6)}
CALLED = 100  # one call in every 100th cycle of loading and closing
SAMPLES = 100  # looks at memory in each; the first tenth of them is the warm-up
NEAR = 5  # samples whose median is taken at both ends
HOST_LIMIT = 1.0  # MiB

Samples = Dict[str, List[float]]


def flat(report: Report, engines: Engines) -> None:
    """Runs the process, prints what it found and judges."""
    path = engines.one_layer()
    report.start("flat", "one layer, float32 1x64; loading and closing, then calls, all in one fresh process")
    result = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"exit status {result.returncode}\n{result.stdout}{result.stderr}")
    found: Dict[str, Samples] = json.loads(result.stdout)
    for what, steps in STEPS.items():
        unit, scale = UNITS[what]
        times = [scale * value for value in found[what]["seconds"]]
        report.figure(f"{what}: {steps:,}, each", Spread.of_single(times), unit, f"a round: {steps // SAMPLES:,}")
        judge(report, what, found[what])


def judge(report: Report, what: str, found: Samples) -> None:
    """Bounds on the growth from the end of the first tenth to the last step."""
    steps, first = STEPS[what], SAMPLES // 10 - 1
    host, device, objects = (found[name][first:] for name in ("host", "device", "objects"))
    grown = float(np.median(host[-NEAR:]) - np.median(host[:NEAR]))
    steady = np.array(host) - np.linspace(0, grown, len(host))
    noise = float(np.percentile(steady, 90) - np.percentile(steady, 10))
    report.note(
        f"{what}: host {found['host'][0]:.2f} MiB after {steps // SAMPLES:,}, {host[0]:.2f} after {steps // 10:,}, "
        f"{host[-1]:.2f} after {steps:,}; GPU free {device[0]:,.2f}, then {device[-1]:,.2f} MiB"
    )
    between = f"from the {steps // 10:,}th to the last"
    report.bound(
        f"{what}: growth of resident host memory {between}",
        grown,
        HOST_LIMIT,
        "MiB",
        at_most=True,
        note=f"noise of the samples {noise:.2f} MiB (p10..p90 without the trend)",
    )
    used = device[0] - min(device)
    report.bound(f"{what}: growth of device memory {between}", used, 0.0, "MiB", at_most=True)
    counts = f"{objects[0]:.0f}, then {objects[-1]:.0f}"
    report.check(f"{what}: no more of TensorRT's objects at the end", objects[-1] <= objects[0], counts)


def resident() -> float:
    """This process's resident memory in MiB, counted page by page where the kernel does that (VmRSS may be behind)."""
    for name, field in (("smaps_rollup", "Rss:"), ("status", "VmRSS:")):
        file = Path("/proc/self", name)
        for line in file.read_text().splitlines() if file.exists() else ():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self says nothing of resident memory")


def watch(step: Callable[[int], object], steps: int) -> Samples:
    """Runs ``step`` that often; in between looks at memory (MiB; the host's resident, the device's free), counts
    TensorRT's live objects, and notes the seconds that a step took.
    """
    found: Samples = {"host": [], "device": [], "objects": [], "seconds": []}
    each = steps // SAMPLES
    for start in range(0, steps, each):
        started = time.perf_counter()
        for index in range(start, start + each):
            step(index)
        found["seconds"].append((time.perf_counter() - started) / each)
        gc.collect()  # what is left is really held
        found["host"].append(resident())
        found["device"].append(_native.available_memory() / 2**20)
        found["objects"].append(_native.live_objects())
    return found


def main() -> None:
    """The fresh process: its argument is the engine."""
    path = sys.argv[1]
    found = {}
    with Engine.load(path) as kept:  # the library and the GPU's context stay, as where engines are served
        x = random_array(0, *kept.inputs[0].shape)
        kept(x)

        def cycle(index: int) -> None:
            with Engine.load(path) as engine:
                if index % CALLED == 0:
                    engine(x)

        found["load and close"] = watch(cycle, STEPS["load and close"])
        found["calls"] = watch(lambda _: kept(x), STEPS["calls"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
