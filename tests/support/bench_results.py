"""Results of benchmarks that were never run: invented times, for tests of what is made of a result."""

import numpy as np

from tf2trt.bench.results import BenchResult, SubjectFacts
from tf2trt.bench.statistics import make_row

HOSTILE = "=<b>&\"'</script><img src=x onerror=alert(1)>\x1b[31m"

# name, kind, precision, milliseconds on the GPU for one sample and for each further one, of the host besides
_SUBJECTS = (
    ("resnet50 fp16", "engine", "fp16", 0.28, 0.045, 0.12),
    ("resnet50 tf32", "engine", "tf32", 0.52, 0.09, 0.13),
    ("resnet50.onnx int8", "onnx", "int8", 0.22, 0.03, 0.12),
    ("hybrid fp16", "hybrid", "fp16", 0.33, 0.046, 0.4),
    ("tf-trt fp16", "tf-trt", "fp16", 0.7, 0.05, 0.6),
    ("tensorflow", "tensorflow", "tf32", 6.9, 0.12, 0.7),
)


def turns(seed, typical, count=8, calls=60):
    """Times of calls in ``count`` turns around ``typical`` milliseconds, with drift and a few outliers."""
    rng = np.random.default_rng(seed)
    found = []
    for offset in rng.normal(0, 0.006, count):
        times = typical * (1 + offset + rng.gamma(2.0, 0.006, calls))
        found.append(list(np.where(rng.random(calls) < 0.01, times * rng.uniform(1.3, 2.5, calls), times)))
    return found


def make_result(batches=(1, 8, 32), regimes=("gpu", "serial", "pipelined"), *, hostile=False, void=True, scale=1.0):
    """Six subjects, a void row, and a subject that failed. ``hostile``: with names that try to break out."""
    rows, subjects = [], []
    for number, (name, kind, precision, first, further, host) in enumerate(_SUBJECTS):
        name = f"{name} {HOSTILE}" if hostile else name
        for batch in batches:
            for regime in regimes:
                typical = scale * (first + further * (batch - 1) + (0 if regime == "gpu" else host + 0.03 * batch))
                times = turns((number, batch, len(regime)), typical)
                why = ("a segment fell back to TensorFlow",) if void and kind == "tf-trt" and batch == 8 else ()
                wall = [sum(turn) / 1e3 / 2.6 for turn in times] if regime == "pipelined" else None
                rows.append(make_row(name, batch, regime, times, samples_per_call=batch, wall_seconds=wall, void=why))
        subjects.append(
            SubjectFacts(
                name=name,
                kind=kind,
                source=f"models/{name}",
                precision=precision,
                versions={"tensorflow": "2.17.1"} if "t" in kind[:1] else {"tensorrt": "8.6.0"},
                build_seconds=None if kind in ("engine", "tensorflow") else 81.2,
                engine_bytes=None if kind == "tensorflow" else 51_600_000,
                load_seconds=0.41 if kind == "engine" else 9.7,
                first_answer_seconds=0.43 if kind == "engine" else 11.1,
                host_peak_bytes=225_000_000 if kind == "engine" else 2_440_000_000,
                device_peak_bytes=None if kind == "onnx" else 610_000_000,
                coverage=0.987 if kind in ("hybrid", "tf-trt") else None,
            )
        )
    failed = SubjectFacts("mobilenet", "keras", "mobilenet.keras", "fp16", error="the ONNX file holds NonZero")
    return BenchResult(
        tf2trt="0.1.0",
        created="2026-11-21T20:15:00+00:00",
        command="tf2trt bench resnet50.engine ... --batch 1,8,32",
        preset="tf2trt",
        environment={
            "gpu": {
                "name": "NVIDIA H200",
                "compute_capability": "9.0",
                "memory_bytes": 150_754_820_096,
                "driver": "580.65.06",
                "cuda": "13.0",
                "power_limit_w": 700.0,
                "max_sm_clock_mhz": 1980,
                "max_memory_clock_mhz": 3201,
                "persistence_mode": True,
            },
            "gpu_reason": None,
            "jetson": None,
            "cpu": {"name": "Intel Xeon Platinum 8480", "cores": 16, "governor": "performance"},
            "os": "Ubuntu 22.04.5 LTS",
            "kernel": "Linux 6.8.0 x86_64",
            "python": "3.12.3",
            "libraries": {"numpy": "1.26.4", "tensorrt": "8.6.0", "tensorflow": "2.17.1"},
            "monitor": {
                "source": "nvml",
                "reason": None,
                "readings": 2412,
                "throttled": None,
                "sm_clock_mhz": {"min": 1965, "mean": 1978.4, "max": 1980},
                "memory_clock_mhz": {"min": 3201, "mean": 3201.0, "max": 3201},
                "power_w": {"min": 92.1, "mean": 241.7, "max": 412.9},
                "temperature_c": {"min": 31, "mean": 38.2, "max": 44},
                "memory_used_bytes": {"min": 600_000_000, "mean": 2.1e9, "max": 3.2e9},
            },
            "way": {"regimes": ["gpu", "serial", "pipelined"], "repeats": 8, "seconds": 1.0},
            "seed": 0,
            "notes": ["a note"],
        },
        subjects=(*subjects, failed),
        rows=tuple(rows),
    )
