"""ResNet-50 FP16, one image, host to host: four ways to run one engine, in turns, and Polygraphy itself where it is."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from runtime_cuda import primary
from runtime_engines import Engines, random_array
from runtime_report import Report, Spread, time_calls

from tf2trt import _native, libraries
from tf2trt.runtime import Engine

ROUNDS, CALLS = 5, 1000
OVER_CPP = 15.0  # microseconds
OVER_POLYGRAPHY = 1.3

_LINE = re.compile(r"host to host: p50 ([\d.]+) ms, p99 ([\d.]+) ms; GPU only: p50 ([\d.]+) ms")


class PolygraphyWay:
    """What polygraphy.backend.trt.TrtRunner.infer (0.53) does for each call, restated with pycuda.

    Ordinary pageable arrays on the host; each call asks the engine for its inputs and checks the arrays against them,
    copies the inputs, sets shapes that changed, sets every address, enqueues, copies the outputs into arrays that are
    kept, and waits. Left out is what makes it slower still: its output allocator, which TensorRT calls back in Python,
    tensor formats, and its log. Make, call and free it with the primary context current.
    """

    def __init__(self, driver: Any, path: Path) -> None:
        self._driver = driver
        self._engine = _native.Engine.deserialize(libraries.find(), path.read_bytes(), 0)
        self._stream = driver.Stream()
        self._context = self._engine.create_context()
        self._context.set_profile(0, self._stream.handle)
        self._stream.synchronize()
        self._devices: Dict[str, Any] = {}
        self._hosts: Dict[str, np.ndarray] = {}

    def prepare(self, inputs: Dict[str, np.ndarray]) -> None:
        """Allocates what calls with arrays of these shapes need."""
        for name, array in inputs.items():
            self._context.set_input_shape(name, array.shape)
            self._devices[name] = self._driver.mem_alloc(array.nbytes)
        for tensor in self._engine.tensors:
            if not tensor.is_input:
                host = np.empty(self._context.tensor_shape(tensor.name), tensor.dtype)
                self._hosts[tensor.name], self._devices[tensor.name] = host, self._driver.mem_alloc(host.nbytes)

    def __call__(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """The outputs, which the next call overwrites."""
        context, stream = self._context, self._stream
        self._check(inputs)
        for name, array in inputs.items():
            self._driver.memcpy_htod_async(self._devices[name], np.ascontiguousarray(array), stream)
            if tuple(context.tensor_shape(name)) != array.shape:
                context.set_input_shape(name, array.shape)
        for tensor in self._engine.tensors:
            context.set_tensor_address(tensor.name, int(self._devices[tensor.name]))
        context.enqueue(stream.handle)
        results = {}
        for tensor in self._engine.tensors:
            if tensor.is_input:
                continue
            host = self._hosts[tensor.name]
            if host.shape != tuple(context.tensor_shape(tensor.name)):
                raise ValueError(f"{tensor.name}: not the shape that was prepared for")
            self._driver.memcpy_dtoh_async(host, self._devices[tensor.name], stream)
            results[tensor.name] = host
        stream.synchronize()
        return results

    def _check(self, inputs: Dict[str, np.ndarray]) -> None:
        expected = {tensor.name: tensor for tensor in self._engine.tensors if tensor.is_input}
        if set(inputs) != set(expected):
            raise ValueError(f"inputs {list(inputs)}, not {list(expected)}")
        for name, array in inputs.items():
            shape = expected[name].shape
            fits = len(shape) == array.ndim and all(a in (-1, b) for a, b in zip(shape, array.shape))
            if np.dtype(expected[name].dtype) != array.dtype or not fits:
                raise ValueError(f"{name}: {array.dtype} {array.shape} does not fit {shape}")

    def free(self) -> None:
        """Gives the memory back."""
        for memory in self._devices.values():
            memory.free()
        self._devices.clear()


def cpp(program: Path, engine: Path, name: str, array: Path, folder: Path) -> Dict[str, float]:
    """One round of tf2trt-run with the TensorRT of this process: its p50 and p99, and its GPU-only p50, in
    microseconds; its outputs are in ``folder``.

    Raises:
        RuntimeError: it failed, or printed something else.
    """
    command = [str(program), str(engine), f"{name}={array}", "--iterations", str(CALLS), "--output", str(folder)]
    environment = {**os.environ, "TF2TRT_NVINFER": libraries.find().path}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = _LINE.search(result.stdout)
    if result.returncode != 0 or found is None:
        raise RuntimeError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    p50, p99, gpu = (1e3 * float(value) for value in found.groups())
    return {"p50": p50, "p99": p99, "gpu": gpu}


def polygraphy(python: str, engine: Path, array: Path, output: Path) -> np.ndarray:
    """One round of Polygraphy's TrtRunner, by a Python that has it: microseconds of each call.

    Raises:
        RuntimeError: it failed.
    """
    script = Path(__file__).with_name("polygraphy_process.py")
    command = [python, str(script), str(engine), str(array), str(output), "--calls", str(CALLS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return np.array(json.loads(result.stdout.splitlines()[-1])["samples"])


def latency(report: Report, engines: Engines, program: Path, polygraphy_python: Optional[str]) -> None:
    """Times the ways in turns, compares their outputs and judges."""
    path = engines.one_image()
    report.start("latency", "ResNet-50 FP16, one image, host to host: array in, fresh array out; us a call")
    with tempfile.TemporaryDirectory() as scratch, Engine.load(path) as engine, Engine.load(path) as second:
        folder = Path(scratch)
        name, output = engine.inputs[0].name, engine.outputs[0].name
        x = random_array(0, 1, *engine.inputs[0].shape[1:])
        np.save(folder / "x.npy", x)
        context = second.context()
        context.set_shapes({name: x.shape})
        context.host[name][...] = x
        with primary() as driver:
            other = PolygraphyWay(driver, path)
            other.prepare({name: x})
        rounds: Dict[str, List[np.ndarray]] = {"python": [], "view": [], "other": [], "polygraphy": []}
        programs = []
        for _ in range(ROUNDS):
            rounds["python"].append(time_calls(lambda: engine(x), CALLS))
            programs.append(cpp(program, path, name, folder / "x.npy", folder))
            rounds["view"].append(time_calls(lambda: context.run(results="view"), CALLS))
            with primary():
                rounds["other"].append(time_calls(lambda: other({name: x}), CALLS))
            if polygraphy_python is not None:
                samples = polygraphy(polygraphy_python, path, folder / "x.npy", folder / "polygraphy.npy")
                rounds["polygraphy"].append(samples)
        expected = engine(x)
        with primary():
            theirs = other({name: x})[output].copy()
            other.free()
        same = {
            "engine(x) and tf2trt-run give the same bits": np.load(folder / f"{output}.npy"),
            "engine(x) and pinned views give the same bits": context.run(results="copy"),
            "engine(x) and Polygraphy's way give the same bits": theirs,
        }
        if polygraphy_python is not None:
            same["engine(x) and Polygraphy itself give the same bits"] = np.load(folder / "polygraphy.npy")
        gpu = Spread.of([engine.time_launches(CALLS)])
    judge(report, rounds, programs)
    report.figure("GPU alone, without copies, between events", gpu, "ms")
    for what, array in same.items():
        report.check(what, array.tobytes() == expected.tobytes())


def judge(report: Report, rounds: Dict[str, List[np.ndarray]], programs: List[Dict[str, float]]) -> None:
    """Figures and bounds."""
    python, other = Spread.of(rounds["python"]), Spread.of(rounds["other"])
    in_cpp = Spread.of_single([each["p50"] for each in programs])
    p99 = Spread.of_single([each["p99"] for each in programs])
    report.figure("engine(x), Python", python, "us")
    report.figure("context.run(results='view'), pinned input filled before", Spread.of(rounds["view"]), "us")
    report.figure("tf2trt-run, C++ (each round its p50 of calls)", in_cpp, "us", f"{CALLS} calls each; printed to 1 us")
    report.figure("tf2trt-run, C++ (each round its p99)", p99, "us")
    report.figure("Polygraphy's way (checks, pageable copies, addresses, enqueue)", other, "us")
    if rounds["polygraphy"]:
        report.figure("Polygraphy's TrtRunner itself, in another Python", Spread.of(rounds["polygraphy"]), "us")
        ratios = [float(np.median(b) / np.median(a)) for a, b in zip(rounds["python"], rounds["polygraphy"])]
        report.figure("its p50 by Python's", Spread.of_single(ratios), "x")
    over = [float(np.median(samples)) - each["p50"] for samples, each in zip(rounds["python"], programs)]
    spread = f"in rounds {min(over):.1f}..{max(over):.1f}"
    report.bound("Python's p50 over C++'s", float(np.median(over)), OVER_CPP, "us", at_most=True, note=spread)
    in_place = [float(np.median(b) / np.median(a)) for a, b in zip(rounds["view"], rounds["other"])]
    report.figure("Polygraphy's p50 by that of pinned views", Spread.of_single(in_place), "x")
    ratios = [float(np.median(b) / np.median(a)) for a, b in zip(rounds["python"], rounds["other"])]
    spread = f"in rounds {min(ratios):.2f}..{max(ratios):.2f}"
    report.bound(
        "Polygraphy's p50 by Python's", float(np.median(ratios)), OVER_POLYGRAPHY, "x", at_most=False, note=spread
    )
