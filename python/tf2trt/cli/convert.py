"""``tf2trt convert MODEL -o m.engine``: export, surgery, build and verify in one."""

from __future__ import annotations

from typing import Any, Optional

import click

from tf2trt.cli.build import show_build
from tf2trt.cli.export import export_options, show_export, show_plugins
from tf2trt.cli.options import builder_options, engine_output, plugins_option, to_build_options, to_plugins
from tf2trt.cli.output import Output, json_option, short_path
from tf2trt.specs import parse_shapes


@click.command("convert")
@click.argument("model")
@engine_output
@export_options
@builder_options
@plugins_option
@click.option("--keep-onnx", metavar="FILE", help="Keep the ONNX file that the engine was built from.")
@json_option
def command(
    model: str,
    output: str,
    signature: Optional[str],
    inputs: Optional[str],
    opset: Optional[int],
    tolerance: float,
    check: bool,
    plugins: Optional[str],
    keep_onnx: Optional[str],
    as_json: bool,
    **given: Any,
) -> None:
    """Convert a Keras file (.keras, .h5) or a SavedModel folder to a TensorRT engine.

    An l2 normalisation becomes tf2trt's plugin where TensorRT takes plugins (--plugins none turns that off). Where
    there is a GPU, the engine is run and compared with ONNX Runtime.
    """
    from tf2trt.conversion import convert

    with Output(as_json) as out:
        options = to_build_options(given)
        shapes = parse_shapes(inputs) if inputs else None
        with out.build_progress(f"converting {short_path(model)}") as progress:
            report = convert(
                model,
                output,
                options,
                signature=signature,
                inputs=shapes,
                opset=opset,
                check=check,
                tolerance=tolerance,
                keep_onnx=keep_onnx,
                plugins=to_plugins(plugins),
                progress=progress,
            )
        out.result(report.to_json())
        show_export(out, report.export, kept=keep_onnx)
        show_plugins(out, report.surgery)
        if report.no_plugins is not None:
            out.say(f"No plugins: {report.no_plugins}", "yellow")
        show_build(out, report.build)
        if report.verify is not None:
            out.say(f"Compared with ONNX Runtime: relative error {report.verify.max_rel_error:.1e}", "green")
        else:
            out.say(f"Built, but not run: {report.not_run}", "yellow")
