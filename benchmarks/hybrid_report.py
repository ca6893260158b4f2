"""Tables and bounds of hybrid.py, from what its turns left."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from hybrid_plan import ENGINE, LIMITS, NETWORKS, Job, Places, read
from runtime_report import Spread, number

OVER_ENGINE = 1.10  # of the engine alone, ResNet-50, batch 32, inputs on the GPU
TITLES = ("subject", "batch", "on the GPU, ms", "p99", "host to host, ms", "p99", "samples/s")
FACTS = (
    "subject",
    "in engines",
    "by time",
    "error",
    "of",
    "convert, s",
    "memory, MiB",
    "peak",
    "note",
)

Row = Dict[str, Any]


class Bound(NamedTuple):
    """A bound and its verdict; ``text`` has the figure."""

    name: str
    text: str
    held: bool

    def to_json(self) -> Dict[str, Any]:
        """Plain values."""
        return self._asdict()


def spread(row: Row) -> Spread:
    """Of a row's turns, in milliseconds."""
    return Spread.of(row["turns"])


def p99(row: Row) -> float:
    """Of all calls of a row, in milliseconds."""
    return float(np.percentile(np.concatenate([np.asarray(turn) for turn in row["turns"]]), 99))


def ratio(row: Row, other: Row) -> Spread:
    """How many times as long as ``other``: of the p50s round by round, which had the same machine."""
    return Spread.of_single([float(np.median(a) / np.median(b)) for a, b in zip(row["turns"], other["turns"])])


def find(measured: Dict[str, Any], subject: str, batch: int, mode: str) -> Optional[Row]:
    """The row, where it was measured."""
    for row in measured["rows"]:
        if (row["subject"], row["batch"], row["mode"]) == (subject, batch, mode) and row["turns"]:
            found: Row = row
            return found
    return None


def table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """For people."""
    everything = [list(titles), *map(list, lines)]
    widths = [max(len(line[column]) for line in everything) for column in range(len(titles))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in everything)


def times(measured: Dict[str, Any]) -> str:
    """The times of a network's subjects."""
    lines = []
    for subject in measured["facts"]:
        for batch in NETWORKS[measured["network"]].batches:
            rows = [find(measured, subject, batch, mode) for mode in ("gpu", "host", "queued")]
            if not any(rows):
                continue
            cells = [cell for row in rows[:2] for cell in _cells(row)]
            queued = "" if rows[2] is None else f"{batch / spread(rows[2]).value * 1e3:,.0f}"
            lines.append([subject, str(batch), *cells, queued])
    return table(TITLES, lines)


def _cells(row: Optional[Row]) -> List[str]:
    if row is None:
        return ["", ""]
    found = spread(row)
    return [f"{found.value:.3f} ({found.least:.3f}..{found.most:.3f})", f"{p99(row):.3f}"]


def facts(measured: Dict[str, Any], places: Places) -> str:
    """What else is known of a network's subjects, the skipped and the failed ones with their reasons."""
    lines = []
    for subject in [*measured["facts"], *measured["skipped"]]:
        known = measured["facts"].get(subject, {})
        backend, _, precision = subject.partition(" ")
        outcome = read(places.outcome(Job(measured["network"], backend, precision))) or {}
        memory = known.get("memory", {})
        cells = [
            _share(outcome.get("coverage")),
            _share(outcome.get("time_share")),
            f"{known['error']:.1e}" if "error" in known else "",
            known.get("output", ""),
            f"{outcome['seconds']:.0f}" if "seconds" in outcome else "",
            *(f"{memory[key] / 2**20:,.0f}" if key in memory else "" for key in ("resident", "peak")),
        ]
        note = measured["failed"].get(subject) or measured["skipped"].get(subject) or ""
        lines.append([subject, *cells, note[:160]])
    return table(FACTS, lines)


def _share(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.1%}"


def judge(measured: Dict[str, Any], places: Places) -> List[Bound]:
    """The bounds of a network."""
    network, found = measured["network"], []
    for subject, reason in {**measured["skipped"], **measured["failed"]}.items():
        if subject in measured["failed"] or not _may_be_missing(subject, network, places):
            found.append(Bound(f"{network}: {subject} runs", reason[:300], False))
    for subject, known in measured["facts"].items():
        precision = subject.partition(" ")[2]
        if precision and not subject.startswith("tf-trt") and "error" in known:
            limit = LIMITS[precision]
            text = f"{known['error']:.1e} of {known['output']!r} (under {limit:g})"
            found.append(Bound(f"{network}: {subject}, relative error", text, bool(known["error"] < limit)))
    for subject in measured["facts"]:
        if subject.startswith("tf2trt"):
            rows = [row for row in measured["rows"] if row["subject"] == subject and row["fell_back"]]
            text = ", ".join(f"batch {row['batch']} {row['mode']} {row['fell_back']}" for row in rows) or "none"
            found.append(Bound(f"{network}: {subject}, native calls and builds while timed", text, not rows))
    return [*found, *_speed(measured)]


def _may_be_missing(subject: str, network: str, places: Places) -> bool:
    """Whether nobody could expect it: TF-TRT of a TensorFlow without it, an engine of a model that is not one."""
    backend, _, precision = subject.partition(" ")
    outcome = read(places.outcome(Job(network, backend, precision))) or {}
    return backend == ENGINE or "skipped" in outcome


def _speed(measured: Dict[str, Any]) -> List[Bound]:
    network, found = measured["network"], []
    for precision in LIMITS:
        for batch in NETWORKS[network].timed(precision):
            for mode, text in (("gpu", "inputs on the GPU"), ("host", "host to host")):
                ours = find(measured, f"tf2trt {precision}", batch, mode)
                theirs = find(measured, f"tf-trt {precision}", batch, mode)
                if ours and theirs:
                    name = f"{network} {precision} batch {batch}, {text}: tf2trt / tf-trt"
                    found.append(_at_most(name, ratio(ours, theirs), 1.0))
    ours, alone = (find(measured, f"{who} FP16", 32, "gpu") for who in ("tf2trt", "engine"))
    if network == "resnet50" and ours and alone:
        found.append(
            _at_most("resnet50 FP16 batch 32, inputs on the GPU: tf2trt / pure engine", ratio(ours, alone), OVER_ENGINE)
        )
    elif network == "resnet50":
        found.append(Bound("resnet50 FP16 batch 32: tf2trt / pure engine", "not both measured", False))
    return found


def _at_most(name: str, found: Spread, limit: float) -> Bound:
    text = f"{found.value:.3f} ({found.least:.3f}..{found.most:.3f} over {found.rounds} rounds; at most {limit:g})"
    return Bound(name, text, found.value <= limit)


def stages(measured: Dict[str, Any]) -> str:
    """Where TensorFlow's own call time goes at batch 1: each line is what the next part adds, in microseconds."""
    if not measured.get("stages"):
        return ""
    usual = {name: 1e3 * float(np.median(samples)) for name, samples in measured["stages"].items()}
    lines = [
        ("waiting for a GPU that is idle", usual["wait"]),
        ("one operator (tf.identity), called and waited for", usual["operator"] - usual["wait"]),
        ("a signature of a SavedModel around it", usual["empty model"] - usual["operator"]),
    ]
    rest = usual["model"] - usual["empty model"]
    alone = find(measured, "engine FP16", 1, "gpu")
    if alone is None:
        lines.append(("the engine, and the op around it", rest))
    else:
        engine = 1e3 * spread(alone).value
        lines += [
            ("the engine alone, in tf2trt's runtime", engine),
            ("what is left: the op, and less overlap", rest - engine),
        ]
    lines.append(("the whole call", usual["model"]))
    return "\n".join(f"  {name:<52} {number(value):>8} us" for name, value in lines)
