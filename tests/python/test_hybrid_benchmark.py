"""benchmarks/hybrid.py up to the GPU: processes, clocks and engines are stood in for, and the models run on the CPU."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tf2trt.errors import DeviceError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = (
    "hybrid",
    "hybrid_plan",
    "hybrid_networks",
    "hybrid_convert",
    "hybrid_worker",
    "hybrid_turns",
    "hybrid_report",
)


@pytest.fixture
def parts():
    """The benchmark's modules by name, without ``hybrid_``."""
    # Not monkeypatch's: it would also take back what packages, imported meanwhile, add to the path.
    sys.path.insert(0, str(BENCHMARKS))
    found = {name.replace("hybrid_", ""): importlib.import_module(name) for name in MODULES}
    yield SimpleNamespace(**found)
    sys.path.remove(str(BENCHMARKS))
    for name in MODULES:
        sys.modules.pop(name, None)


def outcome(parts, folder, network, subject, **values):
    backend, precision = subject.split(" ")
    path = parts.plan.Places(folder).outcome(parts.plan.Job(network, backend, precision))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"subject": subject, "seconds": 1.0, **values}))


WORKER = """
import json, sys
name, times = sys.argv[1], json.loads(sys.argv[2])
print(json.dumps({"outputs": ["y"]}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "error":
        found = {"error": times["error"], "output": "y"}
    elif command["do"] == "turn":
        found = {"ms": [times[command["mode"]]] * command["calls"], "fell_back": times["fell_back"]}
        if times["ends"]:
            sys.exit(3)
    elif command["do"] == "memory":
        found = {"resident": 2**20, "peak": 2**21}
    else:
        found = {"stages": {"wait": [0.01], "operator": [0.03], "empty model": [0.1], "model": [0.6]}}
    print(json.dumps(found), flush=True)
"""
TIMES = {"gpu": 1.0, "host": 2.0, "queued": 0.5, "error": 1e-4, "fell_back": 0, "ends": False}


@pytest.fixture
def bench(parts, monkeypatch, tmp_path):
    """A folder in which all of ResNet-50 was converted, and workers that answer at once with ``times[subject]``."""
    places = parts.plan.Places(tmp_path)
    times = {name: dict(TIMES) for name in ("native", "tf2trt FP16", "tf-trt FP16", "tf2trt FP32", "tf-trt FP32")}
    times.update({"engine FP16": {**TIMES, "gpu": 0.95}, "engine FP32": {**TIMES, "gpu": 0.95}})
    whole = {"coverage": 1.0, "engines": ["a.engine"], "seconds": 81.0}
    for subject in ("tf2trt FP16", "tf-trt FP16", "tf2trt FP32", "tf-trt FP32"):
        outcome(parts, tmp_path, "resnet50", subject, **whole)
    places.samples("resnet50").write_bytes(b"")
    monkeypatch.setattr(parts.turns, "TURN_SECONDS", 0.02)
    monkeypatch.setattr(
        parts.hybrid,
        "worker_command",
        lambda python, folder, network: lambda name: [python, "-c", WORKER, name, json.dumps(times[name])],
    )
    monkeypatch.setattr(parts.hybrid._native, "device", lambda: SimpleNamespace(name="GPU"))
    monkeypatch.setattr(parts.hybrid.libraries, "find", lambda need_builder: SimpleNamespace(version_text="8.6.0"))
    return SimpleNamespace(times=times, folder=tmp_path, arguments=["measure", str(tmp_path), "--only", "resnet50"])


def test_tables_bounds_and_stages_of_one_run(parts, bench, capsys):
    assert parts.hybrid.main([*bench.arguments, "--json", str(bench.folder / "r.json")]) == 0
    out, progress = capsys.readouterr()
    assert "resnet50: batch 32 measured" in progress
    lines = [line.split() for line in out.splitlines()]
    # p50 with its spread and p99, from inputs on the GPU and host to host, then samples a second
    row = "tf2trt FP16 32 1.000 (1.000..1.000) 1.000 2.000 (2.000..2.000) 2.000 64,000"
    assert row.split() in lines
    assert ["native", "1", "1.000", "(1.000..1.000)", "1.000", "2.000", "(2.000..2.000)", "2.000", "2,000"] in lines
    assert not [line for line in lines if line[:3] == ["tf2trt", "FP32", "32"]]  # FP32 is measured at batch 1 only
    assert ["tf2trt", "FP16", "100.0%", "1.0e-04", "y", "81", "1", "2"] in lines
    assert "the engine alone, in tf2trt's runtime" in out
    assert ["the", "whole", "call", "600", "us"] in lines
    result = json.loads((bench.folder / "r.json").read_text())
    names = [bound["name"] for bound in result["bounds"]]
    assert "resnet50 FP16 batch 32, inputs on the GPU: tf2trt / tf-trt" in names
    assert "resnet50 FP16 batch 32, inputs on the GPU: tf2trt / pure engine" in names
    assert all(bound["held"] for bound in result["bounds"])
    (network,) = result["networks"]
    assert {len(row["turns"]) for row in network["rows"]} == {parts.turns.ROUNDS}


@pytest.mark.parametrize(
    ("subject", "change", "missed"),
    [
        ("tf2trt FP16", {"gpu": 1.04}, "resnet50 FP16 batch 1, inputs on the GPU: tf2trt / tf-trt: 1.040"),
        ("tf2trt FP32", {"host": 2.1}, "resnet50 FP32 batch 1, host to host: tf2trt / tf-trt: 1.050"),
        ("engine FP16", {"gpu": 0.9}, "inputs on the GPU: tf2trt / pure engine: 1.111 (1.111..1.111 over 5 rounds"),
        ("tf2trt FP32", {"error": 1.5e-3}, "resnet50: tf2trt FP32, relative error: 1.5e-03 of 'y' (under 0.001)"),
        ("engine FP16", {"error": float("nan")}, "resnet50: engine FP16, relative error: nan"),
        ("tf2trt FP16", {"fell_back": 2}, "resnet50: tf2trt FP16, native calls and builds while timed: batch 1 gpu 10"),
        ("tf-trt FP16", {"ends": True}, "resnet50: tf-trt FP16 runs: the process ended with exit status 3"),
    ],
)
def test_each_bound_that_is_missed_is_named(subject, change, missed, parts, bench, capsys):
    bench.times[subject].update(change)
    assert parts.hybrid.main([*bench.arguments, "--precision", subject[-4:]]) == 1
    assert missed in capsys.readouterr().err


def test_a_tensorflow_without_tf_trt_is_measured_without_it(parts, bench, capsys):
    for subject in ("tf-trt FP16", "tf-trt FP32"):
        outcome(parts, bench.folder, "resnet50", subject, skipped="this TensorFlow has no TF-TRT")
    assert parts.hybrid.main(bench.arguments) == 0
    out = capsys.readouterr().out
    assert out.count("this TensorFlow has no TF-TRT") == 2
    assert "/ tf-trt" not in out
    outcome(parts, bench.folder, "resnet50", "tf2trt FP16", failed="TensorRT refused")
    assert parts.hybrid.main(bench.arguments) == 1
    err = capsys.readouterr().err
    assert "resnet50: tf2trt FP16 runs: TensorRT refused" in err
    assert "pure engine: not both measured" in err


def test_what_was_measured_is_not_measured_again_and_time_runs_out(parts, bench, monkeypatch, capsys):
    for network in ("lstm", "text"):
        parts.plan.Places(bench.folder).samples(network).parent.mkdir()
        parts.plan.Places(bench.folder).samples(network).write_bytes(b"")
    monkeypatch.setattr(parts.hybrid, "NETWORKS", {name: parts.plan.NETWORKS[name] for name in ("resnet50", "lstm")})
    monkeypatch.setattr(parts.hybrid, "MEASURE_MINUTES", 5.0)
    assert parts.hybrid.main([*bench.arguments, "--minutes", "6"]) == 0
    assert parts.hybrid.main(["measure", str(bench.folder), "--minutes", "4"]) == 1
    out = capsys.readouterr().out
    assert "left: lstm: no time" in out
    assert out.count("resnet50: ResNet-50, 224x224") == 2


def test_nothing_is_measured_without_a_gpu(parts, bench, monkeypatch, capsys):
    def device():
        raise DeviceError("no usable GPU")

    monkeypatch.setattr(parts.hybrid._native, "device", device)
    assert parts.hybrid.main(bench.arguments) == 1
    assert "nothing was measured: no usable GPU" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        parts.hybrid.main(["measure", str(bench.folder), "--only", "text"])
    assert caught.value.code == 2


def test_conversions_go_on_where_they_were_and_behind_one_that_ended_the_process(parts, monkeypatch, tmp_path, capsys):
    places, begun, ending = parts.plan.Places(tmp_path), [], {"text"}

    def run(script, arguments, places, name, environment):
        if script == "hybrid_networks.py":
            assert environment["CUDA_VISIBLE_DEVICES"] == ""
            for network in arguments[1:]:
                places.samples(network).parent.mkdir(parents=True)
                places.samples(network).write_bytes(b"")
            return arguments[1:], ""
        _, backend, precision, _, *networks = arguments
        done = []
        for network in networks:
            done.append(network)
            begun.append((network, backend, precision))
            if backend == "tf-trt" and network in ending:
                return done, "Segmentation fault"
            outcome(parts, tmp_path, network, f"{backend} {precision}", coverage=1.0)
        return done, ""

    monkeypatch.setattr(parts.hybrid, "run", run)
    names = ["--only", "lstm", "--only", "text", "--only", "dynamic", "--precision", "FP16"]
    assert parts.hybrid.main(["convert", str(tmp_path), *names]) == 1
    out = capsys.readouterr().out
    assert "left: text tf-trt FP16: the process ended: Segmentation fault" in out
    assert "5 of 6 conversions done" in out
    assert [backend for _, backend, _ in begun] == ["tf2trt"] * 3 + ["tf-trt"] * 3
    begun.clear()
    ending.clear()
    assert parts.hybrid.main(["convert", str(tmp_path), *names]) == 0
    assert begun == [("text", "tf-trt", "FP16")]
    assert places.outcome(parts.plan.Job("lstm", "tf2trt", "FP16")).is_file()


def test_a_model_is_made_converted_and_run_by_a_worker(parts, tmp_path):
    """The whole way of one model, on the CPU, where each call of a segment falls back and is counted."""
    parts.networks.make("text", tmp_path)
    job = parts.plan.Job("text", "tf2trt", "FP16")
    made = parts.convert.convert_one(job, tmp_path)
    assert "failed" not in made, made
    assert len(made["engines"]) == 2
    assert any("string" in reason for reason in made["native"])
    assert "no TF-TRT" in parts.convert.convert_one(parts.plan.Job("text", "tf-trt", "FP16"), tmp_path)["skipped"]
    subjects = parts.turns.subjects_of("text", ["FP16"], parts.plan.Places(tmp_path))
    assert subjects["engine FP16"] == "the model is not one engine"
    assert "no TF-TRT" in subjects["tf-trt FP16"]
    for name, fallen in (("native", 0), ("tf2trt FP16", 2)):
        subject = parts.worker.open_subject(tmp_path, "text", name)
        for mode in parts.turns.MODES:
            found = parts.worker.answer(subject, {"do": "turn", "batch": 32, "mode": mode, "calls": 3})
            assert len(found["ms"]) == (1 if mode == "queued" else 3)
            assert found["fell_back"] == fallen * 3
        assert parts.worker.answer(subject, {"do": "error", "batch": 32})["error"] < 1e-5
    stages = parts.worker.answer(subject, {"do": "stages", "batch": 1, "calls": 10})["stages"]
    assert {len(samples) for samples in stages.values()} == {10}


def engine_by_itself(benchmarks, folder):
    """Runs in a process with the fake driver."""
    import json
    import sys
    from pathlib import Path

    import numpy as np
    from fake_gpu import FakeCuda, plan

    from tf2trt import _native

    sys.path.insert(0, benchmarks)
    import hybrid_worker
    from hybrid_plan import Job, Places

    places = Places(Path(folder))
    job = Job("dynamic", "tf2trt", "FP16")
    assets = places.converted(job) / "assets"
    assets.mkdir(parents=True)
    (assets / "a.engine").write_bytes(plan("double shared", _native.find_library().version))
    places.outcome(job).write_text(json.dumps({"engines": ["a.engine"]}))
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.savez(places.samples("dynamic"), **{"in/3/x": x, "out/3/y": 2 * x})
    subject = hybrid_worker.open_subject(Path(folder), "dynamic", "engine FP16")
    assert hybrid_worker.answer(subject, {"do": "error", "batch": 3}) == {"error": 0.0, "output": "y"}
    cuda = FakeCuda()
    for mode, copies in (("gpu", 0), ("queued", 0), ("host", 2)):
        hybrid_worker.answer(subject, {"do": "turn", "batch": 3, "mode": mode, "calls": 1})
        before = cuda["h2d_copies"] + cuda["d2h_copies"]
        found = hybrid_worker.answer(subject, {"do": "turn", "batch": 3, "mode": mode, "calls": 10})
        assert len(found.get("ms", ())) == (1 if mode == "queued" else 10), found
        assert cuda["h2d_copies"] + cuda["d2h_copies"] - before == copies * (10 + hybrid_worker.WARM_CALLS), mode


def test_the_engine_by_itself_reads_its_input_on_the_gpu(fake_gpu, tmp_path):
    fake_gpu.run(engine_by_itself, str(BENCHMARKS), str(tmp_path))
