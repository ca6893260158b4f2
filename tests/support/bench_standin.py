"""A benchmark's worker with a made-up subject: ``python bench_standin.py``.

What it does is written in the subject's ``saved_model.pb``, as JSON:

- ``dies``: request in which the process ends, with a sentence on standard error; ``killed``: in which somebody ends it;
  ``hangs``: in which it never answers;
- ``babbles``: in which it answers something else; ``fails``: request, or ``[request, regime]``, which it refuses;
- ``seconds``: of a call (0); ``grows``: every call is so much longer than the one before;
- ``nan``: the output of each call; ``reasons``: what was seen in each timed turn.

A ``build`` writes its job into the output. Every other request is added to ``log`` in the folder above, with the
subject's name and the times at which it began and ended; every process to ``pids``; the inputs of the first call go to
``NAME.npz`` there.
"""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from tf2trt.bench import warmup, worker
from tf2trt.bench.adapter import Adapter, Watched
from tf2trt.specs import TensorSpec

COMMAND = (sys.executable, str(Path(__file__).resolve()))


def make(folder, name, **behaviour):
    """A subject; returns its path."""
    path = Path(folder) / name
    path.mkdir()
    (path / "saved_model.pb").write_text(json.dumps(behaviour))
    return str(path)


class StandIn(Adapter):
    def __init__(self, job):
        self.inputs = (TensorSpec("x", "float32", (-1, 3)),)
        self.path = Path(job["path"])
        self.behaviour = json.loads((self.path / "saved_model.pb").read_text())
        self.calls = 0

    def facts(self):
        return {"versions": {"standin": "1.0"}, "engine_bytes": 7}

    def call(self, inputs):
        if not self.calls:
            np.savez(self.path.parent / f"{self.path.name}.npz", **inputs)
        self.calls += 1
        time.sleep(self.behaviour.get("seconds", 0) + self.calls * self.behaviour.get("grows", 0))
        return {"y": np.full(2, np.nan if self.behaviour.get("nan") else 1.0), "text": np.array(["a"])}

    def start(self, inputs, slot):
        result = self.call(inputs)
        return lambda: result

    def gpu_times(self, count):
        return [0.5] * count

    @contextlib.contextmanager
    def watched(self, batch, timed):
        watched = Watched()
        yield watched
        if timed:
            watched.reasons += self.behaviour.get("reasons", [])

    def events(self, inputs, calls, process):
        return [("call", "call", 1.0, 2.0, process, "calls", {"number": number}) for number in range(calls)]


class Worker(worker.Worker):
    """Misbehaves as it is told to, before it would answer."""

    def answer(self, request):
        do = request["do"]
        if do == "build":
            Path(request["job"]["output"]).write_text(json.dumps(request["job"]))
            return {"build_seconds": 2.5}
        if do == "load" and request["job"]["holds"] == "engine":
            raise ValueError("cannot be loaded")
        if do == "load":
            self.folder = Path(request["job"]["path"])
            self.behaviour = json.loads((self.folder / "saved_model.pb").read_text())
            with (self.folder.parent / "pids").open("a") as file:
                file.write(f"{os.getpid()}\n")
        if self.behaviour.get("dies") == do:
            print("the last words of", self.folder.name, file=sys.stderr, flush=True)
            os._exit(3)
        if self.behaviour.get("killed") == do:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.behaviour.get("hangs") == do:
            print("waiting for ever", flush=True)  # to standard output, which is not for that
            time.sleep(600)
        if self.behaviour.get("babbles") == do:
            os.write(self.channel, b"hello\n")
        if self.behaviour.get("fails") in (do, [do, request.get("regime")]):
            raise RuntimeError("no such thing")
        began = time.perf_counter()
        answer = super().answer(request)
        with (self.folder.parent / "log").open("a") as file:
            asked = [self.folder.name, do, request.get("batch"), request.get("regime"), began, time.perf_counter()]
            file.write(json.dumps(asked) + "\n")
        return answer


if __name__ == "__main__":
    Worker.channel = os.dup(1)
    warmup.WINDOW, warmup.LIMIT = 0.001, 0.05  # seconds: these subjects have nothing to warm up
    worker.Worker = Worker
    worker.main(StandIn)
