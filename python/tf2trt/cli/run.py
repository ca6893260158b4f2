"""``tf2trt run m.engine``: arrays from ``.npy`` files (or random ones) through an engine."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import click
import numpy as np

from tf2trt.cli.options import plugin_library_option
from tf2trt.cli.output import Output, json_option, short_path
from tf2trt.errors import InputError
from tf2trt.specs import TensorSpec, format_shape


@click.command("run")
@click.argument("engine")
@click.option("--input", "inputs", multiple=True, metavar="[NAME=]FILE", help="A .npy file; NAME where there are more.")
@click.option("--random", is_flag=True, help="Random inputs instead of files.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Of random inputs.")
@click.option("--output", metavar="DIR", help="Write each output there as NAME.npy.")
@plugin_library_option
@click.option(
    "--memory",
    type=click.Choice(["auto", "copy", "mapped"]),
    default="auto",
    show_default=True,
    help="Where inputs and outputs lie; mapped: in host memory that the GPU reads in place, as on a Jetson.",
)
@click.option("--lean", is_flag=True, help="Use TensorRT's lean runtime, for version-compatible engines.")
@click.option("--warmup", type=click.IntRange(min=0), default=10, show_default=True, help="Runs before the timing.")
@click.option("--iterations", type=click.IntRange(min=1), default=100, show_default=True, help="Timed runs.")
@json_option
def command(
    engine: str,
    inputs: Tuple[str, ...],
    random: bool,
    batch: int,
    output: Optional[str],
    plugin_libraries: Tuple[str, ...],
    memory: str,
    lean: bool,
    warmup: int,
    iterations: int,
    as_json: bool,
) -> None:
    """Run an engine, show its outputs and how long it takes."""
    from tf2trt.bench import measure
    from tf2trt.files import atomic_write, check_writable
    from tf2trt.runtime import Engine

    if bool(inputs) == random:
        raise click.UsageError("give either --input files or --random")
    with Output(as_json) as out:
        if output:
            check_writable(Path(output) / "output.npy")
        with Engine.load(engine, plugin_libraries=plugin_libraries, memory=memory, lean=lean) as loaded:
            arrays = _random(loaded.inputs, batch) if random else _read(inputs, loaded.inputs)
            results = by_name(loaded(arrays), loaded.outputs)
            latency = measure(loaded, arrays, warmup=warmup, iterations=iterations)
        files = {}
        for name, array in results.items() if output else ():
            path = Path(str(output)) / f"{file_name(name)}.npy"
            atomic_write(path, _npy(array))
            files[name] = str(path)
        out.result(
            {
                "engine": engine,
                "outputs": [_describe(name, array, files.get(name)) for name, array in results.items()],
                "latency": latency.to_json(),
            }
        )
        rows = [
            (name, array.dtype, format_shape(array.shape), *_range(array), short_path(files[name]) if files else "")
            for name, array in results.items()
        ]
        out.table("Outputs", ("name", "dtype", "shape", "min", "mean", "max", "file"), rows)
        out.say(str(latency))


def by_name(result: Any, outputs: Sequence[TensorSpec]) -> Mapping[str, np.ndarray[Any, Any]]:
    """What an engine returned, always by name."""
    if isinstance(result, Mapping):
        return result
    arrays = [result] if isinstance(result, np.ndarray) else list(result)
    return {spec.name: array for spec, array in zip(outputs, arrays)}


def file_name(tensor: str) -> str:
    """A tensor's name as a file name: TensorFlow's hold slashes and colons."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in tensor)


def _random(specs: Sequence[TensorSpec], batch: int) -> Mapping[str, Any]:
    from tf2trt.verify import random_inputs

    return dict(random_inputs(specs, batch=batch, seed=0))


def _read(given: Sequence[str], specs: Sequence[TensorSpec]) -> Dict[str, Any]:
    arrays: Dict[str, Any] = {}
    for text in given:
        name, separator, path = text.partition("=")
        if not separator:
            if len(specs) != 1:
                expected = " ".join(f"--input {spec.name}=FILE" for spec in specs)
                raise InputError("which input is this file for?", received=text, expected=expected)
            name, path = specs[0].name, text
        try:
            arrays[name] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"cannot read {path}", received=str(error), expected="a .npy file of numbers") from error
    return arrays


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _describe(name: str, array: np.ndarray[Any, Any], file: Optional[str]) -> Dict[str, Any]:
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "file": file}


def _range(array: np.ndarray[Any, Any]) -> Tuple[str, str, str]:
    if array.size == 0:
        return "", "", ""
    return tuple(f"{float(value):.4g}" for value in (array.min(), array.mean(), array.max()))  # type: ignore[return-value]
