"""Hybrid graphs on a GPU: native TensorFlow, TF-TRT, backend tf2trt and the engine alone, on six models.

    python benchmarks/hybrid.py convert FOLDER [--only NAME]... [--precision FP16|FP32]... [--minutes M]
    python benchmarks/hybrid.py measure FOLDER [--only NAME]... [--precision FP16|FP32]... [--minutes M] [--json FILE]

``convert`` makes the models (without a GPU, seeded, nothing is downloaded) and converts each by both backends in both
precisions: FP16 first, and our own backend before TF-TRT. ``measure`` times what is there, and prints the tables, the
bounds, and where TensorFlow's own call time goes. Both keep in FOLDER what is done, and go on from there when they are
run again: --minutes M begins nothing that may not end in time. ``measure`` measures again what --only names; else what
was not measured yet. What was measured earlier is in the tables, the bounds and FILE too.

On an H200 with TensorRT 8.6 ``convert`` is expected to take 18 minutes (resnet50 8, mobilenetv2 5.5, the others 1 to 2
each; nearly all is TensorRT's) and ``measure`` 6, half of it to start processes. Two GPUs of a kind halve the former:
``convert`` of other names or precisions may run at the same time, each with a GPU of its own in CUDA_VISIBLE_DEVICES.

The models: resnet50, mobilenetv2, detector (SSD-style, boxes decoded, tf.image.combined_non_max_suppression), text
(numbers to strings and back, rows by strings), lstm (in a tf.while_loop), dynamic (batch 1 to 8, one engine). Large
ones are in FP32 at batch 1 only. ``engine`` is the plan that backend tf2trt put into the SavedModel, where that is the
whole model, run by tf2trt's own runtime: the same kernels, so that what is left is what TensorFlow costs.

Each subject runs in a process of its own, with TensorFlow's memory growing as needed; they take turns, the order turned
round by round. A time is the median of its rounds' medians, the least and the most of them beside it, and p99 of all
calls. Inputs on the GPU: from the call until the GPU is done. Host to host: NumPy arrays in, NumPy arrays out. Samples
a second: calls queued, inputs on the GPU, one wait. Errors are ||out - ref|| / ||ref|| of the worst output, against
TensorFlow on the CPU. Native TensorFlow has TF32 on, as it comes; FP32 is without it in both backends.

Bounds: errors under 1e-3 (FP32) and 2e-2 (FP16); nothing native and no build in a segment with an engine while timed;
backend tf2trt at most as long as TF-TRT, p50 by p50 (the median of the rounds' ratios); ResNet-50 in FP16 at batch 32
with inputs on the GPU at most 1.1 times as long as the engine alone. A TensorFlow without TF-TRT (2.18 and later) is
measured without it. Exit status: 0 all held, 1 one was missed (named at the end) or something is left to be done,
2 wrong usage.

Needs a GPU, a TensorRT that builds, and for both backends TensorFlow 2.17 with TensorRT 8.6: run it by the Python that
has TensorFlow, tf2onnx and tf2trt. Use another FOLDER for another TensorFlow.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from hybrid_plan import NETWORKS, PRECISIONS, Job, Places, jobs, read
from hybrid_report import facts, judge, stages, times
from hybrid_turns import Measurement, worker_command

from tf2trt import _native, libraries
from tf2trt.errors import Tf2TrtError
from tf2trt.files import atomic_write, check_writable

HERE = Path(__file__).parent
MEASURE_MINUTES = 1.5  # of a network, its processes' start included
LOG_LINES = 15  # of a process that ended early


class Clock:
    """The time that is left."""

    def __init__(self, minutes: Optional[float]) -> None:
        self._begun = time.monotonic()
        self._minutes = minutes

    def left(self) -> float:
        """Minutes; endless where none were given."""
        passed = (time.monotonic() - self._begun) / 60
        return float("inf") if self._minutes is None else self._minutes - passed

    def say(self, text: str) -> None:
        """A line of progress, with the minutes passed."""
        print(f"[{(time.monotonic() - self._begun) / 60:5.1f} min] {text}", file=sys.stderr, flush=True)


def parse(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("convert", "measure"))
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--only", action="append", choices=tuple(NETWORKS), metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="both by default")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin nothing that may not end by then")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows and bounds there, too (measure)")
    given = parser.parse_args(arguments)
    given.names = given.only or list(NETWORKS)
    given.precision = given.precision or list(PRECISIONS)
    if given.step == "measure":
        missing = [name for name in given.names if not Places(given.folder).samples(name).is_file()]
        if missing:
            parser.error(f"not there: {', '.join(missing)}; the step convert makes them")
        if given.json is not None:
            check_writable(given.json)
    return given


def convert(given: argparse.Namespace, clock: Clock) -> int:
    """Makes and converts what is not there yet; the exit status."""
    places = Places(given.folder)
    given.folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in given.names if not places.samples(name).is_file()]
    if missing:
        clock.say(f"making {', '.join(missing)}")
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        run("hybrid_networks.py", [str(given.folder), *missing], places, "make", environment)
    waiting = [job for job in jobs(given.names, given.precision) if not _is_done(job, places)]
    clock.say(f"{len(waiting)} conversions, some {sum(job.minutes for job in waiting):.0f} minutes")
    for (backend, precision), group in groupby(waiting, key=lambda job: (job.backend, job.precision)):
        convert_group(backend, precision, [job.network for job in group], given.folder, clock)
    left = [job for job in waiting if not _is_done(job, places)]
    for job in left:
        print(f"left: {job.network} {job.subject}: {_why_left(job, places)}")
    print(f"{len(waiting) - len(left)} of {len(waiting)} conversions done")
    return 1 if left else 0


def convert_group(backend: str, precision: str, names: List[str], folder: Path, clock: Clock) -> None:
    """Converts networks in one process, and in another one those behind a network that ended it."""
    places = Places(folder)
    while names and clock.left() > 0:
        for name in names:  # of an earlier run
            places.outcome(Job(name, backend, precision)).unlink(missing_ok=True)
        clock.say(f"{backend} {precision}: {', '.join(names)}")
        seconds = str(60 * min(clock.left(), 1e6))
        arguments = [str(folder), backend, precision, seconds, *names]
        begun, log = run("hybrid_convert.py", arguments, places, f"convert-{backend}-{precision}", dict(os.environ))
        for name in begun:
            job = Job(name, backend, precision)
            outcome = read(places.outcome(job))
            places.measured(name).unlink(missing_ok=True)  # it was of another conversion
            if outcome is None:  # the process ended in the middle of it
                outcome = {"subject": job.subject, "failed": f"the process ended: {log}"}
                atomic_write(places.outcome(job), json.dumps(outcome, indent=1).encode())
            verdict = outcome.get("failed") or outcome.get("skipped") or f"{outcome['coverage']:.1%} in engines"
            clock.say(f"{name} {job.subject}: {verdict[:200]}; {outcome.get('seconds', 0):.0f} s")
        last = read(places.outcome(Job(begun[-1], backend, precision))) if begun else None
        if last is None or "seconds" in last:
            return  # it ended by itself: all is done, or there was no time
        names = names[len(begun) :]


def run(script: str, arguments: Sequence[str], places: Places, name: str, environment: Dict[str, str]) -> Any:
    """Runs a part of this benchmark; the words that it printed, and the end of its log."""
    path = places.log(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as log:
        command = [sys.executable, str(HERE / script), *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, env=environment, check=False)
    lines = path.read_text(errors="replace").splitlines()
    if done.returncode:
        print("\n".join(lines[-LOG_LINES:]), file=sys.stderr)
    return done.stdout.decode().split(), " ".join(lines[-3:])[:500]


def _is_done(job: Job, places: Places) -> bool:
    outcome = read(places.outcome(job))
    return outcome is not None and "failed" not in outcome


def _why_left(job: Job, places: Places) -> str:
    return str((read(places.outcome(job)) or {}).get("failed", "not begun"))


def measure(given: argparse.Namespace, clock: Clock) -> int:
    """Measures, prints, judges; the exit status."""
    try:
        device, library = _native.device(), libraries.find(need_builder=True)
    except Tf2TrtError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1
    places = Places(given.folder)
    left = []
    for name in given.names:
        if not given.only and places.measured(name).is_file():
            continue
        if clock.left() < MEASURE_MINUTES:
            left.append(name)
            continue
        command = worker_command(sys.executable, given.folder, name)
        found = Measurement(name, given.precision, given.folder, command, clock.say).run()
        atomic_write(places.measured(name), json.dumps(found).encode())
    print(f"{device.name}, TensorRT {library.version_text}")
    status = show(places, given.json, {"device": device.name, "tensorrt": library.version_text})
    for name in left:
        print(f"left: {name}: no time")
    return 1 if left else status


def show(places: Places, json_file: Optional[Path], machine: Dict[str, str]) -> int:
    """The tables and bounds of all that was measured; the exit status."""
    measured = [found for found in (read(places.measured(name)) for name in NETWORKS) if found is not None]
    bounds = []
    for each in measured:
        network = each["network"]
        print(f"\n{network}: {NETWORKS[network].text}\n\n{times(each)}\n\n{facts(each, places)}")
        if each["stages"]:
            print(f"\nTensorFlow's call, batch 1, FP16, inputs on the GPU:\n{stages(each)}")
        bounds += judge(each, places)
    print()
    for bound in bounds:
        print(f"{'held' if bound.held else 'MISSED'}: {bound.name}: {bound.text}")
    missed = [bound for bound in bounds if not bound.held]
    print(f"\n{len(bounds) - len(missed)} of {len(bounds)} bounds held")
    for bound in missed:
        print(f"missed: {bound.name}: {bound.text}", file=sys.stderr)
    if json_file is not None:
        outcomes = [read(places.outcome(job)) for job in jobs(list(NETWORKS), list(PRECISIONS))]
        result = {
            **machine,
            "networks": measured,
            "conversions": [outcome for outcome in outcomes if outcome is not None],
            "bounds": [bound.to_json() for bound in bounds],
        }
        atomic_write(json_file, (json.dumps(result, indent=1) + "\n").encode())
    return 1 if missed or not measured else 0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Exit status."""
    given = parse(arguments)
    clock = Clock(given.minutes)
    return convert(given, clock) if given.step == "convert" else measure(given, clock)


if __name__ == "__main__":
    sys.exit(main())
