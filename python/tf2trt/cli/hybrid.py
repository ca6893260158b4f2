"""``tf2trt hybrid SAVED_MODEL -o OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, Optional, Tuple

import click
import numpy as np

from tf2trt.build import parse_size
from tf2trt.cli.output import Output, json_option, short_path
from tf2trt.errors import UsageError
from tf2trt.hybrid.options import BACKENDS, PRECISION_MODES, HybridOptions
from tf2trt.specs import Shape, parse_shapes

if TYPE_CHECKING:
    from tf2trt.hybrid.report import HybridReport

Batches = Callable[[], Iterator[Dict[str, Any]]]
_CALIBRATION_BATCH = 8


@click.command("hybrid")
@click.argument("saved_model")
@click.option("-o", "--output", required=True, metavar="DIR", help="The SavedModel to write.")
@click.option(
    "--precision",
    type=click.Choice(PRECISION_MODES, case_sensitive=False),
    default="FP32",
    show_default=True,
    help="Of the engines.",
)
@click.option(
    "--min-segment", type=click.IntRange(min=1), default=3, show_default=True, help="Fewest nodes of a segment."
)
@click.option("--strict", type=click.FloatRange(0, 1), metavar="SHARE", help="Fail where less is in engines, 0.95.")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="auto",
    show_default=True,
    help="Our own segments and op, or TensorFlow's TF-TRT (up to 2.17).",
)
@click.option("--signature", metavar="NAME", help="Which signature of the SavedModel.")
@click.option(
    "--shapes", multiple=True, metavar="SHAPES", help="Build engines for x:8x224x224x3,...; several times for several."
)
@click.option(
    "--calib",
    metavar="DATA",
    help=f"To calibrate INT8: a folder, or a file, of .npz or .npy; taken in batches of {_CALIBRATION_BATCH}, for "
    "which engines are built too where there are no --shapes.",
)
@click.option("--no-calibration", is_flag=True, help="INT8 scales are in the model: fake-quantization nodes.")
@click.option("--workspace", metavar="SIZE", default="1GiB", show_default=True, help="Scratch memory of an engine.")
@click.option("--memory-limit", metavar="SIZE", help="TensorFlow's share of the GPU's memory; else it grows as needed.")
@click.option("--picture", metavar="FILE", help="Draw the segmented graph, as an SVG file.")
@json_option
def command(saved_model: str, output: str, as_json: bool, picture: Optional[str], **given: Any) -> int:
    """Put TensorRT engines into a SavedModel for the parts that TensorRT takes; the rest stays with TensorFlow.

    Shows every segment with its engines, and why nodes stay with TensorFlow. After import tf2trt.hybrid the result
    opens with tf.saved_model.load. With --strict the exit status is 1, and nothing is written, where less of the model
    is in engines.
    """
    from tf2trt.export.saved_model import is_saved_model
    from tf2trt.files import atomic_write, check_writable
    from tf2trt.hybrid import convert
    from tf2trt.hybrid.memory import prepare_memory
    from tf2trt.hybrid.picture import graph_picture
    from tf2trt.hybrid.report import CoverageError
    from tf2trt.hybrid.steps import resolve_backend
    from tf2trt.hybrid.tftrt_log import import_with_warnings

    with Output(as_json) as out:
        if not is_saved_model(Path(saved_model)):
            raise UsageError(f"there is no SavedModel at {saved_model}", expected="a folder with saved_model.pb in it")
        if picture:
            check_writable(picture)
        _check_calibration(given)
        if resolve_backend(HybridOptions(backend=given["backend"])) == "tf-trt":
            import_with_warnings()  # in them TF-TRT says what it passes over; a quiet import would lose them
        workspace = parse_size(given["workspace"])
        memory = prepare_memory(parse_size(given["memory_limit"]) if given["memory_limit"] else None, workspace)
        failure: Optional[CoverageError] = None
        with out.status(f"converting {short_path(saved_model)}"):
            try:
                report = convert(
                    saved_model,
                    output,
                    precision_mode=given["precision"],
                    minimum_segment_size=given["min_segment"],
                    max_workspace_size_bytes=workspace,
                    maximum_cached_engines=max(1, len(given["shapes"])),
                    use_calibration=not given["no_calibration"],
                    strict=given["strict"],
                    backend=given["backend"],
                    signature=given["signature"],
                    **_input_functions(saved_model, given),
                )
            except CoverageError as error:
                failure, report = error, error.report
        if picture:
            atomic_write(picture, graph_picture(report).encode())
        _show(out, report)
        out.say(memory.text)
        if picture:
            out.say(f"Picture: {short_path(picture)}")
        if failure is None:
            out.say(f"Saved: {short_path(output)}", "green")
        else:
            click.echo(f"Error: {failure}", err=True)
        saved = None if failure else output
        out.result({**report.to_json(), "memory": memory.to_json(), "saved_model": saved})
    return 1 if failure else 0


def _check_calibration(given: Dict[str, Any]) -> None:
    calibrated = given["precision"].upper() == "INT8" and not given["no_calibration"]
    if given["calib"] and not calibrated:
        raise UsageError("--calib belongs to --precision INT8, without --no-calibration")
    if calibrated and not given["calib"]:
        raise UsageError(
            "INT8 without calibration data",
            expected="--calib DATA: some hundred samples of real data",
            hint="--no-calibration where the model holds fake-quantization nodes",
        )


def _input_functions(saved_model: str, given: Dict[str, Any]) -> Dict[str, Any]:
    """``input_fn`` and ``calibration_input_fn``, as far as there is something to make them of."""
    if not given["shapes"] and not given["calib"]:
        return {}
    from tf2trt.export.quiet import import_tensorflow
    from tf2trt.export.saved_model import source

    inputs = source(import_tensorflow(), Path(saved_model), given["signature"], None).inputs
    functions: Dict[str, Batches] = {}
    if given["calib"]:
        functions["calibration_input_fn"] = functions["input_fn"] = _calibration_batches(given["calib"], inputs)
    if given["shapes"]:
        functions["input_fn"] = _random_batches(inputs, [parse_shapes(text) for text in given["shapes"]])
    return functions


def _calibration_batches(path: str, inputs: Any) -> Batches:
    """All of one shape, as TF-TRT needs; read one by one. Batches of texts are taken as the files have them."""
    if any(spec.dtype == "string" for spec in inputs):
        from tf2trt.verify import FileInputs

        files = FileInputs(path, inputs)
        return lambda: (feed.arrays for feed in files)
    from tf2trt.calibration import CalibrationData

    data = CalibrationData(path, batch_size=_CALIBRATION_BATCH)
    if data.count is not None and data.count < _CALIBRATION_BATCH:
        data = CalibrationData(path, batch_size=data.count)
    return lambda: data.batches(inputs, full=True)


def _random_batches(inputs: Any, shapes: Any) -> Batches:
    """Standard normal numbers; a text is ``"0"``, which is a number too."""
    from tf2trt.verify import GeneratedInputs

    numbers = [spec for spec in inputs if spec.dtype != "string"]
    batches = []
    for each in shapes:
        known = _known(inputs, each)
        texts = {
            spec.name: np.full([max(1, extent) for extent in known.get(spec.name, spec.shape)], "0")
            for spec in inputs
            if spec.dtype == "string"
        }
        batches.append((GeneratedInputs(numbers, shapes=known), texts))
    return lambda: ({**feed.arrays, **texts} for batch, texts in batches for feed in batch)


def _known(inputs: Any, shapes: Dict[str, Shape]) -> Dict[str, Shape]:
    names: Tuple[str, ...] = tuple(spec.name for spec in inputs)
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise UsageError("--shapes: no such input", received=", ".join(unknown), expected=", ".join(names))
    return shapes


def _show(out: Output, report: HybridReport) -> None:
    from tf2trt.hybrid.tables import NATIVE_COLUMNS, SEGMENT_COLUMNS, native_rows, segment_rows

    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    out.say(f"{report.backend}, {report.precision}: {versions}")
    segments, native = segment_rows(report), native_rows(report)
    if segments:
        out.table("Segments", SEGMENT_COLUMNS, segments)
    if native:
        out.table("Native nodes", NATIVE_COLUMNS, native)
    for note in report.notes:
        out.say(note, "yellow")
    out.say(f"In engines: {report.coverage.text}", "bold")
