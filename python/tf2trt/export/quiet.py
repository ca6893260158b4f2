"""TensorFlow without its chatter, and without leaving a trace in the process's settings."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
from typing import Any, Iterator

from tf2trt.extras import require

__all__ = ["import_tensorflow", "quiet_loggers", "without_chatter"]

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# glog's and absl's prefixes (I0000 00:00:..., 2026-01-01 ...: I tensorflow/...), TFLite's, and two lines without one.
_CHATTER = re.compile(
    rb"^([IWE]\d{4} |\d{4}-\d\d-\d\d .*: [IWE] |WARNING: All log messages before absl|To enable the following "
    rb"|INFO: \w+ TensorFlow Lite )"
)


def import_tensorflow(level: int = 2) -> Any:
    """Imports TensorFlow (extra ``export``) quietly where this is its first import; returns the module.

    ``level`` is what its C++ log leaves out from then on: 1 what only informs, 2 warnings as well.

    TensorFlow reads its log level once, from the environment, and some of its libraries log before they read it. So
    the variable is set for the time of the import only (a value of the user's stays), and the log lines that come all
    the same are taken out of standard error; everything else that is written there meanwhile is passed on.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    if "tensorflow" in sys.modules or _LEVEL in os.environ:
        return require("tensorflow", "export")
    os.environ[_LEVEL] = str(level)
    try:
        with without_chatter():
            tensorflow = require("tensorflow", "export")
            tensorflow.config.list_physical_devices()  # the first look at the devices logs too
            return tensorflow
    finally:
        os.environ.pop(_LEVEL, None)


@contextlib.contextmanager
def quiet_loggers() -> Iterator[None]:
    """Only errors from TensorFlow's Python loggers, nothing from tf2onnx's; their levels are put back at the end."""
    # What tf2onnx logs as an error (an operator that it does not know) is raised by us, with the operator's name.
    wanted = {"tensorflow": logging.ERROR, "absl": logging.ERROR, "tf2onnx": logging.CRITICAL}
    loggers = [logging.getLogger(name) for name in wanted]
    levels = [logger.level for logger in loggers]
    for logger, level in zip(loggers, wanted.values()):
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """While the block runs, takes the lines that TensorFlow's libraries log out of standard error."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no standard error: nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(2, line)
