"""Options that several commands share; shapes and builder options keep trtexec's names."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Tuple, TypeVar

import click

from tf2trt.build import PRECISIONS, BuildOptions, parse_size
from tf2trt.precisions import parse_rule
from tf2trt.specs import ShapeRange, parse_shapes, shape_ranges

Command = TypeVar("Command", bound=Callable[..., Any])

engine_output = click.option("-o", "--output", required=True, metavar="FILE", help="The engine to write, m.engine.")


plugins_option = click.option(
    "--plugins",
    metavar="NAMES",
    help="What becomes a plugin: l2_normalize, leaky_relu, none; several with commas.",
)

plugin_library_option = click.option(
    "--plugin-library",
    "plugin_libraries",
    multiple=True,
    metavar="FILE",
    help="A plugin library of yours that the network needs; tf2trt's own is found by itself.",
)


def builder_options(command: Command) -> Command:
    """Adds every option of the builder; :func:`to_build_options` takes them back as one value."""
    for option in reversed(
        (
            click.option(
                "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True, help="Of the layers."
            ),
            click.option(
                "--layer-precision",
                multiple=True,
                metavar="PATTERN=TYPE",
                help="Of layers whose names match, conv1*=fp32; the last match wins. Several times for several.",
            ),
            click.option(
                "--allow-fallback", is_flag=True, help="Keep an engine that is not in the precision asked for."
            ),
            click.option(
                "--min-shapes",
                metavar="SHAPES",
                help="Smallest shapes of dynamic inputs, x:1x224x224x3,...; of shape tensors, their values.",
            ),
            click.option("--opt-shapes", metavar="SHAPES", help="The shapes to tune for."),
            click.option("--max-shapes", metavar="SHAPES", help="Largest shapes."),
            click.option("--workspace", metavar="SIZE", help="Limit of scratch memory, such as 1GiB."),
            click.option("--timing-cache", metavar="FILE", help="Kernel timings, read if there and written back."),
            click.option("--version-compatible", is_flag=True, help="Also loads with later minor versions."),
            click.option("--optimization-level", type=int, metavar="0-5", help="Quick build (0) to long search (5)."),
            plugin_library_option,
        )
    ):
        command = option(command)
    return command


def to_plugins(text: Optional[str]) -> Optional[Tuple[str, ...]]:
    """The names that :data:`plugins_option` was given; None where it was not."""
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))


def to_build_options(given: Mapping[str, Any], profile: Optional[Mapping[str, ShapeRange]] = None) -> BuildOptions:
    """The values of :func:`builder_options` as one :class:`BuildOptions`.

    ``profile`` is taken where no shapes were given.
    """
    shapes: Dict[str, Dict[str, Tuple[int, ...]]] = {
        which: parse_shapes(given[f"{which}_shapes"] or "") for which in ("min", "opt", "max")
    }
    ranges = shape_ranges(shapes["min"], shapes["opt"], shapes["max"]) or dict(profile or {})
    return BuildOptions(
        precision=given["precision"],
        profiles=(ranges,) if ranges else (),
        workspace=parse_size(given["workspace"]) if given["workspace"] else None,
        timing_cache=given["timing_cache"],
        version_compatible=given["version_compatible"],
        optimization_level=given["optimization_level"],
        plugin_libraries=given["plugin_libraries"],
        layer_precision=tuple(parse_rule(text) for text in given["layer_precision"]),
        allow_fallback=given["allow_fallback"],
    )
