"""The networks of precision.py, made where TensorFlow is: for each an ONNX file, and samples with ONNX Runtime's
answers. The same with INT8 scales is made from that file anywhere, so that half as much has to be carried to a GPU.
"""

from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import numpy as np
import zoo_models

from tf2trt.errors import VerificationError
from tf2trt.export import export
from tf2trt.export.quiet import import_tensorflow
from tf2trt.numerics import relative_error
from tf2trt.surgery import simplify
from tf2trt.verify import OnnxReference

SAMPLES = 4  # that errors are measured on
CALIBRATION = 16
LIMIT = 1e-4  # of ONNX Runtime's answers, relative to Keras's
TOKENS, WIDTH, HEADS = 128, 768, 12


class Made(NamedTuple):
    """A network, what makes samples for it, and the plugins that TensorRT gets."""

    make: Callable[[Any], zoo_models.Subject]
    samples: Callable[[np.random.Generator, int], Any]
    plugins: tuple = ()


def encoder(keras: Any) -> zoo_models.Subject:
    """One encoder block of BERT's base size: 12 heads of 64 over 128 tokens, 3,072 wide inside."""
    layers = keras.layers
    x = keras.Input((TOKENS, WIDTH), name="tokens")
    y = layers.LayerNormalization()(x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, x))
    hidden = layers.Dense(4 * WIDTH, activation="gelu")(y)
    y = layers.LayerNormalization()(y + layers.Dense(WIDTH)(hidden))
    return zoo_models.Subject(keras.Model(x, y), [])


def images(rng: np.random.Generator, count: int) -> Any:
    """Standard normal pictures."""
    return rng.standard_normal((count, 224, 224, 3), np.float32)


def photographs(rng: np.random.Generator, count: int) -> Any:
    """Pictures from 0 to 255, for a network that does its own preprocessing."""
    return np.clip(128 + 64 * images(rng, count), 0, 255)


def tokens(rng: np.random.Generator, count: int) -> Any:
    """Embedded words."""
    return rng.standard_normal((count, TOKENS, WIDTH), np.float32)


MODELS: Dict[str, Made] = {
    "resnet50": Made(zoo_models.application("ResNet50"), images),
    "mobilenetv2": Made(zoo_models.application("MobileNetV2"), images),
    "efficientnetb0": Made(zoo_models.application("EfficientNetB0"), photographs),
    "encoder": Made(encoder, tokens),
    "box3d": Made(zoo_models.box3d, images, ("l2_normalize",)),
}


def make(name: str, folder: Path) -> None:
    """Writes NAME.onnx and NAME.npz (``x`` and each output under its own name) into ``folder``."""
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(zoo_models.SEED)
    network = MODELS[name]
    onnx = folder / f"{name}.onnx"
    model = network.make(keras).model
    export(model, onnx, check=False)  # compared below, on samples of the kind that it is made for
    simplify(onnx, onnx, plugins=network.plugins)
    samples = network.samples(np.random.default_rng(zoo_models.SEED), SAMPLES)
    reference = OnnxReference(onnx)
    answers = reference({reference.inputs[0].name: samples})
    results = model(samples, training=False)
    results = results if isinstance(results, (list, tuple)) else [results]
    error = max(relative_error(got, want) for got, want in zip(answers.values(), map(np.asarray, results)))
    if not error < LIMIT:
        raise VerificationError(f"{name} differs from Keras", received=error, expected=f"under {LIMIT:g}")
    np.savez(folder / f"{name}.npz", x=samples, **{f"out/{key}": value for key, value in answers.items()})
    print(f"{name}: {onnx.stat().st_size / 1e6:.0f} MB, relative error to Keras {error:.1e}", flush=True)


def quantised(name: str, folder: Path) -> Path:
    """NAME.int8.onnx in ``folder``: NAME.onnx with INT8 scales. It is made where it is not there."""
    from tf2trt.calibration import CalibrationData, quantize

    target = folder / f"{name}.int8.onnx"
    if not target.is_file():
        data = MODELS[name].samples(np.random.default_rng(zoo_models.SEED + 1), CALIBRATION)
        quantize(folder / f"{name}.onnx", target, CalibrationData(data, batch_size=4), method="minmax")
    return target
