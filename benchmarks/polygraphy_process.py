"""Polygraphy's own TrtRunner, timed in a process of its own; runtime.py starts it with --polygraphy-python.

    python benchmarks/polygraphy_process.py ENGINE INPUT.npy OUTPUT.npy --calls 1000

Needs a GPU, numpy, polygraphy and TensorRT's Python bindings of the version that built ENGINE, which has one input; for
TensorRT 8.6 that is Python 3.11 at the latest. Writes the first output, and prints JSON: versions, and the microseconds
that each call of ``infer`` took with its default settings, from an ordinary array to ordinary arrays.
"""

import argparse
import gc
import json
import os
import sys
import time


def main():
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", metavar="ENGINE")
    parser.add_argument("input", metavar="INPUT.npy")
    parser.add_argument("output", metavar="OUTPUT.npy")
    parser.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()
    # The bindings of 8.6 ask for parsers that nobody has to have: resolved when they are called, which they are not.
    sys.setdlopenflags(os.RTLD_LAZY)
    import numpy as np
    import polygraphy
    import tensorrt
    from polygraphy.backend.trt import EngineFromBytes, TrtRunner

    x = np.load(given.input)
    with open(given.engine, "rb") as file, TrtRunner(EngineFromBytes(file.read())) as runner:
        feed = dict.fromkeys(runner.get_input_metadata(use_numpy_dtypes=False), x)
        for _ in range(50):
            results = runner.infer(feed)
        samples = []
        gc.disable()
        for _ in range(given.calls):
            started = time.perf_counter_ns()
            results = runner.infer(feed)
            samples.append((time.perf_counter_ns() - started) / 1e3)
        np.save(given.output, next(iter(results.values())))
    print(json.dumps({"polygraphy": polygraphy.__version__, "tensorrt": tensorrt.__version__, "samples": samples}))


if __name__ == "__main__":
    main()
