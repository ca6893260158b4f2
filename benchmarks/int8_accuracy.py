"""Accuracy in FP32, FP16 and INT8, by each method and both products, on real data. One table by one command:

    python benchmarks/int8_accuracy.py [--only TASK] [--samples 500] [--folder DIR] [--make] [--json FILE]

In ONNX Runtime everywhere; where there is a GPU also as engines, and with TensorRT's own calibrators on 8 and 10.
Status 1 where INT8 is more than a point under FP32 in the same runtime, or an engine could not be built. Needs
scikit-learn and scikit-image, and TensorFlow to train with: --make does that alone, and networks that are in DIR are
taken from there.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
from int8_models import Task, crops, digits

from tf2trt import libraries
from tf2trt.build import BuildOptions
from tf2trt.calibration import METHODS, CalibrationData, TensorRTCalibrator, quantize
from tf2trt.conversion import build_for, why_not_run
from tf2trt.errors import LibraryNotFoundError, Tf2TrtError
from tf2trt.specs import ShapeRange
from tf2trt.surgery import set_precision

POINT = 0.01
TASKS = {"digits": digits, "crops": crops}
Row = Dict[str, Any]


def in_onnx_runtime(path: Path, task: Task) -> float:
    """The share of held-out images that ONNX Runtime gives the right label."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return _right(lambda batch: session.run(["scores"], {"image": batch})[0], task)


def as_engine(path: Path, task: Task, precision: str, calibration: Any = None) -> Tuple[float, Dict[str, int]]:
    """The same of an engine, and what its layers compute in."""
    from tf2trt.runtime import Engine

    shape = task.images.shape[1:]
    profile = {"image": ShapeRange((1, *shape), (200, *shape), (200, *shape))}
    options = BuildOptions(
        precision=precision,
        profiles=(profile,),
        timing_cache=path.with_name(f"{task.name}.timings"),
        calibration=calibration,
        allow_fallback=True,
    )
    report = build_for(path, path.with_suffix(f".{precision}.engine"), options)
    with Engine.load(report.engine) as engine:

        def scores(batch: Any) -> Any:
            found = engine(image=batch)
            return found["scores"] if isinstance(found, dict) else found

        return _right(scores, task), dict(report.sidecar.precision_found)


def _right(scores: Any, task: Task) -> float:
    right = 0
    for start in range(0, len(task.held_images), 200):
        batch = task.held_images[start : start + 200]
        right += int(np.sum(np.asarray(scores(batch)).argmax(axis=1) == task.held_labels[start : start + 200]))
    return right / len(task.held_images)


def measure(task: Task, folder: Path, samples: int, engines: bool, calibrators: bool) -> Iterator[Row]:
    """A row for each precision, method, product and runtime."""

    def row(precision: str, method: str, product: str, runtime: str, accuracy: float, layers: Any = None) -> Row:
        return {
            "task": task.name, "precision": precision, "method": method, "product": product, "runtime": runtime,
            "accuracy": accuracy, "images": len(task.held_labels), "layers": layers,
        }  # fmt: skip

    def engine(path: Path, precision: str, method: str = "", product: str = "") -> Row:
        try:
            calibrator = None
            if product == "native":
                calibrator = TensorRTCalibrator(path, data(), method, folder / f"{task.name}.{method}.calib")
            return row(precision, method, product, "engine", *as_engine(path, task, precision, calibrator))
        except Tf2TrtError as error:  # the others are measured all the same
            return {**row(precision, method, product, "engine", float("nan")), "problem": str(error)}

    def data() -> CalibrationData:
        return CalibrationData(task.images, samples=samples, batch_size=20)

    yield row("fp32", "", "", "ONNX Runtime", in_onnx_runtime(task.onnx, task))
    half = folder / f"{task.name}.fp16.onnx"
    set_precision(task.onnx, half, "fp16")
    yield row("fp16", "", "", "ONNX Runtime", in_onnx_runtime(half, task))
    quantised = {method: folder / f"{task.name}.{method}.onnx" for method in METHODS}
    for method, path in quantised.items():
        quantize(task.onnx, path, data(), method)
        yield row("int8", method, "Q/DQ", "ONNX Runtime", in_onnx_runtime(path, task))
    if not engines:
        return
    for precision in ("fp32", "fp16"):
        yield engine(task.onnx, precision)
    for method, path in quantised.items():
        for precision in ("int8", "int8+fp16"):
            yield engine(path, precision, method, "Q/DQ")
        if calibrators:
            yield engine(task.onnx, "int8", method, "native")


def show(rows: List[Row]) -> bool:
    """Prints the table; whether each was measured, and INT8 is within a point of FP32 throughout."""
    print(f"{'task':8}{'runtime':14}{'precision':11}{'method':12}{'product':9}{'accuracy':>9}{'to FP32':>9}  layers")
    good = True
    for row in rows:
        base = next(
            each["accuracy"]
            for each in rows
            if (each["task"], each["runtime"], each["precision"]) == (row["task"], row["runtime"], "fp32")
        )
        away = row["accuracy"] - base
        good = good and "problem" not in row and (away >= -POINT or "int8" not in row["precision"])
        layers = ", ".join(f"{count} {kind}" for kind, count in (row["layers"] or {}).items())
        print(
            f"{row['task']:8}{row['runtime']:14}{row['precision']:11}{row['method']:12}{row['product']:9}"
            f"{row['accuracy']:9.2%}{away * 100:+9.2f}  {row.get('problem', layers)}"
        )
    return good


def main() -> int:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=tuple(TASKS), help="one of the two")
    parser.add_argument("--samples", type=int, default=500, help="to calibrate with")
    parser.add_argument("--folder", type=Path, help="keep the models, engines and caches here")
    parser.add_argument("--make", action="store_true", help="train the networks into DIR, and stop")
    parser.add_argument("--json", type=Path, help="the figures")
    given = parser.parse_args()
    tasks = [TASKS[given.only]] if given.only else list(TASKS.values())
    if given.make:
        if given.folder is None:
            parser.error("--make needs --folder")
        given.folder.mkdir(parents=True, exist_ok=True)
        for make in tasks:
            print(make(given.folder).onnx)
        return 0
    try:
        library = libraries.find(need_builder=True)
        not_run = why_not_run(library)
    except LibraryNotFoundError as error:
        library, not_run = None, str(error).splitlines()[0]
    if not_run:
        print(f"no engines: {not_run}")
    rows: List[Row] = []
    with tempfile.TemporaryDirectory(prefix="tf2trt-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for make in tasks:
            calibrators = library is not None and not library.strongly_typed
            for row in measure(make(folder), folder, given.samples, not not_run, calibrators):
                print({key: value for key, value in row.items() if value}, file=sys.stderr, flush=True)
                rows.append(row)
    good = show(rows)
    if given.json:
        plain = [{**row, "accuracy": None} if "problem" in row else row for row in rows]  # a NaN, which JSON lacks
        given.json.write_text(json.dumps(plain, indent=2) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
