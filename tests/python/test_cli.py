"""The command line: exit status, messages, and what goes to standard output."""

import json
import subprocess
import sys

import click
import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.cli import app, doctor
from tf2trt.cli.output import format_bytes, short_path
from tf2trt.cli.run import by_name, file_name
from tf2trt.sidecar import Sidecar, sidecar_path
from tf2trt.specs import TensorSpec

SHAPES = ("--min-shapes", "x:1x4", "--opt-shapes", "x:8x4", "--max-shapes", "x:16x4")


@pytest.fixture
def search_again():
    """For tests that change where TensorRT is looked for."""
    libraries.find.cache_clear()
    yield
    libraries.find.cache_clear()


@pytest.fixture(scope="module")
def engine(small_onnx, tmp_path_factory):
    from tf2trt.cli import main

    path = tmp_path_factory.mktemp("engine") / "small.engine"
    assert main(["build", str(small_onnx), "-o", str(path), *SHAPES]) == 0
    return path


def refused(result, status, *words):
    """The command failed as it should: a message, no traceback, nothing on standard output."""
    assert result.status == status, result.err
    assert result.out == ""
    assert "Traceback" not in result.err
    assert "Error: " in result.err
    for word in words:
        assert word in result.err
    return True


def test_help_names_every_command_and_imports_none(cli):
    code = (
        "import sys; from tf2trt.cli import main; main(['--help']);"
        "print([name for name in sys.modules if name.startswith('tf2trt.cli.') and name != 'tf2trt.cli.app'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in result.stdout for name in app.COMMANDS)


@pytest.mark.parametrize("name", list(app.COMMANDS))
def test_every_command_has_help(cli, name):
    result = cli(name, "--help")
    assert result.status == 0
    assert result.out.startswith(f"Usage: tf2trt {name} ")


def test_version(cli):
    import tf2trt

    assert cli("--version").out == f"tf2trt {tf2trt.__version__}\n"


def test_python_dash_m():
    result = subprocess.run([sys.executable, "-m", "tf2trt", "--version"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("tf2trt ")


@pytest.mark.parametrize("module", ["click", "rich"])
def test_without_the_extra_the_pip_command_is_named(module):
    code = f"import sys; sys.modules[{module!r}] = None; from tf2trt.cli import main; sys.exit(main(['doctor']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'tf2trt[cli]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_importing_the_package_brings_in_no_click():
    code = "import sys, tf2trt.cli; print({'click', 'rich', 'tensorflow', 'onnx'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["build"], ["build", "m.onnx"], ["doctor", "--nonsense"], ["run", "m.engine"]]
)
def test_wrong_usage_is_status_2(cli, arguments):
    assert refused(cli(*arguments), 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workspace", "much"], "1GiB"),
        (["--min-shapes", "x=1x4"], "NAME:D0xD1x"),
        (["--min-shapes", "x:4x4", "--max-shapes", "x:2x4"], "min <= opt <= max"),
        (["--optimization-level", "9"], "0 to 5"),
        (["--precision", "fp64"], "fp32"),
        (["--opt-shapes", "y:1x4"], "no input 'y'"),
        (["--opt-shapes", "x:1x5"], "not those of the model"),
        ([], "--min-shapes x:1x4"),
    ],
)
def test_a_wrong_option_of_the_builder_is_status_2(cli, small_onnx, tmp_path, options, words):
    assert refused(cli("build", small_onnx, "-o", tmp_path / "m.engine", *options), 2, words)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_status_130(cli, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "_system", interrupted)
    result = cli("doctor")
    assert result.status == 130
    assert "Traceback" not in result.err


def test_doctor_in_words(cli):
    result = cli("doctor")
    assert result.status == 0
    for word in ("This machine", "TensorRT", "Optional packages", "export", "build", "run"):
        assert word in result.out


def test_doctor_for_machines(cli):
    result = cli("doctor", "--json")
    report = json.loads(result.out)
    assert set(report) == {"system", "device", "libraries", "plugins", "extras", "can"}
    assert set(report["can"]) == {"export", "build", "run"}
    assert set(report["plugins"]) in ({"path"}, {"error"})
    usable = [entry for entry in report["libraries"] if not entry["reason"]]
    assert all(entry["version"].count(".") >= 2 and entry["kind"] in ("full", "lean", "rtx") for entry in usable)
    assert {"cli", "export", "verify", "trt", "rtx"} <= set(report["extras"])
    assert report["extras"]["cli"]["install"] is None


def test_doctor_does_not_fail_where_everything_is_missing(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("TF2TRT_NVINFER", str(tmp_path / "libnvinfer.so.8"))
    report = json.loads(cli("doctor", "--json").out)
    assert [bool(entry["reason"]) for entry in report["libraries"]] == [True]
    assert "pip install" in report["can"]["build"]


def test_no_tensorrt_at_all(cli, monkeypatch, small_onnx, tmp_path, search_again):
    monkeypatch.setenv("TF2TRT_NVINFER", str(tmp_path))
    assert refused(cli("build", small_onnx, "-o", tmp_path / "m.engine", *SHAPES), 1, "no TensorRT", "TF2TRT_NVINFER")


def test_a_tensorrt_of_a_version_without_tables(cli, monkeypatch, small_onnx, tmp_path, search_again):
    source, library = tmp_path / "fake.cpp", tmp_path / "libnvinfer.so.7"
    source.write_text(
        'extern "C" int getInferLibVersion() { return 7203; }\n'
        'extern "C" void* createInferRuntime_INTERNAL(void*, int) { return nullptr; }\n'
    )
    subprocess.run(["g++", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    monkeypatch.setenv("TF2TRT_NVINFER", str(library))
    assert refused(cli("build", small_onnx, "-o", tmp_path / "m.engine", *SHAPES), 1, "7.2.3")


def test_build_writes_the_engine_and_its_sidecar(engine):
    sidecar = Sidecar.read(engine)
    assert sidecar.plan_bytes == engine.stat().st_size
    assert sidecar.profiles[0]["x"].max == (16, 4)
    assert sidecar.onnx_file == "small.onnx"


def test_build_for_machines(cli, small_onnx, tmp_path):
    result = cli("build", small_onnx, "-o", tmp_path / "m.engine", "--opt-shapes", "x:8x4", "--json")
    report = json.loads(result.out)
    assert report["engine"] == str(tmp_path / "m.engine")
    assert report["sidecar"]["profiles"] == [{"x": {"min": [8, 4], "opt": [8, 4], "max": [8, 4]}}]


def test_build_takes_every_option(cli, small_onnx, tmp_path):
    options = ("--workspace", "64MiB", "--timing-cache", tmp_path / "cache", "--optimization-level", "2")
    result = cli("build", small_onnx, "-o", tmp_path / "m.engine", *SHAPES, *options)
    assert result.status == 0, result.err
    assert "x: float32 ?x4" in result.out


def test_fp16_is_in_the_layers_and_not_in_the_inputs(cli, small_onnx, tmp_path):
    result = cli("build", small_onnx, "-o", tmp_path / "m.engine", *SHAPES, "--precision", "fp16", "--json")
    sidecar = json.loads(result.out)["sidecar"]
    assert sidecar["precision"]["asked"] == "fp16"
    assert sidecar["precision"]["found"]["float16"] > 0
    assert sidecar["onnx"]["file"] == "small.onnx"
    assert {spec["dtype"] for spec in (*sidecar["inputs"], *sidecar["outputs"])} == {"float32"}


def test_onnx_missing_truncated_or_with_an_unknown_operator(cli, small_onnx, tmp_path):
    out = ("-o", tmp_path / "m.engine", *SHAPES)
    for precision in ("fp32", "fp16"):
        assert refused(cli("build", tmp_path / "no.onnx", *out, "--precision", precision), 1, "no.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(small_onnx.read_bytes()[:-20])
    assert refused(cli("build", cut, *out), 1, "cut.onnx")
    strange = tmp_path / "strange.onnx"
    strange.write_bytes(small_onnx.read_bytes().replace(b"MatMul", b"MetMul"))
    assert refused(cli("build", strange, *out), 1, "MetMul")
    assert not (tmp_path / "m.engine").exists()


@pytest.mark.parametrize("command", ["build", "export", "convert"])
def test_an_output_that_cannot_be_written(cli, small_onnx, tmp_path, command):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "none", tmp_path / "file"):
        assert refused(cli(command, small_onnx, "-o", folder / "m"), 1, "cannot write", str(folder))


def test_export_of_what_is_no_model(cli, tmp_path):
    assert refused(cli("export", tmp_path / "no.keras", "-o", tmp_path / "m.onnx"), 1, "no.keras")
    assert refused(cli("convert", tmp_path / "no.keras", "-o", tmp_path / "m.engine"), 1, "no.keras")


def test_run_without_a_gpu_says_so(engine):
    code = f"import sys; from tf2trt.cli import main; sys.exit(main(['run', {str(engine)!r}, '--random']))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=without_gpu(), timeout=120
    )
    assert refused(type("", (), {"status": result.returncode, "out": result.stdout, "err": result.stderr}), 1, "GPU")


def test_run_with_the_lean_runtime_where_none_reads_the_plan(cli, fetched_tensorrt, monkeypatch, tmp_path):
    monkeypatch.setenv("TF2TRT_NVINFER", str(fetched_tensorrt("lean-10.16.1")))
    (tmp_path / "m.engine").write_bytes(b"ftrt" + bytes(20) + bytes((8, 6, 1, 6)) + bytes(100))
    words = ("no lean runtime that can read this plan", "version 10.16.1 cannot read a plan of 8.6.1")
    assert refused(cli("run", tmp_path / "m.engine", "--random", "--lean"), 1, *words)


def without_gpu():
    import os

    return {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


def test_run_of_an_engine_that_is_missing_truncated_or_of_another_version(cli, engine, tmp_path):
    assert refused(cli("run", tmp_path / "no.engine", "--random"), 1, "no.engine")
    copy = tmp_path / "m.engine"
    data = bytearray(engine.read_bytes())
    sidecar_path(copy).write_bytes(sidecar_path(engine).read_bytes())
    copy.write_bytes(data[:-1])
    assert refused(cli("run", copy, "--random"), 1, "truncated")
    data[24] += 1  # the major version in the plan's header
    copy.write_bytes(data)
    assert refused(cli("run", copy, "--random"), 1, "cannot be read")
    sidecar_path(copy).write_text("{}")
    assert refused(cli("run", copy, "--random"), 1, "unknown format")


def test_json_keeps_what_libraries_print_off_standard_output(capfd):
    import os

    from tf2trt.cli.output import Output

    capfd.readouterr()
    with Output(as_json=True) as out:
        os.write(1, b"from a C library\n")
        print("from Python")
        out.say("for people")
        out.result({"a": 1})
    captured = capfd.readouterr()
    assert json.loads(captured.out) == {"a": 1}
    for words in ("from a C library", "from Python", "for people"):
        assert words in captured.err


def test_a_failure_prints_no_json(capfd):
    from tf2trt.cli.output import Output

    def fail():
        with Output(as_json=True) as out:
            out.result({"a": 1})
            raise click.UsageError("no")

    with pytest.raises(click.UsageError):
        fail()
    assert capfd.readouterr().out == ""


def test_paths_are_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "a" / "m.engine") == "a/m.engine"
    assert short_path("/m") == "/m"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3072.0 GiB")]
)
def test_bytes_for_people(count, text):
    assert format_bytes(count) == text


def test_names_of_output_files():
    assert file_name("model/head:0") == "model_head_0"


def test_outputs_by_name():
    a, b = np.zeros(1), np.ones(2)
    specs = [TensorSpec("a", "float64", (1,)), TensorSpec("b", "float64", (2,))]
    assert by_name(a, specs[:1]) == {"a": a}
    assert by_name({"b": b}, specs) == {"b": b}
