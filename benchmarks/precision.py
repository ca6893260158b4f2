"""One network after the other in every precision: the share of its layers in it, the error, the latency. On a GPU.

    python benchmarks/precision.py --make FOLDER [--only NAME]...
    python benchmarks/precision.py FOLDER [--only NAME]... [--precision PRECISION]... [--engines DIR] [--json FILE]
    python benchmarks/precision.py FOLDER [--only NAME]... [--precision PRECISION]... --engines DIR --build

The first makes the files, where TensorFlow is: ResNet-50, MobileNetV2, EfficientNetB0, an encoder block of BERT's base
size and the 3-D box network, seeded, each with answers of ONNX Runtime. The second needs a GPU, a TensorRT that builds,
and the extra calibrate, since it gives each network INT8 scales first (min-max, 16 random samples); on TensorRT 11 also
the extras export and verify.

Each row of the table: the part of the heavy layers (convolutions, matrix products, recurrent layers) that compute in
the type, by count and by time, from the engine itself, ``?`` where TensorRT does not say; the relative error
||out - ref|| / ||ref|| of the worst output on four samples; the GPU's time at batch 1 and 32, p50 between CUDA events;
and what is wrong, if anything is. INT8's error is on random samples here, which is not accuracy:
benchmarks/int8_accuracy.py measures that.

A build takes a minute or so. Engines are built into DIR and taken from there the next time, so that a run that was
stopped goes on. Nothing is timed before all are built. With --build nothing is timed at all: several such runs, each of
other networks, may share DIR and a machine, and one run behind them has the machine to itself. The share by time is
from when the engine was built.

Bounds: FP32's error under 1e-4, TF32's under 2e-3, FP16's and BF16's under 2e-2; the share as for any build; ResNet-50
in FP16 at batch 32 at least 1.2 times as fast as in TF32, the two timed in turns. Exit status: 0 all held, 1 one was
missed, 2 wrong usage.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from tf2trt import _native, libraries
from tf2trt.bench import measure_gpu
from tf2trt.build import MINIMUM_SHARE, BuildOptions
from tf2trt.build.onnx_inputs import read_onnx_inputs
from tf2trt.conversion import build_for
from tf2trt.errors import Tf2TrtError, UsageError
from tf2trt.files import atomic_write, check_writable
from tf2trt.numerics import relative_error
from tf2trt.precisions import PRECISIONS
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange

NAMES = ("resnet50", "mobilenetv2", "efficientnetb0", "encoder", "box3d")
BATCHES = (1, 32)
# TF32's is for a layer or a few: it rounds what it multiplies to as many bits as FP16 has, which in ONNX Runtime alone
# costs ResNet-50 with such weights 5.3e-3 and MobileNetV2 1.3e-2.
LIMITS = {"fp32": 1e-4, "tf32": 2e-3, "fp16": 2e-2, "bf16": 2e-2}
SPEEDUP = 1.2  # of ResNet-50 by FP16 over TF32 at batch 32
WARMUP, ITERATIONS, TURNS = 20, 200, 5

Row = Dict[str, Any]


def parse(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The command line; missing files are found before anything is built."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the networks' files")
    parser.add_argument("--make", action="store_true", help="make them there, with TensorFlow")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="all by default")
    parser.add_argument("--engines", type=Path, metavar="DIR", help="where engines are, or are built")
    parser.add_argument("--build", action="store_true", help="build the engines alone, into --engines")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    given = parser.parse_args(arguments)
    given.only = given.only or list(NAMES)
    given.precision = given.precision or list(PRECISIONS)
    if given.build and not given.engines:
        parser.error("--build needs --engines")
    if not given.make:
        files = [given.folder / f"{name}{end}" for name in given.only for end in (".onnx", ".npz")]
        missing = [str(path) for path in files if not path.is_file()]
        if missing:
            parser.error(f"not there: {', '.join(missing)}; make them with --make where TensorFlow is")
    if given.json:
        check_writable(given.json)
    return given


def build(name: str, precision: str, folder: Path, engines: Path) -> Path:
    """The engine of a row, built if it is not there. It is kept whatever its layers are: the table says it."""
    engine = engines / f"{name}.{precision}.engine"
    if engine.is_file():
        return engine
    onnx = folder / f"{name}.onnx"
    if "int8" in precision:
        from precision_models import quantised

        onnx = quantised(name, folder)
    (spec,) = read_onnx_inputs(onnx)
    sample = tuple(spec.shape[1:])
    profile = {spec.name: ShapeRange(*((batch, *sample) for batch in (BATCHES[0], BATCHES[1], BATCHES[1])))}
    options = BuildOptions(
        precision=precision, profiles=(profile,), timing_cache=engines / f"{name}.timings", allow_fallback=True
    )
    print(f"building {engine.name}", file=sys.stderr, flush=True)
    return build_for(onnx, engine, options).engine


def attempt(row: Row, step: Callable[..., Any], *arguments: Any) -> Any:
    """What ``step`` returns; where it fails, None, and ``row`` says why: the other rows are measured all the same."""
    try:
        return step(*arguments)
    except UsageError as error:
        # BF16 alone is a type that a TensorRT may lack.
        row.update({"skipped": str(error).splitlines()[0]} if row["precision"] == "bf16" else {"problem": str(error)})
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's quantiser raises what it likes
        row["problem"] = str(error) if isinstance(error, Tf2TrtError) else f"{type(error).__name__}: {error}"
    return None


def measure(row: Row, engine: Path, folder: Path) -> None:
    """Fills a row; ``problem`` says what is wrong with it, None where all is well."""
    name = row["network"]
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        arrays = dict(data)
    samples = arrays.pop("x")
    with Engine.load(engine) as loaded:
        results = loaded(samples)
        if not isinstance(results, dict):
            results = {loaded.outputs[0].name: results}
        errors = [relative_error(results[key[len("out/") :]], wanted) for key, wanted in arrays.items()]
        row["error"] = float(np.max(errors))  # a NaN stays one
        for batch in BATCHES:
            inputs = {loaded.inputs[0].name: np.resize(samples, (batch, *samples.shape[1:]))}
            row[f"batch_{batch}"] = measure_gpu(loaded, inputs, warmup=WARMUP, iterations=ITERATIONS).to_json()
        sidecar = loaded.sidecar
    assert sidecar is not None
    assert sidecar.proof is not None
    heavy = [layer for layer in sidecar.proof.layers if layer.heavy]
    row.update(
        device=sidecar.device_name,
        tensorrt=sidecar.tensorrt,
        share=sidecar.proof.share,
        time_share=sidecar.proof.time_share,
        heavy={kind: sum(layer.precision == kind for layer in heavy) for kind in {layer.precision for layer in heavy}},
        unknown=sum(layer.asked is None for layer in heavy),
        problem=judge(row, sidecar.proof.share),
    )


def judge(row: Row, share: Optional[float]) -> Optional[str]:
    """What is wrong with a row that was measured."""
    precision = row["precision"]
    limit = LIMITS.get(precision)
    if limit is not None and not row["error"] < limit:
        return f"relative error past {limit:g}"
    if not np.isfinite(row["error"]):
        return "NaN or infinity"
    if precision not in ("fp32", "tf32") and share is not None and share < MINIMUM_SHARE:
        return f"fewer than {MINIMUM_SHARE:.0%} of the heavy layers: a build would refuse it"
    return None


def speedup(folder: Path, engines: Mapping[str, Path]) -> Optional[float]:
    """How many times as fast ResNet-50 is in FP16 as in TF32, at the larger batch; None where one was not built.

    The two take turns, so that both have the same clocks; the median turn of each counts.
    """
    if not {"tf32", "fp16"} <= set(engines):
        return None
    with np.load(folder / "resnet50.npz", allow_pickle=False) as data:
        samples = np.resize(data["x"], (BATCHES[1], *data["x"].shape[1:]))
    times: Dict[str, List[float]] = {"tf32": [], "fp16": []}
    with Engine.load(engines["tf32"]) as tf32, Engine.load(engines["fp16"]) as fp16:
        for _ in range(TURNS):
            for precision, engine in (("tf32", tf32), ("fp16", fp16)):
                latency = measure_gpu(engine, {engine.inputs[0].name: samples}, warmup=WARMUP, iterations=ITERATIONS)
                times[precision].append(latency.p50_ms)
    return float(np.median(times["tf32"]) / np.median(times["fp16"]))


def table(rows: List[Row]) -> str:
    """For people."""
    titles = ("network", "precision", "share", "by time", "error", *(f"batch {batch}, ms" for batch in BATCHES), "")
    lines = [list(titles)]
    for row in rows:
        note = row.get("skipped") or (row.get("problem") or "").splitlines()[:1]
        note = note if isinstance(note, str) else "".join(note)
        cells = ["", "", "", *("" for _ in BATCHES)]
        if "share" in row:
            shares = ["?" if row[key] is None else f"{row[key]:.0%}" for key in ("share", "time_share")]
            times = [f"{row[f'batch_{batch}']['p50_ms']:.3f}" for batch in BATCHES]
            cells = [*shares, f"{row['error']:.1e}", *times]
        lines.append([row["network"], row["precision"], *cells, note])
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Exit status."""
    given = parse(arguments)
    if given.make:
        from precision_models import make

        given.folder.mkdir(parents=True, exist_ok=True)
        for name in given.only:
            make(name, given.folder)
        return 0
    print(f"{_native.device().name}, TensorRT {libraries.find(need_builder=True).version_text}", flush=True)
    rows: List[Row] = []
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as scratch:
        engines = given.engines or Path(scratch)
        engines.mkdir(parents=True, exist_ok=True)
        built: Dict[str, Dict[str, Path]] = {name: {} for name in given.only}
        for name in given.only:
            for precision in given.precision:
                rows.append({"network": name, "precision": precision})
                engine = attempt(rows[-1], build, name, precision, given.folder, engines)
                if engine is not None:
                    built[name][precision] = engine
        ratio, checked = None, list(rows)
        if not given.build:
            for row in rows:
                engine = built[row["network"]].get(row["precision"])
                if engine is not None:
                    attempt(row, measure, row, engine, given.folder)
                print(table([row]).splitlines()[1], file=sys.stderr, flush=True)
            pair: Row = {"network": "resnet50", "precision": "fp16 over tf32"}
            ratio = attempt(pair, speedup, given.folder, built.get("resnet50", {}))
            checked.append(pair)
    print(table(rows))
    missed = [f"{row['network']} {row['precision']}: {row['problem']}" for row in checked if row.get("problem")]
    if ratio is not None:
        print(f"ResNet-50, batch {BATCHES[1]}: FP16 is {ratio:.2f} times as fast as TF32 (bound: {SPEEDUP})")
        if ratio < SPEEDUP:
            missed.append(f"ResNet-50 in FP16 is {ratio:.2f} times as fast as in TF32, not {SPEEDUP}")
    if given.json:
        plain = [{**row, "error": str(row["error"])} if not np.isfinite(row.get("error", 0.0)) else row for row in rows]
        atomic_write(given.json, (json.dumps({"rows": plain, "speedup": ratio}, indent=2) + "\n").encode())
    for each in missed:
        print(f"missed: {each}")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Tf2TrtError as error:
        print(f"precision: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
