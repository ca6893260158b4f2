"""FP32 and FP16 engines of the 3-D box network, compared with Keras: python convert.py [FOLDER]"""

import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
import tensorflow as tf

import tf2trt
from tf2trt.bench import measure, time_calls
from tf2trt.numerics import relative_error
from tf2trt.verify import OnnxReference


def convert(model: Any, folder: Path) -> Dict[str, Dict[str, float]]:
    """Builds both engines and prints what each gives; the relative error of each output, by what was run."""
    shape = model.inputs[0].shape[1:]
    profile = {"image": tf2trt.ShapeRange(min=(1, *shape), opt=(1, *shape), max=(4, *shape))}
    images = np.random.default_rng().standard_normal((4, *shape), np.float32)
    expected = dict(zip(model.output_names, map(np.asarray, model(images, training=False))))

    def compare(name: str, results: Dict[str, Any]) -> None:
        errors[name] = {output: relative_error(results[output], expected[output]) for output in expected}
        print(f"{name}: relative error " + ", ".join(f"{key} {error:.1e}" for key, error in errors[name].items()))

    errors: Dict[str, Dict[str, float]] = {}
    onnx = folder / "box3d.onnx"
    for precision in ("fp32", "fp16"):
        options = tf2trt.BuildOptions(precision=precision, profiles=[profile])
        report = tf2trt.convert(model, folder / f"box3d-{precision}.engine", options, keep_onnx=onnx)
        if not errors:
            notes = [note for item in report.surgery.passes for note in item.notes]
            print("; ".join([*notes, *filter(None, [report.no_plugins])]))
            compare("ONNX", OnnxReference(onnx)({"image": images}))
        print(f"{report.build.engine}: {report.build.sidecar.plan_bytes >> 20} MiB in {report.build.seconds:.1f} s")
        if report.not_run:
            print(f"{precision}: built, not run: {report.not_run}")
            continue
        with tf2trt.Engine.load(report.build.engine) as engine:
            compare(precision, engine(images))
            print(f"{precision}: one image, host to host: {measure(engine, {'image': images[:1]}, iterations=500)}")
    call = tf.function(lambda image: model(image, training=False))
    keras = time_calls(lambda: [output.numpy() for output in call(images[:1])], warmup=3, iterations=20)
    print(f"Keras on {'a GPU' if tf.config.list_physical_devices('GPU') else 'the CPU'}: one image: {keras}")
    return errors


if __name__ == "__main__":
    import keras
    from model import box3d

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # else TensorFlow takes all, and TensorRT has none
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "box3d-out")
    target.mkdir(exist_ok=True)
    convert(box3d(keras), target)
