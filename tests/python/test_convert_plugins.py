"""Plugins on the way from Keras to an engine: used where TensorRT takes them, replaced where it does not."""

import json
from types import SimpleNamespace

import pytest

from tf2trt import _native, conversion, libraries
from tf2trt.build import build_engine
from tf2trt.conversion import build_for, convert, why_no_plugins
from tf2trt.errors import PluginError, SurgeryError, UsageError
from tf2trt.surgery import needs_plugins


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    from tf2trt.export.quiet import import_tensorflow

    import_tensorflow()
    import keras

    keras.utils.set_random_seed(0)
    x = keras.Input((6,), batch_size=2, name="x")
    hidden = keras.layers.LeakyReLU()(keras.layers.Dense(16)(x))
    model = keras.Model(x, keras.layers.UnitNormalization(name="y")(hidden))
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def rewritten(keras_file, tmp_path_factory):
    """The model as an ONNX file with both plugins."""
    from tf2trt.cli import main

    path = tmp_path_factory.mktemp("rewritten") / "m.onnx"
    assert main(["export", str(keras_file), "-o", str(path), "--plugins", "l2_normalize,leaky_relu"]) == 0
    return path


@pytest.fixture(scope="module")
def rtx():
    library = libraries.find(need_builder=True)
    if library.kind != "rtx":
        pytest.skip(f"the builder here is {library.kind}, not TensorRT-RTX")
    return library


def test_the_exported_file_holds_the_plugins(rewritten):
    assert _native.plugin_operators(str(rewritten)) == ["L2Normalize", "LeakyReLU"]
    assert needs_plugins(rewritten) == ("L2Normalize", "LeakyReLU")


def test_export_says_what_became_a_plugin(cli, keras_file, tmp_path):
    result = cli("export", keras_file, "-o", tmp_path / "m.onnx", "--plugins", "l2_normalize", "--json")
    assert result.status == 0, result.err
    assert _native.plugin_operators(str(tmp_path / "m.onnx")) == ["L2Normalize"]
    (notes,) = (one["notes"] for one in json.loads(result.out)["surgery"]["passes"] if one["name"] == "l2_normalize")
    assert "1" in notes[0]


@pytest.mark.parametrize("names", ["none", ""])
def test_no_plugins(cli, keras_file, tmp_path, names):
    result = cli("export", keras_file, "-o", tmp_path / "m.onnx", "--plugins", names)
    assert result.status == 0, result.err
    assert _native.plugin_operators(str(tmp_path / "m.onnx")) == []


def test_an_unknown_name_is_wrong_usage(cli, keras_file, tmp_path):
    result = cli("export", keras_file, "-o", tmp_path / "m.onnx", "--plugins", "l3_normalize")
    assert result.status == 2
    assert "l2_normalize" in result.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_is_refused_before_any_work():
    with pytest.raises(UsageError, match="l2_normalize, leaky_relu"):
        convert("never looked at", "m.engine", plugins=["l3_normalize"])


def test_a_rewrite_that_fails_leaves_nothing(monkeypatch, cli, keras_file, tmp_path):
    def fail(*_, **__):
        raise SurgeryError("the rewrite failed")

    monkeypatch.setattr("tf2trt.surgery.runner.simplify_in", fail)
    result = cli("export", keras_file, "-o", tmp_path / "m.onnx", "--plugins", "l2_normalize")
    assert result.status == 1
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_plugins_they_are_replaced(rtx, rewritten, tmp_path):
    before = rewritten.read_bytes()
    report = build_for(rewritten, tmp_path / "m.engine", library=rtx)
    assert report.lowered == ("L2Normalize", "LeakyReLU")
    assert report.to_json()["lowered"] == ["L2Normalize", "LeakyReLU"]
    assert report.sidecar.plugins == ()
    assert rewritten.read_bytes() == before


def test_the_command_says_so(rtx, cli, rewritten, tmp_path):
    result = cli("build", rewritten, "-o", tmp_path / "m.engine", "--precision", "fp16")
    assert result.status == 0, result.err
    assert "L2Normalize, LeakyReLU replaced by standard operators" in " ".join(result.out.split())


def test_the_builder_alone_refuses(rtx, rewritten, tmp_path):
    with pytest.raises(PluginError, match="takes no plugins") as caught:
        build_engine(rewritten, tmp_path / "m.engine", library=rtx)
    assert "L2Normalize, LeakyReLU" in str(caught.value)
    assert "lower_plugins" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_convert_makes_none_where_there_are_none(rtx, keras_file, tmp_path):
    report = convert(keras_file, tmp_path / "m.engine", keep_onnx=tmp_path / "m.onnx", library=rtx)
    assert "takes no plugins" in report.no_plugins
    assert _native.plugin_operators(str(tmp_path / "m.onnx")) == []
    assert report.build.lowered == ()


@pytest.mark.parametrize(("plugins", "made"), [(None, ["L2Normalize"]), ((), []), (("leaky_relu",), ["LeakyReLU"])])
def test_convert_makes_them_where_tensorrt_takes_them(monkeypatch, keras_file, tmp_path, plugins, made):
    handed_over = []

    def build(onnx, output, options, **_):
        handed_over.extend(_native.plugin_operators(str(onnx)))

    monkeypatch.setattr(conversion, "why_no_plugins", lambda library: None)
    verdict = SimpleNamespace(raise_if_unsupported=lambda: None)
    monkeypatch.setattr("tf2trt.preparation._ask", lambda *_: verdict)  # no such TensorRT is here
    monkeypatch.setattr(conversion, "build_for", build)
    monkeypatch.setattr(conversion, "why_not_run", lambda library: "nothing was built")
    convert(keras_file, tmp_path / "m.engine", plugins=plugins, library=SimpleNamespace(kind="full"))
    assert handed_over == made


def test_the_command_says_that_there_are_none(rtx, cli, keras_file, tmp_path):
    result = cli("convert", keras_file, "-o", tmp_path / "m.engine")
    assert "No plugins: TensorRT-RTX" in result.out
    result = cli("convert", keras_file, "-o", tmp_path / "m.engine", "--plugins", "none")
    assert "No plugins" not in result.out


def test_convert_refuses_what_was_asked_for_and_cannot_be(rtx, cli, keras_file, tmp_path):
    result = cli("convert", keras_file, "-o", tmp_path / "m.engine", "--plugins", "leaky_relu")
    assert result.status == 1
    assert "takes no plugins" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_library_for_rtx_is_refused(rtx, cli, small_onnx, tmp_path):
    library = tmp_path / "libmine.so"
    library.write_bytes(b"code")
    shapes = ("--min-shapes", "x:1x4", "--opt-shapes", "x:8x4", "--max-shapes", "x:16x4")
    result = cli("build", small_onnx, "-o", tmp_path / "m.engine", *shapes, "--plugin-library", library)
    assert result.status == 1
    assert "TensorRT-RTX takes no plugins" in result.err


@pytest.mark.parametrize(
    ("kind", "found", "words"),
    [("full", "/lib/libtf2trt_plugins.so", None), ("full", "", "no nvcc"), ("rtx", "/lib/x.so", "takes no plugins")],
)
def test_where_plugins_can_be_had(monkeypatch, kind, found, words):
    monkeypatch.setattr(_native, "find_plugin_library", lambda: found)
    reason = why_no_plugins(SimpleNamespace(kind=kind, version_text="1.7.1"))
    assert (reason is None) if words is None else (words in reason)
