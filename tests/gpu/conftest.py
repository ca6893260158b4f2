"""Tests that need a GPU: skipped with a reason and counted where there is none.

On a GPU host TF2TRT_REQUIRE_GPU=1 turns each skip into a failure, so that a run there cannot pass by skipping.
"""

import os
from functools import lru_cache

import pytest

from tf2trt import _native
from tf2trt.errors import DeviceError

_REQUIRED = os.environ.get("TF2TRT_REQUIRE_GPU") == "1"
_held_back = []

# Left alone, TensorFlow takes nearly all of the GPU's memory, and the tests behind it have none.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


@lru_cache(maxsize=None)
def _missing():
    """Why these tests cannot run; "" where they can."""
    try:
        _native.device()
    except DeviceError as error:
        return str(error).splitlines()[0]
    return ""


def pytest_runtest_setup(item):
    if not _missing():
        return
    _held_back.append(item.nodeid)
    if _REQUIRED:
        pytest.fail(f"TF2TRT_REQUIRE_GPU=1, but there is no GPU: {_missing()}", pytrace=False)
    pytest.skip(f"needs a GPU: {_missing()}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A skip inside a GPU test, such as a package that is missing, is a failure there too."""
    outcome = yield
    report = outcome.get_result()
    if _REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"TF2TRT_REQUIRE_GPU=1 allows no skip: {call.excinfo.value}"


class Primary:
    """The primary context of GPU 0, through pycuda: current inside ``with primary:``."""

    def __init__(self):
        import pycuda.driver

        self.driver = pycuda.driver
        self.driver.init()
        self._context = self.driver.Device(0).retain_primary_context()

    @property
    def handle(self):
        return self._context.handle

    def __enter__(self):
        self._context.push()
        return self

    def __exit__(self, *exception):
        self.driver.Context.pop()


@pytest.fixture(scope="session")
def primary():
    return Primary()


def pytest_terminal_summary(terminalreporter):
    if _held_back:
        what = "failed" if _REQUIRED else "skipped"
        terminalreporter.write_line(f"{len(_held_back)} GPU tests {what}: {_missing()}")
