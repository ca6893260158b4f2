"""Measures the subjects of one network, each in a process of its own, in turns, so that drift hits all alike."""

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from hybrid_plan import BACKENDS, ENGINE, NATIVE, NETWORKS, Job, Places, read

MODES = ("gpu", "host", "queued")
ROUNDS, TURN_SECONDS = 5, 0.15
LEAST_CALLS, MOST_CALLS = 10, 300
STAGE_CALLS = 500
START_SECONDS, ANSWER_SECONDS = 180.0, 120.0
STAGED = ("resnet50", "tf2trt FP16")  # whose time at batch 1 is taken apart

Row = Dict[str, Any]
Say = Callable[[str], None]


class SubjectError(RuntimeError):
    """A subject did not start, answered with an error, or did not answer."""


class Process:
    """A worker: :meth:`ask` sends a command and waits for the answer.

    Raises, from :meth:`ask` and :meth:`started`:
        SubjectError: as its words say.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            pipe = subprocess.PIPE
            # As it was: the core puts CUDA_MODULE_LOADING into this process's environment: not to be inherited.
            environment = dict(os.environ)
            self._process = subprocess.Popen(
                [*command], stdin=pipe, stdout=pipe, stderr=errors, bufsize=0, env=environment
            )

    def started(self) -> Dict[str, Any]:
        """What it says first."""
        return self._answer(START_SECONDS)

    def ask(self, **command: Any) -> Dict[str, Any]:
        """One command, by its values."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps(command) + "\n").encode())
        except BrokenPipeError:
            raise SubjectError(f"the process ended with exit status {self._process.wait()}") from None
        return self._answer(ANSWER_SECONDS)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self, seconds: float) -> Dict[str, Any]:
        assert self._process.stdout is not None
        ends, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                self._process.kill()
                raise SubjectError(f"no answer for {seconds:.0f} seconds")
            part = self._process.stdout.read(1 << 16)
            if not part:
                raise SubjectError(f"the process ended with exit status {self._process.wait()}")
            line += part
        found: Dict[str, Any] = json.loads(line)
        if "failed" in found:
            raise SubjectError(found["failed"])
        return found


def subjects_of(network: str, precisions: Sequence[str], places: Places) -> Dict[str, Optional[str]]:
    """The subjects by name, each with the reason why it cannot be measured, or None."""
    found: Dict[str, Optional[str]] = {NATIVE: None}
    for precision in precisions:
        for backend in BACKENDS:
            job = Job(network, backend, precision)
            outcome = read(places.outcome(job))
            if outcome is None:
                found[job.subject] = "not converted: run the step convert"
            else:
                found[job.subject] = outcome.get("skipped") or outcome.get("failed")
        found[f"{ENGINE} {precision}"] = _why_no_engine(Job(network, "tf2trt", precision), places)
    return found


def _why_no_engine(job: Job, places: Places) -> Optional[str]:
    outcome = read(places.outcome(job)) or {}
    whole = len(outcome.get("engines", ())) == 1 and outcome.get("coverage") == 1.0
    return None if whole else "the model is not one engine"


class Measurement:
    """The turns of one network's subjects. ``command`` makes the command line of a subject's process by its name."""

    def __init__(
        self, network: str, precisions: Sequence[str], folder: Path, command: Callable[[str], Sequence[str]], say: Say
    ) -> None:
        self.network, self.say = network, say
        self.places = Places(folder)
        self.failed: Dict[str, str] = {}
        self.skipped: Dict[str, str] = {}
        self.rows: Dict[str, List[Row]] = {}
        self.facts: Dict[str, Dict[str, Any]] = {}
        self.processes: Dict[str, Process] = {}
        for name, reason in subjects_of(network, precisions, self.places).items():
            if reason is not None:
                self.skipped[name] = reason
                continue
            log = self.places.log(f"{network} {name}".replace(" ", "-"))
            self.processes[name] = Process(command(name), log)

    def run(self) -> Dict[str, Any]:
        """All of it, as plain values; what fails is told in ``failed``."""
        try:
            for name in list(self.processes):
                self._try(name, lambda name=name: self.facts.update({name: self.processes[name].started()}))
            self.say(f"{self.network}: {', '.join(self.processes)} loaded")
            for name in list(self.processes):
                self._try(name, lambda name=name: self._errors(name))
            for batch in NETWORKS[self.network].batches:
                for mode in MODES:
                    self._turns(batch, mode)
                self.say(f"{self.network}: batch {batch} measured")
            for name in list(self.processes):
                self._try(name, lambda name=name: self.facts[name].update(memory=self.processes[name].ask(do="memory")))
            stages = self._stages()
        finally:
            for process in self.processes.values():
                process.close()
        return {
            "network": self.network,
            "facts": self.facts,
            "rows": [row for rows in self.rows.values() for row in rows],
            "skipped": self.skipped,
            "failed": self.failed,
            "stages": stages,
        }

    def _try(self, name: str, step: Callable[[], Any]) -> Any:
        """Does a step; a subject that fails is out from then on."""
        try:
            return step()
        except SubjectError as error:
            self.failed[name] = str(error)
            self.processes.pop(name).close()
            self.say(f"{self.network} {name}: {error}")
            return None

    def _errors(self, name: str) -> None:
        process = self.processes[name]
        batches = _batches(self.network, name)
        found = [process.ask(do="error", batch=batch) for batch in batches]
        # A NaN is the worst of all, and max() would pass it over.
        worst = next(
            (each for each in found if each["error"] != each["error"]), max(found, key=lambda each: each["error"])
        )
        self.facts[name].update(worst)

    def _turns(self, batch: int, mode: str) -> None:
        names = [name for name in self.processes if batch in _batches(self.network, name)]
        calls: Dict[str, int] = {}
        turns: Dict[str, List[List[float]]] = {name: [] for name in names}
        fell_back = dict.fromkeys(names, 0)
        for number in range(ROUNDS + 1):  # in the first, untimed, it is seen how many calls make a turn
            for place in range(len(names)):
                name = names[(place + number) % len(names)]
                if name not in self.processes:
                    continue
                count = calls.get(name, LEAST_CALLS)
                found = self._try(name, lambda name=name, count=count: self._turn(name, batch, mode, count))
                if found is None:
                    continue
                if number == 0:
                    usual = sorted(found["ms"])[len(found["ms"]) // 2]
                    calls[name] = int(min(MOST_CALLS, max(LEAST_CALLS, TURN_SECONDS * 1e3 / max(usual, 1e-3))))
                else:
                    turns[name].append(found["ms"])
                    fell_back[name] += found["fell_back"]
        for name in names:
            if name in self.processes:
                row = {
                    "subject": name,
                    "batch": batch,
                    "mode": mode,
                    "turns": turns[name],
                    "fell_back": fell_back[name],
                }
                self.rows.setdefault(name, []).append(row)

    def _turn(self, name: str, batch: int, mode: str, count: int) -> Dict[str, Any]:
        return self.processes[name].ask(do="turn", batch=batch, mode=mode, calls=count)

    def _stages(self) -> Dict[str, List[float]]:
        network, name = STAGED
        if self.network != network or name not in self.processes:
            return {}
        found = self._try(name, lambda: self.processes[name].ask(do="stages", batch=1, calls=STAGE_CALLS))
        return dict(found["stages"]) if found else {}


def _batches(network: str, subject: str) -> Sequence[int]:
    return NETWORKS[network].timed(subject.partition(" ")[2] or None)


def worker_command(python: str, folder: Path, network: str) -> Callable[[str], Sequence[str]]:
    """The command line of :mod:`hybrid_worker` for a subject."""
    script = str(Path(__file__).with_name("hybrid_worker.py"))
    return lambda name: [python, script, str(folder), network, name]
