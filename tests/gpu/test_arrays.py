"""Arrays of PyTorch and pycuda in, and ours out to PyTorch: the same memory, and no reader before its writer."""

import gc

import numpy as np
import pytest

from tf2trt import _native
from tf2trt.errors import InputError
from tf2trt.runtime.arrays import LEGACY_STREAM, DeviceArray, device_view

SHAPE = (3, 5)
SIZE = 15
LONG = 200_000_000  # clock cycles: some 0.1 s
NON_BLOCKING = 1  # a stream that CUDA does not order with the legacy default stream by itself


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch")
    if not module.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return module


@pytest.fixture(autouse=True)
def in_primary(primary):
    with primary:
        yield


@pytest.fixture
def stream(primary):
    """The reader: a stream of ours."""
    stream = primary.driver.Stream(NON_BLOCKING)
    yield stream
    stream.synchronize()


def read(primary, stream, view):
    """What the view's memory holds when ``stream`` gets to it, as bytes."""
    host = primary.driver.pagelocked_empty(4 * SIZE, np.uint8)
    primary.driver.memcpy_dtoh_async(host, view.address, stream)
    stream.synchronize()
    return host.tobytes()


def zeros(torch):
    """A tensor of zeros. The kernels of fill_late are loaded too: loading may wait for the GPU."""
    tensor = torch.ones(SHAPE, device="cuda")
    torch.cuda._sleep(1)
    tensor.fill_(0)
    torch.cuda.synchronize()
    return tensor


def fill_late(torch, tensor):
    """7 everywhere, after a long kernel on torch's current stream."""
    torch.cuda._sleep(LONG)
    tensor.fill_(7)


def floats(value):
    return np.full(SIZE, value, np.float32).tobytes()


class InterfaceOnly:
    """A tensor as a library without DLPack shows it; ``stream`` as it says it."""

    def __init__(self, tensor, stream):
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape), "typestr": "<f4", "data": (tensor.data_ptr(), False), "version": 3,
            "stream": stream,
        }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "uint8", "int32", "int64"])
def test_torch_in_at_the_same_address(torch, stream, dtype):
    tensor = torch.ones(SHAPE, device="cuda", dtype=getattr(torch, dtype))
    view = device_view(tensor, stream.handle)
    assert (view.address, view.shape, view.dtype, view.device) == (tensor.data_ptr(), SHAPE, dtype, 0)


def test_a_view_keeps_torchs_memory(torch, primary, stream):
    tensor = torch.full(SHAPE, 3.0, device="cuda")
    view = device_view(tensor, stream.handle)
    del tensor
    gc.collect()
    others = [torch.full(SHAPE, 4.0, device="cuda") for _ in range(8)]  # would be given the memory if it were free
    torch.cuda.synchronize()
    assert all(other.data_ptr() != view.address for other in others)
    assert read(primary, stream, view) == floats(3)


def test_torch_tensors_that_cannot_be_taken(torch, stream):
    tensor = torch.ones(SHAPE, device="cuda")
    with pytest.raises(InputError, match=r"x\.contiguous\(\)"):
        device_view(tensor.t(), stream.handle)
    with pytest.raises(InputError, match=r"x\.detach\(\)"):
        device_view(tensor.requires_grad_(), stream.handle)
    assert device_view(tensor.detach().cpu(), stream.handle) is None


def test_ours_waits_for_torchs_current_stream(torch, primary, stream):
    tensor = zeros(torch)
    with torch.cuda.stream(torch.cuda.Stream()):
        fill_late(torch, tensor)
        view = device_view(tensor, stream.handle)
    assert read(primary, stream, view) == floats(7)


@pytest.mark.parametrize("named", [None, LEGACY_STREAM])
def test_ours_waits_for_the_default_stream_of_the_cuda_array_interface(torch, primary, stream, named):
    tensor = zeros(torch)
    fill_late(torch, tensor)
    view = device_view(InterfaceOnly(tensor, named), stream.handle)
    assert read(primary, stream, view) == floats(7)


def test_ours_waits_for_the_stream_that_the_cuda_array_interface_names(torch, primary, stream):
    tensor = zeros(torch)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        fill_late(torch, tensor)
    view = device_view(InterfaceOnly(tensor, side.cuda_stream), stream.handle)
    assert read(primary, stream, view) == floats(7)


def test_pycuda_in_at_the_same_address(primary, stream):
    gpuarray = pytest.importorskip("pycuda.gpuarray")
    values = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    array = gpuarray.to_gpu(values)
    view = device_view(array, stream.handle)
    assert (view.address, view.shape, view.dtype) == (int(array.gpudata), SHAPE, "float32")
    assert view.owner is array
    assert read(primary, stream, view) == values.tobytes()


@pytest.mark.parametrize("way", ["from_dlpack", "as_tensor"])
def test_out_to_torch_at_the_same_address(torch, primary, way):
    values = np.random.default_rng(4).normal(size=SHAPE).astype(np.float32)
    memory = primary.driver.mem_alloc(values.nbytes)
    primary.driver.memcpy_htod(memory, values)
    array = DeviceArray(int(memory), SHAPE, "float32", owner=memory, wait=_native.stream_wait)
    tensor = torch.from_dlpack(array) if way == "from_dlpack" else torch.as_tensor(array, device="cuda")
    del array, memory
    gc.collect()
    assert tensor.is_cuda
    assert tuple(tensor.shape) == SHAPE
    np.testing.assert_array_equal(tensor.cpu().numpy(), values)
    tensor.add_(1)  # writable
    np.testing.assert_array_equal(tensor.cpu().numpy(), values + 1)


def test_the_address_that_torch_sees_is_ours(torch, primary):
    memory = primary.driver.mem_alloc(4 * SIZE)
    array = DeviceArray(int(memory), SHAPE, "float32", owner=memory, wait=_native.stream_wait)
    assert torch.from_dlpack(array).data_ptr() == int(memory)
    assert torch.as_tensor(array, device="cuda").data_ptr() == int(memory)


def test_bfloat16_out_to_torch(torch, primary):
    memory = primary.driver.mem_alloc(2 * SIZE)
    array = DeviceArray(int(memory), SHAPE, "bfloat16", owner=memory, wait=_native.stream_wait)
    tensor = torch.from_dlpack(array)
    assert (tensor.dtype, tensor.data_ptr()) == (torch.bfloat16, int(memory))


@pytest.mark.parametrize("side", [False, True], ids=["default stream", "side stream"])
def test_torch_waits_for_our_stream(torch, primary, stream, side):
    memory = primary.driver.mem_alloc(4 * SIZE)
    primary.driver.memset_d32(memory, 0, SIZE)
    primary.driver.Context.synchronize()
    array = DeviceArray(int(memory), SHAPE, "float32", owner=memory, wait=_native.stream_wait, stream=stream.handle)
    torch.cuda._sleep(1)  # loaded before it counts
    torch.cuda.synchronize()
    source = primary.driver.pagelocked_empty(SIZE, np.float32)
    source[:] = 7
    with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
        torch.cuda._sleep(LONG)
    primary.driver.memcpy_htod_async(memory, source, stream)
    with torch.cuda.stream(torch.cuda.Stream() if side else torch.cuda.default_stream()):
        seen = torch.from_dlpack(array).clone()
        np.testing.assert_array_equal(seen.cpu().numpy(), np.full(SHAPE, 7, np.float32))


def test_the_default_streams_can_be_waited_for(primary, stream):
    for other in (LEGACY_STREAM, 2):
        _native.stream_wait(stream.handle, other)
        _native.stream_wait(other, stream.handle)
    stream.synchronize()
