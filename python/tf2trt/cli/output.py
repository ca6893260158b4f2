"""What a command prints: tables for people, or one JSON object on standard output and all else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Type, Union

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PathLike = Union[str, "os.PathLike[str]"]
BuildProgress = Callable[[str, str, int, int], bool]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")

_PLAIN_WIDTH = 160  # of tables that go to a file or a pipe


class Output:
    """Where a command's words go. Used with ``with``, so that nothing but the JSON object reaches standard output.

    In JSON mode everything written to standard output meanwhile, by Python or by a C library, goes to standard error.
    """

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json
        self._stack = contextlib.ExitStack()
        self._value: Optional[Mapping[str, Any]] = None
        self.console = _console(to_stderr=as_json)

    def __enter__(self) -> Output:
        if self._as_json:
            self._stack.enter_context(_stdout_to_stderr())
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._stack.close()
        if self._as_json and kind is None and self._value is not None:
            click.echo(json.dumps(self._value, indent=2, ensure_ascii=False))

    def result(self, value: Mapping[str, Any]) -> None:
        """The object that ``--json`` prints when the command has ended well."""
        self._value = value

    def say(self, text: str, style: str = "") -> None:
        """One line for people."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table for people; long cells are folded, never cut."""
        table = Table(
            title=title, title_justify="left", title_style="bold", header_style="bold", show_header=any(columns)
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.console.print(table)

    @contextlib.contextmanager
    def build_progress(self, text: str) -> Iterator[Optional[BuildProgress]]:
        """A progress callback for the builder that draws on a terminal; None where there is none.

        ``text`` stands above the builder's own phases, which not every TensorRT reports.
        """
        console = Console(stderr=True)
        if not console.is_terminal:
            yield None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(text, total=None)
            tasks: Dict[str, TaskID] = {}

            def update(phase: str, parent: str, step: int, steps: int) -> bool:
                if phase not in tasks:
                    tasks[phase] = progress.add_task(("    " if parent else "  ") + phase, total=steps)
                progress.update(tasks[phase], completed=step, total=steps)
                return True

            yield update

    @contextlib.contextmanager
    def status(self, text: str) -> Iterator[None]:
        """A spinner on a terminal while something runs that does not say how far it is."""
        console = Console(stderr=True)
        if not console.is_terminal:
            yield
            return
        with console.status(text):
            yield


def short_path(path: PathLike) -> str:
    """The path as a person would write it here: relative to this folder or to the home where that is shorter."""
    full = os.path.abspath(os.fspath(path))
    choices = [full, os.path.relpath(full)]
    with contextlib.suppress(ValueError, RuntimeError):
        choices.append(str("~" / Path(full).relative_to(Path.home())))
    return min(choices, key=len)


def format_bytes(count: float) -> str:
    """``1536`` as ``"1.5 KiB"``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def _console(to_stderr: bool) -> Console:
    console = Console(stderr=to_stderr, highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
