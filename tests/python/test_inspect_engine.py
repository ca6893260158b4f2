"""Engines, looked at: from the header and the sidecar, and opened on the fake driver and the fake TensorRT."""

import json

import pytest
from fake_gpu import plan
from inspector_samples import CHANNELS, ResNet, convolution, information, write_engine

from tf2trt.errors import EngineError, Tf2TrtError
from tf2trt.inspect import inspect
from tf2trt.sidecar import sidecar_path


@pytest.fixture(scope="module")
def sample():
    return ResNet()


@pytest.fixture
def elsewhere(tmp_path, sample):
    """An engine for another GPU and TensorRT than any machine has, its ONNX file beside it."""
    onnx = sample.save(tmp_path / "resnet.onnx")
    return write_engine(tmp_path / "r.engine", plan("static", (8, 2, 9)), sample, onnx=onnx, version="8.2.9")


def test_an_engine_of_another_machine_is_described_from_its_sidecar(elsewhere, sample):
    found = inspect(elsewhere)
    assert (found.kind, found.source, found.times) == ("engine", "sidecar", "build")
    assert found.versions == {"TensorRT": "8.2.9", "tf2trt": "0.1.0", "version-compatible": "no"}
    assert found.build["GPU"] == "NVIDIA T4 (compute capability 7.5)"
    assert found.build["precision asked"] == "fp16"
    assert found.memory == {"plan": elsewhere.stat().st_size}
    assert found.plugins == {"libmine.so": "SHA-256 " + "ab" * 32}
    assert found.profiles[0]["images"].max == (32, 3, 224, 224)
    (note,) = found.notes
    assert note.startswith("not opened here, described from its header and sidecar: ")
    layers = found.network.layers
    assert [layer.name for layer in layers] == [name for name, _ in sample.times]
    assert [layer.milliseconds for layer in layers] == pytest.approx([time for _, time in sample.times], abs=1e-6)
    fused = next(layer for layer in layers if layer.name.startswith("conv2_block1_3_conv"))
    assert fused.keras == ("conv2_block1_3_conv", "conv2_block1_add", "conv2_block1_out")
    assert fused.ops == tuple(f"resnet50_1/{node}" for node in fused.nodes)
    # The data flow is the ONNX file's: all but the reformatting layer, of which it knows nothing.
    assert found.before is not None
    assert len(found.before.layers) == len(sample.nodes)
    assert found.network.adrift == [0]
    assert fused.outputs[0].shape == (-1, 32, 56, 56)
    json.dumps(found.to_json())


def test_another_onnx_file_beside_it(elsewhere, sample):
    onnx = elsewhere.parent / "resnet.onnx"
    onnx.write_bytes(onnx.read_bytes() + b"\x32\x00")  # an empty documentation string more
    found = inspect(elsewhere)
    assert found.before is not None
    assert any("not the very file" in note for note in found.notes)
    onnx.write_bytes(onnx.read_bytes()[:100])
    found = inspect(elsewhere)
    assert found.before is None
    assert any(note.startswith("the network before is not shown") for note in found.notes)
    assert found.network.edges() == []
    onnx.unlink()
    found = inspect(elsewhere)
    assert (found.before, len(found.notes)) == (None, 1)
    assert found.network.layers[1].keras == ("conv1_conv", "conv1_relu")  # from the sidecar


def test_a_network_of_another_interface_is_not_taken_for_it(tmp_path, sample, small_onnx):
    (tmp_path / "resnet.onnx").write_bytes(small_onnx.read_bytes())
    path = write_engine(tmp_path / "r.engine", plan("static", (8, 2, 9)), sample)
    found = inspect(path)
    assert found.before is None
    assert "resnet.onnx beside it is another network's" in found.notes


def test_an_engine_without_a_sidecar_is_described_from_its_header(tmp_path):
    path = tmp_path / "bare.engine"
    path.write_bytes(plan("static", (9, 1, 2)))
    found = inspect(path)
    assert (found.source, found.versions, found.memory) == ("nothing", {"TensorRT": "9.1.2"}, {"plan": 35})
    assert found.network.layers == found.inputs == found.profiles == ()
    assert found.notes[0].startswith("not opened here, described from its header: ")
    assert "without a sidecar" in found.notes[1]
    assert found.summary == "TensorRT 9.1.2 engine: layers not known"


def test_the_plans_of_tensorrt_rtx_are_told_apart(tmp_path):
    path = tmp_path / "x.engine"
    path.write_bytes(b"vtrt" + plan("static", (9, 9, 9))[4:])
    assert inspect(path).versions == {"TensorRT-RTX": "9.9.9"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"x" * 100), "not a TensorRT plan"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "truncated"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3] + b"abc"), "damaged"),
        (lambda path: sidecar_path(path).write_text("{"), "damaged"),
        (lambda path: path.unlink(), "cannot read the engine"),
    ],
)
def test_damaged_files_are_refused(elsewhere, damage, message):
    damage(elsewhere)
    with pytest.raises(EngineError, match=message):
        inspect(elsewhere)


def test_a_profile_needs_an_engine_that_runs_here(elsewhere):
    with pytest.raises(Tf2TrtError):
        inspect(elsewhere, profile=True)


def opens_it(path, answer, profile):
    import os

    os.environ["TF2TRT_FAKE_INFORMATION"] = answer
    from tf2trt.inspect import inspect

    found = inspect(path, profile=profile)
    import json

    print(json.dumps(found.to_json()))


@pytest.fixture
def two_layers(tmp_path):
    """The fake TensorRT's engine "static", whose layers are called "first" and "second" when they are timed."""
    shape = (2, 3)
    layers = [
        convolution(["first"], [("x", shape)], ("t", shape)),
        convolution(["second"], [("t", shape)], ("y", shape)),
    ]
    (tmp_path / "answer.json").write_text(information(layers))
    path = tmp_path / "static.engine"
    path.write_bytes(plan("static"))
    return path


def test_an_engine_that_can_be_opened(fake_gpu, two_layers):
    answer = str(two_layers.parent / "answer.json")
    found = json.loads(fake_gpu.run(opens_it, str(two_layers), answer, False))
    assert (found["layers_from"], found["times_from"], found["notes"]) == ("inspector", None, [])
    assert found["before"] is None
    assert found["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": [2, 3]},
        {"name": "z", "dtype": "int32", "shape": [2, 3]},
    ]
    assert [layer["name"] for layer in found["layers"]] == ["first", "second"]
    assert found["layers"][1]["inputs"][0]["layout"] == CHANNELS["float16"]
    assert found["memory"]["context"] > 0
    assert found["versions"] == {"TensorRT": "8.6.0"}


def test_its_layers_are_timed(fake_gpu, two_layers):
    answer = str(two_layers.parent / "answer.json")
    found = json.loads(fake_gpu.run(opens_it, str(two_layers), answer, True))
    assert [layer["ms"] for layer in found["layers"]] == [0.25, 0.5]
    assert (found["ms"], found["times_from"]) == (0.75, "profile")


def test_an_onnx_file_of_its_name_tells_what_the_layers_came_from(fake_gpu, two_layers):
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Mul", ["x", "x"], ["t"], "first"), helper.make_node("Cast", ["z"], ["w"], "w", to=6)]
    nodes += [helper.make_node("Neg", ["t"], ["y"], "second")]
    for node in nodes:
        node.metadata_props.add(key="tf2trt.layer", value=f"layer_{node.name}")
    kinds = {"x": TensorProto.FLOAT, "z": TensorProto.INT32, "y": TensorProto.FLOAT, "w": TensorProto.INT32}
    values = [helper.make_tensor_value_info(name, kind, [2, 3]) for name, kind in kinds.items()]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(two_layers.with_suffix(".onnx")))
    found = json.loads(fake_gpu.run(opens_it, str(two_layers), str(two_layers.parent / "answer.json"), False))
    assert [layer["keras_layers"] for layer in found["layers"]] == [["layer_first"], ["layer_second"]]
    assert len(found["before"]) == 3
    assert found["notes"] == ["taken for the network that it was built from, by its name: static.onnx"]


def test_what_was_timed_and_is_not_known_is_a_note(fake_gpu, two_layers):
    answer = two_layers.parent / "answer.json"
    answer.write_text(information(["first"]))
    found = json.loads(fake_gpu.run(opens_it, str(two_layers), str(answer), True))
    assert [layer["ms"] for layer in found["layers"]] == [0.25]
    assert any("names alone" in note for note in found["notes"])
    assert any(note.endswith("not among the inspector's layers: second") for note in found["notes"])


@pytest.mark.parametrize(("text", "words"), [("{}", "tells nothing"), ("no", "answered no JSON")])
def test_an_inspector_that_tells_nothing(fake_gpu, two_layers, text, words):
    answer = two_layers.parent / "answer.json"
    answer.write_text(text)
    found = json.loads(fake_gpu.run(opens_it, str(two_layers), str(answer), False))
    assert found["layers"] == []
    assert words in found["notes"][0]
    assert found["inputs"][0]["name"] == "x"


def test_shapes_and_values_of_the_profile_are_what_it_runs_on(fake_gpu, tmp_path):
    answer = tmp_path / "answer.json"
    answer.write_text(information(["first", "second"]))
    for name in ("double", "reshape"):  # a dynamic batch; a shape tensor
        path = tmp_path / f"{name}.engine"
        path.write_bytes(plan(name))
        found = json.loads(fake_gpu.run(opens_it, str(path), str(answer), True))
        assert found["ms"] == 0.75
        assert found["profiles"]
