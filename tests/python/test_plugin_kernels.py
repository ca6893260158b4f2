"""libtf2trt_plugins.so as any machine can see it: it loads without a driver, and turns bad arguments away."""

import ctypes
import shutil
import subprocess

import pytest

ENTRY_POINTS = {"tf2trt_l2_normalize", "tf2trt_l2_normalize_workspace", "tf2trt_leaky_relu"}
FOR_TENSORRT = {"getPluginCreators", "getCreators", "setLoggerFinder"}

SUCCESS, INVALID_VALUE = 0, 1  # of cudaError_t
FLOAT32, FLOAT16, INT8, BFLOAT16 = 0, 1, 2, 7
TYPES = [FLOAT32, FLOAT16, INT8, BFLOAT16]
ADDRESS = 1 << 20  # never followed: each call below must return before it asks CUDA for anything
HUGE = 1 << 62
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def library(plugin_kernels):
    return plugin_kernels


def test_it_exports_the_entry_points_and_what_tensorrt_looks_for(library):
    if shutil.which("nm") is None:
        pytest.skip("no nm (binutils) to list the symbols with")
    listing = subprocess.run(["nm", "-D", "--defined-only", library._name], capture_output=True, text=True, check=True)
    exports = {line.split()[-1] for line in listing.stdout.splitlines()}
    assert exports >= ENTRY_POINTS
    assert exports <= ENTRY_POINTS | FOR_TENSORRT


def l2_normalize(library, **change):
    how = {"x": ADDRESS, "y": ADDRESS, "input": FLOAT32, "output": FLOAT32, "input_scale": 0.1, "output_scale": 0.1}
    how.update(dims=(2, 3, 4), axes=0b010, epsilon=1e-12, lp_normalization=0, workspace=ADDRESS)
    how.update(change)
    dims = how["dims"] if how["dims"] is None else (ctypes.c_int64 * len(how["dims"]))(*how["dims"])
    rank = how.get("rank", 0 if dims is None else len(dims))
    return library.tf2trt_l2_normalize(
        how["x"], how["y"], how["input"], how["output"], how["input_scale"], how["output_scale"], rank, dims,
        how["axes"], how["epsilon"], how["lp_normalization"], how["workspace"], None,
    )  # fmt: skip


@pytest.mark.parametrize("change", [
    {"x": None}, {"y": None}, {"workspace": None}, {"workspace": ADDRESS + 8},
    {"dims": None}, {"dims": None, "rank": 3}, {"rank": 0}, {"rank": -1}, {"dims": (1,) * 9},
    {"dims": (-1, 3, 4)}, {"dims": (2, -1, 4)}, {"dims": (0, 3, -1)},
    {"dims": (HUGE, 3, 4)}, {"dims": (2, 3, HUGE)}, {"dims": (1 << 32, 1 << 32, 1)},
    {"axes": 0}, {"axes": 0b1000}, {"axes": 0b1010}, {"axes": 1 << 31},
    {"epsilon": -1e-12}, {"epsilon": NAN},
])  # fmt: skip
@pytest.mark.parametrize("dtype", TYPES)
def test_l2_normalize_turns_bad_arguments_away(library, dtype, change):
    assert l2_normalize(library, input=dtype, output=dtype, **change) == INVALID_VALUE


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT16, BFLOAT16])
@pytest.mark.parametrize("name", ["x", "y"])
def test_l2_normalize_turns_misaligned_tensors_away(library, dtype, name):
    assert l2_normalize(library, input=dtype, output=dtype, **{name: ADDRESS + 1}) == INVALID_VALUE


@pytest.mark.parametrize(("source", "out"), [
    (FLOAT32, FLOAT16), (FLOAT16, FLOAT32), (BFLOAT16, FLOAT16), (FLOAT32, INT8), (INT8, BFLOAT16),
    (-1, -1), (3, 3), (8, 8), (1 << 30, FLOAT32), (FLOAT32, 4),
])  # fmt: skip
def test_l2_normalize_turns_types_that_do_not_go_together_away(library, source, out):
    assert l2_normalize(library, input=source, output=out) == INVALID_VALUE
    assert l2_normalize(library, input=source, output=out, dims=(0, 3)) == INVALID_VALUE


@pytest.mark.parametrize("scale", [0.0, -0.1, NAN, INFINITY])
def test_scales_of_int8_are_positive_and_finite(library, scale):
    for out in (INT8, FLOAT32, FLOAT16):
        assert l2_normalize(library, input=INT8, output=out, input_scale=scale) == INVALID_VALUE
    assert l2_normalize(library, input=INT8, output=INT8, output_scale=scale) == INVALID_VALUE
    for scales in [(scale, 1.0), (1.0, scale)]:
        assert library.tf2trt_leaky_relu(ADDRESS, ADDRESS, INT8, 24, 0.1, *scales, None) == INVALID_VALUE


def test_scales_and_epsilon_are_not_looked_at_where_they_mean_nothing(library):
    scales = {"input_scale": NAN, "output_scale": -1.0, "dims": (0, 3)}
    assert l2_normalize(library, **scales) == SUCCESS
    assert l2_normalize(library, lp_normalization=1, epsilon=NAN, dims=(0, 3)) == SUCCESS
    assert library.tf2trt_leaky_relu(None, None, FLOAT32, 0, 0.1, NAN, -1.0, None) == SUCCESS


@pytest.mark.parametrize("change", [
    {"x": None}, {"y": None}, {"type": -1}, {"type": 3}, {"type": 8}, {"type": 1 << 30}, {"count": -1},
])  # fmt: skip
@pytest.mark.parametrize("dtype", TYPES)
def test_leaky_relu_turns_bad_arguments_away(library, dtype, change):
    arguments = {"x": ADDRESS, "y": ADDRESS, "type": dtype, "count": 24, "alpha": 0.1}
    arguments.update(change)
    assert library.tf2trt_leaky_relu(*arguments.values(), 1.0, 1.0, None) == INVALID_VALUE


@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT16, BFLOAT16])
def test_leaky_relu_turns_misaligned_tensors_away(library, dtype):
    assert library.tf2trt_leaky_relu(ADDRESS + 1, ADDRESS, dtype, 24, 0.1, 1.0, 1.0, None) == INVALID_VALUE
    assert library.tf2trt_leaky_relu(ADDRESS, ADDRESS + 1, dtype, 24, 0.1, 1.0, 1.0, None) == INVALID_VALUE


def test_leaky_relu_of_int8_needs_an_alpha(library):
    assert library.tf2trt_leaky_relu(ADDRESS, ADDRESS, INT8, 24, NAN, 1.0, 1.0, None) == INVALID_VALUE


@pytest.mark.parametrize("dtype", TYPES)
def test_an_empty_tensor_is_done_at_once_even_without_memory(library, dtype):
    nothing = {"x": None, "y": None, "workspace": None, "input": dtype, "output": dtype}
    for dims in [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, HUGE, HUGE)]:
        assert l2_normalize(library, dims=dims, **nothing) == SUCCESS
    assert library.tf2trt_leaky_relu(None, None, dtype, 0, 0.1, 1.0, 1.0, None) == SUCCESS
    assert library.tf2trt_leaky_relu(None, None, 3, 0, 0.1, 1.0, 1.0, None) == INVALID_VALUE


def test_the_workspace_is_a_constant(library):
    assert library.tf2trt_l2_normalize_workspace() == 1 << 18
