"""``tf2trt calibrate m.onnx --data DATA -o m.int8.onnx``."""

from __future__ import annotations

from typing import Any, Optional, Tuple

import click

from tf2trt.cli.calibration import calibration_bar, data_options, take_data
from tf2trt.cli.output import Output, json_option, short_path


@click.command("calibrate")
@click.argument("onnx")
@click.option("--data", metavar="DATA", help="An .npy or .npz file, a folder of images or arrays, or module:function.")
@click.option("-o", "--output", required=True, metavar="FILE", help="The ONNX file to write, m.int8.onnx.")
@data_options("")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Nodes to leave in FP32, by name; repeatable.")
@click.option(
    "--import-cache", metavar="FILE", help="Take TensorRT's cache of this model from elsewhere; -o names the new one."
)
@json_option
def command(
    onnx: str,
    data: Optional[str],
    output: str,
    exclude: Tuple[str, ...],
    import_cache: Optional[str],
    as_json: bool,
    **given: Any,
) -> None:
    """Quantise an ONNX file to INT8 on data of yours: a Q/DQ graph that every TensorRT builds.

    DATA is run through the model in batches by ONNX Runtime. A run that was stopped goes on where it was: until it is
    done, FILE.calibration beside the output keeps what was collected. module:function names a function that returns
    a generator or a tf.data.Dataset.

    With --import-cache, a calibration cache that trtexec, Polygraphy or a program of yours made for TensorRT 8 or 10 is
    checked and bound to the model, for `tf2trt build --calib`.
    """
    from tf2trt.errors import UsageError

    if (data is None) == (import_cache is None):
        raise UsageError("tf2trt calibrate", expected="--data DATA, or --import-cache FILE")
    with Output(as_json) as out:
        if import_cache is not None:
            _import(out, import_cache, output, onnx)
        else:
            _quantise(out, onnx, output, data, exclude, given)


def _import(out: Output, source: str, output: str, onnx: str) -> None:
    from tf2trt.calibration import import_cache

    cache = import_cache(source, output, onnx)
    out.result({"cache": output, "method": cache.method, "tensorrt": cache.version, "tensors": len(cache.scales)})
    out.say(f"{short_path(output)}: {len(cache.scales)} scales by {cache.method}, bound to {short_path(onnx)}", "green")


def _quantise(out: Output, onnx: str, output: str, data: Any, exclude: Tuple[str, ...], given: Any) -> None:
    from tf2trt.calibration import quantize

    made, method, quantile = take_data(data, given, "")
    with calibration_bar(f"calibrating {short_path(onnx)}") as progress:
        report = quantize(onnx, output, made, method, quantile=quantile, exclude=exclude, progress=progress)
    out.result(report.to_json())
    rows = [
        ("written", short_path(report.output)),
        ("method", report.method),
        ("samples", f"{report.samples} in {report.batches} batches"),
        ("quantised", f"{len(report.nodes)} nodes on {len(report.scales)} activations"),
        ("seconds", f"{report.seconds:.1f}"),
        *(("left in FP32", f"{node}: {reason}") for node, reason in report.left),
    ]
    out.table("Calibration", ("", ""), rows)
    for note in report.notes:
        out.say(note, "yellow")
