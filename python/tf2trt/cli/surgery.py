"""What ``export`` and ``convert`` share: the options of the way to the ONNX file, and what is shown of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, TypeVar

import click

from tf2trt.cli.options import plugins_option
from tf2trt.cli.output import BuildProgress, Output, short_path
from tf2trt.specs import parse_shapes

Command = TypeVar("Command", bound=Callable[..., Any])
StageProgress = Callable[[str, int, int], None]


def preparation_options(command: Command) -> Command:
    """Adds the options of the export and of surgery; :func:`to_preparation` takes them back."""
    for option in reversed(
        (
            click.option("--signature", metavar="NAME", help="Which signature of the SavedModel."),
            click.option("--tags", metavar="NAMES", help="Which graph of a SavedModel that holds several: its tags."),
            click.option("--inputs", metavar="SHAPES", help="Fix input shapes, x:1x224x224x3,...; ? stays dynamic."),
            click.option(
                "--outputs", metavar="NAMES", help="Outputs to give: also layers, nodes and tensors from inside."
            ),
            click.option("--rename", metavar="OLD=NEW,...", help="New names of inputs and outputs."),
            click.option("--inputs-as-nchw", metavar="NAMES", help="Inputs to take as NCHW, not NHWC; all for all."),
            click.option(
                "--input-dtype", metavar="TYPE", help="uint8 for images as bytes; x=uint8,... for single inputs."
            ),
            click.option(
                "--rewrites", multiple=True, metavar="FILE", help="A Python file with rewrites of yours; repeatable."
            ),
            click.option(
                "--collapse",
                multiple=True,
                metavar="SPEC",
                help="Put one node in a sub-graph's place: 'op=Box;domain=my.plugins;inputs=a;outputs=c'; repeatable.",
            ),
            click.option("--opset", type=int, metavar="N", help="The ONNX operator set."),
            click.option("--tolerance", type=float, default=1e-4, show_default=True, help="Allowed relative error."),
            click.option("--check/--no-check", default=True, help="Compare with TensorFlow by ONNX Runtime."),
            plugins_option,
            click.option("--report", metavar="FILE", help="Write what was done, and TensorRT's verdict, as JSON."),
        )
    ):
        command = option(command)
    return command


def to_preparation(given: Dict[str, Any]) -> Dict[str, Any]:
    """Takes the values of :func:`preparation_options` out of ``given``: as keyword arguments of ``prepare``.

    ``plugins`` and ``report`` stay in ``given``.
    """
    from tf2trt.surgery import Interface, SurgeryOptions, parse_collapse, parse_dtypes, parse_pairs

    inputs, outputs, rename = given.pop("inputs"), given.pop("outputs"), given.pop("rename")
    layouts, dtype = given.pop("inputs_as_nchw"), given.pop("input_dtype")
    interface = Interface(
        rename=parse_pairs(rename) if rename else {},
        inputs_as_nchw=_names(layouts),
        input_dtypes=parse_dtypes(dtype) if dtype else {},
    )
    collapses = tuple(parse_collapse(text) for text in given.pop("collapse"))
    return {
        "surgery": SurgeryOptions(interface, rewrites=tuple(given.pop("rewrites")), collapses=collapses),
        "inputs": parse_shapes(inputs) if inputs else None,
        "outputs": _names(outputs) or None,
        "tags": _names(given.pop("tags")) or None,
        **{name: given.pop(name) for name in ("signature", "opset", "check", "tolerance")},
    }


def write_report(path: Optional[str], report: Mapping[str, Any]) -> None:
    """``--report``: one JSON object."""
    if path:
        from tf2trt.files import atomic_write

        atomic_write(Path(path), (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())


def to_stages(progress: Optional[BuildProgress]) -> Optional[StageProgress]:
    """The builder's progress callback as the one of the stages before the build."""
    if progress is None:
        return None
    draw = progress

    def update(stage: str, done: int, total: int) -> None:
        draw(stage, "", done, total)

    return update


def show_preparation(out: Output, report: Any, kept: Optional[str]) -> None:
    """What became of the model on its way to the ONNX file, for people; ``kept`` is that file, if it was kept."""
    export, surgery = report.export, report.surgery
    error = export.max_rel_error
    rows = [
        ("detected", export.detected),
        ("ONNX", short_path(kept) if kept else "not kept (--keep-onnx keeps it)"),
        ("opset", export.opset),
        ("nodes", f"{surgery.nodes_after}; {surgery.nodes_before} as exported"),
        ("error", "not compared with the model" if error is None else f"{error:.1e} relative to the model"),
        ("rewritten", surgery.not_compared or f"gives what it gave, to {surgery.max_rel_error:.1e}"),
        ("seconds", f"{export.seconds + surgery.seconds:.1f}"),
        *(("input", str(spec)) for spec in surgery.inputs),
        *(("output", str(spec)) for spec in surgery.outputs),
    ]
    out.table("Export", ("", ""), rows)
    for passed in surgery.passes:
        for note in passed.notes:
            out.say(f"{passed.name}: {note}")
    if report.support is not None:
        show_support(out, report.support)


def show_support(out: Output, support: Any) -> None:
    """TensorRT's verdict, for people."""
    if support.supported:
        out.say(f"{support.library} takes all {support.nodes} nodes", "green")
        return
    rows = [(node.name, node.op, node.origin, node.reason, node.advice) for node in support.unsupported]
    if rows:
        out.table(f"{support.library} does not take", ("node", "operator", "from", "why", "what to do"), rows)
    if support.reason:
        out.say(f"{support.library}: {support.reason}", "yellow")
    if not support.complete:
        out.say("Its parser stops at the first node that it does not take: there may be others", "yellow")


def _names(text: Optional[str]) -> Any:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()
