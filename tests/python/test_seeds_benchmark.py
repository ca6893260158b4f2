"""benchmarks/seeds.py without a GPU and without TensorFlow: what makes models, builds and measures is stood in for."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt.bench.results import BenchResult, Row, SubjectFacts
from tf2trt.errors import BuildError, DeviceError, UsageError
from tf2trt.specs import TensorSpec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def seeds(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("seeds", "seeds_published", "seeds_models", "seeds_ssd"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("seeds")


def row(subject, batch, regime, milliseconds, void=()):
    quantiles = (milliseconds,) * 101
    p50, spread = milliseconds, 0.01 * milliseconds
    return Row(
        subject=subject,
        batch=batch,
        regime=regime,
        calls=100,
        p50_ms=p50,
        p90_ms=p50,
        p99_ms=p50,
        mean_ms=p50,
        throughput=1e3 * batch / p50,
        turns_p50_ms=(p50,),
        interval_ms=(p50, p50),
        spread_ms=spread,
        quantiles_ms=quantiles,
        void=void,
    )


@pytest.fixture
def machine(seeds, monkeypatch):
    """A machine whose times are 1 ms a sample, 0.5 ms on the GPU; everything that it is asked to make is there."""
    state = SimpleNamespace(made=[], built=[], asked=[], answers={}, errors={}, void=(), build_error=None, gpu="H200")

    def run(command, **options):
        what, name, folder, *more = command[2:]
        status, said = state.answers.get(what, (0, ""))
        state.made.append((what, name, *more))
        if status == 0:
            ends = {"saved": ".saved", "onnx": ".onnx", "int8": ".int8.onnx", "convert": "." + ".".join(more)}
            path = Path(folder) / f"{name}{ends[what]}"
            path.mkdir() if what in ("saved", "convert") else path.touch()
        return SimpleNamespace(returncode=status, stderr=f"chatter\n{said}\n" if said else "")

    def build_for(onnx, engine, options):
        if state.build_error:
            raise state.build_error
        state.built.append((Path(onnx).name, options))
        engine.write_bytes(b"plan")

    def run_bench(options):
        state.asked.append(options)
        names = [Path(path).name for path in options.subjects]
        facts = [
            SubjectFacts(name, "engine", path, "fp32", error=state.errors.get(name))
            for name, path in zip(names, options.subjects)
        ]
        rows = []
        for name in names:
            for batch in options.batches:
                rows.append(row(name, batch, "serial", 1.0 * batch, state.void))
                if name.endswith(".engine"):
                    rows.append(row(name, batch, "gpu", 0.5 * batch))
        return BenchResult("0", "now", options.command, "tf2trt", {}, tuple(facts), tuple(rows))

    def device():
        if not state.gpu:
            raise DeviceError("no usable GPU", expected="an NVIDIA GPU")
        return SimpleNamespace(name=state.gpu)

    monkeypatch.setattr(seeds.subprocess, "run", run)
    monkeypatch.setattr(seeds, "build_for", build_for)
    monkeypatch.setattr(seeds, "run_bench", run_bench)
    monkeypatch.setattr(seeds, "read_onnx_inputs", lambda path: [TensorSpec("image", "float32", (-1, 3, 224, 224))])
    monkeypatch.setattr(seeds._native, "device", device)
    return state


def lines_of(out):
    return [line.split() for line in out.splitlines()]


def test_every_table_by_one_command(seeds, machine, tmp_path, capsys):
    assert seeds.main([str(tmp_path), "--json", str(tmp_path / "all.json")]) == 0
    out = capsys.readouterr().out
    written = json.loads((tmp_path / "all.json").read_text())
    assert list(written["tables"]) == list(seeds.TABLES)
    rows = [each for table in written["tables"].values() for each in table["rows"]]
    assert len(rows) == sum(len(table.rows) for table in seeds.TABLES.values())
    assert all(each["serial"]["p50_ms"] == each["batch"] for each in rows)
    assert all(("gpu" in each) == (each["way"] == "engine") for each in rows)
    assert f"{len(rows)} rows, {len(rows)} measured, 0 cannot run here" in out
    # Published figures beside the measured ones, with board and source.
    assert ["TF-TRT", "fp16", "1", "37", "samples/s", "Jetson", "Nano", "1.000", "1000.0"] in lines_of(out)
    assert ["engine", "fp16", "1", "6", "ms", "Jetson", "Xavier", "1.000", "1000.0", "0.500"] in lines_of(out)
    assert "90.2 samples/s; 712 samples/s" in out
    assert "72.9 ms" in out
    assert "126,000 and 244,000 samples/s" in out
    assert "Jetson TX2: NVIDIA's tf_trt_models" in out
    # Every model is made once, and each engine once for all batches of its table, INT8 from the file with scales.
    assert len(machine.made) == len(set(machine.made))
    assert ("convert", "mnist", "tf-trt", "int8+fp16", "512") in machine.made
    googlenet = {options.precision: name for name, options in machine.built if "googlenet" in name}
    assert googlenet == {
        "fp32": "torch-googlenet.onnx",
        "fp16": "torch-googlenet.onnx",
        "int8+fp16": "torch-googlenet.int8.onnx",
    }
    limits = machine.built[-1][1].profiles[0]["image"]
    assert (limits.min[0], limits.opt[0], limits.max[0]) == (1, 512, 512)
    assert {options.backends for options in machine.asked} == {("native",)}
    assert {options.precisions for options in machine.asked} == {("fp32",)}  # TensorFlow without TF32


def test_a_run_that_was_stopped_goes_on(seeds, machine, tmp_path, capsys):
    assert seeds.main([str(tmp_path), "--only", "box3d"]) == 0
    first = capsys.readouterr().out
    counts = len(machine.made), len(machine.built), len(machine.asked)
    assert seeds.main([str(tmp_path), "--only", "box3d"]) == 0
    assert capsys.readouterr().out == first
    assert (len(machine.made), len(machine.built), len(machine.asked)) == counts
    machine.gpu = "another"  # rows are of one GPU
    assert seeds.main([str(tmp_path), "--only", "box3d"]) == 0
    assert len(machine.asked) == counts[2] + 1
    assert len(machine.built) == counts[1]


def test_without_a_gpu_tensorflow_alone_is_measured(seeds, machine, tmp_path, capsys):
    machine.gpu = None
    assert seeds.main([str(tmp_path), "--only", "resnet50", "--only", "torch-resnet18"]) == 0
    out = capsys.readouterr().out
    assert "measured on the CPU alone" in out
    assert machine.made == [("saved", "resnet50")]
    assert ["TensorFlow", "fp32", "1", "1.000", "1000.0"] in lines_of(out)
    assert ["engine", "fp16", "1", "(1)"] in lines_of(out)
    assert out.count("(1) cannot run here: no usable GPU expected: an NVIDIA GPU") == 2  # once under each table
    assert "16 rows, 1 measured, 15 cannot run here" in out
    assert not (tmp_path / "resnet50.rows.json").exists()  # another run asks again


def test_what_this_machine_lacks_is_listed(seeds, machine, tmp_path, capsys):
    machine.answers = {"convert": (3, "this TensorFlow has no TF-TRT"), "onnx": (3, "no torchvision")}
    assert seeds.main([str(tmp_path), "--only", "ssd", "--only", "torch-resnet18"]) == 0
    out = capsys.readouterr().out
    assert "(1) cannot run here: this TensorFlow has no TF-TRT" in out
    assert "(1) cannot run here: no torchvision" in out
    assert "15 rows, 1 measured, 14 cannot run here" in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": {"saved": (1, "ExportError: why")}}, "mnist: TensorFlow fp32: ExportError: why"),
        ({"answers": {"saved": (-9, "")}}, "mnist: TensorFlow fp32: exit status -9"),
        ({"build_error": BuildError("TensorRT refused", hint="more memory")}, "mnist: engine fp16: TensorRT refused"),
        ({"void": ("fallback: TRTEngineOp_000",)}, "mnist: TF-TRT fp16: fallback: TRTEngineOp_000"),
        ({"errors": {"mnist.saved": "the worker was ended"}}, "mnist: TensorFlow fp32: the worker was ended"),
    ],
)
def test_what_fails_is_said_and_told_by_the_exit_status(seeds, machine, tmp_path, capsys, change, said):
    vars(machine).update(change)
    assert seeds.main([str(tmp_path), "--only", "mnist"]) == 1
    assert f"failed: {said}" in capsys.readouterr().out
    assert not (tmp_path / "mnist.rows.json").exists()


def test_a_type_that_the_gpu_lacks_is_no_failure(seeds, machine, tmp_path, capsys):
    machine.build_error = UsageError("precision", received="int8", expected="a GPU that has it")
    assert seeds.main([str(tmp_path), "--only", "torch-resnet50"]) == 0
    assert "12 rows, 0 measured, 12 cannot run here" in capsys.readouterr().out


def test_a_measurement_that_fails_as_a_whole(seeds, machine, monkeypatch, tmp_path, capsys):
    def run_bench(options):
        raise DeviceError("the GPU fell off")

    monkeypatch.setattr(seeds, "run_bench", run_bench)
    assert seeds.main([str(tmp_path), "--only", "box3d"]) == 1
    assert "failed: box3d: engine fp16: the GPU fell off" in capsys.readouterr().out


def test_wrong_usage(seeds, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        seeds.main([str(tmp_path), "--only", "alexnet"])
    assert caught.value.code == 2
    assert "densenet121" in capsys.readouterr().err


def test_every_network_is_known_and_no_figure_is_without_its_board(seeds):
    models = importlib.import_module("seeds_models")
    for table in seeds.TABLES.values():
        assert table.network in models.NETWORKS
        assert any(wanted.published for wanted in table.rows) or table.remark or table.network == "torch-googlenet"
        for wanted in table.rows:
            assert all(
                figure.board and figure.source and figure.unit in ("ms", "samples/s") for figure in wanted.published
            )


def test_the_models_own_program(seeds, tmp_path, capsys, monkeypatch):
    models = importlib.import_module("seeds_models")
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    assert models.main(["onnx", "torch-resnet18", str(tmp_path)]) == models.CANNOT == seeds.CANNOT
    assert capsys.readouterr().err.splitlines()[-1].startswith("the Python package 'torchvision' is not installed")
    assert models.main(["onnx", "alexnet", str(tmp_path)]) == 2
    assert models.images("mnist", 3).shape == (3, 28, 28, 1)


def test_ssds_anchors(seeds):
    ssd = importlib.import_module("seeds_ssd")
    anchors = ssd.anchors()
    assert anchors.shape == (1917, 4)  # as TensorFlow's ssd_mobilenet_v1_coco has them
    assert anchors.shape[0] == sum(count * side**2 for side, count in ssd.MAPS)
    assert ((anchors[:, :2] > 0) & (anchors[:, :2] < 1)).all()
    areas = np.sort(np.unique((anchors[:, 2] * anchors[:, 3]).round(4)))
    assert areas[0] == pytest.approx(0.01, abs=1e-3)
    assert areas[-1] == pytest.approx(0.95, abs=1e-3)  # sides between the last scale, 0.95, and 1
