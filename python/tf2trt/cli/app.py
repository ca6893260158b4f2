"""The group of commands, and what an error becomes: a message on standard error and an exit status."""

from __future__ import annotations

import importlib
from typing import List, Optional, Sequence

import click

import tf2trt
from tf2trt.errors import Tf2TrtError, UsageError

# Name -> the line that `tf2trt --help` shows. The command itself is `command` in tf2trt.cli.NAME.
COMMANDS = {
    "doctor": "What is installed here and what it can do.",
    "demo": "The whole way on a small real model.",
    "convert": "A model to an engine, in one go.",
    "export": "A model to an ONNX file for TensorRT.",
    "calibrate": "ONNX to INT8 ONNX, on data of yours.",
    "build": "ONNX to an engine.",
    "hybrid": "Engines inside a SavedModel, TensorFlow for the rest.",
    "run": "Run an engine on arrays.",
    "bench": "What each way of running a model costs.",
    "verify": "A model against its engine, and which layers are to blame.",
    "inspect": "What is in an ONNX file or an engine.",
}


class LazyGroup(click.Group):
    """Imports a command's file when that command is called, so that ``run`` never pays for ``export``."""

    def list_commands(self, ctx: click.Context) -> List[str]:
        """The names, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tf2trt.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(tf2trt.__version__, message="tf2trt %(version)s")
def group() -> None:
    """TensorFlow and Keras models to TensorRT engines.

    Try `tf2trt doctor` first: it says what this machine has and what it can do with it.
    """


def run(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs a command line and returns its exit status; every error that tf2trt raises on purpose ends here."""
    try:
        status = group.main(args=arguments, prog_name="tf2trt", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted", err=True)
        return 130
    except Tf2TrtError as error:
        click.echo(f"Error: {error}", err=True)
        return 2 if isinstance(error, UsageError) else 1
    return status if isinstance(status, int) else 0
