"""TensorRT's own INT8 calibrators and layer precisions from Python, on a fake driver and fake TensorRTs that build.

The bodies are in tests/support/calibrator_bodies.py.
"""

import pytest


@pytest.mark.parametrize("number", [8600, 101601])
@pytest.mark.parametrize(
    "body",
    [
        "calibrates",
        "takes_a_cache",
        "copies_what_is_not_contiguous",
        "exceptions_come_out",
        "refuses",
        "lets_go",
        "sets_layers",
    ],
)
def test_with_calibrators(fake_gpu, tmp_path, body, number):
    fake_gpu.run(f"calibrator_bodies.{body}", fake_gpu.put_builder(tmp_path, number))


@pytest.mark.parametrize("number", [8600, 101601])
@pytest.mark.parametrize("body", ["takes_tf2trts_own", "keeps_the_cache_of_a_refused_engine"])
def test_with_models(fake_gpu, tmp_path, body, number):
    pytest.importorskip("onnx")
    fake_gpu.run(f"calibrator_bodies.{body}", fake_gpu.put_builder(tmp_path, number))


def test_strongly_typed(fake_gpu, tmp_path):
    fake_gpu.run("calibrator_bodies.strongly_typed", fake_gpu.put_builder(tmp_path, 110100))
