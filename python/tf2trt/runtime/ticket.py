"""What a run that was started and not waited for hands out."""

from __future__ import annotations

from typing import Any, Callable, Optional

from tf2trt import _native

__all__ = ["Ticket"]


class Ticket:
    """A run in flight. Its context takes no other run until :meth:`result` was called, or the ticket is gone."""

    def __init__(self, native: _native.Session, finish: Callable[[], Any]) -> None:
        """Use :meth:`tf2trt.runtime.ExecutionContext.run_async`."""
        self._native = native
        self._finish: Optional[Callable[[], Any]] = finish
        self._result: Any = None

    def done(self) -> bool:
        """Whether :meth:`result` would return without waiting.

        Raises:
            DeviceError: the run failed.
            EngineError: the context was closed before the result was taken.
        """
        return self._finish is None or self._native.done

    def result(self) -> Any:
        """Waits for the run; what ``run`` would have returned. Later calls return the same object.

        Raises:
            DeviceError: the run failed.
            EngineError: the context was closed before the result was taken, or another thread is taking it.
        """
        if self._finish is not None:
            self._native.resume()
            finish, self._finish = self._finish, None
            try:
                self._result = finish()
            finally:
                self._native.release()
        return self._result

    def __del__(self) -> None:
        # Dropped without a look at its result: the context is free for the next run once this one is over.
        if getattr(self, "_finish", None) is not None and not self._native.closed:
            self.result()
