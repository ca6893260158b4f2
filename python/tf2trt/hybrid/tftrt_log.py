"""What TensorFlow and TF-TRT log, from Python and from C++, caught and read.

TF-TRT tells of an engine that failed in its log only, and then runs the model natively. The lines come from
``trt_engine_op.cc``, ``convert_graph.cc`` and ``trt_logger.cc``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, Iterator, List

from tf2trt.export.quiet import import_tensorflow

__all__ = [
    "Failure",
    "Log",
    "captured_log",
    "engine_failures",
    "import_with_warnings",
    "remarks",
    "shows_warnings",
    "tensorrt_errors",
]


# glog's and absl's prefixes: "W0000 00:00:1732... file.cc:1] " and "2024-04-01 20:36:48.2: W tensorflow/...cc:916] "
_PREFIX = r"(?:[IWEF]\d{4} \d\d:\d\d:\S+\s+\d+ |\d{4}-\d\d-\d\d \S+: [IWEF] )\S+\] "
_LINE = re.compile(_PREFIX)
_OTHER_LINE = re.compile(
    r"WARNING: All log messages before absl|To enable the following |[#\-]{80}$|For more information see"
)
_CREATION = re.compile(
    r"Engine creation for (?P<name>\S+) failed\. The native segment will be used instead\. Reason: (?P<reason>.*)"
)
_EXECUTION = re.compile(r"Failed to execute engine: (?P<reason>.*?) Retrying with native segment for (?P<name>\S+)")
_SHAPES = re.compile(
    r"Running native segment for ?(?P<name>\S+) due to failure in verifying input shapes: (?P<reason>.*)"
)
_RETRIEVAL = re.compile(
    r"Engine retrieval for input shapes: (?P<reason>.*) failed\. Running native segment for (?P<name>\S+)"
)
_REFUSED = re.compile(
    r"Cannot replace segment \d+ consisting of (?P<nodes>\d+) nodes by (?P<name>\S+) reason: (?P<reason>.*?)"
    r" \(keeping original segment\)"
)
_LIMITED = re.compile(r"A total of (?P<found>\d+) segments .* only convert the (?P<taken>\d+) largest segments")
_TENSORRT = re.compile(_PREFIX + r"DefaultLogger (?P<text>.*)")


class Log:
    """The lines caught so far; TensorFlow's Python records are among them, as ``LEVEL: message``."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.records: List[str] = []

    @property
    def lines(self) -> List[str]:
        """All lines, those of standard error first."""
        if self._file is None:
            return list(self.records)
        sys.stderr.flush()
        # pread leaves the position alone, at which the other side writes
        size = os.fstat(self._file.fileno()).st_size
        text = os.pread(self._file.fileno(), size, 0).decode("utf-8", "replace")
        return text.splitlines() + self.records


@dataclass(frozen=True)
class Failure:
    """An engine of TF-TRT's that was not made or not used: the name of its node, and why."""

    name: str
    reason: str


def import_with_warnings() -> Any:
    """Imports TensorFlow (extra ``export``); where this is its first import, so that TF-TRT's warnings will be logged.

    TensorFlow reads ``TF_CPP_MIN_LOG_LEVEL`` once, when it logs for the first time. A value of the user's stays.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    return import_tensorflow(level=1)


@contextlib.contextmanager
def captured_log() -> Iterator[Log]:
    """While the block runs, keeps what TensorFlow logs: file descriptor 2, and its Python logger from INFO on.

    What else is written to standard error meanwhile is passed on at the end of the block.
    """
    logger = logging.getLogger("tensorflow")
    level, propagate, handlers = logger.level, logger.propagate, list(logger.handlers)
    with contextlib.ExitStack() as stack:
        file = _redirected(stack)
        log = Log(file)
        logger.handlers, logger.propagate = [_Records(log.records)], False
        logger.setLevel(logging.INFO)
        try:
            yield log
        finally:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)


def _redirected(stack: contextlib.ExitStack) -> Any:
    """A file that takes what is written to standard error until ``stack`` is left; None where there is no standard
    error, so that only Python's records can be kept.
    """
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):
        return None
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)

    def restore() -> None:
        lines = Log(file).lines
        os.dup2(saved, 2)
        os.close(saved)
        for line in _not_logged(lines):
            os.write(2, (line + "\n").encode())

    stack.callback(restore)
    os.dup2(file.fileno(), 2)
    return file


class _Records(logging.Handler):
    def __init__(self, records: List[str]) -> None:
        super().__init__(logging.INFO)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(f"{record.levelname}: {record.getMessage()}")


def _not_logged(lines: List[str]) -> Iterator[str]:
    """Lines that are not TensorFlow's; TF-TRT's report is one message of many lines, between two rules of 80 ``#``."""
    inside = False
    for line in lines:
        if line.startswith("#" * 80):
            inside = not inside
        elif not inside and line.strip() and not _LINE.match(line) and not _OTHER_LINE.match(line):
            yield line


def engine_failures(lines: List[str]) -> List[Failure]:
    """The engines that the log says were not built, not found or not run, in the order of the log.

    TF-TRT logs only the first five of each kind in a process.
    """
    found = []
    for line in lines:
        for pattern, text in (
            (_CREATION, "{}"),
            (_EXECUTION, "the engine failed to run: {}"),
            (_SHAPES, "{}"),
            (_RETRIEVAL, "no engine for input shapes {}"),
        ):
            match = pattern.search(line)
            if match:
                name = match.group("name").split("/")[-1]
                found.append(Failure(name, text.format(match.group("reason").strip())))
    return found


def remarks(lines: List[str]) -> List[str]:
    """Sentences on groups of nodes that TF-TRT found and did not convert, each once."""
    found = []
    for line in lines:
        refused, limited = _REFUSED.search(line), _LIMITED.search(line)
        if refused:
            found.append(f"TF-TRT put a group of {refused.group('nodes')} nodes back: {refused.group('reason')}")
        if limited:
            found.append(
                f"TF-TRT found {limited.group('found')} groups and converted the {limited.group('taken')} largest: "
                "the environment variable TF_TRT_MAX_ALLOWED_ENGINES limits their number"
            )
    return list(dict.fromkeys(found))


def shows_warnings(lines: List[str]) -> bool:
    """Whether TF-TRT's warnings are in the log of a conversion: it always writes its report as one."""
    return any("non-converted OP Report" in line for line in lines)


def tensorrt_errors(lines: List[str]) -> List[str]:
    """What TensorRT itself logged as an error, each message once."""
    matches = [
        match for match in map(_TENSORRT.match, lines) if match and re.search(r"(?:^E\d{4} |: E )", match.group())
    ]
    return list(dict.fromkeys(match.group("text") for match in matches))
