"""A worker seen from the benchmark: started, asked, and ended, whatever it does meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Type

from tf2trt.bench import interrupts
from tf2trt.bench.protocol import decode, encode

__all__ = ["COMMAND", "Process", "Timeouts", "WorkerError", "WorkerLostError"]

COMMAND = (sys.executable, "-m", "tf2trt.bench.worker")
_LINES, _LETTERS = 12, 2000  # of a worker's standard error, in a message
_TICK = 0.1  # seconds


class WorkerError(Exception):
    """The worker says that a request failed; it takes others."""


class WorkerLostError(Exception):
    """The worker died, was silent for too long, or did not keep to the protocol. It is gone."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a request may take. Generous: they are for what hangs, not for what is slow."""

    build: float = 6 * 3600.0
    load: float = 1800.0
    warm: float = 1800.0
    turn: float = 1800.0
    trace: float = 600.0
    close: float = 120.0


class Process:
    """A worker process in a session of its own: Ctrl-C goes to the benchmark alone, which ends the workers.

    Args:
        name: of its subject, for messages.
        command: the program.
        environment: its variables.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.started = time.perf_counter()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (__exit__ closes it)
        self._child = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environment),
            bufsize=0,
            start_new_session=True,
        )
        self._received = b""

    def ask(
        self, do: str, timeout: float, tick: Optional[Callable[[], object]] = None, **request: Any
    ) -> Dict[str, Any]:
        """Sends a request and waits for its answer; ``tick`` is called now and then meanwhile.

        Raises:
            WorkerError: the worker says that it failed.
            WorkerLostError: the worker is gone, or was ended here because it said nothing for ``timeout`` seconds.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(encode({"do": do, **request}))
        except OSError:
            raise self._lost(do) from None
        line = self._line(do, timeout, tick)
        try:
            answer: Dict[str, Any] = decode(line)
            good = answer.pop("ok")
        except (ValueError, KeyError):
            self.kill()
            raise WorkerLostError(f"{do}: the worker answered something else: {line[:80]!r}") from None
        if not good:
            raise WorkerError(str(answer["error"]))
        return answer

    def kill(self) -> None:
        """Ends the process and those that it started; safe at any time, and to be called twice."""
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()

    def said(self) -> str:
        """The end of what it wrote to standard error, for people; "" where that was nothing."""
        if self._errors.closed:
            return ""
        size = os.fstat(self._errors.fileno()).st_size
        text = os.pread(self._errors.fileno(), _LETTERS, max(0, size - _LETTERS)).decode("utf-8", "replace")
        lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in text.splitlines()]
        return "\n    ".join(line for line in lines[-_LINES:] if line)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.kill()
        self._errors.close()

    def _line(self, do: str, timeout: float, tick: Optional[Callable[[], object]]) -> bytes:
        assert self._child.stdout is not None
        end = time.perf_counter() + timeout
        parts: List[bytes] = [self._received]
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in parts[-1]:
                interrupts.check()
                left = end - time.perf_counter()
                if left <= 0:
                    said = self.said()
                    self.kill()
                    text = f"{do}: no answer within {timeout:g} s, so the worker was ended"
                    raise WorkerLostError(f"{text}\n    {said}" if said else text)
                if selector.select(min(left, _TICK)):
                    part = os.read(self._child.stdout.fileno(), 1 << 20)
                    if not part:
                        raise self._lost(do)
                    parts.append(part)
                elif tick is not None:
                    tick()
        line, _, self._received = b"".join(parts).partition(b"\n")
        return line

    def _lost(self, do: str) -> WorkerLostError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=5)  # its pipe is closed: it is about to end
        code = self._child.poll()
        self.kill()
        ended = "closed its output" if code is None else f"ended with exit status {code}"
        if code is not None and code < 0:
            ended = f"was ended by {signal.Signals(-code).name}"
        said = self.said()
        text = f"{do}: the worker {ended}"
        return WorkerLostError(f"{text}\n    {said}" if said else f"{text} and wrote nothing to standard error")
