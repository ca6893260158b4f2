"""Fixtures of the tests that need no GPU."""

import os
import sys
from pathlib import Path

import pytest

# What several test files share is imported from there.
sys.path.append(str(Path(__file__).parent.parent / "support"))


@pytest.fixture(scope="session")
def fake_gpu(tmp_path_factory):
    """fake_gpu.run(function, *arguments): runs it in a process with a fake driver and a fake TensorRT.

    The libraries are compiled here, or taken from the folder in TF2TRT_FAKE_CUDA, such as a CMake build's tests/cpp.
    """
    import fake_gpu as support

    folder = os.environ.get("TF2TRT_FAKE_CUDA")
    if not folder:
        folder = tmp_path_factory.mktemp("fake_gpu")
        support.build(folder)
    return support.FakeGpu(folder)


@pytest.fixture(scope="session")
def browser():
    """browser.open(path): an HTML file in headless Chromium, see tests/support/browser.py."""
    import browser as support

    with support.launch() as running:
        yield running
