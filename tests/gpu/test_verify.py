"""verify and its bisection on the GPU: engines that are right, that overflow FP16, and that INT8 spoils.

The networks have a hundred convolutions of a few channels: what is looked for is one layer among them, and each trial
builds an engine, for which a timing cache leaves a few seconds.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.build import BuildOptions
from tf2trt.conversion import build_for
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange, TensorSpec
from tf2trt.verify import GeneratedInputs, OnnxReference, compare, open_candidate, relative_error
from tf2trt.verify.bisect import EngineTrial, bisect
from tf2trt.verify.bisect.marks import marked
from tf2trt.verify.candidate import load_rounded

sys.path.append(str(Path(__file__).parent.parent / "support"))

CHANNELS, SIDE, LAYERS = 32, 8, 100
SHAPE = (CHANNELS, SIDE, SIDE)
PROFILE = {"x": ShapeRange((1, *SHAPE), (8, *SHAPE), (8, *SHAPE))}
LOUD, OUTLIER = 57, 43
HALF = (("*", "fp16"),)  # else TensorRT may take FP32 where that is faster, as it may be in layers as small as these


@pytest.fixture(scope="module")
def library():
    return libraries.find(need_builder=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("verify")


def convolutions(path, kernel_of, behind=lambda graph, index, last: last, quantise=None):
    """x through 1x1 convolutions with tanh to y. ``kernel_of(index, rotation)`` gives a layer's weights and whether
    tanh follows (else ReLU); ``behind`` may add nodes, ``quantise(graph, index, last, kernel)`` the pairs before.
    """
    from verify_models import Graph, turn

    rng = np.random.default_rng(8)
    graph, last = Graph(), "x"
    for index in range(LAYERS):
        layer = f"conv_{index}"
        weights, smooth = kernel_of(index, turn(rng, CHANNELS))
        kernel = graph.constant(f"w{index}", weights[:, :, None, None])
        if quantise is not None:
            last, kernel = quantise(graph, index, last, weights, kernel)
        last = graph.add("Conv", [last, kernel], f"c{index}", layer)
        last = graph.add("Tanh" if smooth else "Relu", [last], f"t{index}", layer)
        last = behind(graph, index, last)
    return graph.save(path, {"x": ["n", *SHAPE]}, {last: ["n", *SHAPE]}, opset=13)


def overflowing(path):
    """Layer LOUD makes activations past 65,504, which the next takes down again."""

    def kernel_of(index, rotation):
        factors = {LOUD - 1: 16.0, LOUD: 2.0**16, LOUD + 1: 2.0**-16}  # tanh of 16 times as much is about 1 or -1
        return factors.get(index, 1.0) * rotation, index != LOUD

    return convolutions(path, kernel_of)


def right(path):
    return convolutions(path, lambda index, rotation: (rotation, True))


def hostile(path, ranges=None):
    """One channel behind layer OUTLIER is 3,000 times the others. With ``ranges``, of each layer's input: in INT8."""
    factors = np.ones(CHANNELS, np.float32)
    factors[0] = 3000.0

    def kernel_of(index, rotation):
        return (rotation / factors if index == OUTLIER + 1 else rotation), True

    def behind(graph, index, last):
        if index != OUTLIER:
            return last
        factor = graph.constant("factors", factors[None, :, None, None])
        return graph.add("Mul", [last, factor], "far", f"conv_{index}")

    def pair(graph, name, scale, **attributes):
        around = [graph.constant(f"{name}_s", scale), graph.constant(f"{name}_z", np.zeros(np.shape(scale)), np.int8)]
        graph.add("QuantizeLinear", [name, *around], f"{name}_q", **attributes)
        return graph.add("DequantizeLinear", [f"{name}_q", *around], f"{name}_dq", **attributes)

    def quantise(graph, index, last, weights, kernel):
        data = pair(graph, last, ranges[last] / 127)
        return data, pair(graph, kernel, np.abs(weights).max(axis=1) / 127, axis=0)

    return convolutions(path, kernel_of, behind, None if ranges is None else quantise)


def ranges_of(path):
    """The largest value that each convolution of ``path`` reads, on random data."""
    import onnx

    model = onnx.load(str(path))
    read = [node.input[0] for node in model.graph.node if node.op_type == "Conv"]
    shown = path.with_name("shown.onnx")
    onnx.save(marked(model, read[1:]), str(shown))
    x = np.random.default_rng(0).standard_normal((32, *SHAPE), np.float32)
    found = {"x": x, **OnnxReference(shown)({"x": x})}
    return {name: float(np.abs(found[name]).max()) for name in read}


def options(folder, precision, **more):
    return BuildOptions(
        precision=precision, profiles=(PROFILE,), timing_cache=folder / "timings", allow_fallback=True, **more
    )


def feeds():
    arrays = GeneratedInputs((TensorSpec("x", "float32", (-1, *SHAPE)),), batch=8, batches=2)
    print(arrays.description)
    return lambda: (feed.arrays for feed in arrays)


def error_of(onnx, engine):
    reference = OnnxReference(onnx)
    with open_candidate(engine) as candidate:
        report = compare(reference, candidate, GeneratedInputs(reference.inputs, batch=8, batches=2), rtol=None)
    (output,) = report.outputs
    return output.rel_error


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_that_is_right_passes(cli, library, folder, precision, tmp_path):
    onnx = right(folder / "right.onnx")
    engine = folder / f"right.{precision}.engine"
    rules = HALF if precision == "fp16" else ()
    build_for(onnx, engine, options(folder, precision, layer_precision=rules), library=library)
    result = cli("verify", onnx, engine, "--json", "--picture", tmp_path / "errors.svg")
    assert result.status == 0, result.err
    report = json.loads(result.out)
    (output,) = report["outputs"]
    with Engine.load(engine) as loaded:  # the rule for all layers is one for the last, whose result the user gets
        print(f"{precision}: gives {loaded.outputs[0].dtype}")
    print(f"{precision}: relative error {output['rel_error']:.2e}, cosine {output['cosine']:.8f}")
    assert 0 < output["rel_error"] < report["rtol"]
    assert report["samples"] == 32  # four batches of what the engine was tuned for
    assert (tmp_path / "errors.svg").read_text().startswith("<svg")


def test_one_command_finds_the_layer_that_overflows(cli, library, folder):
    onnx = overflowing(folder / "loud.onnx")
    engine = folder / "loud.engine"
    build_for(onnx, engine, options(folder, "fp16", layer_precision=HALF), library=library)
    result = cli("verify", onnx, engine, "--bisect", "--json")
    assert result.status == 1, result.err
    found = json.loads(result.out)["bisect"]
    print(json.dumps(found, indent=1))
    assert found["verdict"] == "found"
    assert set(found["fp32_layers"]) <= {f"conv_{index}" for index in (LOUD - 1, LOUD, LOUD + 1)}
    assert f"conv_{LOUD + 1}" in found["fp32_layers"] or f"conv_{LOUD}" in found["fp32_layers"]
    assert found["smallest"]
    mended = folder / "loud.mended.engine"
    rules = (*HALF, *((pattern, kind) for pattern, kind in found["layer_precision"]))
    build_for(onnx, mended, options(folder, "fp16", layer_precision=rules), library=library)
    assert cli("verify", onnx, mended).status == 0


def test_the_layer_that_int8_spoils(library, folder):
    onnx = hostile(folder / "plain.onnx")
    quantised = hostile(folder / "quantised.onnx", ranges_of(onnx))
    engine = folder / "quantised.engine"
    build_for(quantised, engine, options(folder, "int8"), library=library)
    before = error_of(onnx, engine)
    assert before > 0.5
    trial = EngineTrial(quantised, options(folder, "int8"), library=library)
    found = bisect(onnx, trial, feeds(), rtol=0.25)
    print(json.dumps(found.to_json(), indent=1))
    assert found.verdict == "found"
    assert found.fp32_layers == (f"conv_{OUTLIER + 1}",)
    mended = folder / "quantised.mended.engine"
    build_for(quantised, mended, options(folder, "int8", layer_precision=found.layer_precision), library=library)
    after = error_of(onnx, mended)
    print(f"INT8: relative error {before:.2f}, {after:.2f} with {found.options}; {found.trials} trials")
    assert after < 0.25


def test_marked_tensors_of_an_engine_are_those_of_the_model(library, folder):
    """In FP32 nothing is off: what is given out is what the name says."""
    onnx = right(folder / "marked.onnx")
    trial = EngineTrial(onnx, options(folder, "fp32"), library=library)
    arrays = list(feeds()())
    marks = ["t10", "c50"]
    reference = load_rounded(marked(trial.source, marks))
    results = list(trial.run((), marks, arrays))
    assert len(results) == len(arrays) == 2
    for feed, got in zip(arrays, results):
        wanted = reference(feed)
        for name in [*marks, "t99"]:
            assert relative_error(got[name], wanted[name]) < 1e-3


def test_preprocessing_inside_the_engine_is_told(cli, library, folder):
    """The engine divides by 255 itself; the model does not."""
    from verify_models import Graph

    def network(path, scale):
        graph = Graph()
        last = graph.add("Mul", ["x", graph.constant("scale", scale)], "scaled", "rescaling")
        flat = graph.add("Flatten", [last], "flat", "flatten")
        weights = np.random.default_rng(1).standard_normal((48, 10)) / 5
        graph.add("MatMul", [flat, graph.constant("w", weights)], "logits", "dense")
        graph.add("Tanh", ["logits"], "y", "dense")
        return graph.save(path, {"x": ["n", 4, 4, 3]}, {"y": ["n", 10]})

    model, inside = network(folder / "model.onnx", 1.0), network(folder / "inside.onnx", 1 / 255)
    profile = {"x": ShapeRange((1, 4, 4, 3), (4, 4, 4, 3), (4, 4, 4, 3))}
    build_for(inside, folder / "inside.engine", BuildOptions(profiles=(profile,)), library=library)
    with Engine.load(folder / "inside.engine") as engine:
        assert engine.inputs[0].name == "x"
    result = cli("verify", model, folder / "inside.engine", "--random", "uniform")
    assert result.status == 1, result.err
    assert "preprocessing differs: the candidate takes 'x' from 0 to 255, the model from 0 to 1" in result.out
