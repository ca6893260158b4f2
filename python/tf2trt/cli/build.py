"""``tf2trt build m.onnx -o m.engine``."""

from __future__ import annotations

from typing import Any

import click

from tf2trt.cli.options import builder_options, engine_output, to_build_options
from tf2trt.cli.output import Output, format_bytes, json_option, short_path


@click.command("build")
@click.argument("onnx")
@engine_output
@builder_options
@json_option
def command(onnx: str, output: str, as_json: bool, **given: Any) -> None:
    """Build an ONNX file into a TensorRT engine.

    Beside m.engine a file m.engine.json is written: what the engine holds, and where it can run.
    """
    from tf2trt.conversion import build_for

    with Output(as_json) as out:
        options = to_build_options(given)
        with out.build_progress(f"building {short_path(output)}") as progress:
            report = build_for(onnx, output, options, progress=progress)
        out.result(report.to_json())
        show_build(out, report)


def show_build(out: Output, report: Any) -> None:
    """What was built, for people."""
    sidecar = report.sidecar
    found = ", ".join(f"{count} {dtype}" for dtype, count in sorted(sidecar.precision_found.items()))
    kind = {"rtx": "TensorRT-RTX", "lean": "TensorRT lean"}.get(sidecar.kind, "TensorRT")
    rows = [
        ("engine", short_path(report.engine)),
        ("built by", f"{kind} {sidecar.tensorrt}"),
        ("for", sidecar.device_name or "no GPU here: ahead of time"),
        ("precision", f"{sidecar.precision_asked} asked; layers: {found or 'not known'}"),
        ("size", format_bytes(sidecar.plan_bytes)),
        ("seconds", f"{report.seconds:.1f}"),
        *(("plugin library", entry["file"]) for entry in sidecar.plugins),
        *(("input", str(spec)) for spec in sidecar.inputs),
        *(("output", str(spec)) for spec in sidecar.outputs),
    ]
    out.table("Engine", ("", ""), rows)
    if report.lowered:
        out.say(
            f"{', '.join(report.lowered)} replaced by standard operators: no plugins here, see tf2trt doctor", "yellow"
        )
