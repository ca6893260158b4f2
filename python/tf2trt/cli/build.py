"""``tf2trt build m.onnx -o m.engine``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator, Tuple

import click

from tf2trt.cli.calibration import calibrated, calibrated_build_options
from tf2trt.cli.options import builder_options, engine_output, to_build_options
from tf2trt.cli.output import Output, format_bytes, json_option, short_path

_SHOWN = 5  # layers by name


@click.command("build")
@click.argument("onnx")
@engine_output
@builder_options
@calibrated_build_options
@json_option
def command(onnx: str, output: str, as_json: bool, **given: Any) -> None:
    """Build an ONNX file into a TensorRT engine.

    Beside m.engine a file m.engine.json is written: what the engine holds, and where it can run.
    """
    from tf2trt.conversion import build_for

    with Output(as_json) as out:
        with out.build_progress(f"building {short_path(output)}") as progress, calibrated(
            onnx, output, given, progress
        ) as (source, calibrator):
            options = replace(to_build_options(given), calibration=calibrator)
            report = build_for(source, output, options, progress=progress)
        out.result(report.to_json())
        show_build(out, report)


def proof_rows(sidecar: Any) -> Iterator[Tuple[str, str]]:
    """How much of the heavy layers is in the type asked for, and which are not."""
    proof = sidecar.proof
    if proof is None or proof.share is None:
        return
    time = "" if proof.time_share is None else f", {proof.time_share:.0%} by time"
    yield "as asked", f"{proof.share:.0%} of the heavy layers{time}"
    others = [f"{layer.name} ({layer.precision})" for layer in proof.layers if layer.asked is False]
    if others and sidecar.precision_asked not in ("fp32", "tf32"):
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        yield "other than asked", ", ".join(others[:_SHOWN]) + more


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
        *proof_rows(sidecar),
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
