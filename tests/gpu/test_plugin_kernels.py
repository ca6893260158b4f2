"""The plugins' kernels on a real GPU, against float64. Builds nothing: TF2TRT_PLUGINS_LIBRARY names the library."""

import ctypes
import os
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import pytest

from tf2trt.numerics import relative_error
from tf2trt.runtime.device import primary_context

BUILT = Path(__file__).parents[2] / "build" / "plugins" / "libtf2trt_plugins.so"
LIBRARY = Path(os.environ.get("TF2TRT_PLUGINS_LIBRARY", BUILT))
EPSILON = 1e-12
GUARD = 64  # bytes on either side of the output that must stay untouched
POISON = 0xFF  # a NaN in every type


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


DTYPES = {
    "fp32": plain(0, np.float32, 1e-6),
    "fp16": plain(1, np.float16, 2e-3),
    "bf16": DType(7, np.uint16, encode_bfloat16, decode_bfloat16, 1e-2),
}


@pytest.fixture(params=list(DTYPES))
def dtype(request):
    return DTYPES[request.param]


@pytest.fixture
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


@pytest.fixture(scope="module")
def library():
    assert LIBRARY.is_file(), f"{LIBRARY} is missing: build the plugins, or name them in TF2TRT_PLUGINS_LIBRARY"
    library = ctypes.CDLL(str(LIBRARY))
    pointer, extent = ctypes.c_void_p, ctypes.c_int64
    extents = [extent, extent, extent]
    library.tf2trt_l2_normalize.argtypes = [pointer, pointer, ctypes.c_int32, *extents, ctypes.c_float, pointer]
    library.tf2trt_leaky_relu.argtypes = [pointer, pointer, ctypes.c_int32, extent, ctypes.c_float, pointer]
    return library


def on_device(launch, stored, offset=0, in_place=False):
    """launch(x, y, stream) on copies of ``stored`` lying ``offset`` elements past a 64-byte boundary; what it wrote."""
    skip = GUARD + offset * stored.itemsize
    size = skip + stored.nbytes + GUARD
    poisoned = np.full(size, POISON, np.uint8)
    filled = poisoned.copy()
    filled[skip : skip + stored.nbytes] = stored.reshape(-1).view(np.uint8)
    with primary_context(0) as context:
        driver = context.driver
        stream, x, y = driver.Stream(), driver.mem_alloc(size), driver.mem_alloc(size)
        try:
            driver.memcpy_htod(x, filled)
            driver.memcpy_htod(y, poisoned)
            to = x if in_place else y
            assert launch(int(x) + skip, int(to) + skip, stream.handle) == 0
            stream.synchronize()
            out, kept = np.empty(size, np.uint8), np.empty(size, np.uint8)
            driver.memcpy_dtoh(out, to)
            driver.memcpy_dtoh(kept, x)
        finally:
            x.free()
            y.free()
            del stream  # while its context is current
    assert (out[:skip] == POISON).all(), "written before the output"
    assert (out[skip + stored.nbytes :] == POISON).all(), "written past the output"
    assert in_place or np.array_equal(kept, filled), "the input was written to"
    return out[skip : skip + stored.nbytes].copy().view(stored.dtype).reshape(stored.shape)


def l2_normalize(library, dtype, values, epsilon=EPSILON, **how):
    """The kernel's result and the float64 reference for ``values`` of shape (outer, axis, inner)."""
    stored = dtype.encode(values)

    def launch(x, y, stream):
        return library.tf2trt_l2_normalize(x, y, dtype.number, *stored.shape, epsilon, stream)

    x = dtype.decode(stored)
    reference = x / np.sqrt(np.maximum(np.square(x).sum(axis=1, keepdims=True), np.float64(np.float32(epsilon))))
    return dtype.decode(on_device(launch, stored, **how)), reference


def leaky_relu(library, dtype, values, alpha, **how):
    stored = dtype.encode(values)

    def launch(x, y, stream):
        return library.tf2trt_leaky_relu(x, y, dtype.number, stored.size, alpha, stream)

    x = dtype.decode(stored)
    reference = np.where(x < 0, np.float64(np.float32(alpha)) * x, x)
    return dtype.decode(on_device(launch, stored, **how)), reference


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def check(dtype, results):
    """Under the tolerance as a whole, and row by row, so that no wrong row hides among many."""
    out, reference = results
    assert relative_error(out, reference) < dtype.tolerance
    if reference.ndim == 3:
        error = np.linalg.norm(out - reference, axis=1)
        assert (error <= 4 * dtype.tolerance * np.linalg.norm(reference, axis=1)).all()


@pytest.mark.parametrize("width", [1, 2, 3, 7, 31, 32, 33, 100, 1000, 1024, 1025, 4096, 65537])
def test_l2_normalize_rows(library, dtype, rng, width):
    check(dtype, l2_normalize(library, dtype, normal(rng, 37, width, 1)))


@pytest.mark.parametrize(
    "shape", [(3, 7, 5), (1, 33, 31), (65, 1, 33), (2, 1000, 3), (4, 2, 100), (1, 5, 4099), (1, 65537, 2)]
)
def test_l2_normalize_over_an_axis_that_is_not_last(library, dtype, rng, shape):
    check(dtype, l2_normalize(library, dtype, normal(rng, *shape)))


@pytest.mark.parametrize("shape", [(300_001, 3, 1), (33_000, 1025, 1), (3, 2, 400_001)])
def test_l2_normalize_of_more_rows_than_the_grid_holds(library, rng, shape):
    check(DTYPES["fp16"], l2_normalize(library, DTYPES["fp16"], normal(rng, *shape)))


@pytest.mark.parametrize("shape", [(5, 33, 1), (5, 2001, 1), (5, 33, 7)])
@pytest.mark.parametrize("offset", [1, 3])
def test_l2_normalize_unaligned_and_in_place(library, dtype, rng, shape, offset):
    check(dtype, l2_normalize(library, dtype, normal(rng, *shape), offset=offset))
    check(dtype, l2_normalize(library, dtype, normal(rng, *shape), offset=offset, in_place=True))


@pytest.mark.parametrize("shape", [(8, 100, 1), (8, 3000, 1), (8, 100, 3)])
def test_l2_normalize_of_zero_rows_is_zero(library, dtype, rng, shape):
    values = normal(rng, *shape)
    values[::2] = 0
    out, reference = l2_normalize(library, dtype, values)
    assert (out[::2] == 0).all()
    check(dtype, (out, reference))


@pytest.mark.parametrize("shape", [(8, 100, 1), (8, 3000, 1), (8, 100, 3)])
def test_l2_normalize_of_small_rows_divides_by_the_root_of_epsilon(library, dtype, rng, shape):
    epsilon = 1.0
    values = normal(rng, *shape) * np.float32(0.5 / shape[1] ** 0.5)  # norms near 0.5
    check(dtype, l2_normalize(library, dtype, values, epsilon=epsilon))


@pytest.mark.parametrize("shape", [(5, 100, 1), (5, 4096, 1), (5, 4096, 3)])
def test_l2_normalize_where_the_squares_overflow_fp16(library, rng, shape):
    values = rng.uniform(5e4, 6.5e4, shape).astype(np.float32) * rng.choice([-1, 1], shape).astype(np.float32)
    check(DTYPES["fp16"], l2_normalize(library, DTYPES["fp16"], values))


@pytest.mark.parametrize("shape", [(4, 100, 1), (4, 3000, 1), (4, 100, 3)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the reference divides infinity by infinity
def test_l2_normalize_passes_nan_and_infinity_on(library, dtype, rng, shape):
    values = normal(rng, *shape)
    values[1, 5], values[2, 7] = np.nan, np.inf
    out, reference = l2_normalize(library, dtype, values)
    assert np.array_equal(np.isnan(out), np.isnan(reference))
    assert np.isnan(out[1]).all()
    assert (np.nan_to_num(out[2]) == 0).all()
    check(dtype, (out[::3], reference[::3]))


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 31, 1000, 4099, 5_000_003])
@pytest.mark.parametrize("alpha", [0.1, 0.0, -1.5])
def test_leaky_relu(library, dtype, rng, count, alpha):
    check(dtype, leaky_relu(library, dtype, normal(rng, count), alpha))


@pytest.mark.parametrize("count", [1, 37, 100_003])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_leaky_relu_unaligned_and_in_place(library, dtype, rng, count, offset):
    check(dtype, leaky_relu(library, dtype, normal(rng, count), 0.3, offset=offset))
    check(dtype, leaky_relu(library, dtype, normal(rng, count), 0.3, offset=offset, in_place=True))


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
    with primary_context(0):
        assert library.tf2trt_l2_normalize(None, None, dtype.number, 0, 3, 4, EPSILON, None) == 0
        assert library.tf2trt_leaky_relu(None, None, dtype.number, 0, 0.1, None) == 0
