"""The GPU's state while a benchmark runs: NVML's, by a stand-in for its binding, and tegrastats', by a program."""

import ctypes
import sys
import time
from types import SimpleNamespace

import pytest
from fake_nvml import FakeNvml

from tf2trt.bench import environment, monitor
from tf2trt.bench.nvml import NvmlSource, throttle_words
from tf2trt.bench.samples import MEASURED, Sample, UnavailableError
from tf2trt.bench.tegrastats import cooling, parse

# As NVIDIA's documentation and boards print them.
NANO = (
    "RAM 1903/3964MB (lfb 5x4MB) SWAP 0/1982MB (cached 0MB) IRAM 0/252kB(lfb 252kB) CPU [12%@1428,10%@1428,off,off] "
    "EMC_FREQ 5%@1600 GR3D_FREQ 99%@921 VIC_FREQ 0%@140 APE 25 PLL@36C CPU@38C PMIC@100C GPU@37C AO@45C "
    "thermal@37.75C POM_5V_IN 2532/2400 POM_5V_GPU 123/100 POM_5V_CPU 410/400"
)
XAVIER = (
    "RAM 4722/31919MB (lfb 4894x4MB) SWAP 0/15959MB (cached 0MB) CPU [2%@1190,off] EMC_FREQ 0%@2133 "
    "GR3D_FREQ 5%@1377 APE 150 MTS fg 0% bg 0% AO@31.5C GPU@32.5C Tdiode@34.75C PMIC@50C thermal@32.15C "
    "GPU 1000/900 CPU 311/311 SOC 1244/1244 CV 0/0 VDDRQ 155/155 SYS5V 1480/1480"
)
ORIN = (
    "12-06-2022 17:00:15 RAM 2747/30536MB (lfb 5x4MB) SWAP 0/15268MB (cached 0MB) CPU [1%@729,0%@729] "
    "EMC_FREQ 1%@2133 GR3D_FREQ 42%@[1300,1299] VIC_FREQ 0%@115 APE 174 CV0@-256C CPU@43.5C Tboard@32C SOC2@40C "
    "gpu@40.75C tj@43C VDD_GPU_SOC 1970mW/1970mW VDD_CPU_CV 394mW/394mW VIN_SYS_5V0 3134mW/3000mW"
)
ASLEEP = "05-01-2024 09:00:00 RAM 2747/7620MB (lfb 5x4MB) CPU [1%@729] GR3D_FREQ 0% cpu@43.5C VDD_IN 4480mW/4480mW"


@pytest.mark.parametrize(
    ("line", "clock", "memory_clock", "power", "temperature", "mebibytes"),
    [
        (NANO, 921, 1600, 2.532, 37, 1903),
        (XAVIER, 1377, 2133, 4.19, 32.5, 4722),
        (ORIN, 1300, 2133, 3.134, 40.75, 2747),
        (ASLEEP, None, None, 4.48, None, 2747),
        ("something else", None, None, None, None, None),
    ],
)
def test_lines_of_tegrastats(line, clock, memory_clock, power, temperature, mebibytes):
    sample = parse(line, 3.0, ("a",))
    assert sample.power_w == (None if power is None else pytest.approx(power))
    assert sample == Sample(
        3.0, clock, memory_clock, sample.power_w, temperature, mebibytes and mebibytes * 2**20, ("a",)
    )


def test_cooling_devices_say_what_is_held_back(tmp_path):
    for number, (kind, state) in enumerate([("pwm-fan", "3"), ("gpu-balanced", "2"), ("cpu-balanced", "0")]):
        folder = tmp_path / f"cooling_device{number}"
        folder.mkdir()
        (folder / "type").write_text(kind + "\n")
        (folder / "cur_state").write_text(state + "\n")
    (tmp_path / "cooling_device9").mkdir()  # without files, as one whose power is off
    assert cooling(tmp_path) == ("throttled by gpu-balanced",)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, ()),
        (0x1 | 0x2 | 0x10 | 0x100, ()),
        (0x4, ("power cap",)),
        (0x8, ("hardware slowdown",)),
        (0x8 | 0x40, ("thermal slowdown by hardware",)),
        (0x8 | 0x80 | 0x20, ("thermal slowdown by software", "power brake")),
        (0x8 | 0x4, ("power cap", "hardware slowdown")),
    ],
)
def test_throttle_reasons_in_words(bits, words):
    assert throttle_words(bits) == words


@pytest.fixture
def nvml(monkeypatch):
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")  # no tegrastats
    return fake


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_gpu_is_watched_and_throttling_is_put_in_time(nvml):
    with monitor.GpuMonitor() as watch:
        start = time.perf_counter()
        wait_for(lambda: watch.summary()["readings"] >= 3)
        before = time.perf_counter()
        assert watch.throttled_between(start, before) is None
        nvml.bits = 0x4
        seen = watch.summary()["readings"]
        wait_for(lambda: watch.summary()["readings"] >= seen + 3)
        end = time.perf_counter()
        assert "power cap in " in watch.throttled_between(before, end)
        nvml.bits = 0
        seen = watch.summary()["readings"]
        wait_for(lambda: watch.summary()["readings"] >= seen + 2)
        nvml.bits = 0x40
        now = time.perf_counter()
        assert "thermal slowdown" in watch.throttled_between(now, now)  # by the reading that comes after it
    assert nvml.opened == 0
    summary = watch.summary()
    assert summary["source"] == "nvml"
    assert summary["reason"] is None
    assert "power cap in " in summary["throttled"]
    assert summary["sm_clock_mhz"] == {"min": 1980, "mean": 1980, "max": 1980}
    assert summary["power_w"]["mean"] == pytest.approx(123.4)
    assert summary["memory_used_bytes"]["max"] == 2**30
    assert summary["temperature_c"] is None  # not supported: no figure is made up


def test_a_turn_between_two_readings_is_seen_by_both():
    watch = monitor.GpuMonitor()
    watch._samples = [Sample(1.0), Sample(2.0, throttle=("power cap",)), Sample(3.0), Sample(4.0)]
    assert watch.throttled_between(2.1, 2.2) == "power cap in 1 of 2 readings"
    assert watch.throttled_between(1.5, 1.6) == "power cap in 1 of 2 readings"
    assert watch.throttled_between(3.1, 3.2) is None
    assert watch.throttled_between(0.5, 4.5) == "power cap in 1 of 4 readings"


def test_a_gpu_that_answers_no_more_is_told(nvml):
    with monitor.GpuMonitor() as watch:
        nvml.lost = True
        wait_for(lambda: watch.reason is not None)
    assert watch.summary()["reason"] == "NVML: error 15"
    assert watch.summary()["readings"] >= 1


@pytest.mark.parametrize(
    ("visible", "device"),
    [("2,3", ("index", 2)), ("GPU-12ab", ("uuid", "GPU-12ab")), ("MIG-9", ("uuid", "MIG-9")), ("", ("index", 0))],
)
def test_the_gpu_is_the_one_of_the_variable_where_there_is_no_cuda(nvml, monkeypatch, visible, device):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    NvmlSource().read()
    assert ("nvmlDeviceGetPowerUsage", (device,)) in nvml.asked


def no_library(name):
    raise OSError(f"{name}: cannot open shared object file")


def cuda(status):
    """A CUDA driver as ctypes shows it, whose cuInit answers ``status``."""

    def cuInit(flags):  # noqa: N802
        return status

    def cuDeviceGetPCIBusId(address, size, device):  # noqa: N802
        address.value = {0: b"0000:3D:00.0"}[device]
        return 0

    return lambda name: SimpleNamespace(cuInit=cuInit, cuDeviceGetPCIBusId=cuDeviceGetPCIBusId)


@pytest.mark.parametrize(
    ("visible", "device"),
    [(None, ("pci", "0000:3D:00.0")), ("1", ("pci", "0000:3D:00.0")), ("MIG-9", ("uuid", "MIG-9"))],
)
def test_the_gpu_is_the_one_that_cuda_sees(nvml, monkeypatch, visible, device):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(ctypes, "CDLL", cuda(0))
    NvmlSource().read()
    assert ("nvmlDeviceGetPowerUsage", (device,)) in nvml.asked


def test_no_gpu_is_watched_where_cuda_sees_none(nvml, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", cuda(100))
    with pytest.raises(UnavailableError, match="CUDA sees no GPU: cuInit gives CUresult 100"):
        NvmlSource()
    assert nvml.opened == 0


def test_nothing_to_read_is_said_and_no_figure_is_made_up(monkeypatch):
    def fail():
        raise UnavailableError("not here")

    monkeypatch.setattr(monitor, "_SOURCES", (fail, fail))
    with monitor.GpuMonitor() as watch:
        pass
    assert watch.throttled_between(0.0, time.perf_counter()) is None
    summary = watch.summary()
    assert summary["source"] is None
    assert summary["reason"] == "not here; not here"
    assert [summary[name] for name in MEASURED] == [None] * len(MEASURED)
    assert environment.record()["gpu_reason"] == "not here; not here"


def test_a_missing_binding_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UnavailableError, match=r"pip install 'tf2trt\[bench\]'"):
        NvmlSource()


def test_tegrastats_is_read_line_by_line(monkeypatch, tmp_path):
    program = tmp_path / "tegrastats"
    program.write_text(
        f"#!{sys.executable}\nimport time\nwhile True:\n  print({ORIN!r}, flush=True); time.sleep(.01)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with monitor.GpuMonitor() as watch:
        wait_for(lambda: watch.summary()["readings"] >= 3)
    summary = watch.summary()
    assert (summary["source"], summary["reason"]) == ("tegrastats", None)
    assert summary["sm_clock_mhz"] == {"min": 1300, "mean": 1300, "max": 1300}


def test_a_tegrastats_that_ends_is_told(monkeypatch, tmp_path):
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with monitor.GpuMonitor() as watch:
        pass
    assert watch.reason == "tegrastats has ended with status 3"


def test_the_machine_is_recorded(nvml):
    facts = environment.record()
    assert facts["gpu"]["name"] == "NVIDIA H200"
    assert facts["gpu"]["cuda"] == "13.0"
    assert facts["gpu"]["power_limit_w"] == 700
    assert facts["gpu"]["persistence_mode"] is None
    assert facts["gpu_reason"] is None
    assert facts["cpu"]["cores"] >= 1
    assert "numpy" in facts["libraries"]
    assert nvml.opened == 0


def test_a_jetson_is_recorded_by_the_same_keys(nvml, monkeypatch, tmp_path):
    discrete = environment.record()["gpu"]
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    device = SimpleNamespace(
        name="Orin", compute_capability=(8, 7), total_memory=2**33, integrated=True, driver_version=12060
    )
    monkeypatch.setattr("tf2trt._native.device", lambda: device)
    gpu = environment.record()["gpu"]
    assert list(gpu) == list(discrete)
    assert (gpu["name"], gpu["compute_capability"], gpu["cuda"]) == ("Orin", "8.7", "12.6")
