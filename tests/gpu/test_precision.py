"""Precision on the GPU: engines in the type that was asked for, as TensorRT's inspector and the GPU's time show it.

No file is needed: the network is small, but its convolutions are large enough for FP16 to pay.
"""

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.build import builder as builder_module
from tf2trt.conversion import build_for
from tf2trt.errors import BuildError, UsageError
from tf2trt.numerics import relative_error
from tf2trt.runtime import Engine
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange

BATCH, CHANNELS, EXTENT = 16, 128, 56
SHAPE = (CHANNELS, EXTENT, EXTENT)
LAYERS = ("conv0", "conv1", "conv2", "conv3")
# Four layers add up, and it is for the GPU to round to TF32 or to cut off: 5.7e-4 and 2.9e-3 by NumPy.
LIMITS = {"fp32": 1e-4, "tf32": 2e-3, "fp16": 2e-2, "bf16": 2e-2, "int8": 5e-2, "int8+fp16": 5e-2}
TYPES = {"fp32": {"float32"}, "tf32": {"tf32", "float32"}, "fp16": {"float16"}, "bf16": {"bfloat16"}, "int8": {"int8"}}
PROFILE = {"x": ShapeRange((1, *SHAPE), (BATCH, *SHAPE), (BATCH, *SHAPE))}


def save(path, quantise):
    """Four 3x3 convolutions with Relu; with ``quantise`` Q/DQ nodes before inputs and FP32 weights."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, tensors = [], []

    def constant(name, value):
        tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def quantised(name, scale, place, **attributes):
        steps = [constant(f"{place}/scale", scale), constant(f"{place}/zero", np.zeros(np.shape(scale), np.int8))]
        nodes.append(helper.make_node("QuantizeLinear", [name, *steps], [f"{place}/q"], f"{place}/Q", **attributes))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{place}/q", *steps], [f"{place}/d"], f"{place}/DQ", **attributes)
        )
        return f"{place}/d"

    last = "x"
    for name in LAYERS:
        weights = (rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) * np.sqrt(2 / (9 * CHANNELS))).astype(np.float32)
        kernel = constant(f"{name}/w", weights)
        if quantise:
            last = quantised(last, np.float32(6 / 127), f"{name}/in")
            kernel = quantised(kernel, (np.abs(weights).max((1, 2, 3)) / 127).astype(np.float32), f"{name}/k", axis=0)
        nodes.append(helper.make_node("Conv", [last, kernel], [f"{name}/c"], name, pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"{name}/c"], [f"{name}/r"], f"{name}/relu"))
        last = f"{name}/r"
    nodes.append(helper.make_node("Identity", [last], ["y"], "last"))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *SHAPE]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("precision")


@pytest.fixture(scope="module")
def plain(folder):
    return save(folder / "plain.onnx", quantise=False)


@pytest.fixture(scope="module")
def quantised(folder):
    return save(folder / "quantised.onnx", quantise=True)


def options(folder, precision, **more):
    return BuildOptions(precision=precision, profiles=(PROFILE,), timing_cache=folder / "timings", **more)


def heavy(engine):
    """The type of each convolution, by its name; a fused layer's name has it in it."""
    layers = [layer for layer in Sidecar.read(engine).proof.layers if layer.heavy]
    return {name: layer.precision for name in LAYERS for layer in layers if name in layer.name}


def error(engine, onnx):
    from tf2trt.verify import OnnxReference

    seed = int(np.random.default_rng().integers(1 << 31))
    print("seed:", seed)
    x = np.random.default_rng(seed).standard_normal((2, *SHAPE), np.float32)
    with Engine.load(engine) as loaded:
        result = loaded(x)
    # As the graph stands: ONNX Runtime's own INT8 convolutions may saturate on older CPUs.
    return relative_error(result, OnnxReference(onnx, optimize=False)({"x": x})["y"])


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "int8", "int8+fp16"])
def test_what_is_built_is_what_was_asked(library, folder, plain, quantised, precision):
    onnx = quantised if "int8" in precision else plain
    target = folder / f"{precision}.engine"
    if precision == "bf16" and library.generation < 10:
        with pytest.raises(UsageError, match="has no BF16"):
            build_for(onnx, target, options(folder, precision), library=library)
        assert not target.exists()
        return
    report = build_for(onnx, target, options(folder, precision), library=library)
    proof = report.sidecar.proof
    print(precision, proof.share, proof.time_share, [(layer.name, layer.precision) for layer in proof.layers])
    assert set(heavy(target)) == set(LAYERS)
    assert set(heavy(target).values()) <= TYPES[precision.split("+")[0]]
    if precision != "tf32":  # a kernel's name need not say it
        assert proof.share == 1
    if proof.source == "engine":
        assert all(layer.milliseconds is not None for layer in proof.layers if layer.heavy)
        assert sum(layer.milliseconds or 0 for layer in proof.layers) > 0
        assert precision == "tf32" or proof.time_share == 1
    found = error(target, onnx)
    print(f"{precision}: relative error {found:.2e}")
    assert 0 < found < LIMITS[precision]


@pytest.mark.parametrize("precision", ["fp16", "int8+fp16"])
def test_a_layer_in_fp32(library, folder, plain, quantised, precision):
    onnx = quantised if "int8" in precision else plain
    target = folder / f"ruled.{precision}.engine"
    # In FP16 TensorRT 8 and 10 may take TF32 beside a layer in FP32, rather than convert between the two.
    rules = (("conv2", "fp32"),) if "int8" in precision else (("conv?", "fp16"), ("conv2", "fp32"))
    build_for(onnx, target, options(folder, precision, layer_precision=rules), library=library)
    found = heavy(target)
    print(found)
    assert found["conv2"] in ("float32", "tf32")
    assert found["conv0"] == found["conv1"] == found["conv3"] == ("int8" if "int8" in precision else "float16")
    assert Sidecar.read(target).layer_precision == rules
    assert 0 < error(target, onnx) < LIMITS[precision]


def test_a_pattern_that_matches_nothing(library, folder, plain):
    with pytest.raises(UsageError, match="conv9"):
        build_for(
            plain, folder / "m.engine", options(folder, "fp16", layer_precision=(("conv9", "fp32"),)), library=library
        )


def test_an_fp32_engine_sold_as_fp16_is_refused(library, folder, plain, monkeypatch):
    """As an exporter once did: the name says FP16, and TensorRT was never told."""
    real = builder_module._native_options

    def forgetful(asked, *others):
        native = real(asked, *others)
        native.precision = "fp32"
        return native

    monkeypatch.setattr(builder_module, "_native_options", forgetful)
    target = folder / "sold.engine"
    with pytest.raises(BuildError) as caught:
        build_engine(plain, target, options(folder, "fp16"), library=library)
    print(caught.value)
    assert "fp16 was asked for, and the engine is something else" in str(caught.value)
    assert all(name in str(caught.value) for name in LAYERS)
    assert not target.exists()
    report = build_engine(plain, target, options(folder, "fp16", allow_fallback=True), library=library)
    assert report.sidecar.proof.share == 0
