"""What tf2onnx itself does not take: compiled functions and operators that it does not know."""

from __future__ import annotations

import onnx
import pytest

from tf2trt.export import export


def ops(path):
    return [node.op_type for node in onnx.load(str(path)).graph.node]


def test_a_grouped_convolution_which_keras_compiles(tmp_path):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((8, 8, 6)), keras.layers.Conv2D(12, 3, groups=3, name="grouped")])
    assert export(model, tmp_path / "m.onnx").max_rel_error < 1e-5
    (conv,) = (node for node in onnx.load(str(tmp_path / "m.onnx")).graph.node if node.op_type == "Conv")
    assert [item.i for item in conv.attribute if item.name == "group"] == [3]


def test_a_function_that_is_to_be_compiled_inside_another(tmp_path):
    tf = pytest.importorskip("tensorflow")
    weights = tf.Variable(tf.random.normal([4, 3]))

    @tf.function(jit_compile=True)
    def inner(x):
        return tf.nn.relu(x @ weights)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
    def outer(x):
        return {"y": inner(x) + inner(2.0 * x)}

    assert export(outer, tmp_path / "m.onnx").max_rel_error < 1e-5
    assert ops(tmp_path / "m.onnx").count("MatMul") == 2


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_erfc_and_the_exact_gelu(tmp_path, dtype):
    tf, keras = pytest.importorskip("tensorflow"), pytest.importorskip("keras")

    @tf.function(input_signature=[tf.TensorSpec([None, 50], dtype, name="x")])
    def both(x):
        return {"erfc": tf.math.erfc(x), "gelu": keras.activations.gelu(x, approximate=False)}

    assert export(both, tmp_path / "m.onnx", tolerance=1e-5 if dtype == "float32" else 2e-3).max_rel_error > 0
    assert "Erf" in ops(tmp_path / "m.onnx")
