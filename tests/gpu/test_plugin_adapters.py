"""The plugins through their V2 and V3 interfaces, as TensorRT calls them: what 8.6.0 cannot be asked for, such as BF16,
INT8 with given scales, layouts other than linear, and all of the interface of 10 and 11."""

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_float, c_int32, c_int64, c_void_p

import numpy as np
import pytest

from tf2trt import _native

FP32, FP16, INT8, BF16 = 0, 1, 2, 7
LINEAR, CHW2, HWC8, CHW4, CHW16, CHW32 = range(6)
EPSILON = 1e-12


def dims(extent):
    class Dims(Structure):
        _fields_ = (("count", c_int32), ("extents", extent * 8))

    return Dims


def desc(extent):
    class Desc(Structure):
        _fields_ = (("dims", dims(extent)), ("type", c_int32), ("format", c_int32), ("scale", c_float))

    return Desc


class Field(Structure):
    _fields_ = (("name", c_char_p), ("data", c_void_p), ("type", c_int32), ("length", c_int32))


class Fields(Structure):
    _fields_ = (("count", c_int32), ("fields", POINTER(Field)))


def call(this, slot, result, *arguments, types=()):
    """The virtual function at ``slot`` of the object at address ``this``."""
    table = ctypes.cast(this, POINTER(POINTER(c_void_p)))[0]
    return ctypes.CFUNCTYPE(result, c_void_p, *types)(table[slot])(this, *arguments)


class Adapter:
    """A plugin made by one of the two creator lists, and its enqueue."""

    def __init__(self, library, version, name, **attributes):
        self.version = version
        self.desc = desc(c_int32 if version == 2 else c_int64)
        get = library.getPluginCreators if version == 2 else library.getCreators
        get.restype, get.argtypes = POINTER(c_void_p), [POINTER(c_int32)]
        count = c_int32()
        creators = get(byref(count))
        name_slot = 1 if version == 2 else 6
        (creator,) = (c for c in creators[: count.value] if call(c, name_slot, c_char_p) == name.encode())
        arrays = {key: np.asarray(value) for key, value in attributes.items()}
        fields = (Field * len(arrays))(
            *(
                Field(key.encode(), array.ctypes.data, 1 if array.dtype == np.float32 else 5, array.size)
                for key, array in arrays.items()
            )
        )
        collection = Fields(len(arrays), fields)
        types, build_phase = [c_char_p, POINTER(Fields)], ()
        if version == 3:
            types.append(c_int32)
            build_phase = (0,)
        self.plugin = call(creator, 4, c_void_p, b"layer", byref(collection), *build_phase, types=types)
        assert self.plugin, "createPlugin failed"

    def enqueue(self, x, y, workspace, stream):
        """x and y: (address, shape, type, format, scale)."""
        descs = [
            self.desc(type(self.desc().dims)(len(shape), tuple(shape)), kind, layout, scale)
            for _, shape, kind, layout, scale in (x, y)
        ]
        target, slot = self.plugin, 29
        if self.version == 3:
            target, slot = call(self.plugin, 4, c_void_p, 2, types=[c_int32]), 6
        pointer = POINTER(c_void_p)
        return call(
            target, slot, c_int32, byref(descs[0]), byref(descs[1]), byref(c_void_p(x[0])), byref(c_void_p(y[0])),
            workspace, stream, types=[POINTER(self.desc)] * 2 + [pointer] * 2 + [c_void_p] * 2,
        )  # fmt: skip

    def close(self):
        call(self.plugin, 13 if self.version == 2 else 3, None)  # destroy; the deleting destructor


CUDA = {}


@pytest.fixture(scope="module", autouse=True)
def primary_for_functions(primary):
    CUDA["primary"] = primary


@pytest.fixture(scope="module")
def library():
    path = _native.find_plugin_library()
    assert path, "the plugin library is missing: install tf2trt where there is nvcc"
    return ctypes.CDLL(path)


@pytest.fixture(params=[2, 3], ids=["v2", "v3"])
def version(request):
    return request.param


@pytest.fixture
def rng():
    entropy = np.random.SeedSequence().entropy
    print(f"seed {entropy}")  # pytest shows it when the test fails
    return np.random.default_rng(entropy)


def run(library, version, op, attributes, stored, x, y, result):
    """``stored`` through the plugin; the output as an array like ``result``."""
    adapter = Adapter(library, version, op, **attributes)
    with CUDA["primary"] as context:
        driver = context.driver
        stream = driver.Stream()
        source, target, workspace = (driver.mem_alloc(n) for n in (stored.nbytes, result.nbytes, 1 << 22))
        try:
            driver.memcpy_htod(source, np.ascontiguousarray(stored))
            given = (int(source), *x), (int(target), *y)
            assert adapter.enqueue(*given, int(workspace), stream.handle) == 0
            stream.synchronize()
            driver.memcpy_dtoh(result, target)
        finally:
            for memory in (source, target, workspace):
                memory.free()
            del stream
    adapter.close()
    return result


def to_bf16(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(stored):
    return (stored.astype(np.uint32) << 16).view(np.float32)


STORED = {
    FP32: (lambda v: v.astype(np.float32), lambda s: s, 2e-6),
    FP16: (lambda v: v.astype(np.float16), lambda s: s, 1e-3),
    BF16: (to_bf16, from_bf16, 8e-3),
}


def l2(x, axes):
    total = np.square(x).sum(axis=axes, keepdims=True)
    return x / np.sqrt(np.maximum(total, EPSILON))


def attributes(axes):
    return {"axes": np.int32(axes), "epsilon": np.float32(EPSILON)}


@pytest.mark.parametrize("kind", [FP32, FP16, BF16], ids=["fp32", "fp16", "bf16"])
@pytest.mark.parametrize(("shape", "axes"), [((5, 100), [1]), ((4, 33, 6), [1]), ((3, 7, 31), [0, 2])])
def test_l2_normalize(library, version, rng, kind, shape, axes):
    encode, decode, tolerance = STORED[kind]
    stored = encode(rng.standard_normal(shape))
    tensor = (shape, kind, LINEAR, 1)
    out = run(library, version, "L2Normalize", attributes(axes), stored, tensor, tensor, np.empty_like(stored))
    reference = l2(decode(stored).astype(np.float64), tuple(axes))
    assert np.linalg.norm(decode(out) - reference) <= tolerance * np.linalg.norm(reference)


@pytest.mark.parametrize("out_kind", [FP32, FP16, INT8], ids=["fp32", "fp16", "int8"])
def test_l2_normalize_of_int8_with_scales(library, version, rng, out_kind):
    shape, scale, out_scale = (6, 77), 0.05, 1 / 127
    stored = rng.integers(-128, 128, shape).astype(np.int8)
    result = np.empty(shape, {FP32: np.float32, FP16: np.float16, INT8: np.int8}[out_kind])
    x, y = (shape, INT8, LINEAR, scale), (shape, out_kind, LINEAR, out_scale if out_kind == INT8 else 1)
    out = run(library, version, "L2Normalize", attributes([1]), stored, x, y, result)
    reference = l2(np.float64(np.float32(scale)) * stored, (1,))
    if out_kind == INT8:
        exact = reference / np.float64(np.float32(out_scale))
        assert np.abs(out - np.clip(exact, -128, 127)).max() <= 0.5 + 1e-3
    else:
        assert np.linalg.norm(out - reference) <= STORED[out_kind][2] * np.linalg.norm(reference)


@pytest.mark.parametrize("kind", [FP32, FP16, BF16], ids=["fp32", "fp16", "bf16"])
def test_leaky_relu(library, version, rng, kind):
    encode, decode, tolerance = STORED[kind]
    stored = encode(rng.standard_normal((3, 333)))
    tensor = ((3, 333), kind, LINEAR, 1)
    given = {"alpha": np.float32(0.25)}
    out = run(library, version, "LeakyReLU", given, stored, tensor, tensor, np.empty_like(stored))
    x = decode(stored).astype(np.float64)
    reference = np.where(x < 0, 0.25 * x, x)
    assert np.linalg.norm(decode(out) - reference) <= tolerance * np.linalg.norm(reference)


@pytest.mark.parametrize(
    ("kind", "layout", "group"),
    [
        (FP16, CHW2, 2), (FP16, HWC8, 8), (FP16, CHW16, 16), (FP16, CHW32, 32), (FP32, CHW32, 32),
        (INT8, CHW4, 4), (INT8, CHW32, 32), (INT8, LINEAR, 1),
    ],
)  # fmt: skip
def test_leaky_relu_in_every_layout(library, version, rng, kind, layout, group):
    """All of the padded channels, which lie between the real ones, are computed too."""
    shape, scales = (2, 5, 3, 7), (0.1, 0.02) if kind == INT8 else (1, 1)
    stored = rng.integers(-100, 100, (2, -(-5 // group) * group, 3, 7))
    stored = stored.astype({FP32: np.float32, FP16: np.float16, INT8: np.int8}[kind])
    x, y = ((shape, kind, layout, scale) for scale in scales)
    given = {"alpha": np.float32(0.25)}
    out = run(library, version, "LeakyReLU", given, stored, x, y, np.empty_like(stored))
    wide = stored.astype(np.float64) * np.float64(np.float32(scales[0]))
    reference = np.where(wide < 0, 0.25 * wide, wide) / np.float64(np.float32(scales[1]))
    if kind == INT8:
        assert np.abs(out - np.clip(reference, -128, 127)).max() <= 0.5 + 1e-3
    else:
        np.testing.assert_array_equal(out, reference.astype(stored.dtype))
