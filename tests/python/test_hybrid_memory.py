"""TensorFlow's memory: what is refused, what is set, and when it is too late."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tf2trt.errors import UsageError
from tf2trt.hybrid import memory
from tf2trt.hybrid.memory import DeviceMemory, check_memory, leave_memory, prepare_memory

MIB, GIB = 1 << 20, 1 << 30
NANO = DeviceMemory("Jetson Nano", 4 * GIB, 2 * GIB, True)
CARD = DeviceMemory("a card", 8 * GIB, 6 * GIB, False)


@pytest.mark.parametrize(
    ("limit", "workspace", "device"),
    [
        (GIB, 256 * MIB, NANO),
        (None, GIB, NANO),
        (2 * GIB - 1, 2 * GIB - 2, NANO),
        (None, None, CARD),
        (None, None, None),
        (64 * GIB, 32 * GIB, None),  # nothing is known of a machine without a GPU
    ],
)
def test_what_fits_passes(limit, workspace, device):
    check_memory(limit, workspace, device)


@pytest.mark.parametrize(
    ("limit", "workspace", "device", "said"),
    [
        (2 * GIB, None, NANO, ["memory limit", "2048 MiB", "shared by CPU and GPU", "--memory-limit", "end other"]),
        (6 * GIB, 7 * GIB, CARD, ["memory limit", "6144 MiB", "a card"]),
        (GIB, GIB, NANO, ["max_workspace_size_bytes", "workspace < memory limit", "--workspace"]),
        (GIB, 2 * GIB, None, ["max_workspace_size_bytes", "workspace < memory limit"]),
        (None, 6 * GIB, CARD, ["max_workspace_size_bytes", "6144 MiB", "--workspace", "on this GPU"]),
        (1024, None, None, ["memory limit", "1024"]),  # MiB were meant
        (True, None, None, ["memory limit"]),
        (1.5e9, None, None, ["memory limit"]),
        (None, 0, None, ["max_workspace_size_bytes"]),
    ],
)
def test_what_does_not_fit_names_the_setting(limit, workspace, device, said):
    with pytest.raises(UsageError) as caught:
        check_memory(limit, workspace, device)
    assert all(each in str(caught.value) for each in said)


class FakeTensorFlow:
    """Records what is set; ``started`` refuses as TensorFlow does once it runs."""

    def __init__(self, started=False, limits=None, growth=None):
        self.calls = []
        self.started = started
        self.config = SimpleNamespace(
            list_physical_devices=lambda kind: [SimpleNamespace(name=f"/physical_device:{kind}:{n}") for n in (0, 1)],
            experimental=SimpleNamespace(set_memory_growth=self._set, get_memory_growth=lambda gpu: growth),
            get_logical_device_configuration=lambda gpu: limits,
            LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
            set_logical_device_configuration=self._set,
        )

    def _set(self, gpu, value):
        if self.started:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        self.calls.append((gpu.name[-5:], value))


@pytest.fixture
def fake(monkeypatch):
    def install(device=CARD, **settings):
        tensorflow = FakeTensorFlow(**settings)
        monkeypatch.setattr(memory, "import_tensorflow", lambda: tensorflow)
        monkeypatch.setattr(memory, "device_memory", lambda: device)
        return tensorflow

    return install


def test_a_limit_or_growth_is_set_on_every_gpu(fake):
    tensorflow = fake()
    plan = prepare_memory(2 * GIB, 512 * MIB)
    assert tensorflow.calls == [("GPU:0", [2048]), ("GPU:1", [2048])]  # MiB, TensorFlow's unit
    assert (plan.limit, plan.to_json()["growth"], plan.devices[1]) == (2 * GIB, False, "/physical_device:GPU:1")
    assert "at most 2048 MiB; of 8192 MiB 6144 MiB were available" in plan.text
    tensorflow = fake(NANO)
    plan = prepare_memory(workspace=GIB)
    assert tensorflow.calls == [("GPU:0", True), ("GPU:1", True)]
    assert plan.to_json()["growth"] is True
    assert "grows" in plan.text
    assert "shared with the CPU" in plan.text


def test_a_conversion_leaves_memory_for_builds_where_nothing_else_was_set(fake):
    tensorflow = fake()
    leave_memory()
    assert tensorflow.calls == [("GPU:0", True), ("GPU:1", True)]
    for settings in ({"limits": [GIB]}, {"growth": False}, {"started": True}):
        tensorflow = fake(**settings)
        leave_memory()
        assert tensorflow.calls == []


def test_nothing_is_set_where_the_check_fails(fake):
    tensorflow = fake(NANO)
    with pytest.raises(UsageError, match="memory limit"):
        prepare_memory(3 * GIB)
    assert tensorflow.calls == []


@pytest.mark.parametrize("limit", [None, GIB])
def test_too_late_says_so(fake, limit):
    fake(started=True)
    with pytest.raises(UsageError, match="cannot be set any more") as caught:
        prepare_memory(limit)
    assert "first of all" in str(caught.value)


def test_without_a_gpu_nothing_is_set():
    code = (
        "from tf2trt.hybrid.memory import prepare_memory\n"
        "plan = prepare_memory(1 << 30, 1 << 20)\n"
        "assert plan.memory is None and plan.devices == (), plan\n"
        "print(plan.text)"
    )
    pytest.importorskip("tensorflow")
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, env=hidden)
    assert "no GPU" in done.stdout


@pytest.mark.parametrize("integrated", [0, 1])
def test_where_memory_is_shared_what_the_system_has_counts(fake_gpu, integrated):
    def body(integrated):
        from tf2trt.hybrid.memory import device_memory

        with open("/proc/meminfo") as file:
            there = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        found = device_memory()
        assert found.shared == bool(integrated)
        assert (found.available > there // 2) == bool(integrated), (found, there)

    fake_gpu.run(body, integrated, integrated=integrated)
