"""Whether a segment as a whole can become an engine; where it cannot, which of its nodes is in the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from tf2trt import _native
from tf2trt.build.support import UnsupportedNode
from tf2trt.errors import ModelError
from tf2trt.extras import require
from tf2trt.hybrid.extract import Piece, extract
from tf2trt.hybrid.frozen import Body, tensor_name
from tf2trt.preparation import prepare

__all__ = ["Accepted", "Refused", "ask"]

PathLike = Union[str, Path]
_CALL = "PartitionedCall/"  # what tracing an exported graph puts before its nodes' names


@dataclass(frozen=True)
class Accepted:
    """A segment that TensorRT takes: its ONNX file, and the names there of its inputs and outputs, in the order of
    ``piece.reads`` and ``piece.gives``.
    """

    piece: Piece
    onnx: Path
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]


@dataclass(frozen=True)
class Refused:
    """Nodes to be left native, with the reason of each: at least one."""

    reasons: Dict[str, str]


def ask(
    body: Body,
    nodes: Sequence[str],
    onnx: Path,
    *,
    library: _native.Library,
    plugins: Sequence[str] = (),
) -> Union[Accepted, Refused]:
    """Exports the segment ``nodes`` to the file ``onnx`` and asks ``library``'s parser about it.

    What is refused without a node's name being told is found by halving: the shortest beginning of the segment (its
    nodes are in an order in which they can run) that is refused ends with the node that is in the way. For TensorRT 8,
    which has no int64 outside its networks, the nodes at the segment's border that read or give it are refused.

    Raises:
        DeviceError, LibraryError: TensorRT cannot be asked here.
    """
    if library.generation == 8:
        wide = _wide_border(body, nodes)
        if wide:
            return Refused(dict.fromkeys(wide, f"TensorRT {library.version_text} has no int64 at a segment's border"))
    verdict = _try(body, nodes, onnx, library, plugins)
    if isinstance(verdict, (Accepted, Refused)):
        return verdict
    taken, refused, reason = 0, len(nodes), verdict
    while refused - taken > 1:
        middle = (taken + refused) // 2
        found = _try(body, nodes[:middle], onnx, library, plugins)
        if isinstance(found, Refused):
            return found
        if isinstance(found, Accepted):
            taken = middle
        else:
            refused, reason = middle, found
    return Refused({nodes[refused - 1]: reason})


def _wide_border(body: Body, nodes: Sequence[str]) -> List[str]:
    """The nodes that read int64 from outside the segment, or give it there."""
    piece = extract(body, nodes)
    wide = {name for name in (*piece.reads, *piece.gives) if body.tensor(name).dtype.base_dtype.name == "int64"}
    found = []
    for name in nodes:
        reads = {tensor_name(each) for each in body.node_defs[name].input if not each.startswith("^")}
        gives = {tensor.name for tensor in body.graph.get_operation_by_name(name).outputs}
        if wide & (reads | gives):
            found.append(name)
    return found


def _try(
    body: Body, nodes: Sequence[str], onnx: Path, library: _native.Library, plugins: Sequence[str]
) -> Union[Accepted, Refused, str]:
    """The verdict; or the reason alone where it names no node."""
    piece = extract(body, nodes)
    frozen = onnx.with_suffix(".pb")
    frozen.write_bytes(piece.graph_def.SerializeToString())
    try:
        # Random inputs tell little of a part of a model, whose inputs may be indices: the result is compared later.
        made = prepare(frozen, onnx, library=library, outputs=list(piece.gives), check=False, plugins=plugins)
    except ModelError as error:
        return " ".join(str(error).split())
    finally:
        frozen.unlink()
    support = made.support
    assert support is not None  # there is a library
    if support.supported:
        inputs = tuple(spec.name for spec in made.export.inputs)
        outputs = tuple(spec.name for spec in made.export.outputs)
        return Accepted(piece, onnx, inputs, outputs)
    reasons: Dict[str, str] = {}
    for node in support.unsupported:
        owner = _owner(node, nodes, onnx)
        if owner is None:
            return f"{support.library} does not take {node.op}: {node.reason}"
        reasons.setdefault(owner, f"{support.library} does not take {node.op}: {node.reason}")
    return Refused(reasons) if reasons else f"{support.library}: {support.reason}"


def _owner(node: UnsupportedNode, nodes: Sequence[str], onnx: Path) -> Optional[str]:
    """The TensorFlow node that an ONNX node comes from: its name begins with that node's, or its origin says so."""
    name = node.name
    if name.startswith("#"):
        model = require("onnx", "export").load(str(onnx), load_external_data=False)
        name = model.graph.node[node.index].name
    name = name[len(_CALL) :] if name.startswith(_CALL) else name
    found = [each for each in nodes if name == each or re.match(re.escape(each) + r"(__|/|:|_tf2trt)", name)]
    if not found and node.origin:
        found = [each for each in nodes if each == node.origin or each.endswith("/" + node.origin)]
        return found[0] if len(found) == 1 else None
    return max(found, key=len, default=None)
