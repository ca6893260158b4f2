"""Operators that select by values stay native, whatever the parser of the TensorRT at hand says of them."""

from __future__ import annotations

import numpy as np

from tf2trt.export.quiet import import_tensorflow
from tf2trt.hybrid import convert

tf = import_tensorflow()


def test_what_selects_by_values_does_not_take_its_segment_along(tmp_path):
    def function(x):
        y = tf.nn.sigmoid(tf.nn.relu(x) * 2.0 - 1.0)
        scores = tf.reduce_sum(y, axis=1)
        combined = tf.image.combined_non_max_suppression(y[tf.newaxis, :, tf.newaxis], y[tf.newaxis], 2, 4, 0.5, 0.1)
        return {
            "chosen": tf.gather_nd(y, tf.where(y > 0.4)),
            "boxes": tf.image.non_max_suppression(y, scores, 3),
            "combined": combined[0],
            "kinds": tf.unique(tf.argmax(y, axis=1, output_type=tf.int32))[0],
        }

    module = tf.Module()
    module.call = tf.function(
        function, input_signature=[tf.TensorSpec([6, 4], name="x")]
    )  # static: the parser takes it
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    x = np.random.default_rng().standard_normal((6, 4), np.float32)
    report = convert(tmp_path / "model", tmp_path / "out", backend="tf2trt", input_fn=lambda: [x])
    native = {node.op: node.reason for node in report.native}
    for operator in ("CombinedNonMaxSuppression", "NonMaxSuppressionV3", "Where", "Unique"):
        assert native[operator] == f"{operator} selects by values, so that shapes in an engine would depend on them"
    built = [node.op for segment in report.segments if segment.built for node in segment.nodes]
    assert {"Relu", "Sigmoid", "Sum"} <= set(built)
    assert all(segment.built for segment in report.segments), [segment.why_not for segment in report.segments]
