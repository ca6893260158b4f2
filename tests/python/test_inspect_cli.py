"""``tf2trt inspect``: an ONNX file, an engine that TensorRT-RTX built here, two of a kind, and what it refuses."""

import json
import xml.etree.ElementTree as ElementTree

import pytest
from fake_gpu import plan
from inspector_samples import ResNet, write_engine

SHAPES = ("--min-shapes", "x:1x4", "--opt-shapes", "x:8x4", "--max-shapes", "x:16x4")


@pytest.fixture(scope="module")
def model(small_onnx, tmp_path_factory):
    """The small network with the origins that the export writes."""
    import onnx

    found = onnx.load(str(small_onnx))
    for node, layer in zip(found.graph.node, ("dense", "activation")):
        node.name = f"m/{layer}/{node.op_type}"
        node.metadata_props.add(key="tf2trt.layer", value=layer)
        node.metadata_props.add(key="tf2trt.op", value=f"m/{layer}/{node.op_type}")
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    onnx.save(found, str(path))
    return path


@pytest.fixture(scope="module")
def engine(model):
    from tf2trt.cli import main

    path = model.parent / "m.engine"
    assert main(["build", str(model), "-o", str(path), *SHAPES]) == 0
    return path


@pytest.fixture
def pair(tmp_path):
    """Two engines with times, in their sidecars."""
    paths = []
    for precision in ("float16", "float32"):
        sample = ResNet(precision)
        onnx = sample.save(tmp_path / "resnet.onnx")
        paths.append(write_engine(tmp_path / f"{precision}.engine", plan("static", (8, 2, 9)), sample, onnx=onnx))
    return paths


def test_an_onnx_file(cli, model):
    result = cli("inspect", model, "--json")
    assert result.status == 0, result.err
    value = json.loads(result.out)
    assert value["kind"] == "onnx"
    assert [layer["keras_layers"] for layer in value["layers"]] == [["dense"], ["activation"]]
    assert value["files"] == {}
    shown = cli("inspect", model)
    for words in ("dense", "MatMul", "?x3", "opset ai.onnx", "2 float32"):
        assert words in shown.out


def test_an_engine_that_was_built_here(cli, engine):
    value = json.loads(cli("inspect", engine, "--json").out)
    origins = {name for layer in value["layers"] for name in layer["keras_layers"]}
    assert {"dense", "activation"} <= origins
    assert [layer["kind"] for layer in value["before"]] == ["MatMul", "Relu"]
    assert value["profiles"] == [{"x": {"min": [1, 4], "opt": [8, 4], "max": [16, 4]}}]
    assert value["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 4]}]
    shown = cli("inspect", engine)
    assert "1x4" in shown.out
    assert "dense" in shown.out


def test_pictures_and_a_page(cli, pair, tmp_path):
    files = {name: tmp_path / f"r.{name}" for name in ("svg", "dot", "html")}
    result = cli("inspect", pair[0], *(word for name, path in files.items() for word in (f"--{name}", path)))
    assert result.status == 0, result.err
    root = ElementTree.parse(files["svg"]).getroot()
    assert root.get("class") == "by-time"  # the sidecar has the times of the build
    titles = "".join(root.itertext())
    assert "resnet.onnx" in titles
    assert "float16.engine; without 1 layer" in titles  # before and after
    assert files["dot"].read_text().count("subgraph") == 2
    assert "layers-data" in files["html"].read_text()
    assert all(f"wrote {path}" in result.out or path.name in result.out for path in files.values())
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    cli("inspect", pair[0], "--svg", files["svg"], "--color", "precision")
    assert ElementTree.parse(files["svg"]).getroot().get("class") == "by-precision"


def test_two_engines(cli, pair, tmp_path):
    page = tmp_path / "diff.html"
    value = json.loads(cli("inspect", pair[0], "--diff", pair[1], "--html", page, "--json").out)
    assert len(value["pairs"]) == 57
    assert value["files"] == {"html": str(page)}
    assert value["first"]["layers"][1]["precision"] == "float16"
    assert value["second"]["layers"][1]["precision"] == "float32"
    shown = cli("inspect", pair[0], "--diff", pair[1])
    assert "Layers that differ (0 do not)" in shown.out
    assert "Layers that differ (57 do not)" in cli("inspect", pair[0], "--diff", pair[0]).out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("missing.onnx",), 1, "there is no ONNX file"),
        (("missing.engine",), 1, "cannot read the engine"),
        (("{model}", "--profile"), 2, "expected: an engine"),
        (("{model}", "--color", "time", "--svg", "{folder}/no.svg"), 2, "without times"),
        (("{model}", "--svg", "{folder}/a", "--dot", "{folder}/a"), 2, "a file each"),
        (("{model}", "--svg", "{folder}/nowhere/a.svg"), 1, "cannot write"),
        (("{model}", "--diff", "{engine}"), 2, "one kind"),
        (("{engine}", "--profile", "--svg", "{folder}/no.svg"), 1, "Error"),
    ],
)
def test_what_it_refuses_leaves_nothing(cli, model, pair, tmp_path, arguments, status, words):
    folder = tmp_path / "out"
    folder.mkdir()
    given = [text.format(model=model, engine=pair[0], folder=folder) for text in arguments]
    result = cli("inspect", *given)
    assert result.status == status, result.err
    assert words in result.err
    assert "Traceback" not in result.err
    assert list(folder.iterdir()) == []
