"""TF-TRT beside tf2trt: makes a SavedModel with TensorRT engines, or answers one call with it in a fresh process.

    python benchmarks/tftrt_process.py --convert SAVED_MODEL OUT --shape 1,224,224,3
    python benchmarks/tftrt_process.py CONVERTED --shape 1,224,224,3 [--started MONOTONIC]

Needs TensorFlow with TF-TRT and a GPU (2.17 is the last release with it), and nothing of tf2trt. Converting: FP16,
workspace 1 GiB, the engine for that shape built and saved. TensorFlow's check that TensorRT is of exactly the version
it was linked with is passed over (8.6.1 against 8.6.0). The ResNet-50 of the GPU tests as a SavedModel:

    cd tests/gpu && python -c "import make_resnet50 as m; m.make_model().export('/tmp/resnet50_saved')"

A call prints JSON: seconds from the process's start to the first answer, its stages, memory and installed size.
"""

import argparse
import json
import os
import sys
import time


def main():
    """Entry point."""
    entered = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="CONVERTED", nargs="?", help="the SavedModel that --convert wrote")
    parser.add_argument("--convert", nargs=2, metavar=("SAVED_MODEL", "OUT"))
    parser.add_argument("--shape", required=True, help="the input's, with the batch: 1,224,224,3")
    parser.add_argument("--started", type=float, default=entered, help="time.monotonic() before the process was made")
    given = parser.parse_args()
    if (given.model is None) == (given.convert is None):
        parser.error("either CONVERTED or --convert")
    shape = tuple(int(extent) for extent in given.shape.split(","))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if given.convert is None:
        answer(given.model, shape, given.started, entered)
    else:
        convert(*given.convert, shape)


def convert(source, target, shape):
    """Writes the SavedModel with engines in it.

    Raises:
        RuntimeError: TF-TRT left no TensorRT engine in the graph.
    """
    import numpy as np
    from tensorflow.python.compiler.tensorrt import trt_convert

    trt_convert._check_trt_version_compatibility = lambda: None
    converter = trt_convert.TrtGraphConverterV2(
        input_saved_model_dir=source,
        precision_mode=trt_convert.TrtPrecisionMode.FP16,
        max_workspace_size_bytes=1 << 30,
    )
    function = converter.convert()
    definition = function.graph.as_graph_def()
    nodes = [node for part in (definition, *definition.library.function) for node in nodes_of(part)]
    engines = sum(node.op == "TRTEngineOp" for node in nodes)
    if engines == 0:
        raise RuntimeError(f"TF-TRT made no engine of {source}")
    converter.build(input_fn=lambda: iter([[np.ones(shape, np.float32)]]))
    converter.save(target)
    print(f"{target}: {engines} TensorRT engines, {len(nodes)} nodes", file=sys.stderr)


def nodes_of(part):
    """The nodes of a graph or of one of its functions."""
    return getattr(part, "node", None) or getattr(part, "node_def", ())


def answer(path, shape, started, entered):
    """One call, and what it took."""
    import numpy as np
    import tensorflow as tf

    imported = time.monotonic()
    model = tf.saved_model.load(path)
    function = model.signatures["serving_default"]
    loaded = time.monotonic()
    (name,) = function.structured_input_signature[1]
    result = function(**{name: tf.constant(np.ones(shape, np.float32))})
    outputs = [output.numpy() for output in result.values()]
    answered = time.monotonic()

    from runtime_footprint import installed, memory

    held = memory()
    stages = {
        "process and interpreter": entered - started,
        "import tensorflow": imported - entered,
        "load the SavedModel": loaded - imported,
        "first call": answered - loaded,
    }
    report = {"seconds": answered - started, "stages": stages, "memory": held, "installed": installed()}
    report["finite"] = bool(all(np.isfinite(output).all() for output in outputs))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
