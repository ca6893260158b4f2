"""A bounded pool of execution contexts, so that many threads may call one engine."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import Callable, Deque, List

from tf2trt.errors import DeviceError, EngineError
from tf2trt.runtime.context import ExecutionContext

__all__ = ["ContextPool"]


class ContextPool:
    """At most ``limit`` contexts, made when they are first needed; who finds none waits for one.

    The context that was given back last is taken first: a lone thread always gets the same one, with its CUDA graph.
    """

    def __init__(self, make: Callable[[], ExecutionContext], limit: int) -> None:
        self._make, self._limit = make, limit
        self._idle: Deque[ExecutionContext] = deque()  # append and pop are atomic
        self._made: List[ExecutionContext] = []
        self._changed = threading.Condition()
        self._waiting = 0
        self._closed = False

    def take(self) -> ExecutionContext:
        """A context that nobody else has, to be given back.

        Raises:
            EngineError: the engine is closed.
            DeviceError: not even a first context could be made.
        """
        try:
            return self._idle.pop()
        except IndexError:
            return self._wait()

    def give(self, context: ExecutionContext) -> None:
        """Takes a context back."""
        self._idle.append(context)
        if self._waiting:
            with self._changed:
                self._changed.notify()

    def close(self) -> None:
        """Waits until no thread has a context and closes them all. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._waiting += 1
            try:
                while len(self._idle) < len(self._made):
                    self._changed.wait()
            finally:
                self._waiting -= 1
            self._idle.clear()
            for context in self._made:
                context.close()
            self._made.clear()
            self._changed.notify_all()

    def _wait(self) -> ExecutionContext:
        with self._changed:
            # Counted before the look at what is idle: whoever gives a context back after it then says so.
            self._waiting += 1
            try:
                while True:
                    if self._closed:
                        raise EngineError("the engine is closed", hint="load it again, or call it in its `with` block")
                    with contextlib.suppress(IndexError):
                        return self._idle.pop()
                    if len(self._made) < self._limit:
                        with contextlib.suppress(_NoMoreError):
                            return self._grow()
                    self._changed.wait()
            finally:
                self._waiting -= 1

    def _grow(self) -> ExecutionContext:
        try:
            context = self._make()
        except (DeviceError, EngineError) as error:
            if not self._made:
                raise
            # Memory is full, or TensorRT 8 lends the engine's only profile once: those that are there have to do.
            self._limit = len(self._made)
            raise _NoMoreError from error
        self._made.append(context)
        return context


class _NoMoreError(Exception):
    pass
