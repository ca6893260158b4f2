"""TensorFlow's latency for the network of examples/box3d: ``python benchmarks/box3d_tensorflow.py``.

One image, host to host: a NumPy array goes in, three NumPy arrays come out. The model is called through a
``tf.function``, as TensorFlow compiles it (on GPUs once with TF32, its default, and once without) and by XLA. The
engines are measured in the same way by tests/gpu/test_box3d.py. Needs TensorFlow and Keras alone.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[1] / "examples" / "box3d"


def measure(call, image, warmup, iterations):
    """Milliseconds of each call, sorted."""
    for _ in range(warmup):
        call(image)
    times = []
    for _ in range(iterations):
        started = time.perf_counter()
        results = [output.numpy() for output in call(image)]
        times.append(1e3 * (time.perf_counter() - started))
    assert all(np.isfinite(result).all() for result in results)
    return np.sort(times)


def main():
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--iterations", type=int, default=1000)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    sys.path.insert(0, str(EXAMPLE))
    from model import box3d

    gpus = tf.config.list_physical_devices("GPU")
    device = tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "the CPU"
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, on {device}; {options.iterations} calls of one image"
    )
    model = box3d(keras)
    image = np.random.default_rng(0).standard_normal((1, *model.inputs[0].shape[1:]), np.float32)
    for name, tf32, xla in (("TF32", True, False), ("FP32", False, False), ("TF32, XLA", True, True)):
        tf.config.experimental.enable_tensor_float_32_execution(tf32)
        call = tf.function(lambda x: model(x, training=False), jit_compile=xla)
        times = measure(call, image, options.warmup, options.iterations)
        p10, p50, p90, p99 = np.percentile(times, [10, 50, 90, 99])
        print(f"{name:10} p50 {p50:.3f} ms (p10..p90 {p10:.3f}..{p90:.3f}, p99 {p99:.3f})", flush=True)


if __name__ == "__main__":
    main()
