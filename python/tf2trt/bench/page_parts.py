"""What the parts of a benchmark's page share: how a subject looks, what is said of a row, which chart is shown when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

from tf2trt.bench import words
from tf2trt.bench.results import REGIMES, BenchResult, Row
from tf2trt.page import SERIES, escape

__all__ = ["MEASURES", "SHAPES", "Look", "Measure", "details", "figure", "looks", "mark", "value"]

SHAPES = 5  # circle, square, diamond, triangles: with 8 colours, 40 subjects that are told apart


@dataclass(frozen=True)
class Measure:
    """One of the two figures that charts show: its button, unit, and whether more of it is better."""

    name: str
    title: str
    unit: str
    more_is_better: bool

    def of(self, row: Row) -> float:
        """The row's figure."""
        return row.throughput if self.more_is_better else row.p50_ms

    def text(self, number: float) -> str:
        """As people read it."""
        return words.samples_per_second(number) if self.more_is_better else words.milliseconds(number)


MEASURES = (
    Measure("latency", "time of a call (p50)", "ms", False),
    Measure("throughput", "throughput", "samples/s", True),
)


@dataclass(frozen=True)
class Look:
    """A subject's colour and the shape of its marks, the same in every chart."""

    number: int

    @property
    def colour(self) -> str:
        """A CSS colour."""
        return f"var(--series-{self.number % SERIES})"

    @property
    def shape(self) -> str:
        """A CSS class."""
        return f"shape-{self.number % SHAPES}"


def looks(result: BenchResult) -> Dict[str, Look]:
    """By subject, in the order of the rows."""
    names = dict.fromkeys(row.subject for row in result.rows)
    return {name: Look(number) for number, name in enumerate(names)}


def mark(look: Look) -> str:
    """The mark that stands beside a subject's name."""
    return f'<i class="mark {look.shape}" style="--c:{look.colour}"></i>'


def value(number: float, text: str) -> str:
    """A figure, with the JSON's own value behind what is shown."""
    return f'<data value="{number!r}">{escape(text)}</data>'


def details(row: Row) -> str:
    """What a chart tells of a row when it is pointed at or tapped; not escaped."""
    quantiles = row.quantiles_ms
    lines = [
        row.subject,
        f"{REGIMES[row.regime]}, batch {row.batch}",
        f"p50 {words.milliseconds(row.p50_ms)} ms (\N{PLUS-MINUS SIGN}{words.milliseconds(row.spread_ms)})",
        f"p90 {words.milliseconds(row.p90_ms)} ms, p99 {words.milliseconds(row.p99_ms)} ms",
        f"fastest {words.milliseconds(quantiles[0])} ms, slowest {words.milliseconds(quantiles[-1])} ms",
        f"{words.samples_per_second(row.throughput)} samples/s, {row.calls:,} calls in {len(row.turns_p50_ms)} turns",
    ]
    return "\n".join(lines + [f"VOID: {reason}" for reason in row.void])


def figure(
    kind: str,
    caption: str,
    content: List[str],
    *,
    regime: str,
    batch: Optional[int] = None,
    measure: Optional[Measure] = None,
) -> str:
    """A chart that the buttons show and hide by what it is of. ``caption`` is plain text, ``content`` HTML."""
    chosen = {"regime": regime, "batch": batch, "measure": measure.name if measure else None}
    data = "".join(f' data-{name}="{escape(each)}"' for name, each in chosen.items() if each is not None)
    return (
        f'<figure class="panel {kind}"{data}>\n<figcaption>{escape(caption)}</figcaption>\n'
        + "\n".join(content)
        + "\n</figure>"
    )
