"""Types that a segment computes in: where TensorRT takes another than was asked for, it is told and no segment lost."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt import _native
from tf2trt.errors import UsageError
from tf2trt.export.quiet import import_tensorflow
from tf2trt.hybrid import convert, engines
from tf2trt.precisions import PrecisionProof

tf = import_tensorflow()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A part of whole numbers only, and one with a matrix product."""

    def function(x, numbers):
        y = tf.tanh(tf.nn.relu(tf.matmul(x, tf.ones([4, 4]))) + 1.0)
        return {"y": y, "numbers": tf.minimum(numbers * 3 + 1, 100) - 2}

    module = tf.Module()
    signature = [tf.TensorSpec([8, 4], name="x"), tf.TensorSpec([8, 4], tf.int32, name="numbers")]
    module.call = tf.function(function, input_signature=signature)
    path = tmp_path_factory.mktemp("model") / "saved"
    tf.saved_model.save(module, str(path), signatures=module.call)
    return path


def batches():
    return [{"x": np.ones((8, 4), np.float32), "numbers": np.ones((8, 4), np.int32)}]


def test_whole_numbers_are_an_engine_in_half_precision_too(model, tmp_path):
    report = convert(model, tmp_path / "out", backend="tf2trt", precision_mode="FP16", input_fn=batches)
    assert report.coverage.share == 1.0, [segment.why_not for segment in report.segments]
    assert report.notes == ()


def test_layers_in_another_type_are_a_note(model, tmp_path, monkeypatch):
    build_for = engines.build_for

    def fell_back(onnx, target, options, **named):
        assert options.allow_fallback
        report = build_for(onnx, target, options, **named)
        proof = PrecisionProof("engine", 0.25, None, ())
        sidecar = SimpleNamespace(**{**vars(report.sidecar), "proof": proof})
        return SimpleNamespace(sidecar=sidecar)

    monkeypatch.setattr(engines, "build_for", fell_back)
    report = convert(model, tmp_path / "out", backend="tf2trt", precision_mode="FP16", input_fn=batches)
    names = [segment.name for segment in report.segments]
    assert report.notes == tuple(
        f"{name}: 25% of its convolutions and matrix products are in fp16, as asked" for name in names
    )


def test_a_type_that_the_gpu_lacks_is_refused_first(model, tmp_path, monkeypatch):
    device = SimpleNamespace(name="GTX 1080", compute_capability=(6, 1))
    monkeypatch.setattr(_native, "device", lambda: device)
    with pytest.raises(UsageError, match="GTX 1080 does not compute in FP16"):
        convert(model, tmp_path / "out", backend="tf2trt", precision_mode="FP16", input_fn=batches)
