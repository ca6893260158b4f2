"""The networks of seeds.py, each made in a process of its own. Nothing is downloaded: weights are seeded, batch norms
have the statistics of a pass over random images.

    python benchmarks/seeds_models.py saved NETWORK FOLDER
    python benchmarks/seeds_models.py onnx NETWORK FOLDER
    python benchmarks/seeds_models.py int8 NETWORK FOLDER
    python benchmarks/seeds_models.py convert NETWORK FOLDER BACKEND PRECISION BATCH

The first writes NETWORK.saved, a SavedModel; the second NETWORK.onnx; the third NETWORK.int8.onnx, the same with INT8
scales from random images; the last takes NETWORK.saved to NETWORK.BACKEND.PRECISION.BATCH with TF-TRT (tf-trt) or
tf2trt's own op (tf2trt). Exit status: 0 done, 1 failed, 3 it cannot be done here; then the last line says why.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import seeds_ssd
import zoo_models

from tf2trt.errors import DeviceError, LibraryError, MissingExtraError, Tf2TrtError
from tf2trt.export.quiet import import_tensorflow
from tf2trt.extras import require

SEED = zoo_models.SEED
CALIBRATION = 16  # images for INT8's scales
CANNOT = 3  # exit status: this machine lacks what it takes
_OPSET = 17


class Network(NamedTuple):
    """``package`` is what makes it, ``shape`` that of one image, ``make`` gets the package."""

    package: str
    shape: Tuple[int, ...]
    make: Callable[[Any], Any]
    plugins: Tuple[str, ...] = ()


def mnist(keras: Any) -> Any:
    """Two convolutions and two dense layers, as tutorials have it; logits."""
    layers = keras.layers
    x = image = keras.Input((28, 28, 1), name="image")
    for channels in (32, 64):
        x = layers.Conv2D(channels, 3, activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    return keras.Model(image, layers.Dense(10)(layers.Dense(128, activation="relu")(x)))


def ssd(keras: Any) -> Any:
    """The network of seeds_ssd.py, its batch norms set."""
    model = seeds_ssd.network(keras)
    zoo_models.enliven(keras, model, zoo_models.normal(zoo_models.STATISTICS, seeds_ssd.SIZE, seeds_ssd.SIZE, 3))
    return model


def torchvision(name: str, **options: Any) -> Callable[[Any], Any]:
    """A network of ``torchvision.models``, its batch norms set."""

    def make(package: Any) -> Any:
        torch = importlib.import_module("torch")
        torch.manual_seed(SEED)
        model = getattr(package.models, name)(weights=None, **options)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0  # so that one pass is enough
        with torch.no_grad():
            model(torch.randn(zoo_models.STATISTICS, 3, 224, 224))
        return model.eval()

    return make


def keras_network(make: Callable[[Any], zoo_models.Subject]) -> Callable[[Any], Any]:
    """One of zoo_models.py's."""
    return lambda keras: make(keras).model


_PICTURE, _PLANES = (224, 224, 3), (3, 224, 224)
NETWORKS: Dict[str, Network] = {
    "resnet50": Network("keras", _PICTURE, keras_network(zoo_models.application("ResNet50"))),
    "box3d": Network("keras", _PICTURE, keras_network(zoo_models.box3d), ("l2_normalize",)),
    "ssd": Network("keras", (seeds_ssd.SIZE, seeds_ssd.SIZE, 3), ssd),
    "mnist": Network("keras", (28, 28, 1), mnist),
    "torch-googlenet": Network("torchvision", _PLANES, torchvision("googlenet", aux_logits=False, init_weights=False)),
    "torch-resnet18": Network("torchvision", _PLANES, torchvision("resnet18")),
    "torch-resnet50": Network("torchvision", _PLANES, torchvision("resnet50")),
    "torch-densenet121": Network("torchvision", _PLANES, torchvision("densenet121")),
}


def make(name: str) -> Any:
    """The network, by its package: a Keras model or a torch module.

    Raises:
        MissingExtraError: the package is not installed.
    """
    network = NETWORKS[name]
    if network.package == "torchvision":
        if importlib.util.find_spec("torchvision") is None:
            raise MissingExtraError("the Python package 'torchvision' is not installed", hint="pip install torchvision")
        return network.make(importlib.import_module("torchvision"))
    import_tensorflow()
    keras = require("keras", "export")
    keras.utils.set_random_seed(SEED)
    return network.make(keras)


def images(name: str, count: int) -> Any:
    """Standard normal images, (count, ...) float32."""
    return zoo_models.normal(count, *NETWORKS[name].shape)


def write_saved(name: str, folder: Path) -> None:
    """NAME.saved: input ``image`` with any batch."""
    tensorflow = import_tensorflow()
    module = tensorflow.Module()
    module.model = model = make(name)
    detect = seeds_ssd.detector(tensorflow, model) if name == "ssd" else None

    def call(image: Any) -> Dict[str, Any]:
        if detect is not None:
            return detect(image)
        outputs = tensorflow.nest.flatten(model(image, training=False))
        return {f"output_{number}": output for number, output in enumerate(outputs)}

    signature = tensorflow.TensorSpec([None, *NETWORKS[name].shape], tensorflow.float32, "image")
    module.call = tensorflow.function(call, input_signature=[signature])
    unfinished = folder / f"{name}.saved.tmp"
    tensorflow.saved_model.save(module, str(unfinished), signatures=module.call)
    unfinished.rename(folder / f"{name}.saved")


def write_onnx(name: str, folder: Path) -> None:
    """NAME.onnx, rewritten for TensorRT: input ``image`` with any batch."""
    from tf2trt.export import export
    from tf2trt.surgery import simplify

    target, raw = folder / f"{name}.onnx", folder / f"{name}.raw.onnx"
    model = make(name)
    try:
        if NETWORKS[name].package == "keras":
            export(model, raw)
        else:
            torch = importlib.import_module("torch")
            axes = {"image": {0: "batch"}, "scores": {0: "batch"}}
            names = {"input_names": ["image"], "output_names": ["scores"], "dynamic_axes": axes}
            example = (torch.from_numpy(images(name, 2)),)
            torch.onnx.export(model, example, str(raw), dynamo=False, opset_version=_OPSET, **names)
        simplify(raw, target, plugins=NETWORKS[name].plugins)
    finally:
        raw.unlink(missing_ok=True)


def write_int8(name: str, folder: Path) -> None:
    """NAME.int8.onnx from NAME.onnx."""
    from tf2trt.calibration import CalibrationData, quantize

    data = CalibrationData(images(name, CALIBRATION), batch_size=4)
    quantize(folder / f"{name}.onnx", folder / f"{name}.int8.onnx", data, method="minmax")


def write_converted(name: str, folder: Path, backend: str, precision: str, batch: str) -> None:
    """NAME.BACKEND.PRECISION.BATCH from NAME.saved, its engines built for the batch."""
    from tf2trt import hybrid

    def batches() -> Iterator[List[Any]]:
        yield [images(name, int(batch))]

    mode = {"int8+fp16": "INT8"}.get(precision, precision.upper())
    hybrid.convert(
        folder / f"{name}.saved",
        folder / f"{name}.{backend}.{precision}.{batch}",
        backend=backend,
        precision_mode=mode,
        input_fn=batches,
        calibration_input_fn=batches if mode == "INT8" else None,
    )


WRITERS: Dict[str, Callable[..., None]] = {
    "saved": write_saved,
    "onnx": write_onnx,
    "int8": write_int8,
    "convert": write_converted,
}


def main(arguments: Sequence[str]) -> int:
    """Exit status."""
    if len(arguments) < 3 or arguments[0] not in WRITERS or arguments[1] not in NETWORKS:
        print(__doc__, file=sys.stderr)
        return 2
    what, name, folder, *rest = arguments
    try:
        WRITERS[what](name, Path(folder), *rest)
    except (MissingExtraError, LibraryError, DeviceError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return CANNOT
    except Tf2TrtError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
