"""``tf2trt export MODEL -o m.onnx``."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click

from tf2trt.cli.options import plugins_option, to_plugins
from tf2trt.cli.output import Output, json_option, short_path
from tf2trt.specs import parse_shapes

Command = TypeVar("Command", bound=Callable[..., Any])


def export_options(command: Command) -> Command:
    """Adds the options of the export, which ``convert`` has too."""
    for option in reversed(
        (
            click.option("--signature", metavar="NAME", help="Which signature of the SavedModel."),
            click.option("--inputs", metavar="SHAPES", help="Fix input shapes, x:1x224x224x3,...; ? stays dynamic."),
            click.option("--opset", type=int, metavar="N", help="The ONNX operator set."),
            click.option("--tolerance", type=float, default=1e-4, show_default=True, help="Allowed relative error."),
            click.option("--check/--no-check", default=True, help="Compare with TensorFlow by ONNX Runtime."),
        )
    ):
        command = option(command)
    return command


@click.command("export")
@click.argument("model")
@click.option("-o", "--output", required=True, metavar="FILE", help="The ONNX file to write, m.onnx.")
@export_options
@plugins_option
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
    as_json: bool,
) -> None:
    """Export a Keras file (.keras, .h5) or a SavedModel folder to ONNX, and compare the two.

    With --plugins the graph is simplified too. The file still runs in ONNX Runtime: it holds what each plugin means.
    """
    from tf2trt.export import export
    from tf2trt.files import check_writable
    from tf2trt.surgery import check_plugin_names, simplify

    with Output(as_json) as out, tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
        shapes = parse_shapes(inputs) if inputs else None
        chosen = to_plugins(plugins) or ()
        check_plugin_names(chosen)
        check_writable(Path(output))
        # Elsewhere first, so that a rewrite that fails leaves nothing behind.
        exported = str(Path(folder, "m.onnx")) if chosen else output
        with out.status(f"exporting {short_path(model)}"):
            report = export(
                model, exported, signature=signature, inputs=shapes, opset=opset, check=check, tolerance=tolerance
            )
            surgery = simplify(exported, output, plugins=chosen) if chosen else None
        report = dataclasses.replace(report, output=Path(output))
        out.result({**report.to_json(), "surgery": surgery.to_json() if surgery else None})
        show_export(out, report, kept=output)
        if surgery is not None:
            show_plugins(out, surgery)


def show_plugins(out: Output, report: Any) -> None:
    """What became a plugin, for people."""
    for passed in report.passes:
        for note in passed.notes:
            out.say(f"{passed.name}: {note}")


def show_export(out: Output, report: Any, kept: Optional[str]) -> None:
    """What was exported, for people; ``kept`` is the ONNX file, if it was kept."""
    error = report.max_rel_error
    rows = [
        ("ONNX", short_path(kept) if kept else "not kept (--keep-onnx keeps it)"),
        ("opset", report.opset),
        ("nodes", report.nodes),
        ("error", "not compared with TensorFlow" if error is None else f"{error:.1e} relative to TensorFlow"),
        ("seconds", f"{report.seconds:.1f}"),
        *(("input", str(spec)) for spec in report.inputs),
        *(("output", str(spec)) for spec in report.outputs),
    ]
    out.table("Export", ("", ""), rows)
