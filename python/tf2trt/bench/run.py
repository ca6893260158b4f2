"""The whole of a benchmark: plan, build, load, warm up, turns in rounds, and the result."""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Callable, List, Optional, Sequence

import tf2trt
from tf2trt.bench import environment as machine
from tf2trt.bench import interrupts
from tf2trt.bench.checks import make_plan
from tf2trt.bench.device_memory import DeviceMemory
from tf2trt.bench.monitor import GpuMonitor
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.process import COMMAND, Timeouts
from tf2trt.bench.results import BenchResult
from tf2trt.bench.runner import Runner
from tf2trt.bench.schedule import rounds
from tf2trt.bench.subjects import Subject

__all__ = ["Progress", "run_bench"]

Progress = Callable[[str, int, int], object]
"""Called as the benchmark goes on with what is being done, how much of it is done, and how much there is."""

_DEFAULT_TIMEOUTS = Timeouts()


def run_bench(
    options: BenchOptions,
    *,
    progress: Optional[Progress] = None,
    command: Sequence[str] = COMMAND,
    timeouts: Timeouts = _DEFAULT_TIMEOUTS,
) -> BenchResult:
    """Measures all subjects, each in a process of its own, and returns what was found.

    What has to be built is built first, outside all timing. Then all subjects are loaded and stay: on the GPU they have
    to fit beside each other. Only one works at a time, and turns are taken in rounds (:mod:`tf2trt.bench.schedule`).
    A subject that fails is in the result with its error; the others go on.

    Args:
        options: what is measured, and how.
        progress: see :data:`Progress`.
        command: the worker program, :mod:`tf2trt.bench.worker`.
        timeouts: how long a worker may be silent.

    Raises:
        UsageError, DeviceError, LibraryError, MissingExtraError, EngineError, OnnxError, OutputError: something that
            cannot work, found before any process is started; see :func:`~tf2trt.bench.checks.make_plan`.
        OutputError: the trace cannot be written.
    """
    subjects, notes = make_plan(options)
    way, tell = options.way, progress or (lambda what, done, total: None)
    recorded = machine.record()
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    with contextlib.ExitStack() as stack:
        stack.enter_context(interrupts.watched())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tf2trt-bench-")))
        monitor = stack.enter_context(GpuMonitor())
        memory = stack.enter_context(contextlib.closing(DeviceMemory()))
        outputs = _outputs(Path(options.keep) if options.keep else folder, subjects)
        runners = {
            subject.name: Runner(subject, options, output, folder, command, timeouts, memory, monitor)
            for subject, output in zip(subjects, outputs)
        }
        for runner in runners.values():
            stack.callback(runner.end)
        for done, runner in enumerate(runners.values()):
            tell(f"building {runner.subject.name}", done, len(runners))
            runner.build()
        for done, runner in enumerate(runners.values()):
            tell(f"loading {runner.subject.name}", done, len(runners))
            runner.load()
        cells = [cell for runner in runners.values() for cell in runner.cells]
        for done, cell in enumerate(cells):
            tell("warming up", done, len(cells))
            runners[cell.subject].warm(cell)
        cells = [cell for runner in runners.values() for cell in runner.cells]
        for done, cell in enumerate(rounds(cells, way.repeats, options.seed)):
            tell("measuring", done, len(cells) * way.repeats)
            runners[cell.subject].turn(cell)
        if options.trace is not None:
            tell("tracing", 0, 1)
            _write_trace(options.trace, list(runners.values()))
        for runner in runners.values():
            runner.close()
        observed = monitor.summary()
    for runner in runners.values():
        notes += runner.notes
    return BenchResult(
        tf2trt=tf2trt.__version__,
        created=created,
        command=options.command,
        preset=options.preset,
        environment={**recorded, "monitor": observed, "way": asdict(way), "seed": options.seed, "notes": notes},
        subjects=tuple(runner.facts() for runner in runners.values()),
        rows=tuple(row for runner in runners.values() for row in runner.rows()),
    )


def _outputs(folder: Path, subjects: Sequence[Subject]) -> List[Path]:
    """A file's name without a suffix for each subject: its name without what file systems and shells mind."""
    outputs: List[Path] = []
    for number, subject in enumerate(subjects):
        plain = folder / "".join(each if each.isalnum() or each in "._-" else "-" for each in subject.name)
        outputs.append(plain if plain not in outputs else Path(f"{plain}-{number}"))
    return outputs


def _write_trace(path: str, runners: List[Runner]) -> None:
    from tf2trt.bench.trace import Event, TraceWriter

    writer = TraceWriter()
    for runner in runners:
        writer.add(Event(*event) for event in runner.trace())
    writer.write(path)
