"""The plugins' kernels on a real GPU, against float64."""

import ctypes
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest

from tf2trt.numerics import relative_error

EPSILON = 1e-12
GUARD = 64  # bytes on either side of the output that must stay untouched
POISON = 0xFF  # a NaN in every type that has one
IN_SCALE, OUT_SCALE = 0.02, 0.0078125


class DType(NamedTuple):
    """An element type: its number, how NumPy stores it, how it is made from float32 and made float64."""

    number: int
    storage: Any
    encode: Callable
    decode: Callable
    tolerance: float


def encode_bfloat16(values):
    """The upper halves of float32, rounded to nearest even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def decode_bfloat16(stored):
    return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def plain(number, storage, tolerance):
    return DType(number, storage, lambda v: v.astype(storage), lambda s: s.astype(np.float64), tolerance)


FLOATS = {
    "fp32": plain(0, np.float32, 1e-6),
    "fp16": plain(1, np.float16, 2e-3),
    "bf16": DType(7, np.uint16, encode_bfloat16, decode_bfloat16, 1e-2),
}
INT8 = plain(2, np.int8, 0)


CUDA = {}


@pytest.fixture(scope="module", autouse=True)
def primary_for_functions(primary):
    CUDA["primary"] = primary


@pytest.fixture(params=list(FLOATS))
def dtype(request):
    return FLOATS[request.param]


@pytest.fixture
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


@pytest.fixture
def library(plugin_kernels):
    return plugin_kernels


def captured(launch, stream):
    """Runs launch() as a CUDA graph, twice. pycuda cannot capture, so the driver is asked itself."""
    cuda = ctypes.CDLL("libcuda.so.1")
    handle, graph, ready = ctypes.c_void_p(stream.handle), ctypes.c_void_p(), ctypes.c_void_p()
    assert cuda.cuStreamBeginCapture_v2(handle, 1) == 0  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    status = launch()
    assert cuda.cuStreamEndCapture(handle, ctypes.byref(graph)) == 0
    assert status == 0
    assert cuda.cuGraphInstantiateWithFlags(ctypes.byref(ready), graph, ctypes.c_uint64(0)) == 0
    for _ in range(2):
        assert cuda.cuGraphLaunch(ready, handle) == 0
    stream.synchronize()
    assert cuda.cuGraphExecDestroy(ready) == 0
    assert cuda.cuGraphDestroy(graph) == 0


def on_device(launch, stored, out=None, workspace=0, offset=0, out_offset=None, in_place=False, graph=False):
    """launch(x, y, workspace, stream) on a copy of ``stored`` lying ``offset`` elements past a 64-byte boundary.

    Returns what it wrote, of type ``out``.
    """
    out = np.dtype(stored.dtype if out is None else out)
    skip = GUARD + offset * stored.itemsize
    out_skip = GUARD + (offset if out_offset is None else out_offset) * out.itemsize
    size, out_size = skip + stored.nbytes + GUARD, out_skip + stored.size * out.itemsize + GUARD
    filled, poisoned = np.full(size, POISON, np.uint8), np.full(out_size, POISON, np.uint8)
    filled[skip : skip + stored.nbytes] = stored.reshape(-1).view(np.uint8)
    scratch = np.full(GUARD + workspace + GUARD, POISON, np.uint8)
    with CUDA["primary"] as context:
        driver = context.driver
        stream = driver.Stream()
        x, y, space = (driver.mem_alloc(array.nbytes) for array in (filled, poisoned, scratch))
        try:
            for memory, array in ((x, filled), (y, poisoned), (space, scratch)):
                driver.memcpy_htod(memory, array)
            to = x if in_place else y

            def go(handle=stream.handle):
                return launch(int(x) + skip, int(to) + out_skip, int(space) + GUARD, handle)

            if graph:
                captured(go, stream)
            else:
                assert go() == 0
            stream.synchronize()
            result, kept, used = np.empty(out_size, np.uint8), np.empty_like(filled), np.empty_like(scratch)
            for array, memory in ((result, to), (kept, x), (used, space)):
                driver.memcpy_dtoh(array, memory)
        finally:
            for memory in (x, y, space):
                memory.free()
            del stream  # while its context is current
    end = out_skip + stored.size * out.itemsize
    assert (result[:out_skip] == POISON).all(), "written before the output"
    assert (result[end:] == POISON).all(), "written past the output"
    assert (used[:GUARD] == POISON).all(), "written before the workspace"
    assert (used[GUARD + workspace :] == POISON).all(), "written past the workspace"
    assert in_place or np.array_equal(kept, filled), "the input was written to"
    return result[out_skip:end].copy().view(out).reshape(stored.shape)


def l2_normalize(library, dtype, values, axes=(-1,), to=None, epsilon=EPSILON, lp=False, **how):
    """The kernel's result and the float64 reference, both as real numbers."""
    to = dtype if to is None else to
    stored = dtype.encode(values)
    axes = tuple(axis % stored.ndim for axis in axes)
    dims = (ctypes.c_int64 * stored.ndim)(*stored.shape)
    mask = sum(1 << axis for axis in axes)

    def launch(x, y, workspace, stream):
        return library.tf2trt_l2_normalize(
            x, y, dtype.number, to.number, IN_SCALE, OUT_SCALE, stored.ndim, dims, mask, epsilon, lp, workspace, stream
        )

    x = dtype.decode(stored) * (np.float64(np.float32(IN_SCALE)) if dtype is INT8 else 1)
    squares = np.square(x).sum(axis=axes, keepdims=True)
    with np.errstate(all="ignore"):
        if lp:
            reference = np.where(squares == 0, 0, x / np.sqrt(squares))
        else:
            reference = x / np.sqrt(np.maximum(squares, np.float64(np.float32(epsilon))))
    workspace = library.tf2trt_l2_normalize_workspace()
    out = to.decode(on_device(launch, stored, to.storage, workspace, **how))
    return out * (OUT_SCALE if to is INT8 else 1), reference


def leaky_relu(library, dtype, values, alpha, scales=(1.0, 1.0), **how):
    stored = dtype.encode(values)

    def launch(x, y, _, stream):
        return library.tf2trt_leaky_relu(x, y, dtype.number, stored.size, alpha, *scales, stream)

    x = dtype.decode(stored)
    reference = np.where(x < 0, np.float64(np.float32(alpha)) * x, x)
    return dtype.decode(on_device(launch, stored, **how)), reference


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def quantised(real, scale):
    return np.clip(np.rint(real / np.float64(np.float32(scale))), -128, 127)


def check(dtype, results, axes=(-1,)):
    """Under the tolerance as a whole, and row by row, so that no wrong row hides among many."""
    out, reference = results
    if not reference.any():
        assert not out.any()
        return
    assert relative_error(out, reference) < dtype.tolerance
    if reference.ndim > 1:
        error, norm = (np.sqrt(np.square(a).sum(axis=axes)) for a in (out - reference, reference))
        assert (error <= 4 * dtype.tolerance * norm).all()


def check_int8(out, reference, scale):
    """Of numbers so near to a half, FP32 may round some to the other side."""
    steps = np.abs(np.rint(out / scale) - quantised(reference, scale))
    assert steps.max() <= 1
    assert steps.mean() < 2e-3 + 2 / steps.size


WIDTHS = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 31, 32, 33, 64, 100, 128, 512, 1000, 1024, 1025, 2048, 4096, 16385, 65537]


@pytest.mark.parametrize("width", [*WIDTHS, 150_001, 1_048_576])
def test_l2_normalize_rows(library, dtype, rng, width):
    check(dtype, l2_normalize(library, dtype, normal(rng, 37 if width < 70_000 else 3, width)))


@pytest.mark.parametrize(("shape", "axes"), [
    ((1000,), (0,)), ((3, 7, 5), (1,)), ((1, 33, 31), (1,)), ((65, 1, 33), (1,)), ((2, 1000, 3), (1,)),
    ((4, 2, 100), (1,)), ((1, 5, 4099), (1,)), ((1, 65537, 2), (1,)), ((3, 16, 64), (1,)), ((3, 300, 128), (1,)),
    ((2, 5000, 256), (1,)), ((1, 9000, 67), (1,)), ((9, 8, 7), (0,)), ((6, 4, 5, 3), (0, 1)), ((6, 4, 5, 3), (1, 2)),
    ((6, 4, 5, 3), (2, 3)), ((6, 4, 5, 3), (0, 1, 2, 3)), ((7, 5, 33), (0, 2)), ((7, 5, 64), (0, 2)),
    ((3, 4, 5, 6), (0, 2)), ((3, 4, 5, 6), (1, 3)), ((3, 4, 5, 2, 6), (0, 2, 4)), ((3, 4, 5, 2, 8), (1, 3)),
    ((40, 3, 30, 160), (0, 2)), ((40, 3, 30, 161), (1, 3)), ((70, 2, 20_000), (0, 2)),
])  # fmt: skip
def test_l2_normalize_over_any_axes(library, dtype, rng, shape, axes):
    check(dtype, l2_normalize(library, dtype, normal(rng, *shape), axes), axes)


@pytest.mark.parametrize(
    "shape",
    [
        (300_001, 3),
        (33_000, 1025),
        (1_000_003, 7),
        (3, 2, 400_001),
        (700, 70_000),
        (300, 300_001),
        (1, 9_000_001),
        (5, 5_200_003),
        (2, 20_000_003),
    ],
)
def test_l2_normalize_of_much(library, rng, shape):
    check(FLOATS["fp16"], l2_normalize(library, FLOATS["fp16"], normal(rng, *shape), (1,)), (1,))


@pytest.mark.parametrize("shape", [(5, 3), (5, 33), (9, 128), (5, 2001), (3, 70_001), (2, 140_001), (5, 33, 7)])
@pytest.mark.parametrize("offset", [1, 3])
def test_l2_normalize_unaligned_and_in_place(library, dtype, rng, shape, offset):
    for how in ({}, {"in_place": True}, {"out_offset": 2}):
        check(dtype, l2_normalize(library, dtype, normal(rng, *shape), (1,), offset=offset, **how), (1,))


@pytest.mark.parametrize("width", [*WIDTHS, 150_001])
@pytest.mark.parametrize("out", ["fp32", "fp16", "int8"])
def test_l2_normalize_of_int8(library, rng, width, out):
    values = rng.integers(-128, 128, (19, width)).astype(np.float32)
    to = FLOATS.get(out, INT8)
    got, reference = l2_normalize(library, INT8, values, to=to)
    if to is INT8:
        check_int8(got, reference, OUT_SCALE)
    else:
        check(to, (got, reference))


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 300, 128), (1,)), ((5, 9, 5), (1,)), ((7, 5, 64), (0, 2)), ((7, 5, 33), (0, 2))]
)
def test_l2_normalize_of_int8_over_any_axes(library, rng, shape, axes):
    values = rng.integers(-128, 128, shape).astype(np.float32)
    check_int8(*l2_normalize(library, INT8, values, axes, to=INT8), OUT_SCALE)
    check_int8(*l2_normalize(library, INT8, values, axes, to=INT8, in_place=True, offset=3), OUT_SCALE)
    check(FLOATS["fp16"], l2_normalize(library, INT8, values, axes, to=FLOATS["fp16"]), axes)


ROWS = [(8, 7), (8, 100), (8, 128), (8, 3000), (8, 70_000), (8, 100, 3)]


@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("lp", [False, True])
def test_l2_normalize_of_zero_rows_is_zero(library, dtype, rng, shape, lp):
    values = normal(rng, *shape)
    values[::2] = 0
    out, reference = l2_normalize(library, dtype, values, (1,), lp=lp)
    assert (out[::2] == 0).all()
    check(dtype, (out, reference), (1,))


def test_l2_normalize_of_zero_rows_without_epsilon_is_nan(library, dtype):
    out, _ = l2_normalize(library, dtype, np.zeros((3, 40), np.float32), epsilon=0.0)
    assert np.isnan(out).all()
    out, _ = l2_normalize(library, INT8, np.zeros((3, 40), np.float32), to=INT8, epsilon=0.0)
    assert (out == 0).all()  # INT8 has no NaN


@pytest.mark.parametrize("shape", ROWS)
def test_l2_normalize_of_small_rows_divides_by_the_root_of_epsilon(library, dtype, rng, shape):
    values = normal(rng, *shape) * np.float32(0.5 / shape[1] ** 0.5)  # norms near 0.5
    check(dtype, l2_normalize(library, dtype, values, (1,), epsilon=1.0), (1,))
    out, reference = l2_normalize(library, dtype, values, (1,), epsilon=1.0, lp=True)
    check(dtype, (out, reference), (1,))
    assert np.sqrt(np.square(out).sum(axis=1)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("width", [3, 128, 3001])
def test_l2_normalize_keeps_denormals(library, rng, width):
    values = np.float32(1e-40) * rng.uniform(1, 9, (4, width)).astype(np.float32)  # under FP32's least normal number
    out, reference = l2_normalize(library, FLOATS["fp32"], values)  # their squares are 0, so 1e6 times as large
    check(FLOATS["fp32"], (out, reference))
    half = np.float32(6e-8) * rng.integers(1, 900, (4, width)).astype(np.float32)
    check(FLOATS["fp16"], l2_normalize(library, FLOATS["fp16"], half, epsilon=1e-20))


@pytest.mark.parametrize("shape", ROWS)
def test_l2_normalize_where_the_squares_overflow_fp16(library, rng, shape):
    values = rng.uniform(5e4, 6.5e4, shape).astype(np.float32) * rng.choice([-1, 1], shape).astype(np.float32)
    check(FLOATS["fp16"], l2_normalize(library, FLOATS["fp16"], values, (1,)), (1,))


@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the reference divides infinity by infinity
def test_l2_normalize_passes_nan_and_infinity_on(library, dtype, rng, shape):
    values = normal(rng, *shape)
    values[1, 5], values[2, 4] = np.nan, np.inf
    out, reference = l2_normalize(library, dtype, values, (1,))
    assert np.array_equal(np.isnan(out), np.isnan(reference))
    assert np.isnan(out[1]).all()
    assert (np.nan_to_num(out[2, :4]) == 0).all()
    check(dtype, (out[3:], reference[3:]), (1,))


@pytest.mark.parametrize("shape", [(5, 33), (5, 4096), (40, 300_001), (3, 9000, 64)])
def test_l2_normalize_as_a_graph(library, dtype, rng, shape):
    check(dtype, l2_normalize(library, dtype, normal(rng, *shape), (1,), graph=True), (1,))


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 31, 1000, 4099, 5_000_003])
@pytest.mark.parametrize("alpha", [0.1, 0.0, -1.5, 3.0])
def test_leaky_relu(library, dtype, rng, count, alpha):
    check(dtype, leaky_relu(library, dtype, normal(rng, count), alpha))


@pytest.mark.parametrize("count", [1, 37, 100_003])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_leaky_relu_unaligned_and_in_place(library, dtype, rng, count, offset):
    for how in ({}, {"in_place": True}, {"out_offset": 2}, {"graph": True}):
        check(dtype, leaky_relu(library, dtype, normal(rng, count), 0.3, offset=offset, **how))


@pytest.mark.parametrize("count", [1, 31, 4099, 5_000_003])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.0, -1.5, 3.0])
@pytest.mark.parametrize("scales", [(0.02, 0.02), (0.02, 0.007), (0.007, 0.02), (1e-30, 1e30), (1e30, 1e-30)])
def test_leaky_relu_of_int8(library, rng, count, alpha, scales):
    values = rng.integers(-128, 128, count).astype(np.float32)
    out, reference = leaky_relu(library, INT8, values, alpha, scales)
    ratio = np.float64(np.float32(scales[0])) / np.float64(np.float32(scales[1]))
    exact = np.clip(np.rint(reference * ratio), -128, 127)
    steps = np.abs(out - exact)
    assert steps.max() <= 1
    near_half = np.abs(np.abs(reference * ratio) % 1 - 0.5) < 1e-5
    assert not steps[~near_half].any()
    for how in ({"in_place": True, "offset": 3}, {"offset": 1, "out_offset": 2}):
        assert np.array_equal(leaky_relu(library, INT8, values, alpha, scales, **how)[0], out)


def test_leaky_relu_passes_nan_infinity_and_the_sign_of_zero_on(library, dtype, rng):
    values = normal(rng, 99)
    values[[3, 5, 7, 9]] = np.nan, np.inf, -np.inf, -0.0
    out, reference = leaky_relu(library, dtype, values, 0.5)
    assert np.isnan(out[3])
    assert out[5] == np.inf
    assert out[7] == -np.inf
    assert out[9] == 0
    assert np.signbit(out[9])
    check(dtype, (np.delete(out, 3), np.delete(reference, 3)))


def test_an_empty_tensor_launches_nothing(library, dtype):
    dims = (ctypes.c_int64 * 3)(0, 3, 4)
    kind = dtype.number
    with CUDA["primary"]:
        assert library.tf2trt_l2_normalize(None, None, kind, kind, 1, 1, 3, dims, 2, EPSILON, 0, None, None) == 0
        assert library.tf2trt_leaky_relu(None, None, kind, 0, 0.1, 1, 1, None) == 0
