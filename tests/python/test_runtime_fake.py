"""The core runs engines from Python on a fake driver and a fake TensorRT: each body runs in a process of its own."""

import pytest

RUNTIMES = [("libnvinfer.so.8", (8, 6, 0)), ("libnvinfer.so.10", (10, 16, 1)), ("libnvinfer.so.11", (11, 4, 0))]


def runs_an_engine(version):
    import ctypes

    import numpy as np
    from fake_gpu import FakeCuda, plan

    from tf2trt import _native

    cuda = FakeCuda()
    library = _native.find_library()
    assert library.version == version
    engine = _native.Engine.deserialize(library, plan("double", version))
    assert [(t.name, t.shape, t.dtype) for t in engine.tensors] == [
        ("x", (-1, 2), "float32"),
        ("y", (-1, 2), "float32"),
    ]
    context = engine.create_context()

    # The memory that a program brings itself, in the context that it has made current.
    driver = cuda.library
    primary, stream, x, y, host = (ctypes.c_void_p() for _ in range(5))
    assert driver.cuDevicePrimaryCtxRetain(ctypes.byref(primary), 0) == 0
    assert driver.cuCtxPushCurrent_v2(primary) == 0
    assert driver.cuStreamCreate(ctypes.byref(stream), 1) == 0
    assert driver.cuMemAlloc_v2(ctypes.byref(x), ctypes.c_size_t(32)) == 0
    assert driver.cuMemAlloc_v2(ctypes.byref(y), ctypes.c_size_t(32)) == 0
    assert driver.cuMemHostAlloc(ctypes.byref(host), ctypes.c_size_t(32), 0) == 0
    pinned = np.frombuffer((ctypes.c_char * 32).from_address(host.value), np.float32).reshape(4, 2)

    context.set_input_shape("x", (4, 2))
    context.set_tensor_address("x", x.value)
    context.set_tensor_address("y", y.value)
    seed = int(np.random.SeedSequence().entropy % 2**32)
    print("seed", seed)
    for given in np.random.default_rng(seed).normal(size=(3, 4, 2)).astype(np.float32):
        pinned[:] = given
        assert driver.cuMemcpyHtoDAsync_v2(x, host, ctypes.c_size_t(32), stream) == 0
        context.enqueue(stream.value)
        assert driver.cuMemcpyDtoHAsync_v2(host, y, ctypes.c_size_t(32), stream) == 0
        np.testing.assert_array_equal(pinned, given)  # nothing has run yet
        assert driver.cuStreamSynchronize(stream) == 0
        np.testing.assert_array_equal(pinned, 2 * given)
    del context, engine
    assert driver.cuMemFree_v2(x) == driver.cuMemFree_v2(y) == driver.cuMemFreeHost(host) == 0
    assert driver.cuStreamDestroy_v2(stream) == 0
    live = ("device_bytes", "pinned_bytes", "streams", "events", "graphs", "graph_execs", "pending")
    assert {name: cuda[name] for name in live} == dict.fromkeys(live, 0)
    assert _native.live_objects() == 0


def has_no_memory():
    from fake_gpu import FakeCuda, plan

    from tf2trt import _native
    from tf2trt.errors import DeviceError

    assert _native.device().integrated
    engine = _native.Engine.deserialize(_native.find_library(), plan("double"))
    try:
        engine.create_context()
    except DeviceError as error:
        assert "4096" in str(error)  # noqa: PT017  # pytest is not what runs here
    else:
        raise AssertionError("a context without memory")
    assert FakeCuda()["device_bytes"] == 0


def is_careless():
    from fake_gpu import FakeCuda

    FakeCuda().library.cuInit(0)
    FakeCuda().library.cuMemFreeHost(None)


@pytest.mark.parametrize(("runtime", "version"), RUNTIMES)
def test_engines_run_on_the_fakes(fake_gpu, runtime, version):
    assert "seed" in fake_gpu.run(runs_an_engine, version, runtime=runtime)


def test_the_environment_sets_the_driver_up(fake_gpu):
    fake_gpu.run(has_no_memory, free=1000, integrated=1)


def test_a_violation_fails_the_test(fake_gpu):
    with pytest.raises(AssertionError, match="without a current context"):
        fake_gpu.run(is_careless)
