"""A result as CSV: a line for each row, with its subject's facts behind it."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import fields
from typing import Any, Dict, List, Union

from tf2trt.bench.results import BenchResult, Row, SubjectFacts
from tf2trt.files import atomic_write

__all__ = ["COLUMNS", "write"]

# A row's keys, the interval's ends apart and without the 101 quantiles; then the subject's that a cell can hold.
COLUMNS = tuple(
    name
    for field in fields(Row)
    if field.name != "quantiles_ms"
    for name in (("interval_low_ms", "interval_high_ms") if field.name == "interval_ms" else (field.name,))
) + tuple(field.name for field in fields(SubjectFacts) if field.name not in ("name", "versions"))


def write(result: BenchResult, path: Union[str, os.PathLike[str]]) -> None:
    """Writes the file whole or not at all. A subject without a row has a line with its error.

    Figures are written as JSON has them; lists have ``; `` between their values.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    for subject in result.subjects:
        facts = {name: _cell(getattr(subject, name)) for name in COLUMNS if name in subject.__dataclass_fields__}
        lines: List[Dict[str, Any]] = [_row(row) for row in result.rows if row.subject == subject.name]
        for line in lines or [{"subject": subject.name}]:
            writer.writerow({**facts, **line})
    atomic_write(path, text.getvalue().encode("utf-8", "replace"))


def _row(row: Row) -> Dict[str, Any]:
    cells = {name: _cell(getattr(row, name)) for name in COLUMNS if name in row.__dataclass_fields__}
    return {**cells, "interval_low_ms": repr(row.interval_ms[0]), "interval_high_ms": repr(row.interval_ms[1])}


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return "; ".join(str(each) for each in value)
    return "" if value is None else repr(value) if isinstance(value, float) else value
