"""Makes the 3-D box network of the GPU tests: ``make_box3d.py FOLDER`` writes box3d.onnx (160 MB) and box3d.npz there.

The network of examples/box3d at its full size, seeded, as ``tf2trt.convert`` hands it to TensorRT 8.6: simplified, the
l2 normalisation one node. box3d.npz holds images and TensorFlow's own answers to them, for batch 1 and 4, under
``BATCH/NAME``. TensorFlow on a CPU is enough.
"""

import sys
from pathlib import Path

import numpy as np

from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow
from tf2trt.surgery import simplify

BATCHES = (1, 4)
EXAMPLE = Path(__file__).parents[2] / "examples" / "box3d"


def make_model():
    import_tensorflow()
    import keras

    sys.path.insert(0, str(EXAMPLE))
    from model import box3d

    return box3d(keras)


def answers(model):
    """Random images and what TensorFlow makes of them, by ``BATCH/NAME``."""
    rng = np.random.default_rng(0)
    arrays = {}
    for batch in BATCHES:
        images = rng.standard_normal((batch, *model.inputs[0].shape[1:]), np.float32)
        arrays[f"{batch}/image"] = images
        for name, result in zip(model.output_names, model(images, training=False)):
            arrays[f"{batch}/{name}"] = np.asarray(result)
    return arrays


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    onnx = folder / "box3d.onnx"
    model = make_model()
    report = export(model, onnx)
    surgery = simplify(onnx, onnx, plugins=("l2_normalize",))
    np.savez(folder / "box3d.npz", **answers(model))
    print(f"{onnx}: {onnx.stat().st_size / 1e6:.0f} MB, relative error {report.max_rel_error:.1e}")
    print(f"nodes {surgery.nodes_before} -> {surgery.nodes_after}; input", *report.inputs, "output", *report.outputs)


if __name__ == "__main__":
    main()
