"""Capsules over NumPy's memory stand for device memory: nothing here looks at what an address points to."""

import ctypes
import gc
import threading
import weakref
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import numpy as np
import pytest

from tf2trt import _native
from tf2trt.errors import DeviceError, InputError, UsageError
from tf2trt.runtime.arrays import DeviceArray, device_view

CPU, CUDA, PINNED, MANAGED, ROCM = 1, 2, 3, 13, 10
OURS = 0x5000  # a stream's handle
NUMPY_IS_VERSIONED = tuple(map(int, np.__version__.split(".")[:2])) >= (2, 1)
VERSIONS = [False, pytest.param(True, marks=pytest.mark.skipif(not NUMPY_IS_VERSIONED, reason="NumPy before 2.1"))]
DTYPES = ["float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
          "bool", "complex64", "complex128"]  # fmt: skip


# --- DLPack's structures once more, independent of the C++ ------------------------------------------------------------


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8),
        ("bits", c_uint8), ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]  # fmt: skip


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", c_void_p), ("deleter", c_void_p)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", c_void_p), ("flags", c_uint64),
        ("tensor", Tensor),
    ]  # fmt: skip


_PRODUCERS = []  # their memory and their deleters have to outlive every view, also those in a traceback's cycle
DELETER = ctypes.CFUNCTYPE(None, c_void_p)  # releases the GIL around the call
NAMES = {Managed: b"dltensor", Versioned: b"dltensor_versioned"}  # a capsule does not copy its name
FOREIGN = b"something_else"
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [c_void_p, c_char_p, c_void_p]
capsule_name = ctypes.pythonapi.PyCapsule_GetName
capsule_name.restype, capsule_name.argtypes = c_char_p, [ctypes.py_object]
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype, capsule_pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
rename = ctypes.pythonapi.PyCapsule_SetName
rename.argtypes = [ctypes.py_object, c_char_p]


class HandMade:
    """A capsule of any content; ``deleted`` counts the deleter's calls."""

    def __init__(self, kind=Versioned, shape=(2, 3), strides=None, version=(1, 0), device=(CUDA, 0), **fields):
        self.deleted = 0
        self._deleter = DELETER(self._delete)
        self._arrays = [None if sizes is None else (c_int64 * len(sizes))(*sizes) for sizes in (shape, strides)]
        _PRODUCERS.append(self)
        self._managed = kind(deleter=ctypes.cast(self._deleter, c_void_p))
        if kind is Versioned:
            self._managed.major, self._managed.minor = version
        values = {"data": 0x1000, "ndim": len(shape or ()), "code": 2, "bits": 32, "lanes": 1, **fields}
        values["device_type"], values["device_id"] = device
        for name, value in values.items():
            setattr(self._managed.tensor, name, value)
        for name, array in zip(("shape", "strides"), self._arrays):
            if array is not None:
                setattr(self._managed.tensor, name, ctypes.cast(array, POINTER(c_int64)))
        self.capsule = new_capsule(ctypes.addressof(self._managed), NAMES[kind], None)

    def _delete(self, _address):
        self.deleted += 1


def structure(capsule, kind):
    return kind.from_address(capsule_pointer(capsule, NAMES[kind]))


def export(array, versioned=False, device=CPU):
    """A capsule of ours over an array's memory."""
    shape, dtype = array.shape, array.dtype.name
    return _native.dlpack_capsule(array.ctypes.data, shape, dtype, device, 0, array, versioned=versioned)


class Producer:
    """A library's array with DLPack's two methods; ``asked`` holds what __dlpack__ was called with."""

    def __init__(self, capsule, device=(CPU, 0), error=None):
        self.capsule, self.device, self.error, self.asked = capsule, device, error, []

    def __dlpack__(self, **options):
        self.asked.append(options)
        if self.error is not None:
            raise self.error
        return self.capsule

    def __dlpack_device__(self):
        return self.device


class Old(Producer):
    """From before DLPack 1.0."""

    def __dlpack__(self, stream=None):
        return super().__dlpack__(stream=stream)


class Interface:
    """An array that has the CUDA array interface only."""

    def __init__(self, **entries):
        entries = {"shape": (2, 3), "typestr": "<f4", "data": (0x1000, False), "version": 3, **entries}
        self.__cuda_array_interface__ = {name: value for name, value in entries.items() if value != "absent"}


@pytest.fixture
def waits(monkeypatch):
    """The (consumer, producer) pairs that device_view made wait."""
    calls = []
    monkeypatch.setattr(_native, "stream_wait", lambda consumer, producer: calls.append((consumer, producer)))
    return calls


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


# --- DeviceArray ------------------------------------------------------------------------------------------------------


def device_array(dtype="float32", shape=(2, 3), stream=None, wait=None, **options):
    return DeviceArray(0x1000, shape, dtype, owner=object(), wait=wait or pytest.fail, stream=stream, **options)


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("float32", [2, 3], 24),
        ("bool", (), 1),
        ("int64", (5, 0), 0),
        ("bfloat16", (3,), 6),
        ("float8", (3,), 3),
        ("int4", (3,), 2),
    ],
)
def test_what_a_device_array_is(dtype, shape, size):
    array = device_array(dtype, shape, device=1)
    assert (array.address, array.dtype, array.shape, array.nbytes) == (0x1000, dtype, tuple(shape), size)
    assert (array.stream, array.device) == (None, 1)
    assert repr(array).startswith(f"DeviceArray({dtype} ")


@pytest.mark.parametrize("stream", [None, 1, 2, OURS])
def test_the_cuda_array_interface(stream):
    interface = device_array("float16", stream=stream).__cuda_array_interface__
    assert interface == {
        "shape": (2, 3), "typestr": "<f2", "data": (0x1000, False), "strides": None, "version": 3, "stream": stream,
    }  # fmt: skip


def test_the_cuda_array_interface_of_an_empty_array_has_no_address():
    assert device_array(shape=(0, 3)).__cuda_array_interface__["data"] == (0, False)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8", "int4"])
def test_what_numpy_lacks_has_no_cuda_array_interface(dtype):
    array = device_array(dtype)
    assert not hasattr(array, "__cuda_array_interface__")
    with pytest.raises(AttributeError, match=f"has no {dtype}"):
        _ = array.__cuda_array_interface__


@pytest.mark.parametrize("stream", [0, -1])
def test_a_device_array_of_no_stream(stream):
    with pytest.raises(UsageError, match=f"received: {stream}"):
        device_array(stream=stream)


@pytest.mark.parametrize(
    ("consumer", "producer", "pairs"),
    [
        (None, OURS, [(1, OURS)]),
        (1, OURS, [(1, OURS)]),
        (2, OURS, [(2, OURS)]),
        (0x6000, OURS, [(0x6000, OURS)]),
        (-1, OURS, []),
        (OURS, OURS, []),
        (None, 1, []),
        (None, None, []),
        (0x6000, None, []),
    ],
)
def test_the_consumers_stream_waits_for_ours(consumer, producer, pairs):
    calls = []
    array = device_array(stream=producer, wait=lambda *pair: calls.append(pair))
    array.__dlpack__(stream=consumer)
    assert calls == pairs


@pytest.mark.parametrize("stream", [0, -2, "1", 1.0])
def test_dlpack_refuses_streams_that_are_none(stream):
    with pytest.raises(UsageError, match="legacy default"):
        device_array(stream=OURS).__dlpack__(stream=stream)


@pytest.mark.parametrize(
    ("max_version", "name"),
    [(None, b"dltensor"), ((0, 8), b"dltensor"), ((1, 0), b"dltensor_versioned"), ((2, 1), b"dltensor_versioned")],
)
def test_dlpack_takes_the_version_that_the_consumer_knows(max_version, name):
    array = device_array("bfloat16", device=1)
    capsule = array.__dlpack__(max_version=max_version, dl_device=(CUDA, 1), copy=False)
    assert capsule_name(capsule) == name
    view = _native.dlpack_view(capsule)
    assert (view.address, view.shape, view.dtype) == (0x1000, (2, 3), "bfloat16")
    assert (view.device_type, view.device_id) == array.__dlpack_device__() == (CUDA, 1)


@pytest.mark.parametrize(
    ("dtype", "options", "words"),
    [
        ("float32", {"copy": True}, "not copied"),
        ("float32", {"dl_device": (CPU, 0)}, "not \\(1, 0\\)"),
        ("float32", {"dl_device": (CUDA, 1)}, "not \\(2, 1\\)"),
        ("float8", {}, "no such dtype"),
        ("int4", {}, "no such dtype"),
    ],
)
def test_dlpack_refuses_what_cannot_be_done_before_anything_waits(dtype, options, words):
    with pytest.raises(BufferError, match=words):
        device_array(dtype, stream=OURS).__dlpack__(**options)


def test_the_memory_stays_while_somebody_has_a_view_of_it():
    memory = np.zeros(6, np.float32)
    owner = weakref.ref(memory)
    array = DeviceArray(memory.ctypes.data, (2, 3), "float32", owner=memory, wait=pytest.fail)
    view = _native.dlpack_view(array.__dlpack__())
    del array, memory
    gc.collect()
    assert owner() is not None
    del view
    assert owner() is None


def test_a_wait_that_fails_leaves_no_capsule_behind():
    def wait(_consumer, _producer):
        raise DeviceError("CUDA")

    array = device_array(stream=OURS, wait=wait)
    alive = weakref.ref(array)
    with pytest.raises(DeviceError):
        array.__dlpack__()
    del array
    gc.collect()
    assert alive() is None


# --- device_view ------------------------------------------------------------------------------------------------------


def test_what_is_no_device_array(waits):
    tensor = Producer(None, error=AssertionError("a CPU tensor is not asked"))
    pinned = Producer(None, (PINNED, 0), error=AssertionError("nor a pinned one"))
    for value in (np.zeros(3), np.float32(3), [1.0, 2.0], None, 3, "x", tensor, pinned):
        assert device_view(value, OURS) is None
    assert waits == []


@pytest.mark.parametrize(("device", "ordinal"), [((CUDA, 1), 1), ((MANAGED, 0), None)])
def test_dlpack_in_makes_the_producer_wait_for_its_work(waits, device, ordinal):
    made = HandMade(device=device, byte_offset=8)
    producer = Producer(made.capsule, device)
    view = device_view(producer, OURS)
    assert (view.address, view.shape, view.dtype, view.device) == (0x1008, (2, 3), "float32", ordinal)
    assert producer.asked == [{"stream": OURS, "max_version": (1, 0)}]
    assert waits == []  # the producer's business
    assert made.deleted == 0
    del view
    assert made.deleted == 1


def test_dlpack_from_before_version_1(waits):
    array = np.zeros((4, 5), np.float16)
    producer = Old(export(array, device=CUDA), (CUDA, 0))
    view = device_view(producer, OURS)
    assert (view.address, view.shape, view.dtype, view.device) == (array.ctypes.data, (4, 5), "float16", 0)
    assert producer.asked == [{"stream": OURS}]


def test_dlpack_comes_before_the_cuda_array_interface(waits):
    producer = Producer(HandMade(code=4, bits=16).capsule, (CUDA, 0))
    producer.__cuda_array_interface__ = Interface().__cuda_array_interface__
    assert device_view(producer, OURS).dtype == "bfloat16"
    assert waits == []


@pytest.mark.parametrize("error", [BufferError("no"), RuntimeError("no"), ValueError("no")])
def test_an_array_that_its_library_does_not_export(error):
    producer = Producer(None, (CUDA, 0), error)
    with pytest.raises(InputError) as caught:
        device_view(producer, OURS, "input 'x'")
    assert str(caught.value) == "input 'x' cannot be taken over through DLPack\n  received: Producer: no"
    producer.requires_grad = True
    with pytest.raises(InputError, match=r"hint: x\.detach\(\)"):
        device_view(producer, OURS)


def test_other_devices_are_refused():
    made = HandMade(device=(ROCM, 0))
    with pytest.raises(InputError, match="on no CUDA device\n  received: DLPack device type 10"):
        device_view(Producer(made.capsule, (ROCM, 0)), OURS)
    assert made.deleted == 1


def test_one_of_our_own_goes_in_again(waits):
    calls = []
    array = device_array("int64", stream=0x6000, wait=lambda *pair: calls.append(pair), device=1)
    view = device_view(array, OURS)
    assert (view.address, view.shape, view.dtype, view.device) == (0x1000, (2, 3), "int64", 1)
    assert calls == [(OURS, 0x6000)]
    assert waits == []


@pytest.mark.parametrize(("stream", "producer"), [("absent", 1), (None, 1), (1, 1), (2, 2), (0x6000, 0x6000)], ids=str)
def test_the_cuda_array_interface_in_waits_for_the_producers_stream(waits, stream, producer):
    value = Interface(stream=stream, strides=(12, 4))
    assert device_view(value, OURS) == (0x1000, (2, 3), "float32", None, value)
    assert waits == [(OURS, producer)]


@pytest.mark.parametrize(
    ("typestr", "dtype"), [("|b1", "bool"), ("|u1", "uint8"), ("<f8", "float64"), ("<c8", "complex64")]
)
def test_the_cuda_array_interfaces_dtypes(waits, typestr, dtype):
    assert device_view(Interface(typestr=typestr), OURS).dtype == dtype


def test_stream_zero_of_the_cuda_array_interface_is_refused():
    with pytest.raises(UsageError, match="0 may mean more than one stream"):
        device_view(Interface(stream=0), OURS)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"typestr": ">f4"}, "typestr '>f4'"),
        ({"typestr": "<V2"}, "hint: bfloat16 comes in through DLPack only"),
        ({"typestr": "<M8[s]"}, "plain numbers"),
        ({"mask": Interface()}, "typestr '<f4' with a mask"),
        ({"typestr": "float?"}, "damaged __cuda_array_interface__\n  received: TypeError"),
        ({"shape": "absent"}, "damaged __cuda_array_interface__\n  received: KeyError: 'shape'"),
        ({"data": ()}, "damaged __cuda_array_interface__\n  received: IndexError"),
        ({"strides": (4,)}, "1 strides for 2 dimensions"),
    ],
)
def test_a_cuda_array_interface_that_cannot_be_read(waits, entries, words):
    with pytest.raises(InputError) as caught:
        device_view(Interface(**entries), OURS)
    assert words in str(caught.value)
    assert waits == []


CONTIGUOUS = [((2, 3), (3, 1)), ((1, 3), (77, 1)), ((2, 1, 3), (3, 99, 1)), ((0, 3), (5, 5)), ((), ()), ((4,), (1,))]
STRIDED = [((2, 3), (1, 2)), ((2, 3), (6, 1)), ((4,), (2,)), ((4,), (-1,)), ((4,), (0,)), ((2, 2), (2, 2))]


def through_dlpack(shape, strides):
    return Producer(HandMade(shape=shape, strides=strides).capsule, (CUDA, 0))


def through_interface(shape, strides):
    return Interface(shape=shape, strides=tuple(4 * stride for stride in strides))


@pytest.mark.parametrize("make", [through_dlpack, through_interface])
@pytest.mark.parametrize(("shape", "strides"), CONTIGUOUS)
def test_contiguous_memory(waits, make, shape, strides):
    assert device_view(make(shape, strides), OURS).shape == shape


@pytest.mark.parametrize("make", [through_dlpack, through_interface])
@pytest.mark.parametrize(("shape", "strides"), STRIDED)
def test_other_memory_is_refused(waits, make, shape, strides):
    with pytest.raises(InputError) as caught:
        device_view(make(shape, strides), OURS, "input 'x'")
    assert "input 'x' is not C-contiguous" in str(caught.value)
    assert f"received: shape {'x'.join(map(str, shape))}, strides {strides}" in str(caught.value)
    assert "x.contiguous()" in str(caught.value)
    assert waits == []
