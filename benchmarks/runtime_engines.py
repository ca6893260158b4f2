"""The engines of runtime.py, built when they are first asked for, and the arrays that they are fed."""

import sys
from pathlib import Path
from typing import Optional, Tuple

import numpy as np

from tf2trt.build import BuildOptions, build_engine
from tf2trt.build.onnx_inputs import read_onnx_inputs
from tf2trt.errors import UsageError
from tf2trt.specs import ShapeRange

WIDTH = 64  # of the one-layer engine


class Engines:
    """Engine files in ``folder``; one that is there already is taken as it is."""

    def __init__(self, folder: Path, resnet50: Optional[Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._resnet50 = folder, resnet50

    def one_image(self) -> Path:
        """ResNet-50 in FP16 for a batch of 1 and no other."""
        return self._build_resnet50("resnet50_fp16_1.engine", (1, 1, 1))

    def batches(self) -> Path:
        """ResNet-50 in FP16 for batches of 8 to 32, made for 32."""
        return self._build_resnet50("resnet50_fp16_8_32.engine", (8, 32, 32))

    def one_layer(self) -> Path:
        """Relu of a static float32 1x64."""
        engine = self._folder / "one_layer.engine"
        if engine.is_file():
            return engine
        import onnx
        from onnx import TensorProto, helper

        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, WIDTH]) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one_layer", values[:1], values[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = self._folder / "one_layer.onnx"
        onnx.save(model, str(path))
        return build_engine(path, engine, BuildOptions(timing_cache=self._folder / "timings")).engine

    def input_of_resnet50(self) -> Tuple[str, Tuple[int, ...]]:
        """Its input's name and an image's shape, without the batch.

        Raises:
            UsageError: the ONNX file has other inputs than one float32 with a dynamic batch.
        """
        assert self._resnet50 is not None
        path = self._resnet50 / "resnet50.onnx"
        inputs = read_onnx_inputs(path)
        good = len(inputs) == 1 and inputs[0].dtype == "float32" and len(inputs[0].shape) == 4
        if not good or inputs[0].shape[0] != -1 or min(inputs[0].shape[1:]) < 1:
            raise UsageError(
                "--resnet50",
                received=f"{path}: " + ", ".join(str(spec) for spec in inputs),
                expected="one float32 input of images with a dynamic batch, as tests/gpu/make_resnet50.py writes it",
            )
        return inputs[0].name, tuple(inputs[0].shape[1:])

    def _build_resnet50(self, name: str, batches: Tuple[int, int, int]) -> Path:
        engine = self._folder / name
        if engine.is_file():
            return engine
        assert self._resnet50 is not None
        tensor, image = self.input_of_resnet50()
        print(f"building {name}: 80 s or so", file=sys.stderr, flush=True)
        options = BuildOptions(
            precision="fp16",
            profiles=({tensor: ShapeRange(*((batch, *image) for batch in batches))},),
            timing_cache=self._folder / "timings",
        )
        report = build_engine(self._resnet50 / "resnet50.onnx", engine, options)
        print(f"{name} took {report.seconds:.0f} s", file=sys.stderr, flush=True)
        return report.engine


def random_array(seed: int, *shape: int) -> np.ndarray:
    """Float32, standard normal."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)
