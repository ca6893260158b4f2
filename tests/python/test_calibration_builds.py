"""Q/DQ graphs of a trained network and of every kind of layer: how accurate they are, and TensorRT's builds of them."""

import numpy as np
import pytest
from small_graphs import node

from tf2trt import _native, libraries
from tf2trt.calibration import METHODS, CalibrationData, quantize
from tf2trt.errors import ModelError
from tf2trt.numerics import relative_error

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from calibration_graphs import DATA, conv, load, run, save, weights


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    found = [each.library for each in libraries.candidates() if each.library is not None and each.library.kind == "rtx"]
    assert found, "the wheel is installed but its library was not found"
    return found[0]


@pytest.mark.parametrize("method", METHODS)
def test_accuracy_on_digits_is_within_a_point(digits, tmp_path, method):
    from digits import accuracy

    data = CalibrationData(digits.images, samples=300, batch_size=32)
    quantize(digits.onnx, tmp_path / "q.onnx", data, method)
    before = accuracy(digits.onnx, digits.held_images, digits.held_labels)
    after = accuracy(tmp_path / "q.onnx", digits.held_images, digits.held_labels)
    print(f"digits, {len(digits.held_labels)} images: FP32 {before:.4f}, INT8 by {method} {after:.4f}")
    assert before > 0.97
    assert after >= before - 0.01


def native(**shapes):
    options = _native.BuilderOptions()
    options.profiles = [{name: (shape, shape, shape) for name, shape in shapes.items()}]
    return options


def test_tensorrt_builds_it_strongly_typed_with_int8(digits, rtx, tmp_path):
    report = quantize(digits.onnx, tmp_path / "q.onnx", digits.images[:64])
    before = _native.build(rtx, str(digits.onnx), native(image=(8, 8, 8, 1)))
    after = _native.build(rtx, str(tmp_path / "q.onnx"), native(image=(8, 8, 8, 1)))
    assert "int8" not in before.layer_types
    # A Q for every activation and for every weight: two residual Adds among the nodes have no weights.
    assert after.layer_types["int8"] == len(report.scales) + len(report.nodes) - 2
    assert after.log == []


def test_tensorrt_builds_matrices_and_transposed_convolutions(rtx, tmp_path):
    nodes = [
        node("ConvTranspose", ["x", "t"], ["c"], strides=[2, 2]),
        conv(["c", "d"], "e", group=6),
        node("Relu", ["e"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "g", "b"], ["h"], transB=1),
        node("MatMul", ["h", "m"], ["y"]),
    ]
    constants = {"t": weights(3, 6, 2, 2), "d": weights(6, 1, 3, 3), "g": weights(5, 6), "b": weights(5)}
    path = save(tmp_path, nodes, {**constants, "m": weights(5, 4)})
    report = quantize(path, tmp_path / "q.onnx", DATA)
    assert report.nodes == ("the c", "the e", "the h", "the y")
    assert relative_error(run(tmp_path / "q.onnx", {"x": DATA})[0], run(path, {"x": DATA})[0]) < 0.05
    built = _native.build(rtx, str(tmp_path / "q.onnx"), native(x=(2, 3, 8, 8)))
    assert built.layer_types["int8"] == 8


def test_a_keras_model_trained_with_quantisation_keeps_its_nodes(rtx, tmp_path):
    from tf2trt.export.quiet import import_tensorflow
    from tf2trt.preparation import prepare

    tf = import_tensorflow()
    import keras

    def fake(x, limit):
        return tf.quantization.quantize_and_dequantize_v2(x, -limit, limit, range_given=True, narrow_range=True)

    class Quantised(keras.layers.Conv2D):
        def call(self, x):
            return tf.nn.conv2d(fake(x, 4.0), fake(tf.convert_to_tensor(self.kernel), 1.0), 1, "SAME")

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    network = keras.Model(image, keras.layers.ReLU(name="y")(Quantised(4, 3)(image)))
    # A value on the edge between two steps may fall to either side: one step of 255.
    prepare(network, tmp_path / "m.onnx", library=None, tolerance=0.02)
    kinds = [each.op_type for each in load(tmp_path / "m.onnx")[0].node]
    assert kinds.count("QuantizeLinear") == kinds.count("DequantizeLinear") == 2
    with pytest.raises(ModelError, match="quantised already"):
        quantize(tmp_path / "m.onnx", tmp_path / "q.onnx", np.ones((1, 8, 8, 1), np.float32))
    built = _native.build(rtx, str(tmp_path / "m.onnx"), native(image=(2, 8, 8, 1)))
    assert built.layer_types["int8"] >= 2
