"""ExecutionContext without a GPU: stand-ins for pycuda and the native context record what is asked of them."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt.errors import EngineError, InputError
from tf2trt.runtime.context import ExecutionContext
from tf2trt.specs import ShapeRange, TensorSpec


class Memory:
    """Device or pinned memory; a fresh address each time."""

    next_address = 4096

    def __init__(self, driver, size):
        self.driver, self.data = driver, np.zeros(size, np.uint8)
        self.address, Memory.next_address = Memory.next_address, Memory.next_address + 4096
        driver.live.add(self)

    def __int__(self):
        return self.address

    def free(self):
        self.driver.live.remove(self)


class Driver:
    """pycuda.driver, as far as the runtime uses it; copies happen at once."""

    Error = RuntimeError
    MemoryError = MemoryError

    def __init__(self):
        self.live, self.pushed = set(), 0
        self.Context = SimpleNamespace(pop=self._pop)

    def _pop(self):
        self.pushed -= 1

    def Stream(self):  # noqa: N802
        return SimpleNamespace(handle=7, synchronize=lambda: None)

    def mem_alloc(self, size):
        return Memory(self, size)

    def pagelocked_empty(self, size, dtype):
        memory = Memory(self, size)
        array = memory.data.view(Pinned)
        array.owner = memory
        return array

    def memcpy_htod_async(self, device, host, stream):
        device.data[: host.nbytes] = host

    def memcpy_dtoh_async(self, host, device, stream):
        host[:] = device.data[: host.nbytes]


class Pinned(np.ndarray):
    @property
    def base(self):
        return self.owner


class Device:
    """The primary context."""

    def __init__(self):
        self.driver = Driver()

    def __enter__(self):
        self.driver.pushed += 1

    def __exit__(self, *exception):
        self.driver.Context.pop()


class Native:
    """An engine that doubles x into y, and its own execution context."""

    def __init__(self, driver):
        self.driver, self.calls, self.addresses = driver, [], {}
        self.can_capture, self.output = True, None

    def create_context(self):
        return self

    def set_profile(self, index, stream):
        self.calls.append(f"profile {index}")

    def set_input_shape(self, name, shape):
        assert self.driver.pushed == 1
        self.calls.append(f"shape {name} {shape}")
        self.shape = shape

    def unresolved_inputs(self):
        return []

    def tensor_shape(self, name):
        return self.output or self.shape

    def set_tensor_address(self, name, address):
        self.calls.append(f"address {name}")
        self.addresses[name] = address

    def enqueue(self, stream):
        self.calls.append("enqueue")
        self._work()

    def capture(self, stream):
        self.calls.append("capture")
        if not self.can_capture:
            raise EngineError("not capturable")
        return SimpleNamespace(launch=self._launch)

    def _launch(self, stream):
        self.calls.append("launch")
        self._work()

    def _work(self):
        assert self.driver.pushed == 1
        memory = {int(each): each.data for each in self.driver.live}
        count = int(np.prod(self.shape)) * 4
        x, y = (memory[self.addresses[name]][:count].view(np.float32) for name in "xy")
        y[:] = x * 2

    def take(self):
        calls, self.calls = self.calls, []
        return calls


def make(*profiles):
    device = Device()
    native = Native(device.driver)
    inputs, outputs = [TensorSpec("x", "float32", (-1, 2))], [TensorSpec("y", "float32", (-1, 2))]
    return ExecutionContext(native, inputs, outputs, profiles, device), native, device.driver


def batch(size, start=0):
    return {"x": np.arange(start, start + 2 * size, dtype=np.float32).reshape(size, 2)}


def check(context, arrays):
    result = context.run(arrays)
    assert list(result) == ["y"]
    np.testing.assert_array_equal(result["y"], arrays["x"] * 2)
    return result["y"]


def test_enqueue_first_then_capture_then_replay():
    context, native, _ = make()
    check(context, batch(3))
    assert native.take() == ["shape x (3, 2)", "address x", "address y", "enqueue"]
    check(context, batch(3, start=5))
    assert native.take() == ["capture", "launch"]
    check(context, batch(3, start=9))
    assert native.take() == ["launch"]


def test_a_new_shape_is_captured_anew_and_memory_only_grows():
    context, native, _ = make()
    for _ in range(2):
        check(context, batch(3))
    native.take()
    check(context, batch(1))
    assert native.take() == ["shape x (1, 2)", "enqueue"]  # the same memory: no new address
    check(context, batch(1))
    assert native.take() == ["capture", "launch"]
    check(context, batch(4))
    assert native.take() == ["shape x (4, 2)", "address x", "address y", "enqueue"]
    check(context, batch(3))
    assert native.take() == ["shape x (3, 2)", "enqueue"]


def test_outputs_are_fresh_arrays():
    context, _, _ = make()
    first = check(context, batch(2))
    kept = first.copy()
    check(context, batch(2, start=100))
    np.testing.assert_array_equal(first, kept)


def test_arrays_of_any_strides_are_copied():
    context, _, _ = make()
    check(context, {"x": np.arange(24, dtype=np.float32).reshape(3, 2, 4)[::-1, :, 1]})
    check(context, {"x": np.asfortranarray(batch(5)["x"])})


def test_an_empty_batch():
    context, _, _ = make()
    assert check(context, batch(0)).shape == (0, 2)


def test_where_capture_fails_it_is_said_once_and_the_engine_runs_without(caplog):
    context, native, _ = make()
    native.can_capture = False
    with caplog.at_level(logging.WARNING):
        for size in (2, 2, 2, 3, 3):
            check(context, batch(size))
    assert native.calls.count("capture") == 1
    assert native.calls.count("enqueue") == 5
    assert len(caplog.records) == 1
    assert "not capturable" in caplog.text


def test_profiles_are_switched_when_the_shape_asks_for_it():
    small = {"x": ShapeRange((1, 2), (1, 2), (2, 2))}
    large = {"x": ShapeRange((3, 2), (4, 2), (8, 2))}
    context, native, _ = make(small, large)
    check(context, batch(1))
    assert "profile 0" not in native.take()  # where a context starts
    check(context, batch(5))
    assert native.take()[:2] == ["profile 1", "shape x (5, 2)"]
    with pytest.raises(InputError, match="outside the shapes"):
        context.run(batch(9))
    assert native.take() == []
    check(context, batch(5))
    assert native.take() == ["capture", "launch"]


def test_after_an_error_the_next_run_starts_over():
    context, native, driver = make()
    check(context, batch(2))
    native.output = (-1, 2)
    with pytest.raises(EngineError, match="'y' depends on the data"):
        context.run(batch(3))
    assert driver.pushed == 0
    native.output = None
    native.take()
    check(context, batch(2))
    assert native.take()[0] == "shape x (2, 2)"


def test_close_gives_all_memory_back_and_nothing_runs_after_it():
    context, _, driver = make()
    check(context, batch(2))
    check(context, batch(3))
    assert len(driver.live) == 4
    context.close()
    context.close()
    assert driver.live == set()
    assert driver.pushed == 0
    for size in (2, 3):
        with pytest.raises(EngineError, match="is closed"):
            context.run(batch(size))
