"""The tables of the literature that tf2trt grew from, measured again here, beside their published figures.

    python benchmarks/seeds.py FOLDER [--only TABLE]... [--json FILE]

Each table is one network: in TensorFlow, by TF-TRT, by tf2trt's hybrid graphs, as an engine, whatever it was published
for and what is worth comparing with that (seeds_published.py). Everything is made in FOLDER, which belongs to this
machine, and is taken from there the next time: models with seeded weights, SavedModels with engines in them, engines,
and the rows of tables of which each row could be measured. So a run that was stopped goes on, and --only measures table
by table where a run must not last long: an engine takes a minute or so to build. A file that is deleted is made anew.

Times are those of `tf2trt bench`: host to host is one call after the other, from arrays to arrays; GPU only is between
CUDA events. An engine is built for batches from 1 to the table's largest, and tuned for that. INT8's scales come from
random images. The published boards are not this machine, and their figures were not all taken in this way: the tables
show by how much things differ, not who is right.

What cannot run here (no GPU, a TensorFlow without TF-TRT, no torchvision) is listed with the reason. Exit status: 0
where every other row was measured, 1 where one failed or is void, 2 wrong usage.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from seeds_published import ENGINE, HYBRID, TABLES, TENSORFLOW, TF_TRT, Published, Table, Wanted

from tf2trt import _native
from tf2trt.bench.options import BenchOptions
from tf2trt.bench.results import BenchResult
from tf2trt.bench.run import run_bench
from tf2trt.build import BuildOptions
from tf2trt.build.onnx_inputs import read_onnx_inputs
from tf2trt.conversion import build_for
from tf2trt.errors import DeviceError, LibraryError, MissingExtraError, Tf2TrtError, UsageError
from tf2trt.files import atomic_write, check_writable
from tf2trt.specs import ShapeRange

MODELS = Path(__file__).with_name("seeds_models.py")
CANNOT = 3  # that program's exit status where the machine lacks what it takes
REGIMES = ("gpu", "serial")
SECONDS = 0.3  # of a turn, of which each row gets five: most calls here take a millisecond
BACKENDS = {TF_TRT: "tf-trt", HYBRID: "tf2trt"}

Row = Dict[str, Any]


class Prepared(NamedTuple):
    """A file to measure; or why it cannot be had here, or what failed."""

    path: Path
    skipped: str = ""
    problem: str = ""


def parse(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for models, engines and rows")
    parser.add_argument("--only", action="append", choices=list(TABLES), metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there, too")
    given = parser.parse_args(arguments)
    given.only = given.only or list(TABLES)
    if given.json:
        check_writable(given.json)
    return given


def why_no_gpu() -> str:
    """One line; "" where there is a GPU."""
    try:
        _native.device()
    except DeviceError as error:
        return _line(error)
    return ""


def prepare(table: Table, wanted: Wanted, folder: Path, no_gpu: str) -> Prepared:
    """What is measured for a row, made if it is not there."""
    name = table.network
    saved = folder / f"{name}.saved"
    if wanted.way != TENSORFLOW and no_gpu:
        return Prepared(saved, skipped=no_gpu)
    if wanted.way == ENGINE:
        return build(table, wanted.precision, folder)
    if not saved.is_dir():
        made = run_models("saved", name, folder, saved)
        if made.skipped or made.problem or wanted.way == TENSORFLOW:
            return made
    if wanted.way == TENSORFLOW:
        return Prepared(saved)
    backend = BACKENDS[wanted.way]
    converted = folder / f"{name}.{backend}.{wanted.precision}.{wanted.batch}"
    if converted.is_dir():
        return Prepared(converted)
    return run_models("convert", name, folder, converted, backend, wanted.precision, str(wanted.batch))


def build(table: Table, precision: str, folder: Path) -> Prepared:
    """The engine, for every batch of the table."""
    name = table.network
    engine = folder / f"{name}.{precision}.engine"
    if engine.is_file():
        return Prepared(engine)
    onnx = folder / f"{name}.onnx"
    if not onnx.is_file():
        made = run_models("onnx", name, folder, onnx)
        if made.skipped or made.problem:
            return made
    if "int8" in precision:
        onnx = folder / f"{name}.int8.onnx"
        if not onnx.is_file():
            made = run_models("int8", name, folder, onnx)
            if made.skipped or made.problem:
                return made
    print(f"building {engine.name}", file=sys.stderr, flush=True)
    try:
        (spec,) = read_onnx_inputs(onnx)
        sample = tuple(spec.shape[1:])
        largest = max(row.batch for row in table.rows)
        profile = {spec.name: ShapeRange(*((batch, *sample) for batch in (1, largest, largest)))}
        options = BuildOptions(
            precision=precision, profiles=(profile,), timing_cache=folder / "timings", allow_fallback=True
        )
        build_for(onnx, engine, options)
    except (LibraryError, MissingExtraError, UsageError) as error:  # UsageError: a type that this GPU lacks
        return Prepared(engine, skipped=_line(error))
    except Tf2TrtError as error:
        return Prepared(engine, problem=_line(error))
    return Prepared(engine)


def run_models(what: str, name: str, folder: Path, target: Path, *more: str) -> Prepared:
    """seeds_models.py in a process of its own, since a process has one TensorFlow and gives back no memory."""
    print(f"making {target.name}", file=sys.stderr, flush=True)
    command = [sys.executable, str(MODELS), what, name, str(folder), *more]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return Prepared(target)
    lines = done.stderr.strip().splitlines()
    said = lines[-1] if lines else f"exit status {done.returncode}"
    if done.returncode == CANNOT:
        return Prepared(target, skipped=said)
    return Prepared(target, problem=said)


def measure(table: Table, folder: Path, no_gpu: str) -> List[Row]:
    """The table's rows."""
    prepared = [prepare(table, wanted, folder, no_gpu) for wanted in table.rows]
    paths = list(dict.fromkeys(str(each.path) for each in prepared if not (each.skipped or each.problem)))
    result: Optional[BenchResult] = None
    failed = ""
    if paths:
        print(f"measuring {', '.join(Path(path).name for path in paths)}", file=sys.stderr, flush=True)
        batches = tuple(sorted({wanted.batch for wanted in table.rows}))
        try:
            result = run_bench(
                BenchOptions(
                    subjects=tuple(paths),
                    batches=batches,
                    precisions=("fp32",),
                    backends=("native",),
                    regimes=REGIMES,
                    seconds=SECONDS,
                    command=" ".join(sys.argv),
                )
            )
        except Tf2TrtError as error:
            failed = _line(error)
    return [_row(wanted, each, result, failed) for wanted, each in zip(table.rows, prepared)]


def _row(wanted: Wanted, prepared: Prepared, result: Optional[BenchResult], failed: str) -> Row:
    row: Row = {
        "way": wanted.way,
        "precision": wanted.precision,
        "batch": wanted.batch,
        "published": [figure._asdict() for figure in wanted.published],
    }
    if prepared.skipped:
        return {**row, "skipped": prepared.skipped}
    if prepared.problem or result is None:
        return {**row, "problem": prepared.problem or failed}
    facts = next(each for each in result.subjects if each.source == str(prepared.path))
    if facts.error:
        return {**row, "problem": facts.error}
    found = [each for each in result.rows if (each.subject, each.batch) == (facts.name, wanted.batch)]
    for each in found:
        row[each.regime] = {"p50_ms": each.p50_ms, "spread_ms": each.spread_ms, "throughput": each.throughput}
    void = [reason for each in found for reason in each.void]
    if void or "serial" not in row:
        row["problem"] = "; ".join(dict.fromkeys(void)) or "it was not measured host to host"
    return row


def kept(path: Path, device: str) -> Optional[List[Row]]:
    """The rows of an earlier run on this GPU."""
    if not path.is_file():
        return None
    earlier = json.loads(path.read_text())
    rows: List[Row] = earlier["rows"]
    return rows if earlier["device"] == device else None


def text_of(table: Table, rows: List[Row]) -> str:
    """For people: the rows, and below them why some are empty and where the figures were published."""
    lines = [["", "precision", "batch", "published", "on", "host to host, ms", "samples/s", "GPU only, ms", ""]]
    notes: Dict[str, str] = {}
    sources: Dict[str, None] = {}
    for row in rows:
        published = [Published(**figure) for figure in row["published"]]
        sources.update({f"{figure.board}: {figure.source}": None for figure in published})
        figures = "; ".join(f"{figure.value:g} {figure.unit}" for figure in published)
        cells = [row["way"], row["precision"], str(row["batch"]), figures, "; ".join(each.board for each in published)]
        serial, gpu = row.get("serial"), row.get("gpu")
        cells += [f"{serial['p50_ms']:.3f}", f"{serial['throughput']:.1f}"] if serial else ["", ""]
        cells.append(f"{gpu['p50_ms']:.3f}" if gpu else "")
        why = f"cannot run here: {row['skipped']}" if "skipped" in row else row.get("problem", "")
        cells.append(notes.setdefault(why, f"({len(notes) + 1})") if why else "")
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    text += [f"  {number} {why}" for why, number in notes.items()]
    text += [f"  {source}" for source in sources]
    return "\n".join([table.title, *text, *([f"  {table.remark}"] if table.remark else [])])


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Exit status."""
    given = parse(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    no_gpu = why_no_gpu()
    device = "the CPU alone" if no_gpu else _native.device().name
    print(f"measured on {device}", flush=True)
    tables: Dict[str, Any] = {}
    for name in given.only:
        table, file = TABLES[name], given.folder / f"{name}.rows.json"
        rows = kept(file, device)
        if rows is None:
            rows = measure(table, given.folder, no_gpu)
            if all("serial" in row and "problem" not in row for row in rows):
                atomic_write(file, json.dumps({"device": device, "rows": rows}, indent=2).encode())
        print(f"\n{text_of(table, rows)}", flush=True)
        tables[name] = {"title": table.title, "remark": table.remark, "rows": rows}
    if given.json:
        atomic_write(given.json, (json.dumps({"device": device, "tables": tables}, indent=2) + "\n").encode())
    all_rows = [(name, row) for name, table in tables.items() for row in table["rows"]]
    problems = [
        f"{name}: {row['way']} {row['precision']}: {row['problem']}" for name, row in all_rows if "problem" in row
    ]
    skipped = sum("skipped" in row for _, row in all_rows)
    print(f"\n{len(all_rows)} rows, {len(all_rows) - skipped - len(problems)} measured, {skipped} cannot run here")
    for each in dict.fromkeys(problems):
        print(f"failed: {each}")
    return 1 if problems else 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Tf2TrtError as error:
        print(f"seeds: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
