"""The demo itself, as a user runs it; built by TensorRT-RTX where there is no GPU."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.conversion import why_not_run
from tf2trt.demo import PRECISIONS
from tf2trt.demo.artifacts import Artifacts
from tf2trt.errors import UsageError
from tf2trt.sidecar import Sidecar


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder, the report, and what was printed by a run from the very start."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "tf2trt", "demo", "--out", str(folder), "--json", str(folder / "demo.json")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder, json.loads((folder / "demo.json").read_text()), result.stdout


def test_the_figures(demo):
    _, report, _ = demo
    assert report["keras_accuracy"] >= 0.97
    assert report["onnx_max_rel_error"] < 1e-4
    assert report["images"] == {"trained": 1437, "held_out": 360}
    assert report["reused"] is False


def test_a_plan_of_each_precision(demo):
    folder, report, _ = demo
    assert set(report["plans"]) == {"fp32", "fp16"} == set(PRECISIONS)
    for precision, plan in report["plans"].items():
        sidecar = Sidecar.read(Artifacts(folder).engine(precision))
        assert sidecar.plan_bytes == plan["bytes"] > 100_000
        assert sidecar.precision_asked == precision
        assert sidecar.profiles[0]["image"].max == (64, 8, 8, 1)
        assert plan["precision_found"].get("float16", 0) > 0 or precision == "fp32"


def test_what_was_run_and_what_was_not_is_said(demo):
    _, report, printed = demo
    assert printed.splitlines()[-1] == report["summary"]
    if why_not_run(libraries.find(need_builder=True)):
        assert report["accuracy"] is None
        assert [line.split(":")[0] for line in report["not_run"]] == ["fp32 engine", "fp16 engine"]
        assert "not run" in report["summary"]
    else:
        assert set(report["accuracy"]) == {"fp32", "fp16"}
        assert report["not_run"] == []
    assert {"training", "export", "fp32 build", "fp16 build"} <= set(report["ran"])


def test_the_embedding_is_of_length_one_and_the_data_is_real(demo):
    data = Artifacts(demo[0]).read_heldout()
    assert data["images"].shape == (360, 8, 8, 1)
    np.testing.assert_allclose(np.linalg.norm(data["embedding"], axis=1), 1, rtol=1e-5)
    assert np.bincount(data["labels"]).min() >= 30  # every digit
    assert np.mean(data["scores"].argmax(axis=1) == data["labels"]) == demo[1]["keras_accuracy"]


def test_an_earlier_run_is_continued_without_tensorflow(demo, tmp_path):
    folder, report, _ = demo
    for name in ("digits.onnx", "heldout.npz", "keras.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'sklearn', 'tf2onnx'): sys.modules[name] = None\n"
        "from tf2trt.cli import main\n"
        f"sys.exit(main(['demo', '--reuse', '--out', {str(tmp_path)!r}, '--json', '-']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    again = json.loads(result.stdout)
    assert again["reused"] is True
    assert "training" not in again["ran"]
    assert again["keras_accuracy"] == report["keras_accuracy"]
    assert "not done again" in result.stderr


def test_reuse_without_an_earlier_run_is_wrong_usage(cli, tmp_path):
    result = cli("demo", "--reuse", "--out", tmp_path)
    assert result.status == 2
    assert "digits.onnx, heldout.npz, keras.json" in result.err


def test_damaged_figures_of_an_earlier_run(tmp_path):
    artifacts = Artifacts(tmp_path)
    for path in (artifacts.onnx, artifacts.heldout, artifacts.keras_facts):
        path.write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        artifacts.read_facts()


def test_a_folder_that_cannot_be_made(cli, tmp_path):
    (tmp_path / "file").write_text("")
    result = cli("demo", "--out", tmp_path / "file" / "demo")
    assert (result.status, result.out) == (1, "")
    assert "Traceback" not in result.err


def test_the_runner_says_why_it_cannot_run(demo):
    artifacts = Artifacts(demo[0])
    command = [sys.executable, "-m", "tf2trt.demo.runner", str(artifacts.engine("fp32")), str(artifacts.heldout)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert "GPU" in result.stderr
    assert "Traceback" not in result.stderr
