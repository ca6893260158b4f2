import dataclasses
import json
import os
from types import SimpleNamespace

import pytest

from tf2trt.errors import EngineDeviceError, EngineError, EngineVersionError, OutputError
from tf2trt.precisions import LayerPrecision, PrecisionProof
from tf2trt.sidecar import (
    Sidecar,
    check_device,
    check_hash,
    check_size,
    check_version,
    sha256,
    sidecar_path,
)
from tf2trt.specs import ShapeRange, TensorSpec

PLAN = b"ftrt" + bytes(range(100))


def make(**changes):
    sidecar = Sidecar(
        tf2trt="0.1.0",
        tensorrt="8.6.0",
        generation=8,
        kind="full",
        version_compatible=False,
        device_name="NVIDIA H200",
        compute_capability=(9, 0),
        inputs=(TensorSpec("x", "float32", (-1, 3)),),
        outputs=(TensorSpec("y", "float16", (-1, 2)), TensorSpec("s", "float32", ())),
        profiles=({"x": ShapeRange((1, 3), (4, 3), (8, 3))},),
        precision_asked="fp16",
        precision_found={"float16": 12, "float32": 2},
        plugins=(),
        onnx_file="m.onnx",
        onnx_sha256="ab" * 32,
        plan_sha256=sha256(PLAN),
        plan_bytes=len(PLAN),
        seconds=1.5,
        created="2026-01-02T03:04:05+00:00",
    )
    return dataclasses.replace(sidecar, **changes)


def library(version="8.6.0", kind="full"):
    numbers = tuple(int(part) for part in version.split("."))
    return SimpleNamespace(version=numbers, version_text=version, kind=kind, path="/lib/libnvinfer.so")


def test_it_lies_beside_the_engine():
    assert sidecar_path("a/m.engine").as_posix() == "a/m.engine.json"


PROOF = PrecisionProof(
    "engine",
    0.5,
    0.75,
    (
        LayerPrecision("conv + relu", "CaskConvolution", "float16", True, True, 0.5),
        LayerPrecision("dense", "MatrixMultiply", "float32", True, False),
    ),
)


@pytest.mark.parametrize(
    "sidecar",
    [
        make(),
        make(device_name=None, compute_capability=None, profiles=()),
        make(proof=PROOF, layer_precision=(("dense", "fp32"),)),
    ],
)
def test_what_was_written_is_read_again(tmp_path, sidecar):
    sidecar.write(tmp_path / "m.engine")
    assert Sidecar.read(tmp_path / "m.engine") == sidecar
    assert os.listdir(tmp_path) == ["m.engine.json"]


def test_the_file_is_readable_json_of_a_pinned_form():
    value = json.loads(json.dumps(make().to_json()))
    assert list(value) == [
        *("format", "tf2trt", "tensorrt", "device", "inputs", "outputs", "profiles", "precision", "plugins", "onnx"),
        *("plan", "seconds", "created"),
    ]
    assert value["format"] == 1
    assert value["tensorrt"] == {"version": "8.6.0", "generation": 8, "kind": "full", "version_compatible": False}
    assert value["device"] == {"name": "NVIDIA H200", "compute_capability": "9.0"}
    assert value["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 3]}]
    assert value["profiles"] == [{"x": {"min": [1, 3], "opt": [4, 3], "max": [8, 3]}}]
    assert value["precision"] == {"asked": "fp16", "found": {"float16": 12, "float32": 2}}
    assert value["plan"] == {"sha256": sha256(PLAN), "bytes": 104}


def test_the_proof_lies_with_the_precision():
    value = make(proof=PROOF, layer_precision=(("dense", "fp32"),)).to_json()["precision"]
    assert value["asked_of_layers"] == [["dense", "fp32"]]
    assert (value["proof"]["source"], value["proof"]["share"], value["proof"]["time_share"]) == ("engine", 0.5, 0.75)
    assert value["proof"]["layers"][0] == {
        "name": "conv + relu",
        "kind": "CaskConvolution",
        "precision": "float16",
        "heavy": True,
        "asked": True,
        "ms": 0.5,
    }


def test_what_the_layers_came_from_is_kept(tmp_path):
    layer = LayerPrecision("conv + relu", "CaskConvolution", "float16", True, nodes=("conv", "relu"))
    origins = {"conv": ("block1", "m/block1/Conv2D"), "relu": ("", "m/Relu")}
    sidecar = make(proof=PrecisionProof("engine", None, None, (layer,)), origins=origins)
    assert sidecar.to_json()["onnx"]["origins"]["conv"] == ["block1", "m/block1/Conv2D"]
    sidecar.write(tmp_path / "m.engine")
    found = Sidecar.read(tmp_path / "m.engine")
    assert found == sidecar
    assert found.proof.layers[0].nodes == ("conv", "relu")
    assert "origins" not in make().to_json()["onnx"]


def test_a_sidecar_of_before_proofs_is_read(tmp_path):
    old = make().to_json()
    assert set(old["precision"]) == {"asked", "found"}
    (tmp_path / "m.engine.json").write_text(json.dumps(old))
    found = Sidecar.read(tmp_path / "m.engine")
    assert (found.proof, found.layer_precision) == (None, ())


def test_without_a_gpu_the_device_is_null():
    assert make(device_name=None, compute_capability=None).to_json()["device"] is None


def test_an_engine_without_one_has_none(tmp_path):
    assert Sidecar.read(tmp_path / "m.engine") is None


def test_members_that_a_later_tf2trt_adds_are_passed_over(tmp_path):
    value = {**make().to_json(), "later": 1}
    (tmp_path / "m.engine.json").write_text(json.dumps(value))
    assert Sidecar.read(tmp_path / "m.engine") == make()


def damaged():
    whole = make().to_json()
    yield "truncated", json.dumps(whole)[:200].encode()
    yield "empty", b""
    yield "binary", b"\xff\xfe\x00"
    for member in sorted(set(whole) - {"format"}):
        yield f"without {member}", json.dumps({name: value for name, value in whole.items() if name != member}).encode()
    for member, value in [
        ("tensorrt", 3),
        ("device", "H200"),
        ("device", {"name": "H200", "compute_capability": "nine"}),
        ("device", {"name": "H200", "compute_capability": 9.0}),
        ("inputs", [{"name": "x"}]),
        ("inputs", [{"name": "x", "dtype": "float32", "shape": ["wide"]}]),
        ("profiles", [{"x": {"min": [2], "opt": [1], "max": [3]}}]),
        ("precision", {"asked": "fp16", "found": []}),
        ("plan", {"sha256": "", "bytes": None}),
        ("precision", {"asked": "fp16", "found": {}, "proof": {"source": "engine"}}),
        ("precision", {"asked": "fp16", "found": {}, "asked_of_layers": ["dense"]}),
    ]:
        yield f"{member} {value}", json.dumps({**whole, member: value}).encode()


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in damaged()])
def test_a_damaged_one_is_an_engine_error_that_names_it(tmp_path, content):
    (tmp_path / "m.engine.json").write_bytes(content)
    with pytest.raises(EngineError, match=r"m\.engine\.json is damaged") as caught:
        Sidecar.read(tmp_path / "m.engine")
    assert "hint: build the engine again" in str(caught.value)


@pytest.mark.parametrize("content", ['{"format": 2}', "{}", "[]", "null"])
def test_an_unknown_format_is_an_engine_error(tmp_path, content):
    (tmp_path / "m.engine.json").write_text(content)
    with pytest.raises(EngineError, match="unknown format") as caught:
        Sidecar.read(tmp_path / "m.engine")
    assert "hint: a newer tf2trt wrote it" in str(caught.value)


def test_it_cannot_be_written_into_a_missing_folder(tmp_path):
    with pytest.raises(OutputError):
        make().write(tmp_path / "missing" / "m.engine")


def test_a_plan_cut_short_is_seen_by_its_size():
    check_size("m.engine", len(PLAN), make())
    check_size("m.engine", 1, None)
    with pytest.raises(EngineError, match=r"m\.engine is truncated"):
        check_size("m.engine", len(PLAN) - 1, make())
    with pytest.raises(EngineError, match="not the plan that was built"):
        check_size("m.engine", len(PLAN) + 1, make())


def test_an_edited_plan_is_seen_by_its_hash():
    check_hash("m.engine", PLAN, make())
    check_hash("m.engine", b"", None)
    with pytest.raises(EngineError, match="is damaged"):
        check_hash("m.engine", PLAN[:-1] + b"!", make())


@pytest.mark.parametrize(
    ("header", "sidecar", "loaded"),
    [
        ((8, 6, 0, 12), make(), library()),
        ((8, 6, 0, 12), None, library()),
        ((8, 5, 3, 1), None, library()),  # may be version-compatible: TensorRT decides
        ((8, 5, 3, 1), make(version_compatible=True), library()),
        ((10, 3, 0, 1), make(version_compatible=True), library("10.16.1", "lean")),
        ((10, 3, 0, 1), None, library("10.16.1", "lean")),
        ((1, 7, 1, 0), make(kind="rtx"), library("1.7.1", "rtx")),
    ],
)
def test_versions_that_fit(header, sidecar, loaded):
    check_version("m.engine", header, sidecar, loaded)


@pytest.mark.parametrize(
    ("header", "sidecar", "loaded", "words"),
    [
        ((8, 5, 3, 1), make(), library(), "TensorRT 8.5.3 that is not version-compatible"),
        ((10, 3, 0, 1), None, library(), "TensorRT 10.3.0"),
        ((10, 3, 0, 1), make(version_compatible=True), library("11.4.0", "lean"), "TensorRT 10.3.0"),
        ((10, 16, 1, 1), make(), library("10.16.1", "lean"), "build it with --version-compatible"),
        ((1, 7, 1, 0), make(kind="rtx"), library(), "TensorRT-RTX 1.7.1"),
        ((1, 7, 0, 0), make(kind="rtx"), library("1.7.1", "rtx"), "TensorRT-RTX 1.7.0"),
    ],
)
def test_versions_that_do_not_fit(header, sidecar, loaded, words):
    with pytest.raises(EngineVersionError) as caught:
        check_version("m.engine", header, sidecar, loaded)
    assert words in str(caught.value)
    assert loaded.version_text in str(caught.value)
    assert "hint:" in str(caught.value)


def test_another_gpu():
    check_device("m.engine", make(), "NVIDIA H200", (9, 0))
    check_device("m.engine", make(), "NVIDIA H100", (9, 0))
    check_device("m.engine", make(device_name=None, compute_capability=None), "NVIDIA H200", (9, 0))
    check_device("m.engine", None, "NVIDIA H200", (9, 0))
    with pytest.raises(EngineDeviceError) as caught:
        check_device("m.engine", make(), "Orin", (8, 7))
    assert "received: NVIDIA H200 (compute capability 9.0)" in str(caught.value)
    assert "expected: Orin (compute capability 8.7)" in str(caught.value)
