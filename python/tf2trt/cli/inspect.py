"""``tf2trt inspect m.engine``: what is in an ONNX file or an engine, as a table, JSON, a picture or a page."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Tuple

import click

from tf2trt.cli.options import plugin_library_option
from tf2trt.cli.output import Output, format_bytes, json_option, short_path
from tf2trt.errors import UsageError
from tf2trt.inspect import Comparison, Inspection, Layer

_NAMES = 8  # of origins in a table's cell


@click.command("inspect")
@click.argument("file")
@click.option("--diff", metavar="FILE", help="Another file of the same kind, side by side with the first.")
@click.option("--profile", is_flag=True, help="Run the engine on random inputs and time each layer.")
@plugin_library_option
@click.option("--dot", metavar="FILE", help="Write the network for Graphviz.")
@click.option("--svg", metavar="FILE", help="Write a picture of the network.")
@click.option("--html", metavar="FILE", help="Write a searchable page.")
@click.option(
    "--color", type=click.Choice(["time", "precision"]), help="Of the pictures. By default the time, where it is known."
)
@json_option
def command(
    file: str,
    diff: Optional[str],
    profile: bool,
    plugin_libraries: Tuple[str, ...],
    dot: Optional[str],
    svg: Optional[str],
    html: Optional[str],
    color: Optional[str],
    as_json: bool,
) -> None:
    """What is in an ONNX file or an engine: inputs, versions, memory, and each layer with its type, shapes and time and
    the Keras layer it came from. With the ONNX file beside an engine, pictures show it before and after.

    An engine for another TensorRT or GPU is described from its header and its sidecar.
    """
    from tf2trt.files import atomic_write, check_writable
    from tf2trt.inspect import compare, inspect

    wanted = {name: path for name, path in (("dot", dot), ("svg", svg), ("html", html)) if path}
    if len(set(wanted.values())) < len(wanted):
        raise click.UsageError("--dot, --svg and --html need a file each")
    for path in wanted.values():
        check_writable(path)
    with Output(as_json) as out:
        with out.status("looking ..."):
            found = inspect(file, profile=profile, plugin_libraries=plugin_libraries)
            other = inspect(diff, profile=profile, plugin_libraries=plugin_libraries) if diff else None
        comparison = compare(found, other) if other else None
        files = _files(found, comparison, color)
        for name, path in wanted.items():
            atomic_write(path, files[name]().encode())
        subject = comparison or found
        out.result({**subject.to_json(), "files": wanted})
        if comparison is not None:
            _show_comparison(out, comparison)
        else:
            _show(out, found)
        for path in wanted.values():
            out.say(f"wrote {short_path(path)}")


def _files(found: Inspection, comparison: Optional[Comparison], color: Optional[str]) -> Dict[str, Callable[[], str]]:
    """What is written, by the option's name."""
    from tf2trt.inspect.dot import network_dot
    from tf2trt.inspect.page import comparison_page, inspection_page
    from tf2trt.inspect.picture import network_picture

    networks, title = found.networks, found.summary
    if comparison is not None:
        networks = [comparison.first.network, comparison.second.network]
        title = f"{comparison.first.summary} | {comparison.second.summary}"
    timed = any(network.milliseconds is not None for network in networks)
    if color == "time" and not timed:
        raise UsageError("--color time", received="a file without times", hint="time an engine's layers by --profile")
    chosen = color or ("time" if timed else "precision")
    return {
        "dot": lambda: network_dot(networks, chosen),
        "svg": lambda: network_picture(title, networks, chosen),
        "html": lambda: comparison_page(comparison, chosen) if comparison else inspection_page(found, chosen),
    }


def _show(out: Output, found: Inspection) -> None:
    out.say(f"{short_path(found.path)}: {found.summary}", style="bold")
    for note in found.notes:
        out.say(f"note: {note}", style="yellow")
    facts = [*found.versions.items(), *found.build.items()]
    facts += [(name, format_bytes(size)) for name, size in found.memory.items()]
    facts += [(f"plugin {name}", words) for name, words in found.plugins.items()]
    out.table("Facts", ("", ""), facts)
    tensors: List[Tuple[str, ...]] = [
        (kind, tensor.name, tensor.dtype, tensor.shape_text)
        for kind, each in (("input", found.inputs), ("output", found.outputs))
        for tensor in each
    ]
    if tensors:
        out.table("Inputs and outputs", ("", "name", "type", "shape"), tensors)
    for number, profile in enumerate(found.profiles):
        limits = [
            (name, *("x".join(map(str, shape)) for shape in (each.min, each.opt, each.max)))
            for name, each in profile.items()
        ]
        out.table(f"Profile {number}", ("input", "min", "opt", "max"), limits)
    if found.network.layers:
        rows = [(place, *_words(layer)) for place, layer in enumerate(found.network.layers)]
        out.table("Layers", ("", "from", "type", "precision", "output", "ms", "tactic"), rows)


def _words(layer: Layer) -> Tuple[str, ...]:
    from tf2trt.inspect.words import plain

    time = "" if layer.milliseconds is None else f"{layer.milliseconds:.4f}"
    shape = layer.outputs[0].shape_text if layer.outputs else ""
    names = " + ".join(layer.origins[:_NAMES]) or layer.name
    if len(layer.origins) > _NAMES:
        names += f" + {len(layer.origins) - _NAMES} more, see --json"
    return plain(names), layer.kind, layer.precision, shape, time, plain(layer.tactic)


def _show_comparison(out: Output, comparison: Comparison) -> None:
    first, second = comparison.first, comparison.second
    for each in (first, second):
        out.say(f"{short_path(each.path)}: {each.summary}", style="bold")
        for note in each.notes:
            out.say(f"note: {note}", style="yellow")
    out.table("What differs", ("", "first", "second"), comparison.facts)
    rows = []
    for pair in comparison.pairs:
        if pair.differs:
            sides = [
                "\n".join(" ".join(filter(None, _words(network.layers[place])[:4])) for place in places) or "none"
                for network, places in ((first.network, pair.first), (second.network, pair.second))
            ]
            rows.append((*sides, *("" if time is None else f"{time:.4f}" for time in pair.milliseconds)))
    alike = len(comparison.pairs) - len(rows)
    out.table(f"Layers that differ ({alike} do not)", ("first", "second", "first ms", "second ms"), rows)
