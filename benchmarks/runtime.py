"""What the runtime costs, on a GPU: every figure that it promises, each beside its bound.

    python benchmarks/runtime.py [MEASURE ...] --resnet50 FOLDER --run TF2TRT_RUN [--engines DIR] [--json FILE]
                                 [--tftrt SAVED_MODEL [--tftrt-python PROGRAM]] [--polygraphy-python PROGRAM]

Without a MEASURE all of them, one after the other (some five minutes, and up to three more to build ResNet-50 twice):

    latency   ResNet-50 FP16, one image, host to host, p50: Python, Python with pinned views, C++ (tf2trt-run), and the
              way of Polygraphy's TrtRunner (checks, pageable copies, addresses, enqueue), in turns; with
              --polygraphy-python, a Python that has polygraphy and TensorRT's bindings, TrtRunner itself, too.
              Bounds: Python at most 15 us over C++; Polygraphy's way at least 1.3 times as long as Python.
    call      One layer: a whole call, and its own cost, which is all that is not waiting for the GPU, in parts: checks,
              copy and launch; synchronise and fresh result; the engine's pool. Bound: 12 us.
    map       ResNet-50 FP16, engine.map over 4,000 images in batches of 8 and of 32, beside the throughput of the GPU
              alone, of the bus, and of one core that copies arrays into pinned memory. Bound: 90 % of the lowest.
    threads   ResNet-50 FP16, 16 threads x 500 calls on one engine. Bounds: the serial outputs' bits; at least the
              throughput of 4 threads; no growth of device memory after the first second.
    process   A fresh process that loads ResNet-50 FP16 and answers one call: time and its stages, memory, bytes on
              disk; with --tftrt the same for TensorFlow + TF-TRT. Bounds: a tenth of its memory, a third of its time.
    flat      10,000 cycles of loading and closing an engine of one layer, and 100,000 calls. Bounds: resident memory
              grows by less than 1 MiB and device memory not at all, from the first tenth to the end.

Needs a GPU, a TensorRT that builds, numpy, onnx (call, flat) and pycuda (latency, call, map). FOLDER holds
resnet50.onnx, made by tests/gpu/make_resnet50.py where there is TensorFlow. Engines are built into DIR, by default a
temporary folder; one that is there is taken as it is, so another TensorRT or GPU needs another DIR. tf2trt-run is told
to use the same TensorRT library. SAVED_MODEL is what `benchmarks/tftrt_process.py --convert` wrote; PROGRAM is a Python
with TensorFlow, or a script that sets up its environment and then runs one with its arguments (by default
/usr/bin/python3). Leave the machine to the benchmark: a busy core or GPU shows in all of it.

A figure is the median of its rounds' medians; beside it p10..p90 of all samples (of the rounds, where each gives one
number) and the least and the most of the rounds' medians. Exit status: 0 all bounds held, 1 one was missed (named at
the end) or nothing could be measured, 2 wrong usage.
"""

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict

import numpy as np
from runtime_call import call
from runtime_engines import Engines
from runtime_flat import flat
from runtime_latency import latency
from runtime_map import stream_dataset
from runtime_process import process
from runtime_report import Report
from runtime_threads import threads

from tf2trt import _native, libraries
from tf2trt.errors import Tf2TrtError
from tf2trt.files import atomic_write, check_writable

MEASURES = ("latency", "call", "map", "threads", "process", "flat")
WITH_RESNET50 = {"latency", "map", "threads", "process"}


def parse() -> argparse.Namespace:
    """The command line; what the chosen measures need is checked before anything is built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=", ".join(MEASURES) + "; all by default")
    parser.add_argument("--resnet50", type=Path, metavar="FOLDER", help="holds resnet50.onnx")
    parser.add_argument("--run", type=Path, metavar="TF2TRT_RUN", help="the program tf2trt-run")
    parser.add_argument("--engines", type=Path, metavar="DIR", help="where engines are, or are built")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and bounds there, too")
    parser.add_argument("--tftrt", type=Path, metavar="SAVED_MODEL", help="converted by tftrt_process.py")
    parser.add_argument("--tftrt-python", default="/usr/bin/python3", metavar="PROGRAM")
    parser.add_argument("--polygraphy-python", metavar="PROGRAM", help="has polygraphy and TensorRT's bindings")
    given = parser.parse_args()
    for measure in given.measures:
        if measure not in MEASURES:
            parser.error(f"{measure}: none of {', '.join(MEASURES)}")
    chosen = set(given.measures or MEASURES)
    given.measures = [measure for measure in MEASURES if measure in chosen]
    if chosen & WITH_RESNET50 and (given.resnet50 is None or not (given.resnet50 / "resnet50.onnx").is_file()):
        parser.error("--resnet50 FOLDER: needs a folder with resnet50.onnx; tests/gpu/make_resnet50.py makes it")
    if "latency" in chosen and (given.run is None or not given.run.is_file()):
        parser.error("--run TF2TRT_RUN: needs the program tf2trt-run")
    if given.tftrt is not None and not given.tftrt.is_dir():
        parser.error("--tftrt SAVED_MODEL: there is no such folder; tftrt_process.py --convert makes it")
    if given.json is not None:
        check_writable(given.json)
    return given


def main() -> int:
    """Measures, prints, judges; the exit status."""
    given = parse()
    try:
        device, library = _native.device(), libraries.find(need_builder=True)
    except Tf2TrtError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1
    major, minor = divmod(device.driver_version, 1000)
    machine = {
        "device": device.name,
        "tensorrt": library.version_text,
        "cuda_driver": f"{major}.{minor // 10}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    print(f"{device.name}, TensorRT {library.version_text}, CUDA {machine['cuda_driver']}, Python {machine['python']}")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="tf2trt-runtime-") as scratch:
        engines = Engines(given.engines or Path(scratch), given.resnet50)
        measures: Dict[str, Callable[[], None]] = {
            "latency": lambda: latency(report, engines, given.run.resolve(), given.polygraphy_python),
            "call": lambda: call(report, engines),
            "map": lambda: stream_dataset(report, engines),
            "threads": lambda: threads(report, engines),
            "process": lambda: process(report, engines, given.tftrt, given.tftrt_python),
            "flat": lambda: flat(report, engines),
        }
        for measure in given.measures:
            measures[measure]()
            if given.json is not None:  # after each: what was measured stays, should a later one fail
                result = {**machine, "figures": report.figures, "bounds": report.bounds}
                atomic_write(given.json, json.dumps(result, indent=1).encode())
    print()
    for missed in report.missed:
        print(f"MISSED: {missed}", file=sys.stderr)
    print(f"{len(report.bounds) - len(report.missed)} of {len(report.bounds)} bounds held")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
