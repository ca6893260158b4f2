"""What a benchmark found: one row for each subject, batch and regime, and the machine that it ran on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from tf2trt.errors import UsageError

__all__ = ["REGIMES", "SCHEMA", "BenchResult", "Row", "SubjectFacts"]

SCHEMA = 1  # raised with every change that a reader of the JSON would notice
REGIMES: Mapping[str, str] = {
    "gpu": "GPU only",  # CUDA events around each launch, the inputs on the GPU already
    "serial": "host to host",  # one call after the other, from arrays to arrays
    "pipelined": "pipelined",  # several calls on their way at once, from arrays to arrays
}
KINDS = ("engine", "onnx", "keras", "tensorflow", "tf-trt", "hybrid")


@dataclass(frozen=True)
class SubjectFacts:
    """What is known of a subject beside its times.

    ``name`` is what tables call it, unique in the result. Sizes are in bytes, times in seconds; None: not measured.
    ``build_seconds`` is None for an engine that was there already. ``coverage`` is the share of a hybrid's nodes that
    run in engines, 0 to 1. ``error`` says why the subject could not be measured at all. ``versions`` are the libraries
    of its process, such as ``{"tensorrt": "8.6.0"}``.
    """

    name: str
    kind: str
    source: str
    precision: str
    versions: Mapping[str, str] = field(default_factory=dict)
    build_seconds: Optional[float] = None
    engine_bytes: Optional[int] = None
    load_seconds: Optional[float] = None
    first_answer_seconds: Optional[float] = None
    host_peak_bytes: Optional[int] = None
    device_peak_bytes: Optional[int] = None
    coverage: Optional[float] = None
    error: Optional[str] = None


@dataclass(frozen=True)
class Row:
    """A subject at one batch size in one regime. Times are milliseconds of a call, ``throughput`` samples a second.

    ``turns_p50_ms`` holds the median of each turn that the subject had. ``interval_ms`` is the 95 % confidence interval
    of ``p50_ms``. ``spread_ms`` is what the p50 of a second run may differ by, 19 times of 20. ``quantiles_ms`` are the
    0th to the 100th percentile, 101 values. ``void`` says why the row must not be used (a fallback, a build, a NaN,
    throttling while it was timed); empty: it holds.
    """

    subject: str
    batch: int
    regime: str
    calls: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    throughput: float
    turns_p50_ms: Tuple[float, ...]
    interval_ms: Tuple[float, float]
    spread_ms: float
    quantiles_ms: Tuple[float, ...]
    void: Tuple[str, ...] = ()


@dataclass(frozen=True)
class BenchResult:
    """A whole run. ``environment`` is what :mod:`tf2trt.bench.environment` recorded: GPU, clocks, versions.

    ``created`` is UTC in ISO 8601; ``command`` the command line; ``preset`` the name of the way of measuring.
    """

    tf2trt: str
    created: str
    command: str
    preset: str
    environment: Mapping[str, Any]
    subjects: Tuple[SubjectFacts, ...]
    rows: Tuple[Row, ...]
    schema: int = SCHEMA

    def to_json(self) -> Dict[str, Any]:
        """Plain values, as docs/bench.md describes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> BenchResult:
        """The other way.

        Raises:
            UsageError: another schema, or keys that are missing or unknown.
        """
        schema = values.get("schema")
        if schema != SCHEMA:
            raise UsageError("a benchmark's result", received=f"schema {schema}", expected=f"schema {SCHEMA}")
        try:
            subjects = tuple(SubjectFacts(**item) for item in values["subjects"])
            rows = tuple(Row(**{key: _frozen(value) for key, value in item.items()}) for item in values["rows"])
            return cls(**{**values, "subjects": subjects, "rows": rows})
        except (KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                "a benchmark's result", received=str(error), expected="the keys of docs/bench.md"
            ) from error


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
