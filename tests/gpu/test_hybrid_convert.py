"""Converted SavedModels, their engines on TensorFlow's own stream, against the models that they were made from."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

for needed in ("tensorflow", "tf2onnx"):
    if importlib.util.find_spec(needed) is None:  # not imported here: that has to be done quietly
        pytest.skip(f"{needed} is not installed", allow_module_level=True)

from tf2trt.hybrid.options import HybridOptions  # noqa: E402
from tf2trt.numerics import relative_error  # noqa: E402

sys.path.append(str(Path(__file__).parent.parent / "support"))
from hybrid_models import MODELS, save, tf  # noqa: E402

SEED = int(np.random.default_rng().integers(1 << 30))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """converted(name, **options): the model, its SavedModel loaded before and after, and the report."""
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU")
    tf.config.experimental.enable_tensor_float_32_execution(False)

    def convert(name, **options):
        from tf2trt.hybrid.saved_model import convert_saved_model

        print("seed", SEED)
        folder = tmp_path_factory.mktemp(name)
        model = MODELS[name](SEED)
        save(model, folder / "model")
        options = HybridOptions(input_fn=lambda: model.batches, **options)
        report = convert_saved_model(folder / "model", folder / "out", options)
        loaded = [tf.saved_model.load(str(folder / each)) for each in ("model", "out")]
        return (model, *loaded, report)

    return convert


def run(loaded, batch):
    given = {name: tf.constant(array) for name, array in batch.items()}
    return {name: tensor.numpy() for name, tensor in loaded.signatures["serving_default"](**given).items()}


def agree(found, wanted, tolerance):
    assert sorted(found) == sorted(wanted)
    for name, array in wanted.items():
        assert relative_error(found[name].astype(np.float64), array.astype(np.float64)) < tolerance, name


def calls(loaded):
    from tf2trt.hybrid.stats import stats

    counts = stats(loaded).values()
    return sum(each.engine_calls for each in counts), sum(each.native_calls for each in counts)


def counts_of(loaded):
    """Of a model with one segment: calls of engines, native calls, builds; as the model itself tells them."""
    (counts,) = loaded.tf2trt_stats().values()
    return tuple(int(counts[name]) for name in ("engine_calls", "native_calls", "builds"))


def batch_of(model, count):
    return {name: np.concatenate([array] * count)[:count] for name, array in model.batches[0].items()}


@pytest.mark.parametrize("name", MODELS)
def test_engines_run_and_agree(name, converted):
    model, before, after, report = converted(name)
    assert any(segment.built for segment in report.segments), [segment.why_not for segment in report.segments]
    engines, natives = calls(after)
    for batch in (*model.batches, *reversed(model.batches)):
        agree(run(after, batch), run(before, batch), 1e-3)
    engines_then, natives_then = calls(after)
    assert engines_then > engines
    assert natives_then == natives  # nothing fell back


def test_half_precision(converted):
    model, before, after, report = converted("convolutions", precision_mode="FP16")
    assert report.coverage.share == 1.0
    agree(run(after, model.batches[1]), run(before, model.batches[1]), 2e-2)
    assert calls(after)[0] > 0


def test_int8_is_calibrated_with_what_the_segment_reads(converted):
    model, before, after, report = converted("convolutions", precision_mode="INT8")
    assert report.coverage.share == 1.0, [segment.why_not for segment in report.segments]
    assert [note for note in report.notes if "calibrated by TensorRT" in note or "operators quantised" in note]
    for batch in model.batches:
        agree(run(after, batch), run(before, batch), 0.1)
    assert calls(after)[0] > 0


def test_a_shape_without_an_engine_runs_natively_and_is_counted(converted):
    model, before, after, _ = converted("attention", allow_build_at_runtime=False)
    larger = {name: np.concatenate([array] * 3) for name, array in model.batches[1].items()}
    between = {name: array[:2] for name, array in model.batches[1].items()}
    _, natives = calls(after)
    agree(run(after, between), run(before, between), 1e-3)
    assert calls(after)[1] == natives
    agree(run(after, larger), run(before, larger), 1e-3)
    assert calls(after)[1] > natives


def test_strict_raises_there(converted):
    model, _, after, _ = converted("depthwise", strict=0.5, allow_build_at_runtime=False)
    larger = {name: np.concatenate([array] * 3) for name, array in model.batches[1].items()}
    with pytest.raises(tf.errors.FailedPreconditionError, match="cannot run as an engine"):
        run(after, larger)


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_engines_are_built_at_run_time_and_the_one_used_least_lately_goes(converted, precision):
    model, before, after, report = converted("convolutions", precision_mode=precision, maximum_cached_engines=2)
    assert len(report.segments) == 1
    tolerance = 1e-3 if precision == "FP32" else 2e-2
    usual, first, second, third = (batch_of(model, count) for count in (2, 7, 9, 11))

    def check(batch, *wanted):
        agree(run(after, batch), run(before, batch), tolerance)
        assert counts_of(after) == wanted

    check(usual, 1, 0, 0)
    check(first, 2, 0, 1)
    check(first, 3, 0, 1)
    check(second, 4, 0, 2)
    check(first, 5, 0, 2)
    check(third, 6, 0, 3)  # in the place of the second's
    check(first, 7, 0, 3)
    check(second, 8, 0, 4)
    check(usual, 9, 0, 4)


def test_without_batches_every_engine_is_built_at_run_time(tmp_path):
    from tf2trt.hybrid import convert

    model = MODELS["attention"](SEED)
    save(model, tmp_path / "model")
    report = convert(tmp_path / "model", tmp_path / "out", backend="tf2trt")
    assert report.coverage.converted == 0
    before, after = (tf.saved_model.load(str(tmp_path / name)) for name in ("model", "out"))
    agree(run(after, model.batches[1]), run(before, model.batches[1]), 1e-3)
    engines, natives = calls(after)
    assert (engines, natives) == (len(report.segments), 0)


def test_strict_builds_where_that_is_allowed_and_raises_where_it_fails(converted):
    model, before, after, _ = converted("convolutions", strict=0.5)
    agree(run(after, batch_of(model, 7)), run(before, batch_of(model, 7)), 1e-3)
    assert counts_of(after) == (1, 0, 1)
    onnx = next(Path(asset.asset_path.numpy().decode()) for asset in after.assets if is_onnx(asset))
    onnx.write_bytes(onnx.read_bytes()[:100])
    for _ in range(2):
        with pytest.raises(tf.errors.FailedPreconditionError, match="no engine could be built for"):
            run(after, batch_of(model, 9))
    agree(run(after, batch_of(model, 7)), run(before, batch_of(model, 7)), 1e-3)


def test_a_build_that_fails_runs_natively_and_is_not_tried_again(converted):
    model, before, after, _ = converted("convolutions")
    onnx = next(Path(asset.asset_path.numpy().decode()) for asset in after.assets if is_onnx(asset))
    onnx.write_bytes(onnx.read_bytes()[:100])
    for natives in (1, 2):
        agree(run(after, batch_of(model, 9)), run(before, batch_of(model, 9)), 1e-3)
        assert counts_of(after) == (0, natives, 0)


def test_threads_build_an_engine_once(converted):
    model, before, after, _ = converted("convolutions")
    batch = batch_of(model, 7)
    wanted = run(before, batch)
    found = []
    threads = [threading.Thread(target=lambda: found.append(run(after, batch))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for each in found:
        agree(each, wanted, 1e-3)
    engines, natives, builds = counts_of(after)
    assert (engines + natives, builds) == (4, 1)


def is_onnx(asset):
    return asset.asset_path.numpy().endswith(b".onnx")
