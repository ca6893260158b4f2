"""How long a model takes: single calls of an engine, and whole benchmarks of many subjects.

The names of a benchmark are looked up when they are first used (PEP 562): timing an engine needs none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tf2trt.bench.latency import Latency, measure, measure_gpu, time_calls

if TYPE_CHECKING:
    from tf2trt.bench.options import BenchOptions
    from tf2trt.bench.results import BenchResult
    from tf2trt.bench.run import run_bench

__all__ = ["BenchOptions", "BenchResult", "Latency", "measure", "measure_gpu", "run_bench", "time_calls"]

_HOME = {
    "BenchOptions": "tf2trt.bench.options",
    "BenchResult": "tf2trt.bench.results",
    "run_bench": "tf2trt.bench.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # from now on found without this function
    return value
