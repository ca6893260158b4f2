"""``tf2trt export MODEL -o m.onnx``."""

from __future__ import annotations

from typing import Any, Optional

import click

from tf2trt.cli.options import to_plugins
from tf2trt.cli.output import Output, json_option, short_path
from tf2trt.cli.surgery import preparation_options, show_preparation, to_preparation, to_stages, write_report


@click.command("export")
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="FILE", help="The ONNX file to write, m.onnx.")
@preparation_options
@json_option
def command(
    model: str, output: str, plugins: Optional[str], report: Optional[str], as_json: bool, **given: Any
) -> None:
    """Export a model to an ONNX file for TensorRT: a Keras file (.keras, .h5), a SavedModel folder, a frozen graph
    (.pb), a .tflite file, or an .onnx file from elsewhere.

    The file is compared with the model in ONNX Runtime, rewritten for TensorRT, and shown to the TensorRT that is here:
    nodes that it does not take are listed. With --plugins it still runs in ONNX Runtime: it holds what each plugin
    means.
    """
    from tf2trt import libraries
    from tf2trt.errors import LibraryNotFoundError
    from tf2trt.files import check_writable
    from tf2trt.preparation import prepare

    with Output(as_json) as out:
        options = to_preparation(given)
        if report:
            check_writable(report)
        try:
            library = libraries.find(need_builder=True)
        except LibraryNotFoundError:
            library = None
        with out.build_progress(f"exporting {short_path(model)}") as progress:
            done = prepare(
                model,
                output,
                library=library,
                plugins=to_plugins(plugins) or (),
                progress=to_stages(progress),
                **options,
            )
        write_report(report, done.to_json())
        out.result(done.to_json())
        show_preparation(out, done, kept=output)
        if library is None:
            out.say("No TensorRT with a builder is here to say which nodes it takes: see tf2trt doctor", "yellow")
