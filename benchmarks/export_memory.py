"""Peak memory and time of exporting a large Keras model: ``python benchmarks/export_memory.py --layers 4``.

The model is a chain of Dense layers of WIDTH x WIDTH float32 with random weights. Each row is a process of its own:
its peak resident memory is the kernel's (VmHWM), so nothing that lives for a moment only is missed.

    imports   TensorFlow, Keras, tf2onnx, onnx and ONNX Runtime imported, no model
    model     the model made and run once
    export    the same, and exported, without the check (unless --check)
    prepare   the same, and exported and rewritten, as ``tf2trt export`` does it
    simplify  an ONNX file of such layers, each with a batch normalisation behind it, rewritten; no TensorFlow
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1 << 20


def memory(field: str) -> float:
    """A line of ``/proc/self/status`` in MiB: VmHWM, the largest resident memory so far, or VmRSS, that of now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"no {field} in /proc/self/status")


def measure(what: str, layers: int, width: int, check: bool) -> None:
    """One row, in this process; prints it as JSON."""
    if what == "simplify":
        measure_simplify(layers, width)
        return
    from tf2trt.export import export
    from tf2trt.export.quiet import import_tensorflow
    from tf2trt.preparation import prepare

    import_tensorflow()
    import keras
    import numpy as np
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import tf2onnx.tfonnx  # noqa: F401

    row = {"what": what, "seconds": 0.0}
    if what != "imports":
        rng = np.random.default_rng()
        model = keras.Sequential([keras.layers.Input((width,), name="x")])
        for _ in range(layers):
            model.add(keras.layers.Dense(width, activation="relu", kernel_initializer="zeros"))
            kernel = model.layers[-1].kernel
            kernel.assign(rng.standard_normal((width, width), dtype=np.float32) / np.sqrt(width).astype(np.float32))
        model(np.zeros((1, width), np.float32))
        row["weights"] = sum(int(np.prod(weight.shape)) for weight in model.weights) * 4 / MIB
    if what in ("export", "prepare"):
        row["resident"] = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again: making the model has a peak of its own
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            if what == "export":
                report = export(model, Path(folder, "m.onnx"), check=check)
            else:
                report = prepare(model, Path(folder, "m.onnx"), library=None, check=check).export
            row["seconds"] = time.perf_counter() - started
            row["error"] = report.max_rel_error
            row["files"] = {path.name: path.stat().st_size for path in Path(folder).iterdir()}
    row["peak"] = memory("VmHWM")
    print(json.dumps(row))


def measure_simplify(layers: int, width: int) -> None:
    """The row ``simplify``."""
    import numpy as np
    import onnx
    import onnx_graphsurgeon  # noqa: F401
    import onnxruntime  # noqa: F401

    from tf2trt.onnx_files import Weight, write_onnx
    from tf2trt.surgery import simplify

    rng = np.random.default_rng()
    scale = np.float32(1 / np.sqrt(width))
    float32, nodes, weights = onnx.TensorProto.FLOAT, [], []
    arrays = [rng.uniform(0.5, 2, width).astype(np.float32) for _ in range(4)]
    parameters = [onnx.numpy_helper.from_array(array, f"p{index}") for index, array in enumerate(arrays)]
    for layer in range(layers):
        tensor = onnx.TensorProto(name=f"w{layer}", data_type=float32, dims=(width, width))
        draw = lambda: rng.standard_normal((width, width), dtype=np.float32) * scale  # noqa: E731
        weights.append(Weight(tensor, width * width * 4, draw))
        nodes.append(onnx.helper.make_node("Gemm", [f"x{layer}", f"w{layer}"], [f"y{layer}"], f"gemm{layer}"))
        inputs = [f"y{layer}", *(tensor.name for tensor in parameters)]
        nodes.append(onnx.helper.make_node("BatchNormalization", inputs, [f"x{layer + 1}"], f"norm{layer}"))
    values = [onnx.helper.make_tensor_value_info(name, float32, ["n", width]) for name in ("x0", f"x{layers}")]
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], parameters)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)], ir_version=8)
    row = {"what": "simplify", "weights": sum(weight.size for weight in weights) / MIB}
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(Path(folder, "in.onnx"), model, weights)
        row["resident"] = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        started = time.perf_counter()
        report = simplify(Path(folder, "in.onnx"), Path(folder, "m.onnx"))
        row["seconds"] = time.perf_counter() - started
        row["error"] = report.max_rel_error
        row["files"] = {path.name: path.stat().st_size for path in Path(folder).iterdir()}
    row["peak"] = memory("VmHWM")
    print(json.dumps(row))


def main() -> None:
    """Runs the rows, each in a process of its own, and prints the table in MiB."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=8192)
    parser.add_argument("--check", action="store_true", help="compare with TensorFlow as well")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        measure(options.row, options.layers, options.width, options.check)
        return
    rows = {}
    for what in ("imports", "model", "export", "prepare", "simplify"):
        command = [sys.executable, __file__, "--row", what, "--layers", str(options.layers)]
        command += ["--width", str(options.width)] + (["--check"] if options.check else [])
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows[what] = json.loads(done.stdout.splitlines()[-1])
        print(f"{what:8} peak {rows[what]['peak']:8.0f} MiB   {rows[what]['seconds']:6.1f} s", flush=True)
    for what in ("export", "prepare", "simplify"):
        weights, resident = rows[what]["weights"], rows[what]["resident"]
        extra = (rows[what]["peak"] - resident) / weights
        print(f"{what}: weights {weights:.0f} MiB; {resident:.0f} MiB resident before, then {extra:.2f} copies more")
        print(f"files {rows[what]['files']}; relative error {rows[what]['error']}")


if __name__ == "__main__":
    main()
