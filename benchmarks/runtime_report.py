"""What the parts of runtime.py share: figures with their spread, bounds with their verdict, and the timing of calls."""

import contextlib
import gc
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

Call = Callable[[], object]


class Spread(NamedTuple):
    """A figure: the median of the rounds' medians, p10 and p90 of all samples, the least and most of those medians."""

    value: float
    p10: float
    p90: float
    least: float
    most: float
    samples: int
    rounds: int

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> "Spread":
        """Of the samples of each round."""
        medians = [float(np.median(samples)) for samples in rounds]
        everything = np.concatenate([np.asarray(samples, np.float64) for samples in rounds])
        p10, p90 = (float(value) for value in np.percentile(everything, (10, 90)))
        return cls(float(np.median(medians)), p10, p90, min(medians), max(medians), everything.size, len(medians))

    @classmethod
    def of_single(cls, samples: Sequence[float]) -> "Spread":
        """Of samples of which each is a round: runs of a program, passes over a dataset."""
        return cls.of([[sample] for sample in samples])


def number(value: float) -> str:
    """Three figures or more, and no needless ones."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


class Report:
    """Prints figures and bounds as they come, and keeps them for the JSON file."""

    def __init__(self) -> None:
        self.figures: List[Dict[str, Any]] = []
        self.bounds: List[Dict[str, Any]] = []
        self.measure = ""

    def start(self, measure: str, text: str) -> None:
        """Begins a measure; what follows belongs to it."""
        self.measure = measure
        print(f"\n{measure}: {text}", flush=True)

    def figure(self, name: str, spread: Spread, unit: str, note: str = "") -> None:
        """A line with the figure and its spread. Where each round is one sample, p10..p90 are those of the rounds."""
        line = f"  {name:<62} {number(spread.value):>8} {unit:<8} p10..p90 {number(spread.p10)}..{number(spread.p90)}"
        if spread.samples == spread.rounds:
            line += f", {spread.rounds} rounds"
        else:
            each = f"{spread.rounds} rounds" if spread.rounds > 1 else "1 round"
            line += f", {each} of {spread.samples // spread.rounds:,}"
            if spread.rounds > 1:
                line += f": {number(spread.least)}..{number(spread.most)}"
        print(line + (f" ({note})" if note else ""), flush=True)
        row = {"measure": self.measure, "name": name, "unit": unit, **spread._asdict()}
        self.figures.append({**row, "note": note} if note else row)

    def note(self, text: str) -> None:
        """A line that is no figure."""
        print(f"  {text}", flush=True)

    def bound(self, name: str, value: float, limit: float, unit: str = "", *, at_most: bool, note: str = "") -> None:
        """A figure that has to stay on one side of ``limit``."""
        held = value <= limit if at_most else value >= limit
        text = f"{name}: {number(value)} {unit}".rstrip()
        relation = f"at {'most' if at_most else 'least'} {number(limit)} {unit}".rstrip()
        self._judge(
            text, relation, held, note, {"value": float(value), "limit": float(limit), "unit": unit, "at_most": at_most}
        )

    def check(self, name: str, held: bool, note: str = "") -> None:
        """Something that has to be so."""
        self._judge(name, "has to be so", held, note, {})

    @property
    def missed(self) -> List[str]:
        """The names of the bounds that were missed, each after its measure's."""
        return [f"{bound['measure']}: {bound['name']}" for bound in self.bounds if not bound["held"]]

    def _judge(self, text: str, relation: str, held: bool, note: str, row: Dict[str, Any]) -> None:
        verdict = "held" if held else "MISSED"
        print(f"  -> {text} ({relation}): {verdict}" + (f"; {note}" if note else ""), flush=True)
        self.bounds.append({"measure": self.measure, "name": text, "note": note, "held": bool(held), **row})


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector rests."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def time_calls(call: Call, count: int, warmup: int = 50, before: Optional[Call] = None) -> np.ndarray:
    """Microseconds of each of ``count`` calls; ``before`` runs before each, untimed."""
    clock = time.perf_counter_ns
    samples = np.empty(count)
    with no_collection():
        for _ in range(warmup):
            if before is not None:
                before()
            call()
        for index in range(count):
            if before is not None:
                before()
            started = clock()
            call()
            samples[index] = clock() - started
    return samples / 1e3


def time_small(call: Call, count: int = 200, inner: int = 500) -> np.ndarray:
    """Microseconds a call, where one is too short for the clock: ``count`` means of ``inner`` calls, the loop's own
    cost taken out.
    """
    repeats = range(inner)
    clock = time.perf_counter_ns
    samples, empty = np.empty(count), np.empty(count)
    with no_collection():
        for index in range(count):
            started = clock()
            for _ in repeats:
                call()
            stopped = clock()
            for _ in repeats:
                pass
            samples[index], empty[index] = stopped - started, clock() - stopped
    return (samples - np.median(empty)) / inner / 1e3
