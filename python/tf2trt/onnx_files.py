"""ONNX files whose weights are not in memory: written and read one tensor at a time.

A model is here a *skeleton*, an ``onnx.ModelProto`` in which large weights are missing, and a list of :class:`Weight`,
each of which hands out its bytes when asked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from tf2trt.errors import OutputError, Tf2TrtError
from tf2trt.onnx_skeleton import SMALL, copy_fields, place_of, read_skeleton, refer, references

__all__ = [
    "ONE_FILE",
    "Weight",
    "append",
    "check_target",
    "map_weight",
    "staged",
    "temporary_folder",
    "total_bytes",
    "write_onnx",
]

ONE_FILE = 1_800_000_000  # bytes of a model in one file; protobuf stops at 2 GiB
_PAGE = 4096  # readers map a file of weights into memory page by page

Advance = Callable[[int, int], None]
Place = Tuple[str, int]
"""Where a weight's bytes lie: the file's name, in the folder of the model, and the offset in it."""


@dataclass(frozen=True)
class Weight:
    """One initializer of the main graph.

    ``tensor`` is the ``onnx.TensorProto`` with name, type and shape and without data; ``size`` is in bytes; ``read``
    returns the data, ``size`` bytes in ONNX's order (little endian), as anything that has a buffer.
    """

    tensor: Any
    size: int
    read: Callable[[], Any]


def total_bytes(model: Any, weights: Sequence[Weight] = ()) -> int:
    """The size of all weights of the main graph, those in the skeleton included."""
    return sum(weight.size for weight in weights) + sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _take_weights(model: Any) -> List[Weight]:
    """Takes all weights of 1 KiB and more out of ``model``; they stay in memory, held by the result."""
    taken = []
    for tensor in [tensor for tensor in model.graph.initializer if len(tensor.raw_data) >= SMALL]:
        data = tensor.raw_data
        tensor.ClearField("raw_data")
        header = type(tensor)()
        header.CopyFrom(tensor)
        model.graph.initializer.remove(tensor)
        taken.append(Weight(header, len(data), lambda data=data: data))  # type: ignore[misc]
    return taken


def write_onnx(
    path: Path,
    model: Any,
    weights: Sequence[Weight] = (),
    advance: Optional[Advance] = None,
    *,
    beside: bool = False,
) -> Any:
    """Writes ``model`` and ``weights``, one at a time: into ``path``; from 1.8 GB on, or with ``beside``, the weights
    into ``path.data``.

    Changes ``model`` in the latter case: its own weights move to the second file too. Not atomic: :func:`staged`.

    Args:
        advance: called with the bytes of weights written and those of all weights, after each.

    Returns:
        a model in which ``weights`` stand with references to where their bytes lie now, in the files written.

    Raises:
        OSError: a file cannot be written.
    """
    if not beside and total_bytes(model, weights) < ONE_FILE:
        return _with_references(model, weights, _write_one(path, model, weights, advance))
    everything = [*weights, *_take_weights(model)]
    places = _write_data(path.with_name(path.name + ".data"), everything, advance)
    written = _with_references(model, everything, places)
    path.write_bytes(written.SerializeToString())
    return written


def _with_references(model: Any, weights: Sequence[Weight], places: Sequence[Place]) -> Any:
    if not weights:
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    for weight, (name, offset) in zip(weights, places):
        tensor = copy.graph.initializer.add()
        tensor.CopyFrom(weight.tensor)
        refer(tensor, name, offset, weight.size)
    return copy


def map_weight(tensor: Any, folder: Path) -> Weight:
    """The weight that a reference stands for, its bytes mapped from the file, which lies in ``folder``."""
    name, offset, size = place_of(tensor)
    header = type(tensor)()
    header.CopyFrom(tensor)
    header.ClearField("external_data")
    header.ClearField("data_location")
    return Weight(header, size, lambda: np.memmap(folder / name, np.uint8, "r", offset, (size,)))


def append(path: Path, parts: Iterable[Any]) -> int:
    """Adds a weight's bytes, in parts (anything that has a buffer), to a file, which need not be there yet.

    Returns:
        where they start in it.

    Raises:
        OSError: the file cannot be written.
    """
    with open(path, "ab") as file:
        file.write(b"\0" * (-file.tell() % _PAGE))
        offset = file.tell()
        for part in parts:
            file.write(part)
    return offset


@contextlib.contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """A new folder beside ``target``, on its disk (``/tmp`` may be memory), which goes with the block.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=".tf2trt-", dir=target.parent))
    except OSError as error:
        raise _refused(target, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def staged(target: Path, *, lasting: bool = True) -> Iterator[Path]:
    """A path of the same name in a new folder beside ``target``. At the end of the block what was written there under
    that name, and under it with ``.data``, takes its place beside ``target``, whole; after an error nothing does.

    Weights that the old ``target`` had in ``target.data`` go with it, where the new one has none there.

    Args:
        lasting: whether the files are to outlive a power cut, which takes time.

    Raises:
        OutputError: a file cannot be written.
    """
    with temporary_folder(target) as folder:
        try:
            path = folder / target.name
            yield path
            data = path.with_name(path.name + ".data")
            old = target.with_name(data.name)
            orphan = not data.exists() and old.is_file() and _reads(target, old)
            for file in (data, path):  # the weights first: a model that is there has its weights
                if file.exists():
                    if lasting:
                        _sync(file)
                    os.replace(file, target.with_name(file.name))
            if orphan:
                old.unlink()
        except OSError as error:
            if isinstance(error, Tf2TrtError):
                raise
            raise _refused(target, error) from error


def _refused(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {target}",
        received=error.strerror or str(error),
        hint="choose a folder with space in it that you may write to",
    )


def check_target(source: Path, target: Path) -> None:
    """Sees to it that writing ``target`` does not replace the weights of ``source``, another ONNX file.

    Raises:
        OutputError: it would: they lie in ``target.data``.
    """
    data = target.with_name(target.name + ".data")
    if source.resolve() != target.resolve() and data.exists() and _reads(source, data):
        raise OutputError(
            f"cannot write {target}: {data.name} beside it has the weights of {source}", hint="choose another name"
        )


def _reads(model: Path, data: Path) -> bool:
    """Whether an ONNX file has weights in the file ``data``; no file, or no ONNX file, has none."""
    try:
        names = {place_of(tensor)[0] for tensor in references(read_skeleton(model))}
    except Exception:  # noqa: BLE001 - what is there may be anything: protobuf's exceptions are its own
        return False
    return any((model.parent / name).resolve() == data.resolve() for name in names)


def _write_one(path: Path, model: Any, weights: Sequence[Weight], advance: Optional[Advance]) -> List[Place]:
    """Protobuf's wire format, by hand from the graph's initializers down: a whole message would be a copy of all
    weights, and ``SerializeToString`` another.
    """
    graph = model.graph.SerializeToString()
    rest = type(model)()
    copy_fields(model, rest, without="graph")
    heads = []
    for weight in weights:
        body = weight.tensor.SerializeToString() + _tag(9) + _varint(weight.size)  # TensorProto.raw_data
        heads.append(_tag(5) + _varint(len(body) + weight.size) + body)  # GraphProto.initializer
    length = len(graph) + sum(len(head) + weight.size for head, weight in zip(heads, weights))
    places: List[Place] = []
    with open(path, "wb") as file:
        file.write(rest.SerializeToString() + _tag(7) + _varint(length) + graph)  # ModelProto.graph
        for index, (head, weight) in enumerate(zip(heads, weights)):
            file.write(head)
            places.append((path.name, file.tell()))
            _write_weight(file, weight)
            _tell(advance, weights, index)
    return places


def _write_data(path: Path, weights: Sequence[Weight], advance: Optional[Advance]) -> List[Place]:
    places: List[Place] = []
    with open(path, "wb") as file:
        for index, weight in enumerate(weights):
            file.write(b"\0" * (-file.tell() % _PAGE))
            places.append((path.name, file.tell()))
            _write_weight(file, weight)
            _tell(advance, weights, index)
    return places


def _write_weight(file: Any, weight: Weight) -> None:
    data = memoryview(weight.read())
    if data.nbytes != weight.size:
        raise ValueError(f"the weight {weight.tensor.name!r} has {data.nbytes} bytes and not {weight.size}")
    file.write(data)


def _tell(advance: Optional[Advance], weights: Sequence[Weight], index: int) -> None:
    if advance is not None:
        advance(sum(weight.size for weight in weights[: index + 1]), sum(weight.size for weight in weights))


def _tag(field: int) -> bytes:
    return bytes([field << 3 | 2])  # all the fields here have a length, and numbers under 16


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
