"""One subject on its way through a benchmark: built, loaded, warmed up, measured turn by turn."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from tf2trt.bench.device_memory import DeviceMemory
from tf2trt.bench.monitor import GpuMonitor
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.process import Process, Timeouts, WorkerError, WorkerLostError
from tf2trt.bench.protocol import unpack
from tf2trt.bench.results import REGIMES, Row, SubjectFacts
from tf2trt.bench.schedule import Cell
from tf2trt.bench.statistics import make_row
from tf2trt.bench.subjects import Subject
from tf2trt.bench.voids import Turn, void_reasons

__all__ = ["Runner"]

_TRACED = 5  # calls


class Runner:
    """Speaks to the subject's worker. What goes wrong is kept, for the subject's facts, and never raised.

    Args:
        subject, options: what is measured, and how.
        output: where what is built goes, without the suffix.
        scratch: a folder for what builds leave.
        command: the worker program.
        timeouts: of requests.
        memory: the GPU's.
        monitor: the GPU's, which knows of throttling.
    """

    def __init__(
        self,
        subject: Subject,
        options: BenchOptions,
        output: Path,
        scratch: Path,
        command: Sequence[str],
        timeouts: Timeouts,
        memory: DeviceMemory,
        monitor: GpuMonitor,
    ) -> None:
        self.subject = subject
        self.error: Optional[str] = None
        self.notes: List[str] = []
        self._options, self._way, self._timeouts = options, options.way, timeouts
        self._command, self._memory, self._monitor = command, memory, monitor
        self._output, self._scratch = output, scratch
        self._process: Optional[Process] = None
        self._facts: Dict[str, Any] = {}
        self._path = subject.path
        self._turns: Dict[Cell, List[Turn]] = {}
        self._refused: Dict[Cell, str] = {}

    @property
    def cells(self) -> List[Cell]:
        """What is still to be measured; empty when the worker is gone."""
        if self._process is None:
            return []
        name, regimes = self.subject.name, self.subject.regimes(self._way.regimes)
        every = (Cell(name, batch, regime) for batch in self._options.batches for regime in regimes)
        return [cell for cell in every if cell not in self._refused]

    def build(self) -> None:
        """Makes the subject in a process of its own, where it has to be made."""
        if self.subject.build is None:
            return
        suffix = "engine" if self.subject.holds == "engine" else "saved_model"
        model = self._scratch / f"model-{zlib.crc32(self.subject.path.encode()):08x}"
        files = {
            "output": f"{self._output}.{suffix}",
            "onnx": f"{model}.onnx",  # these two serve all that is made of the model
            "saved_model": f"{model}.saved_model",
        }
        with self._start() as process:
            try:
                found = process.ask("build", self._timeouts.build, job={**self._job(), **files})
            except (WorkerError, WorkerLostError) as error:
                self.error = str(error)
                return
        self._facts.update(found)
        self._path = files["output"]

    def load(self) -> None:
        """Starts the worker, which loads the subject and answers one call."""
        if self.error is not None:
            return
        self._process = process = self._start()
        first, seed = self._options.batches[0], self._options.seed
        found = self._ask(process, "load", self._timeouts.load, job=self._job(), batch=first, seed=seed)
        if found is None:
            self.end()
            return
        self._memory.look(self.subject.name)  # what came since the last look is not the next subject's
        seconds = found["loaded"] - process.started
        self._facts.update(load_seconds=seconds, first_answer_seconds=seconds + found["call_seconds"])
        facts = found["facts"]
        if self.subject.build is not None:  # what was asked for, in TF-TRT's words "fp32" for TF32 too
            facts.pop("precision", None)
        self._facts = {**facts, **self._facts}
        versions: Mapping[str, str] = facts.get("versions", {})
        self._facts["versions"] = {**self._facts.get("versions", {}), **versions}

    def warm(self, cell: Cell) -> None:
        """Untimed calls, until they are stable."""
        found = self._in_cell(cell, "warm", self._timeouts.warm, seconds=self._way.warm_up)
        if found is None:
            return
        self._memory.look(self.subject.name)
        if found.get("inflight", self._way.inflight) < self._way.inflight:
            self.notes.append(
                f"{_words(cell)}: {found['inflight']} on its way at once, since it has one profile for all"
            )
        if not found["stable"]:
            self.notes.append(
                f"{_words(cell)}: never became stable in {found['seconds']:.0f} s of warm-up; measured all the same"
            )

    def turn(self, cell: Cell) -> None:
        """Timed calls."""
        way = self._way
        found = self._in_cell(cell, "turn", self._timeouts.turn, watch=False, seconds=way.seconds, calls=way.calls)
        if found is None:
            return
        throttled = self._monitor.throttled_between(found["began"], found["ended"])
        reasons = [*found["void"], *([f"throttled: {throttled}"] if throttled else [])]
        self._turns.setdefault(cell, []).append(Turn(unpack(found["times"]), found["wall"], tuple(reasons)))
        self._memory.look(self.subject.name)

    def trace(self) -> List[Any]:
        """The events of a few calls for each batch."""
        events: List[Any] = []
        for batch in dict.fromkeys(cell.batch for cell in self.cells):
            if self._process is None:
                break
            try:
                found = self._process.ask("trace", self._timeouts.trace, batch=batch, calls=_TRACED)
                events += found["events"]
            except (WorkerError, WorkerLostError) as error:  # what was measured stays
                self.notes.append(f"{self.subject.name}: no trace for batch {batch}: {_line(error)}")
                if isinstance(error, WorkerLostError):
                    self.end()
        return events

    def close(self) -> None:
        """Ends the worker in peace, which says what memory it had."""
        if self._process is not None:
            found = self._ask(self._process, "close", self._timeouts.close, watch=False)
            self._facts.update(found or {})
        self.end()

    def end(self) -> None:
        """Ends the worker, whatever it does."""
        if self._process is not None:
            self._process.__exit__(None, None, None)
            self._process = None
        self._memory.gone(self.subject.name)

    def facts(self) -> SubjectFacts:
        """What is known of the subject; its error is there where any part of it could not be measured."""
        subject = self.subject
        problems = [*([self.error] if self.error else []), *self._refused.values()]
        return SubjectFacts(
            **{
                "name": subject.name,
                "kind": subject.kind,
                "source": subject.path,
                "precision": subject.precision,
                "device_peak_bytes": self._memory.peak(subject.name),
                **self._facts,
                "error": "; ".join(_line(problem) for problem in problems) or None,
            }
        )

    def rows(self) -> List[Row]:
        """One for each cell that had all its turns."""
        order = list(REGIMES)
        return [
            make_row(
                cell.subject,
                cell.batch,
                cell.regime,
                [turn.times.tolist() for turn in turns],
                samples_per_call=cell.batch,
                wall_seconds=[turn.wall for turn in turns] if cell.regime == "pipelined" else None,
                void=void_reasons(turns),
            )
            for cell, turns in sorted(
                self._turns.items(), key=lambda item: (item[0].batch, order.index(item[0].regime))
            )
            if len(turns) == self._way.repeats
        ]

    def _job(self) -> Dict[str, Any]:
        subject, options = self.subject, self._options
        return {
            "name": subject.name,
            "holds": subject.holds,
            "build": subject.build,
            "path": self._path,
            "precision": subject.precision,
            "tf32": subject.precision != "fp32",
            "batches": list(options.batches),
            "shapes": {name: list(shape) for name, shape in options.shapes.items()},
            "seed": options.seed,
            "graphs": self._way.graphs,
            "ahead": self._way.ahead,
            "plugin_libraries": list(options.plugin_libraries),
            "timing_cache": options.timing_cache,
            "calib": options.calib,
            "nvtx": options.nvtx,
        }

    def _start(self) -> Process:
        # As Python found it when it started: our core sets CUDA_MODULE_LOADING for this process, which others' programs
        # do not have.
        environment = dict(os.environ)
        if self.subject.holds == "tf-trt":
            environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # its warnings are how a fallback is known
        return Process(self.subject.name, self._command, environment)

    def _in_cell(
        self, cell: Cell, do: str, timeout: float, watch: bool = True, **request: Any
    ) -> Optional[Dict[str, Any]]:
        """Asks for something in one cell. Where the worker refuses, the cell is left out; the others go on."""
        if self._process is None or cell in self._refused:
            return None
        tick = (lambda: self._memory.look(self.subject.name)) if watch else None
        given = {"batch": cell.batch, "regime": cell.regime, "inflight": self._way.inflight, **request}
        try:
            return self._process.ask(do, timeout, tick, **given)
        except WorkerError as error:
            self._refused[cell] = f"batch {cell.batch}, {cell.regime}: {error}"
            self._turns.pop(cell, None)
        except WorkerLostError as error:
            self._lost(error)
        return None

    def _ask(
        self, process: Process, do: str, timeout: float, watch: bool = True, **request: Any
    ) -> Optional[Dict[str, Any]]:
        """Asks for what concerns the whole subject."""
        tick = (lambda: self._memory.look(self.subject.name)) if watch else None
        try:
            return process.ask(do, timeout, tick, **request)
        except (WorkerError, WorkerLostError) as error:
            self.error = str(error)
            return None

    def _lost(self, error: WorkerLostError) -> None:
        self.error = str(error)
        self._turns.clear()
        self.end()


def _words(cell: Cell) -> str:
    return f"{cell.subject}, batch {cell.batch}, {cell.regime}"


def _line(message: object) -> str:
    return "; ".join(filter(None, (line.strip() for line in str(message).splitlines())))
