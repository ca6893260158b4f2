"""Converted SavedModels, their engines on TensorFlow's own stream, against the models that they were made from."""

from __future__ import annotations

import importlib.util
import sys
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


def test_a_shape_without_an_engine_runs_natively_and_is_counted(converted):
    model, before, after, _ = converted("attention")
    larger = {name: np.concatenate([array] * 3) for name, array in model.batches[1].items()}
    between = {name: array[:2] for name, array in model.batches[1].items()}
    _, natives = calls(after)
    agree(run(after, between), run(before, between), 1e-3)
    assert calls(after)[1] == natives
    agree(run(after, larger), run(before, larger), 1e-3)
    assert calls(after)[1] > natives


def test_strict_raises_there(converted):
    model, _, after, _ = converted("depthwise", strict=0.5)
    larger = {name: np.concatenate([array] * 3) for name, array in model.batches[1].items()}
    with pytest.raises(tf.errors.FailedPreconditionError, match="cannot run as an engine"):
        run(after, larger)
