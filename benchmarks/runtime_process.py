"""A fresh process that loads ResNet-50 FP16 and answers one call: how soon, in how much memory, from how many bytes on
disk; beside TensorFlow with TF-TRT.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from runtime_engines import Engines
from runtime_report import Report, Spread

HERE = Path(__file__).parent
REPEATS, TFTRT_REPEATS = 5, 3
MIB = 2**20
MEMORY_SHARE, TIME_SHARE = 1 / 10, 1 / 3
# TensorFlow 2.17.1 + TF-TRT with TensorRT 8.6.0 on an H200, measured before: used where it is not measured here.
TFTRT_MEGABYTES, TFTRT_SECONDS = 2332, 11.1

# All that a user would write, then what it took.
PROGRAM = """
import sys
from tf2trt.runtime import Engine
import numpy
y = Engine.load(sys.argv[1])(numpy.ones([int(extent) for extent in sys.argv[2].split(",")], numpy.float32))
import time
seconds = time.monotonic() - float(sys.argv[3])
sys.path.insert(0, sys.argv[4])
from runtime_footprint import installed, memory
held = memory()
import json
finite = bool(numpy.isfinite(y).all())
print(json.dumps({"seconds": seconds, "memory": held, "installed": installed(), "finite": finite}))
"""


def last_json(command: Sequence[str]) -> Dict[str, Any]:
    """Runs a program whose last line is JSON.

    Raises:
        RuntimeError: it failed.
    """
    # As it was: the core puts CUDA_MODULE_LOADING into this process's environment, which TF-TRT must not inherit.
    environment = dict(os.environ)
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    lines = result.stdout.strip().splitlines()
    if result.returncode != 0 or not lines:
        raise RuntimeError(f"{command[0]}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    found: Dict[str, Any] = json.loads(lines[-1])
    return found


def process(report: Report, engines: Engines, tftrt: Optional[Path], tftrt_python: str) -> None:
    """Runs the processes, prints what they found and judges."""
    path = str(engines.one_image())
    shape = ",".join(str(extent) for extent in (1, *engines.input_of_resnet50()[1]))
    report.start("process", "a fresh Python process: ResNet-50 FP16 loaded and one call answered")
    plain, staged = [], []
    for _ in range(REPEATS):  # in turns
        started = time.monotonic()
        plain.append(last_json([sys.executable, "-c", PROGRAM, path, shape, str(started), str(HERE)]))
        started = time.monotonic()
        staged.append(last_json([sys.executable, str(HERE / "runtime_stages.py"), path, shape, str(started)]))
    show(report, "tf2trt", plain, staged)
    theirs: List[Dict[str, Any]] = []
    if tftrt is not None:
        for _ in range(TFTRT_REPEATS):
            command = [tftrt_python, str(HERE / "tftrt_process.py"), str(tftrt), "--shape", shape]
            theirs.append(last_json([*command, "--started", str(time.monotonic())]))
        show(report, "TF-TRT", theirs, theirs)
    judge(report, plain, theirs)


def show(report: Report, who: str, runs: List[Dict[str, Any]], staged: List[Dict[str, Any]]) -> None:
    """Time and its stages, memory, size."""
    seconds = [run["seconds"] for run in runs]
    note = f"the first run, with what was in the file cache: {seconds[0]:.2f}"
    report.figure(f"{who}: from process start to first answer", Spread.of_single(seconds), "s", note)
    for name in staged[0]["stages"]:
        parts = [1e3 * run["stages"][name] for run in staged]
        report.figure(f"{who}:   {name}", Spread.of_single(parts), "ms")
    if staged is not runs:
        total = Spread.of_single([run["seconds"] for run in staged])
        report.figure(f"{who}:   the run that was split into stages, whole", total, "s")
    for name in runs[0]["memory"]:
        held = Spread.of_single([run["memory"][name] / MIB for run in runs])
        report.figure(f"{who}: memory after the answer, {name}", held, "MiB")
    size = runs[0]["installed"]
    parts = [f"{name} {number / 1e6:.1f}" for name, number in largest(size["packages"])]
    parts += [f"{Path(name).name} {number / 1e6:.1f}" for name, number in largest(size["libraries"])]
    report.figure(f"{who}: on disk", Spread.of_single([on_disk(run) / 1e6 for run in runs]), "MB", ", ".join(parts))
    report.note(f"{who}: the system's and the driver's libraries, not counted: {size['system'] / 1e6:.0f} MB")
    report.check(f"{who}: the answers are finite", all(run["finite"] for run in runs))


def largest(sizes: Dict[str, int], count: int = 8) -> List[Any]:
    """The largest first; what comes after ``count`` is one entry."""
    found = sorted(sizes.items(), key=lambda item: -item[1])
    rest = sum(size for _, size in found[count:])
    return found[:count] + ([(f"{len(found) - count} more", rest)] if rest else [])


def on_disk(run: Dict[str, Any]) -> int:
    """Bytes of packages and libraries."""
    size = run["installed"]
    return sum(size["packages"].values()) + sum(size["libraries"].values())


def judge(report: Report, ours: List[Dict[str, Any]], theirs: List[Dict[str, Any]]) -> None:
    """Bounds: resident memory and time to the first answer, against TF-TRT's."""

    def median(runs: List[Dict[str, Any]], *keys: str) -> float:
        values = []
        for run in runs:
            value: Any = run
            for key in keys:
                value = value[key]
            values.append(value)
        return Spread.of_single(values).value

    if theirs:
        memory, seconds = median(theirs, "memory", "resident") / MIB, median(theirs, "seconds")
        source = "TF-TRT measured here"
    else:
        memory, seconds = TFTRT_MEGABYTES * 1e6 / MIB, TFTRT_SECONDS
        source = f"TF-TRT as measured before: {TFTRT_MEGABYTES:,} MB, {TFTRT_SECONDS} s; --tftrt measures it here"
    resident = median(ours, "memory", "resident") / MIB
    note = f"{resident / memory:.1%} of {memory:,.0f} MiB; {source}"
    report.bound(
        "resident memory, a tenth of TF-TRT's", resident, MEMORY_SHARE * memory, "MiB", at_most=True, note=note
    )
    if "peak" in ours[0]["memory"] and theirs and "peak" in theirs[0]["memory"]:
        peaks = [median(runs, "memory", "peak") / MIB for runs in (ours, theirs)]
        report.bound("peak memory, a tenth of TF-TRT's", peaks[0], MEMORY_SHARE * peaks[1], "MiB", at_most=True)
    answer = median(ours, "seconds")
    note = f"{answer / seconds:.1%} of {seconds:.1f} s"
    report.bound("first answer, a third of TF-TRT's", answer, TIME_SHARE * seconds, "s", at_most=True, note=note)
