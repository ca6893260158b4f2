"""Bodies of tests that measure engines on the fake driver, see fake_gpu.py: each runs in a process of its own."""

import contextlib
import io
import json
import sys

import numpy as np
from fake_gpu import FakeCuda, plan

from tf2trt.bench.engines import EngineAdapter
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.presets import PRESETS
from tf2trt.bench.results import REGIMES, BenchResult
from tf2trt.bench.run import run_bench
from tf2trt.cli import main
from tf2trt.errors import UsageError


def write(folder, *models):
    paths = []
    for model in models:
        paths.append(f"{folder}/{model.split()[0]}.engine")
        with open(paths[-1], "wb") as file:
            file.write(plan(model))
    return paths


# Calls of a few microseconds are never stable on a machine that is busy.
QUICK = (sys.executable, "-c", "from tf2trt.bench import warmup, worker; warmup.LIMIT = 0.05; worker.main()")


def measures_engines(folder):
    paths = write(folder, "double shared", "wide", "broken")
    result = run_bench(BenchOptions(tuple(paths), batches=(1, 4), seconds=0.01, repeats=2), command=QUICK)
    good, wide, broken = result.subjects
    assert "this engine is broken" in broken.error
    assert [subject.error for subject in (good, wide)] == [None, None]
    assert (good.kind, good.precision, good.versions) == ("engine", "not known", {"tensorrt": "8.6.0"})
    assert 0 < good.load_seconds < good.first_answer_seconds
    assert good.engine_bytes == len(plan("double shared"))
    cells = [(row.subject, row.batch, row.regime) for row in result.rows]
    assert cells == [
        (name, batch, regime) for name in ("double.engine", "wide.engine") for batch in (1, 4) for regime in REGIMES
    ]
    for row in result.rows:
        assert not row.void
        assert row.calls >= 20
        if row.regime == "gpu":
            assert abs(row.p50_ms - 0.002) < 1e-6  # what the fake driver says of every pair of events
            assert abs(row.throughput - row.batch / row.p50_ms * 1e3) < 1
    notes = result.environment["notes"]  # wide.engine has two profiles and shares none: two contexts can be had
    assert [note for note in notes if "2 on its way at once" in note and note.startswith("wide.engine")]
    assert not [note for note in notes if "on its way" in note and note.startswith("double.engine")]


def measures_as_trtexec_does(folder):
    (path,) = write(folder, "double shared")
    assert (PRESETS["trtexec-10"].seconds, PRESETS["trtexec-10"].warm_up) == (3.0, 0.2)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["bench", path, "--preset", "trtexec-11", "--json"]) == 0
    result = BenchResult.from_json(json.loads(printed.getvalue()))
    assert result.preset == "trtexec-11"
    assert [row.regime for row in result.rows] == ["gpu"]


def runs_with_and_without_graphs(folder):
    (path,) = write(folder, "double shared")
    cuda = FakeCuda()
    x = {"x": np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)}
    for graphs, ahead in ((False, 0), (True, 0), (False, 1), (True, 3)):
        cuda.reset()
        adapter = EngineAdapter({"path": path, "graphs": graphs, "ahead": ahead})
        for _ in range(3):
            np.testing.assert_array_equal(adapter.call(x)["y"], 2 * x["x"])
        assert adapter.slots(3) == 3
        landed = [adapter.start(x, slot) for slot in range(3)]
        for fetch in landed:
            np.testing.assert_array_equal(fetch()["y"], 2 * x["x"])
        kernels = cuda["kernels"]
        for count in (1, 5):
            assert len(adapter.gpu_times(count)) == count
        assert cuda["kernels"] == kernels + 6
        assert cuda["pending"] == 0
        assert (cuda["graph_launches"] > 0) == graphs
        assert (cuda["captures"] > 0) == graphs
        assert adapter.shapes(2) == {"x": (4, 2)}
        assert adapter.shapes(16) == {"x": (8, 2)}
        assert adapter.shapes(17) == {}
        adapter.close()


def refuses_what_the_sidecar_rules_out(folder):
    from dataclasses import replace

    from tf2trt.bench.checks import make_plan
    from tf2trt.errors import EngineDeviceError
    from tf2trt.sidecar import Sidecar, sha256
    from tf2trt.specs import ShapeRange, TensorSpec

    (path,) = write(folder, "double shared")
    data = plan("double shared")
    sidecar = Sidecar(
        tf2trt="0", tensorrt="8.6.0", generation=8, kind="full", version_compatible=False, device_name=None,
        compute_capability=None, inputs=(TensorSpec("x", "float32", (-1, 2)),), outputs=(),
        profiles=({"x": ShapeRange((1, 2), (4, 2), (4, 2))}, {"x": ShapeRange((8, 2), (8, 2), (8, 2))}),
        precision_asked="fp16", precision_found={}, plugins=(), onnx_file="m.onnx", onnx_sha256="",
        plan_sha256=sha256(data), plan_bytes=len(data), seconds=1.0, created="",
    )  # fmt: skip
    sidecar.write(path)
    subjects, _ = make_plan(BenchOptions((path,), batches=(1, 4, 8)))
    assert subjects[0].precision == "fp16"
    try:
        make_plan(BenchOptions((path,), batches=(1, 5)))
    except UsageError as error:
        assert "5" in str(error)  # noqa: PT017  # pytest is not what runs here
        assert "1 to 4, or 8 to 8" in str(error)  # noqa: PT017
    else:
        raise AssertionError("a batch between two profiles")
    replace(sidecar, device_name="another", compute_capability=(5, 3)).write(path)
    try:
        make_plan(BenchOptions((path,)))
    except EngineDeviceError:
        pass
    else:
        raise AssertionError("an engine of another GPU")
