"""What a plugin costs inside a network: each network built twice by the same TensorRT, and timed in turns.

    python benchmarks/plugin_networks.py [--json FILE]

Needs a GPU, a TensorRT that takes plugins, and onnx. GPU-only times: CUDA events around replays of a CUDA graph, the
inputs on the device; the two builds of a network take turns, so that drift hits both alike. Exits 1 where a small head
(the 3-D box head's orientation: batch x 2 bins x 2) is slower with the plugin than decomposed, by more than the spread.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tf2trt import _native, libraries
from tf2trt.bench import measure_gpu
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import Tf2TrtError
from tf2trt.files import atomic_write
from tf2trt.runtime import Engine

ROUNDS, LAUNCHES = 11, 300
EPSILON = 1e-12
Nodes = List[onnx.NodeProto]
Weights = Dict[str, np.ndarray]


class Subject(NamedTuple):
    """A network and its two forms; ``plugin`` asks for the form with the plugin."""

    name: str
    shape: Tuple[int, ...]
    result: Tuple[int, ...]
    make: Callable[[bool], Tuple[Nodes, Weights]]
    bounded: bool = False


def l2_nodes(plugin: bool, source: str, axis: int) -> Tuple[Nodes, Weights]:
    """tf.math.l2_normalize as the plugin, or as tf2onnx writes it."""
    if plugin:
        space = {"domain": "tf2trt", "plugin_version": "1", "plugin_namespace": "tf2trt"}
        return [helper.make_node("L2Normalize", [source], ["y"], axes=[axis], epsilon=EPSILON, **space)], {}
    nodes = [
        helper.make_node("Mul", [source, source], ["square"]),
        helper.make_node("ReduceSum", ["square", "axes"], ["sum"], keepdims=1),
        helper.make_node("Max", ["sum", "epsilon"], ["clamped"]),
        helper.make_node("Sqrt", ["clamped"], ["norm"]),
        helper.make_node("Reciprocal", ["norm"], ["inverse"]),
        helper.make_node("Mul", [source, "inverse"], ["y"]),
    ]
    return nodes, {"axes": np.array([axis], np.int64), "epsilon": np.array(EPSILON, np.float32)}


def leaky_nodes(plugin: bool, source: str, result: str) -> Nodes:
    """LeakyRelu as the plugin, or as ONNX's operator."""
    if plugin:
        space = {"domain": "tf2trt", "plugin_version": "1", "plugin_namespace": "tf2trt"}
        return [helper.make_node("LeakyReLU", [source], [result], alpha=0.1, **space)]
    return [helper.make_node("LeakyRelu", [source], [result], alpha=0.1)]


def normal(*shape: int) -> np.ndarray:
    """Weights that keep a signal's size."""
    scale = np.sqrt(2 / np.prod(shape[1:]))
    return np.random.default_rng(sum(shape)).normal(scale=scale, size=shape).astype(np.float32)


def box_head(batch: int) -> Subject:
    """Dense 256 -> 4, reshaped to 2 bins x 2, normalised: the orientation of the 3-D box network."""

    def make(plugin: bool) -> Tuple[Nodes, Weights]:
        nodes = [
            helper.make_node("Gemm", ["x", "dense"], ["flat"], transB=1),
            helper.make_node("Reshape", ["flat", "bins"], ["pairs"]),
        ]
        tail, weights = l2_nodes(plugin, "pairs", 2)
        return nodes + tail, {"dense": normal(4, 256), "bins": np.array([batch, 2, 2], np.int64), **weights}

    return Subject(f"3-D box head, batch {batch}", (batch, 256), (batch, 2, 2), make, bounded=True)


def pairs_alone(batch: int) -> Subject:
    """Nothing but the normalisation of batch x 2 bins x 2."""
    return Subject(
        f"batch {batch} x 2 bins x 2",
        (batch, 2, 2),
        (batch, 2, 2),
        lambda plugin: l2_nodes(plugin, "x", 2),
        bounded=True,
    )


def convolutions(channels: Tuple[int, ...], between: Callable[[int], Nodes]) -> Tuple[Nodes, Weights]:
    """3 x 3 convolutions c0, c1, ... with ``between(i)`` from a{i} to b{i} after each."""
    nodes: Nodes = []
    weights: Weights = {}
    for index, (inside, outside) in enumerate(zip(channels, channels[1:])):
        source = "x" if index == 0 else f"b{index - 1}"
        weights[f"w{index}"] = normal(outside, inside, 3, 3)
        nodes.append(helper.make_node("Conv", [source, f"w{index}"], [f"a{index}"], pads=[1, 1, 1, 1]))
        nodes.extend(between(index))
    return nodes, weights


def ssd_features(batch: int) -> Subject:
    """Three convolutions at 38 x 38, 512 channels at the end, normalised over the channels as SSD does."""

    def make(plugin: bool) -> Tuple[Nodes, Weights]:
        nodes, weights = convolutions((128, 256, 512, 512), lambda i: [helper.make_node("Relu", [f"a{i}"], [f"b{i}"])])
        tail, more = l2_nodes(plugin, "b2", 1)
        return nodes + tail, {**weights, **more}

    return Subject(
        f"convolutions, l2 over 512 channels of 38 x 38, batch {batch}",
        (batch, 128, 38, 38),
        (batch, 512, 38, 38),
        make,
    )


def embedding(batch: int) -> Subject:
    """Two convolutions, global pooling, Dense 512, normalised: a face or image embedding's end."""

    def make(plugin: bool) -> Tuple[Nodes, Weights]:
        nodes, weights = convolutions((64, 128, 256), lambda i: [helper.make_node("Relu", [f"a{i}"], [f"b{i}"])])
        nodes += [
            helper.make_node("GlobalAveragePool", ["b1"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "dense"], ["embedded"], transB=1),
        ]
        tail, more = l2_nodes(plugin, "embedded", 1)
        return nodes + tail, {**weights, "dense": normal(512, 256), **more}

    return Subject(f"embedding of 512, batch {batch}", (batch, 64, 56, 56), (batch, 512), make)


def leaky_convolutions(batch: int) -> Subject:
    """Six convolutions of 128 channels at 56 x 56, each with a LeakyReLU."""

    def make(plugin: bool) -> Tuple[Nodes, Weights]:
        nodes, weights = convolutions((128,) * 7, lambda i: leaky_nodes(plugin, f"a{i}", "y" if i == 5 else f"b{i}"))
        return nodes, weights

    return Subject(f"6 convolutions with LeakyReLU, batch {batch}", (batch, 128, 56, 56), (batch, 128, 56, 56), make)


SUBJECTS = (
    *(pairs_alone(batch) for batch in (1, 8, 32)),
    *(box_head(batch) for batch in (1, 8, 32)),
    embedding(1),
    embedding(32),
    ssd_features(1),
    ssd_features(8),
    leaky_convolutions(1),
    leaky_convolutions(8),
)


def build(subject: Subject, plugin: bool, precision: str, folder: Path, library: _native.Library) -> Path:
    """The engine of one form."""
    nodes, weights = subject.make(plugin)
    graph = helper.make_graph(
        nodes,
        "subject",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, subject.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, subject.result)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("tf2trt", 1)]
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    engine = folder / f"{'plugin' if plugin else 'native'}.engine"
    options = BuildOptions(precision=precision, timing_cache=folder / "timings")
    return build_engine(path, engine, options, library=library).engine


def compare(subject: Subject, precision: str, folder: Path, library: _native.Library) -> Dict[str, object]:
    """Median over the rounds of each round's median, in milliseconds, with the smallest and largest round."""
    x = np.random.default_rng(0).standard_normal(subject.shape, np.float32)
    plans = {form: build(subject, form == "plugin", precision, folder, library) for form in FORMS}
    engines = {form: Engine.load(plan) for form, plan in plans.items()}
    rounds: Dict[str, List[float]] = {form: [] for form in FORMS}
    for _ in range(ROUNDS):
        for form, engine in engines.items():
            rounds[form].append(measure_gpu(engine, {"x": x}, iterations=LAUNCHES).p50_ms)
    outputs = {form: engine(x).astype(np.float64) for form, engine in engines.items()}
    for engine in engines.values():
        engine.close()
    row: Dict[str, object] = {"network": subject.name, "precision": precision}
    for form, times in rounds.items():
        row[form] = {"median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times)}
    row["difference"] = float(np.linalg.norm(outputs["plugin"] - outputs["native"]) / np.linalg.norm(outputs["native"]))
    row["worse"] = subject.bounded and statistics.median(rounds["plugin"]) > max(rounds["native"])
    return row


FORMS = ("native", "plugin")


def text(row: Dict[str, object]) -> str:
    """One line of the table."""
    cells = []
    for form in FORMS:
        times = row[form]
        assert isinstance(times, dict)
        cells.append("{median_ms:9.4f} ({min_ms:.4f}..{max_ms:.4f})".format(**times))
    mark = "  WORSE" if row["worse"] else ""
    return f"{row['network']:<58} {row['precision']:<5} {cells[0]:>28} {cells[1]:>28}  {row['difference']:.1e}{mark}"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="What a plugin costs inside a network.")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    given = parser.parse_args()
    try:
        device, library = _native.device(), libraries.find(need_builder=True)
    except Tf2TrtError as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1
    print(f"{device.name}, TensorRT {library.version_text}; GPU-only, ms: median of {ROUNDS} rounds (least..most)")
    print(f"{'network':<58} {'type':<5} {'native, or decomposed':>28} {'plugin':>28}  difference")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for subject in SUBJECTS:
            for precision in ("fp32", "fp16"):
                rows.append(compare(subject, precision, Path(folder), library))
                print(text(rows[-1]), flush=True)
    if given.json:
        result = {"device": device.name, "tensorrt": library.version_text, "rows": rows}
        atomic_write(Path(given.json), json.dumps(result, indent=2).encode())
    return 1 if any(row["worse"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
