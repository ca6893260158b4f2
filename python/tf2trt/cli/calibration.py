"""What ``calibrate`` and ``build`` share: the options of the data, the progress bar, and ``build --calib``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tf2trt.cli.output import BuildProgress

Command = TypeVar("Command", bound=Callable[..., Any])
SampleProgress = Callable[[int, Optional[int]], None]


def data_options(prefix: str) -> Callable[[Command], Command]:
    """The options of how data is read and used, their names begun with ``prefix``; :func:`take_data` takes them."""

    def decorate(command: Command) -> Command:
        for option in reversed(
            (
                click.option(
                    f"--{prefix}method",
                    type=click.Choice(("entropy", "minmax", "percentile")),
                    default="minmax",
                    show_default=True,
                    help="How scales are made.",
                ),
                click.option(
                    f"--{prefix}quantile", type=float, default=0.9999, show_default=True, help="Of percentile."
                ),
                click.option(
                    f"--{prefix}batch", type=int, default=8, show_default=True, help="Samples in a batch of the data."
                ),
                click.option(f"--{prefix}samples", type=int, metavar="N", help="Use N samples at most."),
                click.option(
                    f"--{prefix}preprocess",
                    metavar="MODULE:FUNCTION",
                    help="What makes a sample of an image or array: a function of yours.",
                ),
            )
        ):
            command = option(command)
        return command

    return decorate


def take_data(source: Optional[str], given: Dict[str, Any], prefix: str) -> Tuple[Any, str, float]:
    """Takes the values of :func:`data_options` out of ``given``: the data (None without a source), method, quantile."""
    from tf2trt.calibration import CalibrationData

    values = {
        name: given.pop(prefix.replace("-", "_") + name)
        for name in ("method", "quantile", "batch", "samples", "preprocess")
    }
    data = None
    if source is not None:
        data = CalibrationData(
            source, batch_size=values["batch"], preprocess=values["preprocess"], samples=values["samples"]
        )
    return data, values["method"], values["quantile"]


def calibrated_build_options(command: Command) -> Command:
    """Adds ``--calib`` and what belongs to it to ``build``; :func:`calibrated` takes them."""
    command = data_options("calib-")(command)
    command = click.option(
        "--calib-cache",
        metavar="FILE",
        help="Where TensorRT 8 and 10 keep their calibration; by default beside the engine, m.calib.",
    )(command)
    return click.option(
        "--calib", metavar="DATA|CACHE", help="INT8 by calibration: data as for calibrate, or TensorRT's cache."
    )(command)


@contextlib.contextmanager
def calibrated(
    onnx: str, output: str, given: Dict[str, Any], progress: Optional[BuildProgress]
) -> Iterator[Tuple[str, Optional[Any]]]:
    """Takes the values of :func:`calibrated_build_options` out of ``given`` and calibrates, where that was asked for.

    Yields the file to build, which may be there inside the block only, and TensorRT's calibrator or None. ``progress``
    is the build's own: TensorRT 8 and 10 calibrate while they build.
    """
    source, cache = given.pop("calib"), given.pop("calib_cache")
    from_cache = source is not None and _is_cache(source)
    data, method, quantile = take_data(None if from_cache else source, given, "calib-")
    if source is None:
        yield onnx, None
        return
    from tf2trt.calibration.build import prepare_build

    with prepare_build(
        onnx,
        output,
        data,
        precision=given["precision"],
        method=method,
        quantile=quantile,
        cache=source if from_cache else (cache or Path(output).with_suffix(".calib")),
        progress=_samples(progress),
    ) as (built_from, calibrator):
        yield str(built_from), calibrator


def _is_cache(source: str) -> bool:
    from tf2trt.calibration.cache import is_cache

    return is_cache(source)


def _samples(progress: Optional[BuildProgress]) -> Optional[SampleProgress]:
    if progress is None:
        return None
    draw = progress

    def update(done: int, total: Optional[int]) -> None:
        draw("calibrating", "", done, max(done, total or 0))

    return update


@contextlib.contextmanager
def calibration_bar(text: str) -> Iterator[Optional[SampleProgress]]:
    """A progress callback that draws on a terminal; None where there is none."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
