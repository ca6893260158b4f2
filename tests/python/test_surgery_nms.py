"""NonMaxSuppression is left for TensorRT's own layer."""

from __future__ import annotations

import onnx
import pytest

from tf2trt import libraries
from tf2trt.preparation import prepare


def test_it_stays_and_the_verdict_speaks_of_it(tmp_path):
    tf = pytest.importorskip("tensorflow")

    @tf.function(input_signature=[tf.TensorSpec([40, 4], name="boxes"), tf.TensorSpec([40], name="scores")])
    def best(boxes, scores):
        corners = tf.concat([boxes[:, :2], boxes[:, :2] + tf.abs(boxes[:, 2:])], axis=1)
        return {"kept": tf.image.non_max_suppression(corners, scores, 10, iou_threshold=0.4)}

    library = libraries.find(need_builder=True)
    report = prepare(best, tmp_path / "m.onnx", library=library)
    assert report.surgery.not_compared is None
    assert [node.op_type for node in onnx.load(str(tmp_path / "m.onnx")).graph.node].count("NonMaxSuppression") == 1
    # TensorRT has a layer for it since 8.5.
    assert "NonMaxSuppression" not in [node.op for node in report.support.unsupported]
    assert report.support.supported, report.support
