"""From a model to the ONNX file that TensorRT gets, by the command and in Python."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import libraries
from tf2trt.conversion import convert
from tf2trt.errors import OnnxError, UsageError
from tf2trt.preparation import prepare
from tf2trt.surgery import Interface, SurgeryOptions
from tf2trt.verify import OnnxReference, relative_error

REWRITES = """
from tf2trt.surgery import Pattern, rewrite

@rewrite(Pattern("Relu", "x"))
def leaky(match):
    return match.make("LeakyRelu", match["x"], alpha=0.25)
"""


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    keras = pytest.importorskip("keras")
    x = keras.Input((8, 8, 3), name="image")
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="stem")(x)
    hidden = keras.layers.BatchNormalization(name="norm")(hidden)
    model = keras.Model(x, keras.layers.Dense(5, name="scores")(keras.layers.Flatten(name="flat")(hidden)))
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def plain(keras_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "m.onnx"
    prepare(keras_file, path, library=None)
    return path


def ops(path):
    return [item.op_type for item in onnx.load(str(path)).graph.node]


def test_the_command_tells_what_it_did_and_what_tensorrt_takes(cli, keras_file, tmp_path):
    result = cli("export", keras_file, "-o", tmp_path / "m.onnx", "--report", tmp_path / "report.json")
    assert result.status == 0, result.err
    words = " ".join(result.out.split())
    for part in ("Keras", "image: float32 ?x8x8x3", "scores: float32 ?x5", "gives what it gave", "takes all"):
        assert part in words, words
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["support"]["supported"]
    assert report["export"]["output"] == str(tmp_path / "m.onnx")
    assert [item["name"] for item in report["surgery"]["inputs"]] == ["image"]
    assert ops(tmp_path / "m.onnx").count("Transpose") <= 2  # the entry's, and what Flatten needs


def test_bytes_in_channels_first_under_other_names(cli, keras_file, plain, tmp_path):
    result = cli(
        "export", keras_file, "-o", tmp_path / "m.onnx", "--input-dtype", "uint8", "--inputs-as-nchw", "image",
        "--rename", "image=pixels,scores=y", "--inputs", "image:2x8x8x3",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert "pixels: uint8 2x3x8x8" in result.out
    image = np.random.default_rng().integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    (wanted,) = OnnxReference(plain)({"image": image.astype(np.float32)}).values()
    got = OnnxReference(tmp_path / "m.onnx")({"pixels": np.ascontiguousarray(image.transpose(0, 3, 1, 2))})
    assert relative_error(got["y"], wanted) < 1e-5


def test_an_output_by_the_name_of_its_layer(keras_file, tmp_path):
    report = prepare(keras_file, tmp_path / "m.onnx", library=None, outputs=["stem", "scores"])
    assert [spec.shape for spec in report.surgery.outputs][1] == (-1, 5)
    assert len(report.surgery.outputs) == 2
    assert report.support is None


def test_rewrites_of_the_users(cli, keras_file, tmp_path):
    (tmp_path / "my.py").write_text(REWRITES)
    result = cli("export", keras_file, "-o", tmp_path / "m.onnx", "--rewrites", tmp_path / "my.py", "--json")
    assert result.status == 0, result.err
    found = {item["name"]: item for item in json.loads(result.out)["surgery"]["passes"]}
    assert found["my.py:leaky"]["changed"] > 0
    assert "LeakyRelu" in ops(tmp_path / "m.onnx")


def test_a_subgraph_becomes_one_node(cli, plain, tmp_path):
    relu = next(item for item in onnx.load(str(plain)).graph.node if item.op_type == "Relu")
    spec = f"op=LeakyRelu;inputs={relu.input[0]};outputs={relu.output[0]};attr alpha=0.5"
    result = cli("export", plain, "-o", tmp_path / "m.onnx", "--collapse", spec)
    assert result.status == 0, result.err
    assert "Relu" not in ops(tmp_path / "m.onnx")
    assert "LeakyRelu" in ops(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "wrong",
    [
        ("--rename", "nothing=x"),
        ("--outputs", "nothing"),
        ("--inputs-as-nchw", "nothing"),
        ("--input-dtype", "image=string"),
        ("--collapse", "op=Box"),
        ("--rewrites", "nowhere.py"),
    ],
)
def test_wrong_usage_leaves_nothing(cli, plain, tmp_path, wrong):
    result = cli("export", plain, "-o", tmp_path / "m.onnx", *wrong)
    assert (result.status, result.out) == (2, "")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_tensorrt_does_not_take_is_refused_before_the_build(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="first"),
        helper.make_node("Unique", ["r"], ["y"], name="the unique one"),
    ]
    nodes[1].metadata_props.add(key="tf2trt.layer", value="dedupe")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size]) for name, size in (("x", 4), ("y", "n"))]
    model = helper.make_model(
        helper.make_graph(nodes, "g", infos[:1], infos[1:]), opset_imports=[helper.make_opsetid("", 15)], ir_version=8
    )
    onnx.save(model, str(tmp_path / "in.onnx"))
    library = libraries.find(need_builder=True)
    report = prepare(tmp_path / "in.onnx", tmp_path / "out.onnx", library=library)
    assert not report.support.supported
    with pytest.raises(OnnxError, match=r"the unique one[\s\S]*dedupe"):
        convert(tmp_path / "in.onnx", tmp_path / "m.engine", library=library)
    assert not (tmp_path / "m.engine").exists()


def test_shapes_of_an_onnx_file(tmp_path):
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    weights = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", infos[:1], infos[1:], [weights])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(tmp_path / "in.onnx")
    )
    report = prepare(tmp_path / "in.onnx", tmp_path / "out.onnx", library=None, inputs={"x": (3, 4)})
    assert [spec.shape for spec in (*report.surgery.inputs, *report.surgery.outputs)] == [(3, 4), (3, 4)]
    assert report.export.source == "onnx"


def test_options_that_cannot_work_are_found_before_the_export(tmp_path):
    options = SurgeryOptions(Interface(), rewrites=(tmp_path / "nowhere.py",))
    with pytest.raises(UsageError, match=r"nowhere\.py"):
        prepare("never looked at", tmp_path / "m.onnx", options, library=None)
