"""benchmarks/precision.py up to the GPU: engine and clock are stood in for."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt.bench import Latency
from tf2trt.errors import BuildError, UsageError
from tf2trt.precisions import LayerPrecision, PrecisionProof

pytest.importorskip("onnx")
from quantised_graphs import network

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TIMES = {"fp32": 4.0, "tf32": 2.0, "fp16": 1.0, "int8": 0.5, "int8+fp16": 0.5}


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "precision", raising=False)
    return importlib.import_module("precision")


@pytest.fixture
def files(tmp_path):
    """A network under ResNet-50's name, with a dynamic batch, and answers of 2 for each of 5 outputs."""
    import onnx

    folder = tmp_path / "models"
    folder.mkdir()
    for name, quantise in (("resnet50.onnx", False), ("resnet50.int8.onnx", True)):
        model = onnx.load(str(network(folder / name, quantise=quantise)))
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
        onnx.save(model, str(folder / name))
    np.savez(folder / "resnet50.npz", **{"x": np.ones((4, 3, 8, 8), np.float32), "out/y": np.full((4, 5), 2.0)})
    return folder


@pytest.fixture
def gpu(benchmark, monkeypatch):
    """What engines do: answer 2 plus an error, take the time of their precision."""
    state = SimpleNamespace(error=1e-6, share=1.0, built=[], times=dict(TIMES))

    def build_for(onnx, engine, options):
        if options.precision == "bf16":
            raise UsageError("TensorRT 8.6.0 has no BF16")
        state.built.append((Path(onnx).name, options))
        engine.write_bytes(b"plan")
        return SimpleNamespace(engine=engine)

    class Engine:
        inputs, outputs = [SimpleNamespace(name="x")], [SimpleNamespace(name="y")]

        def __init__(self, path):
            self.precision = path.name.split(".")[1]
            layers = (LayerPrecision("conv", "CaskConvolution", "float16", True, True, 0.5),)
            proof = PrecisionProof("engine", state.share, None, layers)
            self.sidecar = SimpleNamespace(proof=proof, device_name="GPU", tensorrt="8.6.0")

        load = classmethod(lambda cls, path: cls(path))

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def __call__(self, samples):
            return np.full((len(samples), 5), 2.0 * (1 + state.error))

    def measure_gpu(engine, inputs, **counts):
        (x,) = inputs.values()
        return Latency.from_samples([state.times[engine.precision] * len(x)])

    monkeypatch.setattr(benchmark, "build_for", build_for)
    monkeypatch.setattr(benchmark, "Engine", Engine)
    monkeypatch.setattr(benchmark, "measure_gpu", measure_gpu)
    monkeypatch.setattr(benchmark._native, "device", lambda: SimpleNamespace(name="GPU"))
    monkeypatch.setattr(benchmark.libraries, "find", lambda need_builder: SimpleNamespace(version_text="8.6.0"))
    return state


def test_one_table_by_one_command(benchmark, gpu, files, tmp_path, capsys):
    arguments = [str(files), "--only", "resnet50", "--engines", str(tmp_path / "engines")]
    assert benchmark.main([*arguments, "--json", str(tmp_path / "rows.json")]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[1]: line for line in out.splitlines() if line.startswith("resnet50")}
    assert lines["fp16"].split() == ["resnet50", "fp16", "100%", "?", "1.0e-06", "1.000", "32.000"]
    assert lines["bf16"].split(maxsplit=2)[2] == "TensorRT 8.6.0 has no BF16"
    assert "FP16 is 2.00 times as fast as TF32" in out
    assert [(name, options.precision) for name, options in gpu.built] == [
        ("resnet50.onnx", "fp32"),
        ("resnet50.onnx", "tf32"),
        ("resnet50.onnx", "fp16"),
        ("resnet50.int8.onnx", "int8"),
        ("resnet50.int8.onnx", "int8+fp16"),
    ]
    profile = gpu.built[0][1].profiles[0]["x"]
    assert (profile.min, profile.opt, profile.max) == ((1, 3, 8, 8), (32, 3, 8, 8), (32, 3, 8, 8))
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["precision"] for row in rows] == list(benchmark.PRECISIONS)
    # A second run takes what is there, and times it anew.
    gpu.built.clear()
    gpu.times["fp16"] = 0.5
    assert benchmark.main(arguments) == 0
    assert gpu.built == []
    assert "FP16 is 4.00 times as fast as TF32" in capsys.readouterr().out


def test_engines_are_built_before_one_is_timed(benchmark, gpu, files, tmp_path, monkeypatch, capsys):
    """Runs that build beside each other would disturb each other's times."""
    arguments = [str(files), "--only", "resnet50", "--engines", str(tmp_path / "engines")]
    order = []
    build_for, measure_gpu = benchmark.build_for, benchmark.measure_gpu
    monkeypatch.setattr(benchmark, "build_for", lambda *given: order.append("build") or build_for(*given))
    monkeypatch.setattr(benchmark, "measure_gpu", lambda *given, **n: order.append("time") or measure_gpu(*given, **n))
    assert benchmark.main([*arguments, "--build"]) == 0
    assert set(order) == {"build"}
    assert benchmark.main([*arguments[:3]]) == 0
    assert order == sorted(order)
    with pytest.raises(SystemExit):
        benchmark.main([*arguments[:3], "--build"])
    # TF32 and FP16 take turns.
    turns = []
    monkeypatch.setattr(
        benchmark,
        "measure_gpu",
        lambda engine, *given, **n: turns.append(engine.precision) or measure_gpu(engine, *given),
    )
    capsys.readouterr()
    assert benchmark.main(arguments) == 0
    assert turns[-2 * benchmark.TURNS :] == ["tf32", "fp16"] * benchmark.TURNS


def test_bounds_that_are_missed(benchmark, gpu, files, capsys):
    arguments = [str(files), "--only", "resnet50", "--precision", "fp16", "--precision", "tf32"]
    gpu.error, gpu.share = 1e-2, 0.25
    gpu.times["fp16"] = 1.9
    assert benchmark.main(arguments) == 1
    out = capsys.readouterr().out
    assert "missed: resnet50 fp16: fewer than 50% of the heavy layers: a build would refuse it" in out
    assert "missed: ResNet-50 in FP16 is 1.05 times as fast as in TF32, not 1.2" in out
    gpu.error = 2.5e-2
    assert benchmark.main(arguments) == 1
    assert "missed: resnet50 tf32: relative error past 0.002" in capsys.readouterr().out
    gpu.error = float("nan")
    report = files / "rows.json"
    assert benchmark.main([*arguments[:3], "--precision", "int8", "--json", str(report)]) == 1
    assert "missed: resnet50 int8: NaN or infinity" in capsys.readouterr().out
    (row,) = json.loads(report.read_text(), parse_constant=pytest.fail)["rows"]
    assert row["error"] == "nan"


def test_a_build_that_fails_is_a_row(benchmark, gpu, files, monkeypatch, capsys):
    def build_for(onnx, engine, options):
        raise BuildError("TensorRT refused", hint="more memory")

    monkeypatch.setattr(benchmark, "build_for", build_for)
    assert benchmark.main([str(files), "--only", "resnet50", "--precision", "fp16"]) == 1
    assert "resnet50  fp16" in capsys.readouterr().out


@pytest.mark.parametrize("error", [UsageError("the network has no scales"), RuntimeError("odd node")])
def test_only_bf16_may_be_missing(benchmark, gpu, files, monkeypatch, capsys, error):
    build_for = benchmark.build_for

    def fails(onnx, engine, options):
        if "int8" in options.precision:
            raise error
        return build_for(onnx, engine, options)

    monkeypatch.setattr(benchmark, "build_for", fails)
    assert benchmark.main([str(files), "--only", "resnet50"]) == 1
    out = capsys.readouterr().out
    assert f"missed: resnet50 int8: {'' if isinstance(error, UsageError) else 'RuntimeError: '}{error}" in out
    assert "FP16 is 2.00 times as fast" in out


def test_files_that_are_not_there(benchmark, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark.main([str(tmp_path)])
    assert caught.value.code == 2
    assert "--make" in capsys.readouterr().err
