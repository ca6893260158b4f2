"""Loading an engine as far as it goes without a GPU: every check of the file comes before the driver is touched."""

import dataclasses
from types import SimpleNamespace

import pytest

from tf2trt import _native, libraries
from tf2trt.errors import (
    DeviceError,
    EngineDeviceError,
    EngineError,
    EngineVersionError,
    PluginError,
    UsageError,
)
from tf2trt.runtime import Engine
from tf2trt.sidecar import Sidecar, sha256

FULL = SimpleNamespace(version=(8, 6, 0), version_text="8.6.0", kind="full", path="/lib/libnvinfer.so.8")
RTX = SimpleNamespace(version=(1, 7, 1), version_text="1.7.1", kind="rtx", path="/lib/libtensorrt_rtx.so")


def plan(version=(8, 6, 0, 12)):
    return b"ftrt" + bytes(20) + bytes(version) + bytes(range(200))


def sidecar(data):
    return Sidecar(
        tf2trt="0.1.0",
        tensorrt="8.6.0",
        generation=8,
        kind="full",
        version_compatible=False,
        device_name="NVIDIA H200",
        compute_capability=(9, 0),
        inputs=(),
        outputs=(),
        profiles=(),
        precision_asked="fp32",
        precision_found={},
        plugins=(),
        onnx_file="m.onnx",
        onnx_sha256="",
        plan_sha256=sha256(data),
        plan_bytes=len(data),
        seconds=1.0,
        created="2026-01-02T03:04:05+00:00",
    )


class NoDriverError(DeviceError):
    """The driver was asked for: all checks that need none have passed."""


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    def no_driver(ordinal=0):
        raise NoDriverError("no NVIDIA driver")

    monkeypatch.setattr(libraries, "find", lambda **_: FULL)
    monkeypatch.setattr(libraries, "candidates", lambda: [SimpleNamespace(library=FULL)])
    monkeypatch.setattr(_native, "device", no_driver)


@pytest.fixture
def engine(tmp_path):
    path = tmp_path / "m.engine"
    path.write_bytes(plan())
    sidecar(plan()).write(path)
    return path


def test_a_good_engine_gets_as_far_as_the_driver(engine):
    with pytest.raises(NoDriverError):
        Engine.load(engine)


def test_without_its_sidecar_too(engine):
    (engine.parent / "m.engine.json").unlink()
    with pytest.raises(NoDriverError):
        Engine.load(str(engine))


@pytest.mark.parametrize("name", ["missing.engine", "missing/m.engine", "."])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(EngineError, match="cannot read the engine"):
        Engine.load(tmp_path / name)


def test_a_plugin_library_that_is_missing(engine):
    needed = {"file": "libmine.so", "sha256": "ab" * 32}
    dataclasses.replace(sidecar(plan()), plugins=(needed,)).write(engine)
    with pytest.raises(PluginError, match=r"needs the plugin library libmine\.so"):
        Engine.load(engine)
    (engine.parent / "libmine.so").write_bytes(b"another build")
    with pytest.warns(RuntimeWarning, match="another build"), pytest.raises(NoDriverError):
        Engine.load(engine, plugin_libraries=[engine.parent / "libmine.so"])


def test_an_empty_file(engine):
    engine.write_bytes(b"")
    with pytest.raises(EngineError, match="is empty"):
        Engine.load(engine)


@pytest.mark.parametrize("size", [1, 27, 28, 100])
def test_a_truncated_file(engine, size):
    engine.write_bytes(plan()[:size])
    with pytest.raises(EngineError, match="is truncated"):
        Engine.load(engine)


@pytest.mark.parametrize("content", [b"f", b"not a plan, but long enough to be one", b"\x08\x07" + bytes(100)])
def test_a_file_that_is_no_plan(engine, content):
    (engine.parent / "m.engine.json").unlink()
    engine.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        Engine.load(engine)
    assert not isinstance(caught.value, EngineVersionError)


@pytest.mark.parametrize("version", [(8, 5, 3, 1), (10, 3, 0, 1), (8, 6, 1, 6)])
def test_an_edited_header_is_another_version(engine, version):
    engine.write_bytes(plan(version))
    with pytest.raises(EngineVersionError, match=r"\.".join(str(part) for part in version[:3])):
        Engine.load(engine)


def test_with_lean_only_the_lean_runtime_is_looked_for(engine, monkeypatch):
    asked = []

    def find_lean(header):
        asked.append(header.version)
        return SimpleNamespace(version=(8, 6, 1), version_text="8.6.1", kind="lean", path="/lib/libnvinfer_lean.so.8")

    def find(**_):
        raise AssertionError("another library was looked for")

    monkeypatch.setattr(libraries, "find_lean", find_lean)
    monkeypatch.setattr(libraries, "find", find)
    with pytest.raises(EngineVersionError, match="build it with --version-compatible"):
        Engine.load(engine, lean=True)
    dataclasses.replace(sidecar(plan()), version_compatible=True).write(engine)
    with pytest.raises(NoDriverError):
        Engine.load(engine, lean=True)
    assert asked == [(8, 6, 0, 12)] * 2
    with pytest.raises(UsageError, match="not both"):
        Engine.load(engine, lean=True, library=FULL)


def test_another_library_that_reads_it_is_taken(engine, monkeypatch):
    monkeypatch.setattr(libraries, "find", lambda **_: RTX)
    with pytest.raises(NoDriverError):
        Engine.load(engine)
    monkeypatch.setattr(libraries, "candidates", lambda: [SimpleNamespace(library=None), SimpleNamespace(library=RTX)])
    with pytest.raises(EngineVersionError, match=r"TensorRT-RTX 1\.7\.1"):
        Engine.load(engine)


def test_a_library_that_was_given_is_the_only_one_tried(engine):
    with pytest.raises(EngineVersionError, match=r"TensorRT-RTX 1\.7\.1"):
        Engine.load(engine, library=RTX)


def test_an_edited_plan(engine):
    engine.write_bytes(plan()[:-1] + b"!")
    with pytest.raises(EngineError, match="is damaged"):
        Engine.load(engine)


def test_a_damaged_sidecar(engine):
    (engine.parent / "m.engine.json").write_text("{")
    with pytest.raises(EngineError, match=r"m\.engine\.json is damaged"):
        Engine.load(engine)


def test_another_gpu_is_found_before_anything_is_deserialised(engine, monkeypatch):
    gpu = SimpleNamespace(name="Orin", compute_capability=(8, 7))
    monkeypatch.setattr(_native, "device", lambda ordinal=0: gpu)
    monkeypatch.setattr(_native.Engine, "deserialize", lambda *given: pytest.fail("the GPU was touched"))
    with pytest.raises(EngineDeviceError, match="Orin"):
        Engine.load(engine)
    edited = dataclasses.replace(sidecar(plan()), compute_capability=(8, 9))
    edited.write(engine)
    with pytest.raises(EngineDeviceError, match=r"8\.9"):
        Engine.load(engine)
