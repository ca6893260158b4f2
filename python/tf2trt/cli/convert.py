"""``tf2trt convert MODEL -o m.engine``: export, surgery, build and verify in one."""

from __future__ import annotations

from typing import Any, Optional

import click

from tf2trt.cli.build import show_build
from tf2trt.cli.options import builder_options, engine_output, to_build_options, to_plugins
from tf2trt.cli.output import Output, json_option, short_path
from tf2trt.cli.surgery import preparation_options, show_preparation, to_preparation, to_stages, write_report


@click.command("convert")
@click.argument("model")
@engine_output
@preparation_options
@builder_options
@click.option("--keep-onnx", metavar="FILE", help="Keep the ONNX file that the engine was built from.")
@json_option
def command(
    model: str,
    output: str,
    plugins: Optional[str],
    report: Optional[str],
    keep_onnx: Optional[str],
    as_json: bool,
    **given: Any,
) -> None:
    """Convert a model to a TensorRT engine: a Keras file (.keras, .h5), a SavedModel folder, a frozen graph (.pb), a
    .tflite file, or an .onnx file from elsewhere.

    An l2 normalisation becomes tf2trt's plugin where TensorRT takes plugins (--plugins none turns that off). Before
    the build, nodes that TensorRT does not take are listed. Where there is a GPU, the engine is run and compared with
    ONNX Runtime.
    """
    from tf2trt.conversion import convert
    from tf2trt.files import check_writable

    with Output(as_json) as out:
        if report:
            check_writable(report)
        preparation = to_preparation(given)
        options = to_build_options(given)
        with out.build_progress(f"converting {short_path(model)}") as progress:
            done = convert(
                model,
                output,
                options,
                **preparation,
                keep_onnx=keep_onnx,
                plugins=to_plugins(plugins),
                stages=to_stages(progress),
                progress=progress,
            )
        write_report(report, done.to_json())
        out.result(done.to_json())
        show_preparation(out, done, kept=keep_onnx)
        if done.no_plugins is not None:
            out.say(f"No plugins: {done.no_plugins}", "yellow")
        show_build(out, done.build)
        if done.verify is not None:
            out.say(f"Compared with ONNX Runtime: relative error {done.verify.max_rel_error:.1e}", "green")
        else:
            out.say(f"Built, but not run: {done.not_run}", "yellow")
