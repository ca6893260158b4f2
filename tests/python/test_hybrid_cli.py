"""tf2trt hybrid: what is asked of the conversion, and what is shown and written of its report."""

import json

import numpy as np
import pytest

import tf2trt.hybrid
from tf2trt.hybrid.report import CoverageError, EngineReport, HybridReport, NodeReport, SegmentReport
from tf2trt.hybrid.tables import native_rows, segment_rows
from tf2trt.numerics import relative_error
from tf2trt.specs import ShapeRange

tf = pytest.importorskip("tensorflow")

SHAPES = {"x": ShapeRange((1, 4), (8, 4), (8, 4))}
SEGMENTS = (
    SegmentReport(
        "segment_0",
        (NodeReport("a", "MatMul"), NodeReport("b", "MatMul"), NodeReport("c", "Relu"), NodeReport("w", "Const")),
        (EngineReport(SHAPES, "0.engine", 3.25), EngineReport({}, None, 1.0, "out of memory")),
    ),
    SegmentReport("segment_1", (NodeReport("d", "Tanh"),), (), "export failed"),
    SegmentReport("segment_2", tuple(NodeReport(f"e{n}", f"Op{n}") for n in range(6)), (EngineReport({}, "2.engine"),)),
)
NATIVE = (
    NodeReport("p", "EagerPyFunc", ("a",), "a Python function"),
    NodeReport("q", "Shape", ("p",), "too few"),
    NodeReport("r", "Shape", ("p",), "too few"),
    NodeReport("x", "Placeholder", (), "an input"),
)
REPORT = HybridReport("tf2trt", "FP16", {"tensorflow": "2.21.0"}, SEGMENTS, NATIVE, 9.0, ("one thing to know",))


def test_rows_of_the_segments():
    assert segment_rows(REPORT) == [
        ("segment_0", "3", "MatMul x2, Relu", "x: 1x4..8x4", "0.engine", "3.2 s"),
        ("", "", "", "", "none: out of memory", "1.0 s"),
        ("segment_1", "1", "Tanh", "", "none: export failed", ""),
        ("segment_2", "6", "Op0, Op1, Op2, Op3 and 2 more", "", "2.engine", "0.0 s"),
    ]


def test_rows_of_the_native_nodes():
    assert native_rows(REPORT) == [("2", "Shape x2", "too few"), ("1", "EagerPyFunc", "a Python function")]


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    module = tf.Module()
    module.call = tf.function(lambda x: {"y": tf.nn.relu(x)}, input_signature=[tf.TensorSpec([None, 4], name="x")])
    path = tmp_path_factory.mktemp("saved") / "model"
    tf.saved_model.save(module, str(path), signatures=module.call)
    return path


@pytest.fixture
def asked(monkeypatch):
    """Stands in for the conversion: what it was asked for; gives REPORT, or raises what is in ``error``."""
    calls = {}

    def convert(saved_model, out, **options):
        calls.update(options, out=out)
        for name in ("input_fn", "calibration_input_fn"):
            if name in options:
                calls[name] = list(options[name]())
        if "error" in calls:
            raise calls["error"]
        return REPORT

    monkeypatch.setattr(tf2trt.hybrid, "convert", convert, raising=False)
    return calls


def test_options_reach_the_conversion(cli, asked, saved_model, tmp_path):
    options = ["--precision", "fp16", "--min-segment", 5, "--strict", 0.25, "--backend", "tf2trt"]
    result = cli(
        "hybrid",
        saved_model,
        "-o",
        tmp_path / "out",
        *options,
        "--workspace",
        "512MiB",
        "--signature",
        "serving_default",
    )
    assert result.status == 0, result.err
    assert asked == {
        "out": str(tmp_path / "out"),
        "precision_mode": "FP16",
        "minimum_segment_size": 5,
        "max_workspace_size_bytes": 512 << 20,
        "maximum_cached_engines": 1,
        "use_calibration": True,
        "strict": 0.25,
        "backend": "tf2trt",
        "signature": "serving_default",
    }
    for text in ("0.engine", "none: out of memory", "a Python function", "one thing to know", "6 of 13 nodes (46.2%)"):
        assert text in result.out


def test_json_holds_the_report_and_nothing_else_is_printed(cli, asked, saved_model, tmp_path):
    result = cli("hybrid", saved_model, "-o", tmp_path / "out", "--json", "--picture", tmp_path / "p.svg")
    plain = json.loads(result.out)
    assert HybridReport.from_json(plain) == REPORT
    assert plain["saved_model"] == str(tmp_path / "out")
    assert plain["memory"]["growth"] is True
    assert (tmp_path / "p.svg").read_text().startswith("<svg")


def test_below_strict_the_report_and_the_picture_are_there_all_the_same(cli, asked, saved_model, tmp_path):
    asked["error"] = CoverageError(REPORT, 0.95)
    given = ("hybrid", saved_model, "-o", tmp_path / "out", "--strict", 0.95)
    result = cli(*given, "--picture", tmp_path / "p.svg")
    assert result.status == 1
    assert "too little of the model" in result.err
    assert "none: out of memory" in result.out
    assert "Saved" not in result.out
    assert (tmp_path / "p.svg").exists()
    plain = json.loads(cli(*given, "--json").out)
    assert plain["saved_model"] is None


def test_shapes_and_calibration_data_become_batches(cli, asked, saved_model, tmp_path):
    shapes = ("--shapes", "x:8x4", "--shapes", "x:1x4")
    assert cli("hybrid", saved_model, "-o", tmp_path / "out", *shapes).status == 0
    assert [batch["x"].shape for batch in asked["input_fn"]] == [(8, 4), (1, 4)]
    assert asked["maximum_cached_engines"] == 2
    assert "calibration_input_fn" not in asked
    rows = np.random.default_rng().normal(size=(6, 4)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", x=rows)
    given = ("hybrid", saved_model, "-o", tmp_path / "out", "--precision", "INT8", "--calib", tmp_path / "rows.npz")
    assert cli(*given).status == 0
    np.testing.assert_array_equal(asked["calibration_input_fn"][0]["x"], rows)
    np.testing.assert_array_equal(asked["input_fn"][0]["x"], rows)
    np.savez(tmp_path / "rows.npz", x=np.concatenate([rows] * 3))  # in batches of 8, and what is over left out
    assert cli(*given).status == 0
    assert [batch["x"].shape for batch in asked["calibration_input_fn"]] == [(8, 4), (8, 4)]
    np.savez(tmp_path / "rows.npz", x=rows)
    assert cli(*given, "--shapes", "x:2x4").status == 0
    np.testing.assert_array_equal(asked["calibration_input_fn"][0]["x"], rows)
    assert [batch["x"].shape for batch in asked["input_fn"]] == [(2, 4)]


def test_texts_have_shapes_too(cli, asked, tmp_path):
    module = tf.Module()
    specs = [tf.TensorSpec([None, 4], name="x"), tf.TensorSpec([None], tf.string, name="s")]
    module.call = tf.function(lambda x, s: {"y": x * tf.strings.to_number(s)[:, None]}, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    given = ("hybrid", tmp_path / "model", "-o", tmp_path / "out")
    assert cli(*given, "--shapes", "x:3x4,s:3").status == 0
    (batch,) = asked["input_fn"]
    assert batch["x"].shape == (3, 4)
    np.testing.assert_array_equal(batch["s"], ["0", "0", "0"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--precision", "INT8"], "INT8 without calibration data"),
        (["--calib", "."], "--calib belongs to --precision INT8"),
        (["--precision", "INT8", "--no-calibration", "--calib", "."], "--calib belongs to --precision INT8"),
        (["--shapes", "z:1x4"], "no such input"),
        (["--workspace", "2GiB", "--memory-limit", "1GiB"], "workspace < memory limit"),
        (["--memory-limit", "512"], "memory limit"),
        (["--strict", "95"], "0<=x<=1"),
        (["--picture", "/nowhere/p.svg"], "cannot write"),
    ],
)
def test_what_cannot_work_is_refused_before_the_conversion(cli, asked, saved_model, tmp_path, options, said):
    result = cli("hybrid", saved_model, "-o", tmp_path / "out", *options)
    assert result.status == (1 if "--picture" in options else 2)
    assert said in result.err
    assert asked == {}


@pytest.mark.parametrize(
    ("release", "backend", "heard"), [("2.15.1", "auto", 1), ("2.17.1", "auto", 0), ("2.17.1", "tf-trt", 1)]
)
def test_tf_trt_s_warnings_are_let_into_the_log(
    cli, asked, saved_model, tmp_path, monkeypatch, release, backend, heard
):
    imports = []
    monkeypatch.setattr(tf, "__version__", release)
    monkeypatch.setattr("tf2trt.hybrid.tftrt_log.import_with_warnings", lambda: imports.append(1))
    assert cli("hybrid", saved_model, "-o", tmp_path / "out", "--backend", backend).status == 0
    assert len(imports) == heard


def test_what_is_no_saved_model_is_refused(cli, asked, tmp_path):
    result = cli("hybrid", tmp_path, "-o", tmp_path / "out")
    assert (result.status, asked) == (2, {})
    assert "no SavedModel" in result.err


def test_the_whole_way(cli, tmp_path):
    """A real conversion: the report on the screen is the one in the SavedModel, which opens and answers."""
    module = tf.Module()
    module.weights = tf.Variable(tf.random.stateless_normal([8, 8], [1, 2]))
    specs = [tf.TensorSpec([None, 8], name="x"), tf.TensorSpec([None], tf.string, name="s")]

    def network(x, s):
        y = tf.nn.relu(tf.matmul(x, module.weights)) * 2.0 + 1.0
        return {"y": tf.tanh(tf.matmul(y * tf.strings.to_number(s)[:, None], module.weights))}

    module.call = tf.function(network, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    out = tmp_path / "out"
    given = ("hybrid", tmp_path / "model", "-o", out, "--shapes", "x:4x8,s:4", "--picture", tmp_path / "p.svg")
    failed = cli(*given, "--strict", 1.0)
    assert failed.status == 1, failed.err
    assert "8 of 9 nodes" in failed.err
    assert "StringToNumber" in failed.out
    assert not out.exists()
    result = cli(*given, "--json")
    assert result.status == 0, result.err
    report = HybridReport.from_json(json.loads(result.out))
    assert report.backend == "tf2trt"
    assert any(segment.built for segment in report.segments)
    assert {node.op for node in report.native} >= {"StringToNumber"}
    assert "StringToNumber" in (tmp_path / "p.svg").read_text()
    assert HybridReport.from_json(json.loads((out / "assets" / "tf2trt_hybrid.json").read_text())) == report
    x, s = np.random.default_rng().normal(size=(4, 8)).astype(np.float32), tf.constant(["1", "2", "3", "4"])
    answer = tf.saved_model.load(str(out)).signatures["serving_default"](x=tf.constant(x), s=s)["y"]
    assert relative_error(answer.numpy(), module.call(x, s)["y"].numpy()) < 1e-4
