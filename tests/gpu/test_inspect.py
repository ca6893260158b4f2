"""``tf2trt inspect`` on engines that a real TensorRT built, opened and timed."""

import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.build import BuildOptions
from tf2trt.conversion import build_for
from tf2trt.inspect import compare, inspect
from tf2trt.inspect.page import comparison_page, inspection_page
from tf2trt.inspect.picture import network_picture
from tf2trt.sidecar import sidecar_path
from tf2trt.specs import ShapeRange

LAYERS = ("conv0", "conv1", "conv2")
PROFILE = {"x": ShapeRange((1, 32, 28, 28), (8, 32, 28, 28), (16, 32, 28, 28))}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Three convolutions with Relu, the last with a shortcut, and origins as the export writes them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for name in LAYERS:
        kernel = (rng.standard_normal((32, 32, 3, 3)) * 0.06).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}/w"))
        made = [("Conv", [last, f"{name}/w"], f"{name}/c", {"pads": [1] * 4})]
        if name == LAYERS[-1]:
            made.append(("Add", [f"{name}/c", f"{LAYERS[0]}/r"], f"{name}/a", {}))
        made.append(("Relu", [made[-1][2]], f"{name}/r", {}))
        for operator, inputs, output, more in made:
            node = helper.make_node(operator, inputs, [output], f"m/{name}/{operator}", **more)
            node.metadata_props.add(key="tf2trt.layer", value=name)
            node.metadata_props.add(key="tf2trt.op", value=f"m/{name}/{operator}")
            nodes.append(node)
        last = f"{name}/r"
    nodes.append(helper.make_node("Identity", [last], ["y"], "m/last"))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 32, 28, 28]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(found, full_check=True)
    path = tmp_path_factory.mktemp("inspect") / "m.onnx"
    onnx.save(found, str(path))
    return path


@pytest.fixture(scope="module")
def engines(model):
    paths = {}
    for precision in ("fp32", "fp16"):
        paths[precision] = model.parent / f"{precision}.engine"
        options = BuildOptions(precision=precision, profiles=(PROFILE,), allow_fallback=True)
        build_for(model, paths[precision], options)
    return paths


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_is_opened_and_each_layer_leads_back(engines, precision):
    found = inspect(engines[precision])
    assert (found.source, found.times) == ("inspector", "build"), found.notes
    layers = found.network.layers
    assert layers
    assert {name for layer in layers for name in layer.keras} == set(LAYERS), [layer.to_json() for layer in layers]
    convolutions = [layer for layer in layers if any(node.endswith("/Conv") for node in layer.nodes)]
    assert convolutions
    for layer in convolutions:
        assert layer.kind
        assert layer.tactic
        assert layer.precision != "unknown"
        assert layer.outputs
        assert layer.outputs[0].shape, layer.to_json()
    assert found.network.edges()
    assert found.before is not None
    assert found.memory["context"] >= 0
    assert found.profiles[0]["x"].opt == (8, 32, 28, 28)
    json.dumps(found.to_json())


def test_layers_are_timed(engines):
    found = inspect(engines["fp32"], profile=True)
    assert found.times == "profile"
    timed = [layer for layer in found.network.layers if layer.milliseconds is not None]
    # TensorRT reports what it launches; a layer that moves nothing may be left out, but no convolution.
    assert {node for layer in timed for node in layer.nodes} >= {f"m/{name}/Conv" for name in LAYERS}
    assert all(layer.milliseconds >= 0 for layer in timed)
    assert found.network.milliseconds > 0


def test_without_the_sidecar_and_the_onnx_file(engines, tmp_path):
    path = tmp_path / "bare.engine"
    shutil.copy(engines["fp32"], path)
    assert not sidecar_path(path).exists()
    found = inspect(path, profile=True)
    assert found.source == "inspector"
    named = "\n".join(name for layer in found.network.layers for name in (layer.name, *layer.nodes))
    assert all(f"m/{name}/Conv" in named for name in LAYERS), named
    assert found.network.milliseconds > 0


def test_pictures_pages_and_comparison(engines, model):
    one, two = (inspect(engines[name], profile=True) for name in ("fp32", "fp16"))
    for found in (one, two):
        ElementTree.fromstring(network_picture(found.summary, found.networks, "time"))
        assert len(inspection_page(found, "time")) < 2_000_000
    comparison = compare(one, two)
    assert sorted(place for pair in comparison.pairs for place in pair.first) == list(range(len(one.network.layers)))
    assert any(pair.differs for pair in comparison.pairs)
    assert "<table" in comparison_page(comparison, "precision")
    assert not any(pair.differs for pair in compare(one, one).pairs)
    assert libraries.find().version_text in one.versions.values()
