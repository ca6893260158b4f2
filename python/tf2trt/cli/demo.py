"""``tf2trt demo``: the whole way on a small real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

import click

from tf2trt.cli.output import Output


@click.command("demo")
@click.option("--out", "folder", default="demo-out", show_default=True, metavar="DIR", help="Where to leave all files.")
@click.option("--json", "report_file", metavar="FILE", help="Write the report there; - prints it, and nothing else.")
@click.option("--reuse", is_flag=True, help="Take the model that an earlier run left in DIR; needs no TensorFlow.")
def command(folder: str, report_file: Optional[str], reuse: bool) -> None:
    """Train a small CNN on handwritten digits, export it, build engines, run them where there is a GPU.

    To continue on another machine, copy digits.onnx, heldout.npz and keras.json from DIR there and give --reuse.
    """
    from tf2trt.demo import run_demo
    from tf2trt.files import atomic_write

    with Output(as_json=report_file == "-") as out:
        report = run_demo(Path(folder), reuse=reuse, say=out.say)
        if report_file == "-":
            out.result(report)
        elif report_file:
            atomic_write(report_file, json.dumps(report, indent=2).encode() + b"\n")
        out.say(report["summary"], "bold green")
