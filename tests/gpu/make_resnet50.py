"""Makes the ResNet-50 of the GPU tests: ``make_resnet50.py FOLDER`` writes FOLDER/resnet50.onnx (98 MB).

``keras.applications`` without its weights, which nobody downloads: seeded ones instead, and batch-norm statistics from
a pass over random images, so that the activations are of ordinary size. It ends in logits: a softmax over a thousand
nearly equal classes would hide every error. TensorFlow on a CPU is enough.

The last norm of each residual block has a scale of 0.5, as training leaves it below 1. With 1, fifty random layers
multiply every rounding error by 40: measured in ONNX Runtime, FP16 values alone then cost 2.0e-2 (with 0.5: 4.6e-3),
and TensorRT 8.6.0's FP16 engine on an H200 4.3e-2 (with 0.5: 1.1e-2). A test of an engine should not be a test of that.
"""

import sys
from pathlib import Path

import numpy as np

from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow
from tf2trt.surgery import simplify

SEED = 0
RESIDUAL_GAMMA = 0.5


def make_model():
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(SEED)
    model = keras.applications.ResNet50(weights=None, classifier_activation=None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # so that one pass sets the statistics
            if layer.name.endswith("_3_bn"):  # the last of each residual block
                layer.gamma.assign(np.full(layer.gamma.shape, RESIDUAL_GAMMA, np.float32))
    images = np.random.default_rng(SEED).normal(size=(16, 224, 224, 3)).astype(np.float32)
    model(images, training=True)
    return model


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    onnx = folder / "resnet50.onnx"
    report = export(make_model(), onnx)
    simplify(onnx, onnx)
    print(f"{onnx}: {onnx.stat().st_size / 1e6:.0f} MB, relative error {report.max_rel_error:.1e}")
    print("input", *report.inputs, "output", *report.outputs)


if __name__ == "__main__":
    main()
