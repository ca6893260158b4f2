"""INT8 in backend tf2trt: each segment is calibrated with what it reads when the model runs on the user's data."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tf2trt import libraries
from tf2trt.errors import InputError, UsageError
from tf2trt.hybrid import segment_data
from tf2trt.hybrid.cut import cut
from tf2trt.hybrid.frozen import freeze_saved_model
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.segment_data import Calibration
from tf2trt.numerics import relative_error
from tf2trt.sidecar import Sidecar
from tf2trt.verify import OnnxReference

sys.path.append(str(Path(__file__).parent.parent / "support"))
from hybrid_models import MODELS, save, tf

SEED = int(np.random.default_rng().integers(1 << 30))


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """folder_of(name): the model's SavedModel, and the model."""
    made = {}

    def get(name):
        if name not in made:
            print("seed", SEED)
            made[name] = (tmp_path_factory.mktemp(name) / "model", MODELS[name](SEED))
            save(made[name][1], made[name][0])
        return made[name]

    return get


def convert(folder, out, **options):
    from tf2trt.hybrid.saved_model import convert_saved_model

    return convert_saved_model(folder, out, HybridOptions("INT8", **options))


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """What segments were built of: copies of the Q/DQ files, with the data that made them, by segment."""
    found = {}
    quantize = segment_data.quantize

    def spy(onnx, output, data):
        report = quantize(onnx, output, data)
        both = [tmp_path / f"{name}_{Path(output).name}" for name in ("plain", "quantised")]
        shutil.copy(onnx, both[0])
        shutil.copy(output, both[1])
        found[Path(output).name.split(".")[0]] = (*both, list(data.batches([])), report)
        return report

    monkeypatch.setattr(segment_data, "quantize", spy)
    return found


@pytest.mark.parametrize(("name", "quantised", "calls"), [("convolutions", 1, 2), ("lstm_in_a_loop", 2, 10)])
def test_segments_get_scales_from_what_they_read(name, quantised, calls, tmp_path, folder_of, kept):
    folder, model = folder_of(name)
    report = convert(folder, tmp_path / "out", calibration_input_fn=lambda: model.batches)
    built = [segment for segment in report.segments if segment.built]
    assert len(built) == len(report.segments), [segment.why_not for segment in report.segments]
    assert len(kept) == quantised
    assert [note for note in report.notes if "operators quantised" in note]
    # A loop's segment is called once for each round: 5 of them for each of 2 batches.
    assert max(len(data) for _, _, data, _ in kept.values()) == calls
    for name, (plain, copy, data, _) in kept.items():
        for call in data:
            wanted, found = OnnxReference(plain)(call), OnnxReference(copy)(call)
            for key, array in wanted.items():
                # More would say that the scales are of something else: INT8's steps are 1/127 of the largest value.
                assert relative_error(found[key], array) < 0.15, (name, key)
    for segment in built:
        (engine,) = segment.engines
        sidecar = Sidecar.read(tmp_path / "out" / "assets" / engine.file)
        assert sidecar.precision_asked == ("int8+fp16" if segment.name in kept else "fp16")


def test_a_branch_that_the_data_does_not_reach_stays_native(tmp_path, folder_of, kept):
    folder, model = folder_of("branches")
    report = convert(folder, tmp_path / "out", input_fn=lambda: model.batches)
    reasons = [segment.why_not for segment in report.segments if not segment.built]
    assert reasons == ["the calibration data does not reach it"]
    assert len(kept) == len(report.segments) - 1


def test_a_segment_without_weights_is_built_in_half_precision(tmp_path):
    module = tf.Module()
    module.call = tf.function(lambda x: tf.tanh(tf.nn.relu(x) + 1.0), input_signature=[tf.TensorSpec([2, 3], name="x")])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    report = convert(tmp_path / "model", tmp_path / "out", input_fn=lambda: [np.ones((2, 3), np.float32)])
    (segment,) = report.segments
    assert report.notes == (f"{segment.name}: nothing in it to quantise; built in FP16",)
    sidecar = Sidecar.read(tmp_path / "out" / "assets" / segment.engines[0].file)
    assert sidecar.precision_asked == "fp16"


def test_no_data_is_refused_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="INT8 without calibration data"):
        convert(tmp_path / "nothing", tmp_path / "out")


def test_data_that_does_not_fit_is_refused_and_nothing_written(tmp_path, folder_of):
    folder, _ = folder_of("convolutions")
    good = np.zeros((1, 8, 8, 3), np.float32)
    for batches, error, words in (
        ([good, good[..., :2]], InputError, "batch 2 does not fit input 'image'"),
        ([], UsageError, "calibration_input_fn gave no batch"),
    ):
        with pytest.raises(error, match=words):
            convert(folder, tmp_path / "out", calibration_input_fn=lambda batches=batches: batches)
    used_up = iter([good])
    with pytest.raises(UsageError, match="calibration_input_fn gave no batch"):
        convert(folder, tmp_path / "out", input_fn=lambda: [good], calibration_input_fn=lambda: used_up)
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_finite_leave_the_segment_native(tmp_path, folder_of):
    folder, _ = folder_of("convolutions")
    endless = np.full((1, 8, 8, 3), np.inf, np.float32)
    report = convert(folder, tmp_path / "out", calibration_input_fn=lambda: [endless])
    assert [segment.built for segment in report.segments] == [False]
    assert "not finite" in report.segments[0].why_not


def test_tensorrt_s_calibrators_get_calls_of_one_shape_and_one_batch_is_held(tmp_path, folder_of):
    folder, model = folder_of("text_in_the_middle")
    large = model.batches[1]["x"]
    given = []

    def batches():
        for size in (3, 2, 3, 3):
            given.append(size)
            yield {"x": large[:size]}

    library = libraries.find(need_builder=True)
    frozen = freeze_saved_model(folder)
    cut_body = cut(frozen.body, tmp_path, 3, library=library)
    options = HybridOptions("INT8", calibration_input_fn=batches)
    # TensorRT 8 is stood in for: of the library, only this is asked.
    calibration = Calibration(frozen, tmp_path, options, SimpleNamespace(strongly_typed=False))
    assert given == [3, 2, 3, 3]
    scales = calibration.scales(cut_body, cut_body.cuts[0])
    calibrator = scales.calibrator
    assert (scales.onnx, scales.precision) == (cut_body.cuts[0].accepted.onnx, "int8+fp16")
    assert calibrator.batch_size == 3
    del given[:]
    (name,) = cut_body.cuts[0].accepted.inputs
    for asked in (0, 2, 3):  # the first call was taken when the calibrator was made; the second has another shape
        assert np.array_equal(calibrator.next()[name], large)
        assert len(given) == asked
    assert calibrator.next() is None
