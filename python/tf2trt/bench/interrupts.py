"""Ctrl-C while workers are waited for: none is lost, so that no worker stays behind."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import Any, Iterator, List

__all__ = ["check", "watched"]

_caught: List[int] = []


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """While the block runs, a SIGINT raises KeyboardInterrupt where it arrives, and again in :func:`check`.

    Where it arrives may be inside C code that clears errors; then the benchmark would go on. Handlers of the program's
    own, and threads other than the main one, which Python gives no signals, are left alone.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _caught.clear()
    signal.signal(signal.SIGINT, _catch)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def check() -> None:
    """Raises KeyboardInterrupt where one came since the last look."""
    if _caught:
        _caught.clear()
        raise KeyboardInterrupt


def _catch(number: int, frame: Any) -> None:
    _caught.append(number)
    raise KeyboardInterrupt
