"""``tf2trt verify MODEL CANDIDATE``."""

from __future__ import annotations

import importlib
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import click

from tf2trt.cli.calibration import data_options, take_data
from tf2trt.cli.options import plugin_library_option
from tf2trt.cli.output import BuildProgress, Output, json_option, short_path
from tf2trt.errors import UsageError
from tf2trt.specs import parse_shapes

_SHOWN = 10  # layers in the table of a bisection


@click.command("verify")
@click.argument("model")
@click.argument("candidate")
@click.option("--inputs", metavar="DIR", help="Arrays to run on: a folder, or a file, of .npz or .npy.")
@click.option(
    "--random",
    "distribution",
    type=click.Choice(["normal", "uniform", "bytes"]),
    default="normal",
    show_default=True,
    help="Otherwise random ones: standard normal, 0 to 1, or whole numbers from 0 to 255.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of random inputs; by default a fresh one, which is shown.")
@click.option("--batch", type=click.IntRange(min=1), help="Samples at a time.")
@click.option("--batches", type=click.IntRange(min=1), default=4, show_default=True, help="Of random inputs.")
@click.option("--shapes", metavar="SHAPES", help="Of dynamic inputs, x:1x224x224x3,...")
@click.option("--rtol", metavar="R", help="Allowed ||out - ref|| / ||ref||: a number, or fp32, tf32, fp16, bf16.")
@click.option("--atol", type=float, default=0.0, help="An output that is off by no more than this passes anyway.")
@click.option("--metric", metavar="MODULE:FUNCTION", help="Your own figure: function(outputs, inputs and labels).")
@click.option("--metric-tolerance", type=float, metavar="D", help="How far it may be from the model's own.")
@click.option("--signature", metavar="NAME", help="Which signature of the SavedModel.")
@click.option("--picture", metavar="FILE", help="Draw how the errors are distributed, as an SVG file.")
@click.option("--bisect", is_flag=True, help="Find the layers that cause the error, and the list that mends it.")
@click.option(
    "--trials", type=click.IntRange(min=2), default=200, show_default=True, help="Most builds of a bisection."
)
@click.option("--built-from", metavar="FILE", help="The ONNX file that the candidate was built from, if not MODEL.")
@click.option("--calib", metavar="DATA", help="To build an INT8 engine again: what it was calibrated on, and as then:")
@data_options("calib-")
@plugin_library_option
@json_option
def command(model: str, candidate: str, as_json: bool, picture: Optional[str], bisect: bool, **given: Any) -> int:
    """Compare a model with what was made of it: a Keras file, SavedModel, frozen graph, .tflite or .onnx file with an
    engine, or with an .onnx file in FP16 or INT8, on the same inputs.

    Exit status 1 where an output is past the tolerance: by default what FP32, TF32, FP16 or BF16 may cost, as the
    candidate says which it is. INT8 has no default: give --rtol, or --metric and --metric-tolerance.

    Where the candidate fails, outputs in another order, layouts mixed up and inputs prepared in another way are tried,
    and named where they are the cause. With --bisect the layers that cause the error are looked for.
    """
    from tf2trt.files import atomic_write, check_writable
    from tf2trt.verify import compare, error_picture, load_function, open_candidate

    with Output(as_json) as out:
        if picture:
            check_writable(picture)
        if given["metric_tolerance"] is not None and not given["metric"]:
            raise click.UsageError("--metric-tolerance needs --metric")
        metric = load_function(given["metric"]) if given["metric"] else None
        shapes = parse_shapes(given["shapes"]) if given["shapes"] else None
        with open_candidate(candidate, plugin_libraries=given["plugin_libraries"]) as opened:
            rtol = _tolerance(given["rtol"], opened.precision, given["metric_tolerance"])
            reference = _reference(model, given["signature"], shapes)
            inputs = _inputs(given, reference, opened, shapes)
            with out.build_progress(f"comparing {short_path(candidate)}") as draw:
                report = compare(
                    reference,
                    opened,
                    inputs,
                    rtol=rtol,
                    atol=given["atol"],
                    metric=metric,
                    metric_tolerance=given["metric_tolerance"],
                    progress=None if draw is None else partial(_draw, draw, "batches", given["batches"]),
                )
        result: Dict[str, Any] = report.to_json()
        if picture:
            atomic_write(picture, error_picture(report).encode())
        _show(out, report, picture)
        if bisect and not report.passed:
            if rtol is None:
                raise UsageError("bisect", received="no --rtol", expected="--rtol: the error that is to be reached")
            found, notes = _bisect(out, model, candidate, opened, inputs, (rtol, given["atol"]), shapes, given)
            result["bisect"] = {**found.to_json(), "notes": list(notes)}
            _show_bisect(out, found, notes)
        out.result(result)
    return 0 if report.passed else 1


def _tolerance(text: Optional[str], precision: Optional[str], metric_tolerance: Optional[float]) -> Optional[float]:
    from tf2trt.verify import TOLERANCES, tolerance_for

    if text is None:
        if precision is not None and precision in TOLERANCES:
            return tolerance_for(precision)
        if metric_tolerance is not None:
            return None
        raise UsageError(
            f"no tolerance is known for {precision or 'a candidate that does not say its precision'}",
            expected="--rtol, or --metric and --metric-tolerance",
            hint="INT8 is judged by its accuracy on real data: --inputs, --metric",
        )
    try:
        value = float(text)
    except ValueError:
        return tolerance_for(text)
    if not value >= 0 or math.isinf(value):
        raise UsageError("--rtol", received=text, expected="a number from 0 on")
    return value


def _reference(model: str, signature: Optional[str], shapes: Any) -> Any:
    from tf2trt.verify import OnnxReference, TensorFlowReference

    if Path(model).suffix.lower() == ".onnx":
        if signature is not None:
            raise UsageError("--signature belongs to a SavedModel", received=model)
        return OnnxReference(model)
    return TensorFlowReference(model, signature=signature, shapes=shapes)


def _inputs(given: Dict[str, Any], reference: Any, candidate: Any, shapes: Any) -> Any:
    from tf2trt.verify import FileInputs, GeneratedInputs
    from tf2trt.verify.inputs import tuned_shapes

    if given["inputs"]:
        return FileInputs(given["inputs"], reference.inputs, given["batch"])
    tuned = tuned_shapes(reference.inputs, candidate.inputs, candidate.shapes)
    return GeneratedInputs(
        reference.inputs,
        given["distribution"],
        batch=given["batch"],
        batches=given["batches"],
        seed=given["seed"],
        shapes={**tuned, **(shapes or {})},
    )


def _bisect(
    out: Output,
    model: str,
    path: str,
    candidate: Any,
    inputs: Any,
    tolerances: Tuple[float, float],
    shapes: Any,
    given: Dict[str, Any],
) -> Tuple[Any, Tuple[str, ...]]:
    from tf2trt.verify.bisect import bisect, open_trial

    with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        reference, trial, notes = open_trial(
            model,
            path,
            candidate,
            Path(folder),
            built_from=given["built_from"],
            signature=given["signature"],
            shapes=shapes,
            plugin_libraries=given["plugin_libraries"],
            calibrate=_calibrator(given) if given["calib"] else None,
        )
        with out.build_progress(f"bisecting {short_path(path)}") as draw:
            most = given["trials"]
            found = bisect(
                reference,
                trial,
                lambda: (feed.arrays for feed in inputs),
                rtol=tolerances[0],
                atol=tolerances[1],
                trials=most,
                progress=None if draw is None else partial(_draw, draw, "trials", most),
            )
    return found, notes


def _draw(draw: BuildProgress, what: str, total: int, done: int) -> None:
    draw(what, "", done, total)


def _calibrator(given: Dict[str, Any]) -> Callable[[Path], Any]:
    calibration = importlib.import_module("tf2trt.calibration")

    def make(onnx: Path) -> Any:
        data, method, quantile = take_data(given["calib"], dict(given), "calib-")
        return calibration.TensorRTCalibrator(onnx, data, method, quantile=quantile)

    return make


def _show(out: Output, report: Any, picture: Optional[str]) -> None:
    rows: List[Tuple[object, ...]] = [
        (
            output.name,
            f"{output.max_abs:.3g}",
            f"{output.rel_error:.3g}",
            f"{output.cosine:.6f}",
            _share(output.top1),
            _share(output.top5),
            _odd(output.nan, output.ref_nan),
            _odd(output.inf, output.ref_inf),
            output.mismatch or ("passed" if output.passes(report.rtol, report.atol) else "FAILED"),
        )
        for output in report.outputs
    ]
    columns = ("output", "max |diff|", "relative", "cosine", "top-1", "top-5", "NaN", "inf", "")
    out.say(f"{report.reference}  against  {report.candidate}")
    out.say(f"Inputs: {report.inputs}; {report.samples} samples")
    bound = "no bound but the metric's" if report.rtol is None else f"at most {report.rtol:g}"
    out.table(f"Outputs (relative error: {bound})", columns, rows)
    if report.metric is not None:
        figures = [
            (name, f"{value:.6g}", f"{report.metric.candidate[name]:.6g}")
            for name, value in report.metric.reference.items()
        ]
        out.table("Metric", ("", "model", "candidate"), figures)
    for note in report.notes:
        out.say(note, "yellow")
    for finding in report.findings:
        out.say(f"Found: {finding.text}", "bold yellow")
    if picture:
        out.say(f"Picture: {short_path(picture)}")
    out.say("Passed" if report.passed else "Failed", "green" if report.passed else "bold red")


def _show_bisect(out: Output, found: Any, notes: Tuple[str, ...]) -> None:
    for note in notes:
        out.say(note, "yellow")
    if found.ranking:
        rows = [
            (entry.layer, ", ".join(entry.operators), f"{entry.before:.3g}", f"{entry.after:.3g}", f"{entry.added:.3g}")
            for entry in found.ranking[:_SHOWN]
        ]
        columns = ("layer", "operators", "error before", "error after", "added")
        out.table(f"Layers by the error that they add, in {found.precision}", columns, rows)
    counted = f"{found.layers} layers, {found.trials} trials"
    if found.verdict == "within tolerance":
        out.say(
            f"Built anew in {found.precision} the model is within the tolerance (relative error {found.baseline:.3g}): "
            "the candidate was made of another model, or in another way",
            "yellow",
        )
    elif found.verdict == "not precision":
        out.say(
            f"With every layer in FP32 the relative error is still {found.all_fp32:.3g}: it is no matter of precision",
            "yellow",
        )
    elif found.verdict == "out of trials":
        out.say(f"No list was found in {counted}: raise --trials", "yellow")
    else:
        named = ", ".join(found.fp32_layers)
        out.say(f"In FP32: {named}. Relative error {found.error:.3g} then, {found.baseline:.3g} without ({counted})")
        if not found.smallest:
            out.say("The trials did not do to leave out what is not needed: raise --trials", "yellow")
        out.say(f"tf2trt build ... {found.options}", "bold green")


def _share(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.2%}"


def _odd(mine: int, theirs: int) -> str:
    return f"{mine} (model {theirs})" if theirs else str(mine)
