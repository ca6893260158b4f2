"""The GPU's state, as NVML or tegrastats tells it, against what CUDA's driver knows."""

import time

from tf2trt import _native
from tf2trt.bench import environment
from tf2trt.bench.monitor import GpuMonitor


def test_the_gpu_is_recorded():
    recorded = environment.record()
    assert recorded["gpu_reason"] is None
    device = _native.device()
    gpu = recorded["gpu"]
    assert gpu["name"] == device.name
    assert gpu["compute_capability"] == ".".join(map(str, device.compute_capability))
    assert gpu["cuda"] == f"{device.driver_version // 1000}.{device.driver_version % 1000 // 10}"
    assert 0.9 < gpu["memory_bytes"] / device.total_memory < 1.1
    assert gpu["driver"]


def test_the_gpu_is_watched():
    with GpuMonitor() as monitor:
        start = time.perf_counter()
        time.sleep(1.0)
        monitor.throttled_between(start, time.perf_counter())
    summary = monitor.summary()
    assert summary["reason"] is None
    assert summary["readings"] >= 5
    assert 5 < summary["temperature_c"]["min"] <= summary["temperature_c"]["max"] < 120
    assert summary["memory_used_bytes"]["max"] > 0
    assert summary["power_w"]["mean"] > 0
