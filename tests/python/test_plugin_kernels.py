"""libtf2trt_plugins.so as any machine can see it: it loads without a driver, and turns bad arguments away."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "plugins" / "libtf2trt_plugins.so"
LIBRARY = Path(os.environ.get("TF2TRT_PLUGINS_LIBRARY", BUILT))
EXPORTS = {"tf2trt_l2_normalize", "tf2trt_leaky_relu"}

SUCCESS, INVALID_VALUE = 0, 1  # of cudaError_t
FLOAT32, FLOAT16, BFLOAT16 = 0, 1, 7
TYPES = [FLOAT32, FLOAT16, BFLOAT16]
ADDRESS = 1 << 20  # never followed: each call below must return before it asks CUDA for anything
HUGE = 1 << 62


@pytest.fixture(scope="module")
def library():
    if not LIBRARY.is_file():
        pytest.skip(f"{LIBRARY} was not built: there was no CUDA compiler")
    library = ctypes.CDLL(str(LIBRARY))
    pointer, extent = ctypes.c_void_p, ctypes.c_int64
    extents = [extent, extent, extent]
    library.tf2trt_l2_normalize.argtypes = [pointer, pointer, ctypes.c_int32, *extents, ctypes.c_float, pointer]
    library.tf2trt_leaky_relu.argtypes = [pointer, pointer, ctypes.c_int32, extent, ctypes.c_float, pointer]
    return library


def test_it_exports_the_entry_points_and_nothing_else(library):
    if shutil.which("nm") is None:
        pytest.skip("no nm (binutils) to list the symbols with")
    listing = subprocess.run(["nm", "-D", "--defined-only", str(LIBRARY)], capture_output=True, text=True, check=True)
    assert {line.split()[-1] for line in listing.stdout.splitlines()} == EXPORTS


@pytest.mark.parametrize("change", [
    {"x": None}, {"y": None}, {"x": ADDRESS + 1}, {"y": ADDRESS + 1},
    {"type": -1}, {"type": 2}, {"type": 8}, {"type": 1 << 30},
    {"outer": -1}, {"axis": -1}, {"inner": -1}, {"outer": 0, "inner": -1},
    {"outer": HUGE}, {"inner": HUGE}, {"outer": 1 << 32, "axis": 1 << 32},
    {"epsilon": -1e-12}, {"epsilon": float("nan")},
])  # fmt: skip
@pytest.mark.parametrize("dtype", TYPES)
def test_l2_normalize_turns_bad_arguments_away(library, dtype, change):
    arguments = {"x": ADDRESS, "y": ADDRESS, "type": dtype, "outer": 2, "axis": 3, "inner": 4, "epsilon": 1e-12}
    arguments.update(change)
    assert library.tf2trt_l2_normalize(*arguments.values(), None) == INVALID_VALUE


@pytest.mark.parametrize("change", [
    {"x": None}, {"y": None}, {"x": ADDRESS + 1}, {"y": ADDRESS + 1},
    {"type": -1}, {"type": 2}, {"type": 8}, {"type": 1 << 30},
    {"count": -1},
])  # fmt: skip
@pytest.mark.parametrize("dtype", TYPES)
def test_leaky_relu_turns_bad_arguments_away(library, dtype, change):
    arguments = {"x": ADDRESS, "y": ADDRESS, "type": dtype, "count": 24, "alpha": 0.1}
    arguments.update(change)
    assert library.tf2trt_leaky_relu(*arguments.values(), None) == INVALID_VALUE


@pytest.mark.parametrize("dtype", TYPES)
def test_an_empty_tensor_is_done_at_once_even_without_memory(library, dtype):
    for extents in [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, HUGE, HUGE)]:
        assert library.tf2trt_l2_normalize(None, None, dtype, *extents, 1e-12, None) == SUCCESS
    assert library.tf2trt_leaky_relu(None, None, dtype, 0, 0.1, None) == SUCCESS
    assert library.tf2trt_leaky_relu(None, None, 2, 0, 0.1, None) == INVALID_VALUE
