"""One fresh process with TensorRT: loads an engine, answers one call, prints where the time went as JSON.

    python benchmarks/runtime_stages.py ENGINE SHAPE STARTED

SHAPE is the input's, such as 1,224,224,3; STARTED is time.monotonic() of just before this process was made. The stages
are those of Engine.load itself: its parts are wrapped with a clock, nothing is done in another order. The one addition:
the CUDA context, which deserialising would make, is made before it, so that it is a stage of its own.
"""

import sys
import time

clock = time.monotonic
entered = clock()
path, shape, begun = sys.argv[1], tuple(int(extent) for extent in sys.argv[2].split(",")), float(sys.argv[3])

import numpy as np  # noqa: E402 - the imports are what is timed

numpy_done = clock()

import tf2trt.runtime.engine as runtime  # noqa: E402
from tf2trt import _native, libraries  # noqa: E402

imports_done = clock()
stages = {
    "process and interpreter": entered - begun,
    "import numpy": numpy_done - entered,
    "import tf2trt.runtime": imports_done - numpy_done,
}


def timed(name, function):
    """``function`` with its time added to a stage; the stages inside it are taken out of its own."""

    def call(*args, **named):
        inside, started = sum(stages.values()), clock()
        try:
            return function(*args, **named)
        finally:
            inside = sum(stages.values()) - inside
            stages[name] = stages.get(name, 0.0) + clock() - started - inside

    return call


start_driver = timed("CUDA: driver (cuInit)", _native.device)
start_context = timed("CUDA: primary context", _native.available_memory)


def start_cuda(*args, **named):
    """The driver, as Engine.load starts it, and then the context."""
    device = start_driver(*args, **named)
    start_context()
    return device


libraries.find = timed("load libnvinfer", libraries.find)
_native.device = start_cuda
runtime.check_hash = timed("hash of the plan", runtime.check_hash)
runtime._deserialize = timed("deserialise", runtime._deserialize)
runtime.Engine._new_context = timed("execution context", runtime.Engine._new_context)
engine = timed("the rest of Engine.load", runtime.Engine.load)(path)
x = timed("an array of ones", np.ones)(shape, np.float32)
timed("first call", engine)(x)
seconds = clock() - begun

import json  # noqa: E402

print(json.dumps({"seconds": seconds, "stages": stages}))
