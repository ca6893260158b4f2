"""Makes what a subject runs of the model that was given: an engine, or a SavedModel with engines in it.

In a process of its own, apart from the one that measures: a build leaves memory and libraries behind.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence, Tuple

from tf2trt import libraries
from tf2trt.bench.adapter import Arrays, full_shapes, make_inputs
from tf2trt.build import BuildOptions
from tf2trt.build.onnx_inputs import read_onnx_inputs, read_onnx_types
from tf2trt.conversion import build_for
from tf2trt.errors import BuildError, Tf2TrtError
from tf2trt.specs import ShapeRange, TensorSpec

__all__ = ["build"]

_PLUGINS = ("l2_normalize",)
_CALIBRATED_AT_ONCE = 8  # samples
_PROFILE_FOR_EACH: Mapping[str, Any] = {"use_dynamic_shape": True, "dynamic_shape_profile_strategy": "Optimal"}


def build(job: Mapping[str, Any]) -> Dict[str, Any]:
    """Writes ``job["output"]`` and says how long that took and what came out, as fields of
    :class:`~tf2trt.bench.results.SubjectFacts`.

    Job: ``build``, ``path``, ``output``, ``precision``, ``batches``, ``shapes``, ``seed``, ``tf32``,
    ``plugin_libraries``, ``timing_cache``, ``calib``; and ``onnx`` and ``saved_model``, files for the model in these
    forms, which serve all that is made of it.

    Raises:
        Tf2TrtError: whatever kept it from being built.
    """
    builders: Dict[str, Callable[[Mapping[str, Any]], Dict[str, Any]]] = {
        "onnx": lambda given: _engine(given, Path(given["path"])),
        "convert": _convert,
        "tf-trt": _hybrid,
        "hybrid": _hybrid,
    }
    return builders[job["build"]](job)


def _engine(job: Mapping[str, Any], onnx: Path) -> Dict[str, Any]:
    """A profile for each batch: each is tuned as an engine for that batch alone would be."""
    if "int8" in job["precision"] and not read_onnx_types(onnx):
        onnx = _quantised(job, onnx)
    inputs = read_onnx_inputs(onnx)
    dynamic = [spec.name for spec in inputs if -1 in spec.shape]
    shapes = [full_shapes(inputs, _known(job), batch) for batch in job["batches"]]
    profiles = tuple({name: ShapeRange(each[name], each[name], each[name]) for name in dynamic} for each in shapes)
    options = BuildOptions(
        precision=job["precision"],
        profiles=profiles if dynamic else (),
        plugin_libraries=tuple(job["plugin_libraries"]),
        timing_cache=job["timing_cache"],
    )
    report = build_for(onnx, job["output"], options)
    return {"build_seconds": report.seconds}


def _quantised(job: Mapping[str, Any], onnx: Path) -> Path:
    """The file with scales from the calibration data; made once for all precisions that need it."""
    from tf2trt.calibration import CalibrationData, quantize

    output = Path(job["onnx"]).with_suffix(".int8.onnx")
    if not output.is_file():
        quantize(onnx, output, CalibrationData(job["calib"], batch_size=_CALIBRATED_AT_ONCE))
    return output


def _convert(job: Mapping[str, Any]) -> Dict[str, Any]:
    from tf2trt.preparation import prepare, why_no_plugins

    onnx = Path(job["onnx"])
    if not onnx.is_file():
        library = libraries.find(need_builder=True)
        prepared = prepare(
            job["path"],
            onnx,
            library=library,
            plugins=() if why_no_plugins(library) else _PLUGINS,
            plugin_libraries=job["plugin_libraries"],
        )
        assert prepared.support is not None  # there is a library
        try:
            prepared.support.raise_if_unsupported()
        except Tf2TrtError:
            onnx.unlink()  # the next precision is to hear of it too
            raise
    return _engine(job, onnx)


def _hybrid(job: Mapping[str, Any]) -> Dict[str, Any]:
    """TF-TRT's or tf2trt's engines for exactly the batches that are measured: none is built later."""
    from tf2trt.bench.tensorflow_models import open_saved_model
    from tf2trt.hybrid import convert

    saved, specs = open_saved_model(job)
    batches = sorted(job["batches"])  # TF-TRT runs a smaller batch with a larger one's engine where that is there first

    tf_trt = job["build"] == "tf-trt"

    def inputs() -> Iterator[Arrays]:
        return (make_inputs(specs, _known(job), batch, job["seed"]) for batch in batches)

    calibration: Dict[str, Any] = {}
    if "int8" in job["precision"]:
        calibration["calibration_input_fn"] = partial(_calibration_batches, job["calib"], specs)
    report = convert(
        saved,
        job["output"],
        # TF-TRT has no TF32 of its own: its FP32 is what TensorFlow's switch says, which open_saved_model has set.
        precision_mode="FP32" if tf_trt and job["precision"] == "tf32" else job["precision"].split("+")[0].upper(),
        **calibration,
        backend="tf-trt" if tf_trt else "tf2trt",
        input_fn=inputs,
        maximum_cached_engines=len(batches),
        allow_build_at_runtime=False,
        **({} if tf_trt or len(batches) == 1 else _PROFILE_FOR_EACH),
    )
    built = [segment for segment in report.segments if segment.built]
    if not built:
        reasons = [f"{count} nodes: {reason}" for reason, count in list(report.native_reasons.items())[:3]]
        raise BuildError("no part of the model is in an engine", received="\n    ".join(reasons))
    return {
        "build_seconds": report.seconds,
        "coverage": report.coverage.share,
        "versions": dict(report.versions),
    }


def _calibration_batches(path: str, specs: Sequence[TensorSpec]) -> Iterator[Arrays]:
    """Whole batches of one size, as TF-TRT wants them; the rest is left out, if there is more."""
    from tf2trt.verify import FileInputs

    for number, feed in enumerate(FileInputs(path, specs, _CALIBRATED_AT_ONCE)):
        if number == 0 or len(next(iter(feed.arrays.values()))) == _CALIBRATED_AT_ONCE:
            yield feed.arrays


def _known(job: Mapping[str, Any]) -> Dict[str, Tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in job["shapes"].items()}
