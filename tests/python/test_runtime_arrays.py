"""Arrays in device memory; capsules over NumPy's stand for it: nothing here looks at what an address points to."""

import gc
import weakref

import numpy as np
import pytest
from dlpack_arrays import (
    CPU,
    CUDA,
    MANAGED,
    OURS,
    PINNED,
    ROCM,
    HandMade,
    Interface,
    Old,
    Producer,
    capsule_name,
    export,
)

from tf2trt import _native
from tf2trt.errors import DeviceError, InputError, UsageError
from tf2trt.runtime.arrays import DeviceArray, device_view


@pytest.fixture
def waits(monkeypatch):
    """The (consumer, producer) pairs that device_view made wait."""
    calls = []
    monkeypatch.setattr(_native, "stream_wait", lambda consumer, producer: calls.append((consumer, producer)))
    return calls


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
