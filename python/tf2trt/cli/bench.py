"""``tf2trt bench SUBJECT...``: what each way of running a model costs."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

import click

from tf2trt.bench.options import BACKENDS, BenchOptions
from tf2trt.bench.presets import DEFAULT, PRESETS
from tf2trt.bench.results import REGIMES, BenchResult
from tf2trt.cli.options import plugin_library_option
from tf2trt.cli.output import BuildProgress, Output, short_path
from tf2trt.errors import UsageError
from tf2trt.specs import parse_shapes

if TYPE_CHECKING:
    from tf2trt.bench.run import Progress

_STDOUT = "-"


@click.command("bench")
@click.argument("subjects", nargs=-1, required=True, metavar="SUBJECT...")
@click.option("--batch", default="1", show_default=True, metavar="N,...", help="Batch sizes.")
@click.option("--precision", default="fp32", show_default=True, metavar="NAME,...", help="Of what is built here.")
@click.option(
    "--backend",
    default="native,engine",
    show_default=True,
    metavar="NAME,...",
    help=f"How Keras files and SavedModels are run: {', '.join(BACKENDS)}.",
)
@click.option("--regime", metavar="NAME,...", help=f"What is measured: {', '.join(REGIMES)}; by default all.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=DEFAULT,
    show_default=True,
    help="trtexec-10, trtexec-11: as that trtexec measures by default.",
)
@click.option("--repeats", type=int, metavar="N", help="Turns of each subject, batch and regime. [default: 5]")
@click.option("--seconds", type=float, metavar="S", help="Length of a turn. [default: 1]")
@click.option("--shapes", metavar="SHAPES", help="Where more than the batch is dynamic: x:1x224x224x3,...")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the inputs, and of the order of turns.")
@click.option("--calib", metavar="FILE.npz", help="Real samples by input name, to calibrate INT8 with.")
@click.option("--keep", metavar="DIR", help="Keep what is built there, to be given as subjects another time.")
@click.option(
    "--timing-cache", metavar="FILE", help="Kernel timings for what is built, read if there and written back."
)
@plugin_library_option
@click.option(
    "--json",
    "json_file",
    is_flag=False,
    flag_value=_STDOUT,
    metavar="[FILE.json]",
    help="Write the result there; without a file, print it and nothing else.",
)
@click.option("--csv", "csv_file", metavar="FILE", help="Write a line for each row.")
@click.option("--html", "html_file", metavar="FILE", help="Write one page with pictures.")
@click.option("--picture", metavar="FILE", help="Draw the comparison, as an SVG file.")
@click.option("--baseline", metavar="FILE.json", help="Compare with an earlier result; fail where it was faster.")
@click.option("--trace", metavar="FILE.json", help="Record a few calls of each subject, for ui.perfetto.dev.")
@click.option("--nvtx", is_flag=True, help="Name the turns for NVIDIA's profilers.")
def command(
    subjects: Tuple[str, ...],
    json_file: Optional[str],
    csv_file: Optional[str],
    html_file: Optional[str],
    picture: Optional[str],
    baseline: Optional[str],
    **given: Any,
) -> int:
    """Measure engines, ONNX files, Keras files and SavedModels beside each other.

    Each subject has a process of its own, and they are measured in turns. ONNX files are built first, Keras files and
    SavedModels are run in TensorFlow (native), by TF-TRT, with engines of tf2trt's inside (hybrid), and as one engine.
    A row with a fallback, a build, a NaN or throttling in it is void: its figures are shown, and must not be used.

    The exit status is 1 where a subject failed, a row is void, or something is slower than in --baseline by more than
    the noise of both.
    """
    from tf2trt.bench import baseline as earlier
    from tf2trt.bench import csv_file as csv
    from tf2trt.bench import table
    from tf2trt.bench.run import run_bench
    from tf2trt.files import atomic_write, check_writable

    _check_json(json_file)
    with Output(as_json=json_file == _STDOUT) as out:
        for path in (json_file, csv_file, html_file, picture):
            if path is not None and path != _STDOUT:
                check_writable(path)
        options = _options(subjects, given)
        before = None if baseline is None else earlier.load(baseline)
        if before is not None and before.preset != options.preset:
            raise UsageError("a baseline of another preset", received=before.preset, expected=options.preset)
        with out.build_progress("tf2trt bench") as draw:
            result = run_bench(options, progress=None if draw is None else _progress(draw))
        out.result(result.to_json())
        if json_file not in (None, _STDOUT):
            text = json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n"
            atomic_write(str(json_file), text.encode())
        if csv_file is not None:
            csv.write(result, csv_file)
        if html_file is not None:
            from tf2trt.bench import page

            page.write(result, html_file)
        if picture is not None and not result.rows:
            out.say(f"No {short_path(picture)}: nothing was measured", "yellow")
            picture = None
        if picture is not None:
            from tf2trt.bench.page_picture import picture as draw_picture

            draw_picture(result, picture)
        out.console.print(table.render(result))
        for note in result.environment["notes"]:
            out.say(note, "yellow")
        out.say(f"Inputs: random, seed {options.seed}; preset {options.preset}")
        for path in (json_file, csv_file, html_file, picture, options.trace):
            if path is not None and path != _STDOUT:
                out.say(f"Written: {short_path(path)}")
        failed = not _holds(result)
        if before is not None:
            changes = earlier.compare(result, before)
            out.console.print(table.render_changes(changes))
            failed = failed or any(change.regression for change in changes)
    return 1 if failed else 0


def _options(subjects: Tuple[str, ...], given: Any) -> BenchOptions:
    return BenchOptions(
        subjects=subjects,
        batches=tuple(_batch(text) for text in _split(given["batch"])),
        precisions=_split(given["precision"]),
        backends=_split(given["backend"]),
        regimes=_split(given["regime"]) if given["regime"] is not None else None,
        preset=given["preset"],
        repeats=given["repeats"],
        seconds=given["seconds"],
        shapes=parse_shapes(given["shapes"] or ""),
        seed=given["seed"],
        plugin_libraries=tuple(given["plugin_libraries"]),
        calib=given["calib"],
        keep=given["keep"],
        timing_cache=given["timing_cache"],
        nvtx=given["nvtx"],
        trace=given["trace"],
        command=_command_line(),
    )


def _command_line() -> str:
    """As a person would type it: without the folder of the program."""
    return shlex.join(["tf2trt", *sys.argv[1:]])


def _check_json(file: Optional[str]) -> None:
    """``--json m.engine`` means the engine as a subject, but reads as a file to be written."""
    if file is not None and file != _STDOUT and Path(file).suffix.lower() != ".json":
        raise UsageError(
            "--json", received=file, expected="a file called NAME.json, or nothing", hint="put --json at the end"
        )


def _split(text: str) -> Tuple[str, ...]:
    names: List[str] = [part.strip() for part in text.split(",")]
    return tuple(name for name in names if name)


def _batch(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError("--batch", received=text, expected="whole numbers with commas, such as 1,8,32") from None


def _progress(draw: BuildProgress) -> Progress:
    """Each subject's build has a line of its own, all the turns have one."""

    def tell(what: str, done: int, total: int) -> None:
        draw(what, "", done, total)

    return tell


def _holds(result: BenchResult) -> bool:
    return all(subject.error is None for subject in result.subjects) and not any(row.void for row in result.rows)
