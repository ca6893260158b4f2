"""Capsules over NumPy's memory, out and in; the order between two streams."""

import ctypes
import gc
import threading
import weakref

import numpy as np
import pytest
from dlpack_arrays import (
    CPU,
    CUDA,
    DELETER,
    DTYPES,
    FOREIGN,
    NAMES,
    OURS,
    VERSIONS,
    HandMade,
    Managed,
    Producer,
    Versioned,
    capsule_name,
    export,
    new_capsule,
    rename,
    structure,
)

from tf2trt import _native
from tf2trt.errors import InputError, UsageError

# --- capsules out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versioned", VERSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_sees_the_same_memory(dtype, versioned):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    seen = np.from_dlpack(Producer(export(array, versioned)))
    assert (seen.ctypes.data, seen.dtype) == (array.ctypes.data, array.dtype)
    np.testing.assert_array_equal(seen, array)


@pytest.mark.parametrize("versioned", VERSIONS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 5, 1)])
def test_numpy_sees_every_shape(shape, versioned):
    array = np.ones(shape, np.float32)
    seen = np.from_dlpack(Producer(export(array, versioned)))
    assert seen.shape == shape
    np.testing.assert_array_equal(seen, array)


@pytest.mark.parametrize("kind", [Managed, Versioned])
def test_the_structure_is_the_specifications(kind):
    array = np.zeros((2, 3, 4), np.int16)
    capsule = _native.dlpack_capsule(
        array.ctypes.data, array.shape, "int16", CUDA, 7, array, versioned=kind is Versioned
    )
    managed = structure(capsule, kind)
    tensor = managed.tensor
    assert (tensor.data, tensor.device_type, tensor.device_id) == (array.ctypes.data, CUDA, 7)
    assert (tensor.code, tensor.bits, tensor.lanes, tensor.byte_offset) == (0, 16, 1, 0)
    assert (tensor.shape[: tensor.ndim], tensor.strides[: tensor.ndim]) == ([2, 3, 4], [12, 4, 1])
    if kind is Versioned:
        assert (managed.major, managed.minor, managed.flags) == (1, 0, 0)


def test_an_empty_tensor_has_no_address():
    capsule = _native.dlpack_capsule(0x1000, (2**31, 0, 2**31), "int8", CUDA, 0, None, versioned=True)
    assert structure(capsule, Versioned).tensor.data is None
    assert _native.dlpack_view(capsule).address == 0


def test_wrong_capsules_are_not_made():
    with pytest.raises(InputError, match=r"no such dtype\n  received: float8"):
        _native.dlpack_capsule(0, (1,), "float8", CPU, 0, None, versioned=True)
    with pytest.raises(UsageError, match="an extent is dynamic"):
        _native.dlpack_capsule(0, (-1, 2), "int8", CPU, 0, None, versioned=True)


@pytest.mark.parametrize("versioned", VERSIONS)
def test_the_owner_lives_as_long_as_the_consumer(versioned):
    array = np.arange(5.0)
    owner, capsule = weakref.ref(array), export(array, versioned)
    del array
    assert owner() is not None
    seen = np.from_dlpack(Producer(capsule))
    del capsule
    gc.collect()
    assert owner() is not None
    np.testing.assert_array_equal(seen, np.arange(5.0))
    del seen
    gc.collect()
    assert owner() is None


@pytest.mark.parametrize("versioned", [False, True])
def test_a_capsule_that_nobody_consumes_frees_itself(versioned):
    array = np.arange(5.0)
    owner, capsule = weakref.ref(array), export(array, versioned)
    del array
    assert owner() is not None
    del capsule
    assert owner() is None


@pytest.mark.parametrize("kind", [Managed, Versioned])
def test_the_deleter_may_be_called_from_any_thread_without_the_gil(kind):
    array = np.arange(5.0)
    owner, capsule = weakref.ref(array), export(array, kind is Versioned)
    del array
    managed, used = structure(capsule, kind), b"used_" + NAMES[kind]
    rename(capsule, used)
    del capsule
    assert owner() is not None
    thread = threading.Thread(target=DELETER(managed.deleter), args=[ctypes.addressof(managed)])
    thread.start()
    thread.join()
    assert owner() is None


# --- capsules in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versioned", VERSIONS)
@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.float32),
        np.zeros((4,), np.int64),
        np.zeros((2, 2), np.bool_),
        np.zeros((4, 6), np.float32)[1:, ::2],
        np.zeros((4, 6), np.float32).T,
        np.zeros((2, 0, 3), np.uint8),
        np.zeros((), np.float16),
    ],
    ids=["float32", "int64", "bool", "strided", "transposed", "empty", "scalar"],
)
def test_views_of_numpys_capsules(array, versioned):
    view = _native.dlpack_view(array.__dlpack__(max_version=(1, 0)) if versioned else array.__dlpack__())
    assert (view.shape, view.dtype, view.device_type, view.device_id) == (array.shape, array.dtype.name, CPU, 0)
    if array.size:
        assert view.address == array.ctypes.data
        assert view.strides in (None, tuple(stride // array.itemsize for stride in array.strides))


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
def test_every_dtype_comes_back_by_its_name(dtype):
    capsule = _native.dlpack_capsule(0x1000, (2,), dtype, CUDA, 3, None, versioned=True)
    view = _native.dlpack_view(capsule)
    assert (view.dtype, view.address, view.shape, view.strides) == (dtype, 0x1000, (2,), (1,))
    assert (view.device_type, view.device_id) == (CUDA, 3)


@pytest.mark.parametrize("kind", [Managed, Versioned])
def test_a_view_adds_the_offset_and_calls_the_deleter_once_when_it_dies(kind):
    made = HandMade(kind, byte_offset=24)
    view = _native.dlpack_view(made.capsule)
    assert capsule_name(made.capsule) == b"used_" + NAMES[kind]
    assert (view.address, view.shape, view.strides) == (0x1000 + 24, (2, 3), None)
    del made.capsule
    assert made.deleted == 0
    del view
    assert made.deleted == 1


def test_a_producer_without_a_deleter():
    made = HandMade()
    made._managed.deleter = None
    view = _native.dlpack_view(made.capsule)
    del view
    assert made.deleted == 0


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (HandMade(lanes=4), ["vectors", "received: 4 lanes", "expected: 1 lane"]),
        (HandMade(code=3), ["dtype is unknown", "received: DLPack type code 3 of 32 bits"]),
        (HandMade(code=2, bits=8), ["dtype is unknown", "received: DLPack type code 2 of 8 bits"]),
        (HandMade(version=(2, 0)), ["version is not supported", "received: 2.0", "expected: 1.x"]),
        (HandMade(version=(0, 9)), ["version is not supported", "received: 0.9"]),
        (HandMade(ndim=-1), ["damaged", "received: -1 dimensions"]),
        (HandMade(shape=None, ndim=2), ["damaged", "received: 2 dimensions without a shape"]),
    ],
    ids=["lanes", "dtype", "bits", "newer", "older", "rank", "shape"],
)
def test_a_capsule_that_cannot_be_read_stays_its_producers(made, lines):
    with pytest.raises(InputError) as caught:
        _native.dlpack_view(made.capsule)
    for line in lines:
        assert line in str(caught.value)
    assert (capsule_name(made.capsule), made.deleted) == (NAMES[Versioned], 0)


def test_a_later_minor_version_is_read():
    assert _native.dlpack_view(HandMade(version=(1, 9)).capsule).dtype == "float32"


@pytest.mark.parametrize("kind", [Managed, Versioned])
def test_a_capsule_is_good_for_one_consumer(kind):
    made = HandMade(kind)
    view = _native.dlpack_view(made.capsule)
    with pytest.raises(InputError, match=r"used before\n  received: used_dltensor"):
        _native.dlpack_view(made.capsule)
    del view
    assert made.deleted == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros(3), r"no DLPack capsule\n  received: ndarray"),
        (None, r"no DLPack capsule\n  received: NoneType"),
        (new_capsule(1, FOREIGN, None), r"not DLPack's\n  received: a capsule named 'something_else'"),
        (new_capsule(1, None, None), r"not DLPack's\n  received: a capsule named ''"),
    ],
    ids=["array", "none", "foreign", "nameless"],
)
def test_other_objects_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        _native.dlpack_view(wrong)


def test_stream_zero_is_refused_and_a_stream_need_not_wait_for_itself():
    for pair in ((0, 1), (1, 0)):
        with pytest.raises(UsageError, match="0 may mean more than one stream"):
            _native.stream_wait(*pair)
    _native.stream_wait(OURS, OURS)
