"""Runs an engine over the held-out images; started as a process of its own, in which there is no TensorFlow.

``python -m tf2trt.demo.runner ENGINE HELDOUT.npz`` prints one JSON object; an error that tf2trt raises goes to standard
error and ends with status 1.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np

from tf2trt.bench import measure, measure_gpu
from tf2trt.errors import Tf2TrtError
from tf2trt.numerics import relative_error
from tf2trt.runtime import Engine


def evaluate(engine_path: str, heldout: str) -> Dict[str, Any]:
    """Accuracy over every image, one at a time and in one batch; the error against Keras; latency of one image."""
    with np.load(heldout, allow_pickle=False) as data:
        images, labels = data["images"], data["labels"]
        expected = {name: data[name] for name in ("scores", "embedding")}
    with Engine.load(engine_path) as engine:
        single = [engine(image=images[index : index + 1])["scores"] for index in range(len(images))]
        batch = max(shapes.max[0] for shapes in engine.profiles[0].values())
        parts = [engine(image=images[start : start + batch]) for start in range(0, len(images), batch)]
        one = {"image": images[:1]}
        latency, gpu = measure(engine, one, iterations=500), measure_gpu(engine, one, iterations=500)
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in expected}
    return {
        "images": len(images),
        "accuracy": float(np.mean(np.concatenate(single).argmax(axis=1) == labels)),
        "batch_accuracy": float(np.mean(outputs["scores"].argmax(axis=1) == labels)),
        "max_rel_error": max(relative_error(outputs[name], expected[name]) for name in expected),
        "latency": latency.to_json(),
        "gpu_latency": gpu.to_json(),
        "peak_resident_mib": _peak_resident_mib(),
    }


def _peak_resident_mib() -> float:
    """The most memory that this process held. Not getrusage's ru_maxrss: Linux hands the parent's on through exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match.group(1)) / 1024 if match else float("nan")


def main() -> int:
    """The process's whole life."""
    try:
        report = evaluate(*sys.argv[1:3])
    except Tf2TrtError as error:
        print(error, file=sys.stderr)
        return 1
    foreign = sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "onnx", "tf2onnx"})
    if foreign:
        raise AssertionError(f"the runtime imported {foreign}")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
