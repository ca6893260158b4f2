"""The demo step by step. Each step says in one line what it found, and whether it was run at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from tf2trt import _native, libraries
from tf2trt.build import BuildOptions
from tf2trt.conversion import build_for, why_not_run
from tf2trt.demo.artifacts import Artifacts
from tf2trt.errors import DeviceError, EngineError, OutputError, VerificationError
from tf2trt.files import check_writable
from tf2trt.sidecar import Sidecar, check_hash, check_size
from tf2trt.specs import ShapeRange

__all__ = ["PRECISIONS", "run_demo"]

PRECISIONS = ("fp32", "fp16")
MIN_ACCURACY = 0.97
EXPORT_TOLERANCE = 1e-4
# How far an engine's accuracy may be from Keras's.
ACCURACY_MARGIN = {"fp32": 0.003, "fp16": 0.006}
PROFILE = {"image": ShapeRange(min=(1, 8, 8, 1), opt=(32, 8, 8, 1), max=(64, 8, 8, 1))}

Say = Callable[[str], None]


def run_demo(folder: Path, *, reuse: bool = False, say: Say = print) -> Dict[str, Any]:
    """Runs the demo in ``folder`` and returns its report, whose ``summary`` is one line for people.

    ``reuse`` takes the trained and exported model of an earlier run from ``folder``, so that the second half can run on
    a machine without TensorFlow.

    Raises:
        VerificationError: the model was not learnt, or a result differs from Keras's.
        UsageError: ``reuse``, and there is no earlier run in ``folder``.
    """
    started = time.perf_counter()
    artifacts = Artifacts(folder)
    _make_folder(folder)
    library = libraries.find(need_builder=True)
    ran: List[str] = []
    if reuse:
        facts = artifacts.read_facts()
        say(f"Training and export: taken from an earlier run in {folder}, not done again")
    else:
        facts = _learn_and_export(artifacts, say)
        ran += ["training", "export", "ONNX Runtime on every held-out image"]
    _require(facts["keras_accuracy"] >= MIN_ACCURACY, "Keras's accuracy", facts["keras_accuracy"], MIN_ACCURACY)

    plans = {precision: _build(artifacts, precision, library, say) for precision in PRECISIONS}
    ran += [f"{precision} build" for precision in PRECISIONS]
    reason = why_not_run(library)
    runs = None if reason else {precision: _run(artifacts, precision, facts, say) for precision in PRECISIONS}
    if runs:
        ran += [f"{precision} engine on every held-out image" for precision in PRECISIONS]
    else:
        say(f"Engines: built and checked, not run ({reason})")
    report = {
        **facts,
        "reused": reuse,
        "library": {"version": library.version_text, "kind": library.kind},
        "device": _device_name(),
        "plans": plans,
        "accuracy": {name: run["accuracy"] for name, run in runs.items()} if runs else None,
        "runs": runs,
        "ran": ran,
        "not_run": [] if runs else [f"{precision} engine: {reason}" for precision in PRECISIONS],
        "seconds": time.perf_counter() - started,
    }
    report["summary"] = _summary(report, reason)
    return report


def _learn_and_export(artifacts: Artifacts, say: Say) -> Dict[str, Any]:
    from tf2trt.demo.train import train
    from tf2trt.export import export
    from tf2trt.surgery import simplify

    facts = train(artifacts)
    count = facts["images"]
    say(
        f"Keras: {facts['keras_accuracy']:.2%} of {count['held_out']} held-out images right, "
        f"after {facts['training_seconds']:.0f} s of training on {count['trained']}"
    )
    export(artifacts.saved_model, artifacts.onnx, tolerance=EXPORT_TOLERANCE)
    simplify(artifacts.onnx, artifacts.onnx)
    facts["onnx_max_rel_error"] = _onnx_error(artifacts)
    say(f"ONNX: relative error {facts['onnx_max_rel_error']:.1e} against Keras, by ONNX Runtime")
    error = facts["onnx_max_rel_error"]
    _require(error < EXPORT_TOLERANCE, "the export's error", error, EXPORT_TOLERANCE)
    artifacts.write_facts(facts)
    return facts


def _onnx_error(artifacts: Artifacts) -> float:
    from tf2trt.verify import OnnxReference, relative_error

    data = artifacts.read_heldout()
    outputs = OnnxReference(artifacts.onnx)({"image": data["images"]})
    return max(relative_error(outputs[name], data[name]) for name in ("scores", "embedding"))


def _build(artifacts: Artifacts, precision: str, library: _native.Library, say: Say) -> Dict[str, Any]:
    """Builds one engine and reads it back as the runtime would, up to where a GPU is needed."""
    engine = artifacts.engine(precision)
    # For layers as small as these TensorRT 8 may find FP32 faster.
    options = BuildOptions(precision=precision, profiles=(PROFILE,), allow_fallback=True)
    built = build_for(artifacts.onnx, engine, options, library=library)
    plan = engine.read_bytes()
    sidecar = Sidecar.read(engine)
    version = _native.read_plan_header(plan).version
    check_size(engine, len(plan), sidecar)
    check_hash(engine, plan, sidecar)
    if sidecar is None or version[:3] != library.version:
        raise EngineError(
            f"{engine} does not say what built it", received=version, expected=f"{library.version} and a sidecar"
        )
    say(
        f"{precision.upper()} engine: {len(plan) / 1e6:.2f} MB in {built.seconds:.1f} s by TensorRT"
        f"{'-RTX' if library.kind == 'rtx' else ''} {library.version_text}; header, size and hash agree"
    )
    return {
        "engine": str(engine),
        "bytes": len(plan),
        "seconds": built.seconds,
        "plan_version": ".".join(str(part) for part in version),
        "precision_found": dict(sidecar.precision_found),
    }


def _run(artifacts: Artifacts, precision: str, facts: Dict[str, Any], say: Say) -> Dict[str, Any]:
    """Runs one engine over every held-out image, in a process that never sees TensorFlow."""
    command = [sys.executable, "-m", "tf2trt.demo.runner", str(artifacts.engine(precision)), str(artifacts.heldout)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise EngineError(f"the {precision} engine did not run", received=child.stderr.strip()[-2000:])
    result: Dict[str, Any] = json.loads(child.stdout)
    say(
        f"{precision.upper()} run: {result['accuracy']:.2%} right; one image {_times(result['latency'])} host to host, "
        f"p50 {result['gpu_latency']['p50_ms']:.3f} ms on the GPU; "
        f"Keras on the {facts['keras_device']}: {_times(facts['keras_latency'])}"
    )
    for key in ("accuracy", "batch_accuracy"):
        away, margin = abs(result[key] - facts["keras_accuracy"]), ACCURACY_MARGIN[precision]
        _require(away <= margin, f"the {precision} engine's {key}, away from Keras's", away, margin)
    return result


def _summary(report: Dict[str, Any], reason: Optional[str]) -> str:
    plans = ", ".join(f"{name.upper()} {plan['bytes'] / 1e6:.2f} MB" for name, plan in report["plans"].items())
    start = (
        f"Demo passed: Keras {report['keras_accuracy']:.2%}, ONNX error {report['onnx_max_rel_error']:.1e}, "
        f"engines {plans}"
    )
    if reason or not report["runs"]:
        return f"{start}; not run: {reason}"
    runs = ", ".join(
        f"{name.upper()} {run['accuracy']:.2%} at {run['latency']['p50_ms']:.3f} ms"
        for name, run in report["runs"].items()
    )
    keras = report["keras_latency"]["p50_ms"]
    return f"{start}; run on {report['device']}: {runs} (Keras on the {report['keras_device']} {keras:.3f} ms)"


def _times(latency: Dict[str, Any]) -> str:
    return f"p50 {latency['p50_ms']:.3f} ms, p99 {latency['p99_ms']:.3f} ms"


def _require(holds: bool, what: str, received: float, bound: float) -> None:
    if not holds:
        raise VerificationError(f"{what} is out of bounds", received=received, expected=f"the bound is {bound}")


def _device_name() -> Optional[str]:
    try:
        return _native.device().name
    except DeviceError:
        return None


def _make_folder(folder: Path) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}", received=error.strerror or str(error)) from error
    check_writable(folder / "keras.json")
