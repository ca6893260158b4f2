"""Takes every network of zoo_models.py to ONNX and through surgery, compares it with TensorFlow, and asks TensorRT.

    python benchmarks/zoo.py [--only NAME]... [--jobs N] [--markdown FILE] [--json FILE]

Each network has a process of its own. Without --only the table is also written to docs/networks.md (--markdown names
another file). Exit status: 0 where every network came through with a relative error under 1e-4 in ONNX Runtime, 1
where one did not; its row says why. Nodes that TensorRT refuses are named in the table and are no failure. No GPU.
"""

import argparse
import datetime
import importlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import zoo_models

from tf2trt import libraries
from tf2trt.build import check_support
from tf2trt.export import export
from tf2trt.files import atomic_write
from tf2trt.numerics import relative_error
from tf2trt.surgery import simplify
from tf2trt.verify import OnnxReference

LIMIT = 1e-4
PATIENCE = 600  # seconds for one network
DOCUMENT = Path(__file__).parents[1] / "docs" / "networks.md"
PACKAGES = ("tensorflow", "keras", "tf_keras", "tf2onnx", "onnx", "onnx-graphsurgeon", "onnxruntime")
COLUMNS = (
    "Network",
    "Made with",
    "Nodes",
    "After",
    "Transposes",
    "Error",
    "Export s",
    "Surgery s",
    "Peak MiB",
    "Parser",
)
Row = Dict[str, Any]


def measure(network: zoo_models.Network) -> Row:
    """One row, measured in this process. Whatever goes wrong is raised."""
    subject = zoo_models.make(network)
    with tempfile.TemporaryDirectory(prefix="tf2trt-zoo-") as folder:
        raw, path = Path(folder, "raw.onnx"), Path(folder, "m.onnx")
        # Unchecked here: the comparison below is of the end result, on images that suit the network.
        exported = export(subject.model, raw, inputs=subject.inputs, check=False)
        surgery = simplify(raw, path)
        peak = peak_mib()
        results = OnnxReference(path)(dict(zip([spec.name for spec in exported.inputs], subject.arrays)))
        pairs = zip([results[spec.name] for spec in exported.outputs], answers(subject))
        error = float(np.max([relative_error(*pair) for pair in pairs]))  # a NaN stays one
        support = check_support(path)
        left = operators(path)
    row: Row = {
        "network": network.name,
        "package": network.package,
        "nodes_before": surgery.nodes_before,
        "nodes_after": surgery.nodes_after,
        "transposes": left.count("Transpose"),
        "rel_error": error,
        "export_seconds": round(exported.seconds, 1),
        "surgery_seconds": round(sum(item.seconds for item in surgery.passes), 1),
        "peak_mib": round(peak),
        "whole": support.supported,
        "refused": [{"name": n.name, "op": n.op, "origin": n.origin, "reason": n.reason} for n in support.unsupported],
    }
    if not support.supported and not row["refused"]:
        row["refused"] = [{"name": "", "op": "model", "origin": "", "reason": support.reason}]
    if not error < LIMIT:  # also NaN
        row["failed"] = f"relative error {error:.1e}, limit {LIMIT:.0e}"
    return row


def answers(subject: zoo_models.Subject) -> List[Any]:
    """TensorFlow's own outputs, in the model's order."""
    model, arrays = subject.model, subject.arrays
    if hasattr(model, "get_concrete_function"):  # a tf.function
        outputs = model(*arrays)
    else:
        outputs = model(arrays if len(arrays) > 1 else arrays[0], training=False)
    return [np.asarray(output) for output in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def operators(path: Path) -> List[str]:
    """The operator of every node of the main graph."""
    graph = importlib.import_module("onnx").load(str(path), load_external_data=False).graph
    return [node.op_type for node in graph.node]


def peak_mib() -> float:
    """The most memory that this process held. Not getrusage's ru_maxrss: Linux hands the parent's on through exec."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match.group(1)) / 1024 if match else float("nan")


def row_of(network: zoo_models.Network) -> Row:
    """One row, measured in a new process; where that fails the row says why."""
    command = [sys.executable, str(Path(__file__).resolve()), "--row", network.name]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        failed = f"not done after {PATIENCE} s"
    else:
        if result.returncode == 0:
            row: Row = json.loads(result.stdout.splitlines()[-1])
            return row
        failed = why(result.returncode, result.stderr)
    return {"network": network.name, "package": network.package, "failed": failed}


def why(status: int, stderr: str) -> str:
    """What a process that failed died of: the exception at the end of its last traceback, or the signal."""
    if status < 0:
        return f"killed by signal {-status}"
    message = stderr.rsplit("Traceback (most recent call last):", 1)[-1]
    lines = message.splitlines()
    start = next((index for index, line in enumerate(lines) if line and not line.startswith(" ")), 0)
    return "; ".join(line.strip() for line in lines[start:] if line.strip()) or f"exit status {status}"


def cells(row: Row) -> List[str]:
    """The row's cells, as text."""
    if "nodes_after" not in row:
        return [row["network"], row["package"], *["-"] * (len(COLUMNS) - 3), "failed"]
    numbers = [str(row[key]) for key in ("nodes_before", "nodes_after", "transposes")]
    numbers.append(f"{row['rel_error']:.1e}")
    numbers += [f"{row[key]:.1f}" for key in ("export_seconds", "surgery_seconds")]
    numbers.append(str(row["peak_mib"]))
    return [row["network"], row["package"], *numbers, "whole" if row["whole"] else refusals(row)]


def refusals(row: Row) -> str:
    """How many nodes of which operators TensorRT refuses."""
    kinds = [node["op"] for node in row["refused"]]
    return "refuses " + ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))


def remarks(rows: List[Row]) -> List[str]:
    """A line for each failure and each refused node."""
    lines = [f"{row['network']} failed: {row['failed']}" for row in rows if "failed" in row]
    for row in rows:
        for node in row.get("refused", []):
            origin = f" (from {node['origin']})" if node["origin"] else ""
            lines.append(f"{row['network']}: {node['op']} {node['name']}{origin}: {node['reason']}")
    return lines


def document(report: Dict[str, Any]) -> str:
    """The table as Markdown."""
    rows: List[Row] = report["rows"]
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    whole = sum(1 for row in rows if row.get("whole"))
    good = sum(1 for row in rows if "failed" not in row)
    lines = [
        "# Networks",
        "",
        "Written by `python benchmarks/zoo.py`, which says what it does; not by hand.",
        "",
        textwrap.fill(f"{report['date']}, {versions}.", 120, break_on_hyphens=False),
        "",
        f"{len(rows)} networks: {good} under a relative error of {LIMIT:.0e}, {whole} taken whole by the parser.",
        "",
        "Nodes are those of the ONNX graph as exported and after surgery, Transposes those that are left. The error is",
        "`||onnx - tensorflow|| / ||tensorflow||` after surgery, in ONNX Runtime on a CPU, for a batch of 2, the worst",
        "output's. Peak is the most memory that the process held until the surgery's end, TensorFlow and the model",
        "included. Weights are seeded; batch-norm statistics come from a pass over random images.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "| " + " | ".join(["---", "---", *["---:"] * (len(COLUMNS) - 3), "---"]) + " |",
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
    ]
    found = remarks(rows)
    if found:
        lines += ["", "Refused or failed:", "", *(f"- {line.replace('<', '&lt;')}" for line in found)]
    return "\n".join(lines) + "\n"


def versions() -> Dict[str, str]:
    """What the table depends on."""
    found = {"Python": platform.python_version()}
    found.update({name: metadata.version(name) for name in PACKAGES})
    library = libraries.find(need_builder=True)
    found["TensorRT-RTX" if library.kind == "rtx" else "TensorRT"] = library.version_text
    return found


def main() -> int:
    """Measures, prints, writes; the exit status."""
    names = [network.name for network in zoo_models.NETWORKS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="this network; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="how many at the same time (1)")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    parser.add_argument("--json", type=Path, help="write the table there too, as JSON")
    parser.add_argument("--row", choices=names, help=argparse.SUPPRESS)  # what each process is called with
    given = parser.parse_args()
    if given.row:
        print(json.dumps(measure(zoo_models.NETWORKS[names.index(given.row)])))
        return 0
    report: Dict[str, Any] = {"date": datetime.date.today().isoformat(), "versions": versions(), "rows": []}
    width = max(map(len, names))
    layout = f"{{:{width}}} {{:10}} {{:>5}} {{:>5}} {{:>10}} {{:>7}} {{:>8}} {{:>9}} {{:>8}}  {{}}"
    print(layout.format(*COLUMNS), flush=True)
    with ThreadPoolExecutor(max_workers=given.jobs) as pool:
        chosen = [network for network in zoo_models.NETWORKS if network.name in (given.only or names)]
        for row in pool.map(row_of, chosen):
            report["rows"].append(row)
            print(layout.format(*cells(row)), flush=True)
    for line in remarks(report["rows"]):
        print(line)
    markdown = given.markdown or (None if given.only else DOCUMENT)
    if markdown is not None:
        atomic_write(markdown, document(report).encode())
    if given.json is not None:
        atomic_write(given.json, (json.dumps(report, indent=1) + "\n").encode())
    return 1 if any("failed" in row for row in report["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
