"""What calibration data comes from, as a stream of elements.

An element is what :mod:`tf2trt.calibration.samples` takes: an array, a dictionary of arrays by input name, or a tuple
of such with labels behind. Arrays and files are read one sample at a time; nothing is held.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from tf2trt.calibration.functions import is_function_name, load_function
from tf2trt.calibration.images import FOLDER_SUFFIXES, read_file
from tf2trt.errors import UsageError

__all__ = ["Source", "open_source"]


class Source:
    """``elements(limit)`` starts a pass over the data; ``count`` is the number of samples, None where not known.

    ``one_shot``: there is only one pass. ``prepared``: the elements are the user's own, so that no function of theirs
    is to be applied. With a ``limit`` files and rows are taken evenly spread, since both are often sorted by class.
    """

    def __init__(
        self,
        elements: Callable[[Optional[int]], Iterator[Any]],
        count: Optional[int] = None,
        *,
        one_shot: bool = False,
        prepared: bool = False,
    ) -> None:
        self.elements = elements
        self.count = count
        self.one_shot = one_shot
        self.prepared = prepared


def open_source(source: Any) -> Source:
    """The source behind what the user gave; a path may be a string.

    Raises:
        UsageError: nothing that data can come from, a path that is not there or cannot be read, arrays of different
            lengths.
    """
    if isinstance(source, str) and is_function_name(source) and not Path(source).exists():
        source = load_function(source)
    if isinstance(source, (str, Path)):
        return _open_path(Path(source))
    if isinstance(source, np.ndarray):
        _rows([("the array", source.shape)])
        return _indexed(len(source), lambda index: source[index])
    if isinstance(source, Mapping):
        arrays = {name: np.asarray(array) for name, array in source.items()}
        count = _rows([(f"{name!r}", array.shape) for name, array in arrays.items()])
        return _indexed(count, lambda index: {name: array[index] for name, array in arrays.items()})
    if hasattr(source, "as_numpy_iterator"):  # tf.data.Dataset
        return Source(lambda _: iter(source.as_numpy_iterator()), prepared=True)
    if hasattr(source, "__next__"):
        return Source(lambda _: iter(source), one_shot=True, prepared=True)
    if callable(source):
        return Source(lambda _: _called(source), prepared=True)
    if isinstance(source, Iterable):
        return Source(lambda _: iter(source), prepared=True)
    raise UsageError(
        "calibration data",
        received=type(source).__name__,
        expected="an array, a dictionary of arrays, a .npy or .npz file, a folder, a tf.data.Dataset, a generator, or "
        "a function that returns one",
    )


def _called(factory: Callable[[], Any]) -> Iterator[Any]:
    made = factory()
    if isinstance(made, (str, Path, np.ndarray, Mapping)) or hasattr(made, "as_numpy_iterator"):
        return open_source(made).elements(None)
    if not isinstance(made, Iterable):
        raise UsageError(
            "calibration data: the function returned nothing to iterate over",
            received=type(made).__name__,
            expected="a generator, a list, a tf.data.Dataset or arrays",
        )
    return iter(made)


def _open_path(path: Path) -> Source:
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise UsageError(
            f"calibration data: there is nothing at {path}",
            expected="a .npy or .npz file, a folder, or module:function",
        )
    if path.suffix.lower() == ".npy":
        array = _map(path)
        _rows([(str(path), array.shape)])
        return _indexed(len(array), lambda index: array[index])
    if path.suffix.lower() == ".npz":
        members = _members(path)
        count = _rows([(f"{name!r} in {path}", shape) for name, shape in members.items()])
        return Source(lambda limit: _zipped(path, sorted(members), _spread(count, limit)), count)
    raise UsageError(
        f"calibration data: {path} is of no kind that can be read",
        expected="a .npy or .npz file, a folder of images or of such files, or module:function",
    )


def _open_folder(folder: Path) -> Source:
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in FOLDER_SUFFIXES and path.is_file()]
    if not files:
        raise UsageError(
            f"calibration data: no file in {folder} can be read", expected="files " + ", ".join(FOLDER_SUFFIXES)
        )
    return _indexed(len(files), lambda index: read_file(files[index]))


def _indexed(count: int, get: Callable[[int], Any]) -> Source:
    return Source(lambda limit: (get(index) for index in _spread(count, limit)), count)


def _spread(count: int, limit: Optional[int]) -> Sequence[int]:
    if limit is None or limit >= count:
        return range(count)
    return [index * count // limit for index in range(limit)]


def _rows(shapes: Sequence[Tuple[str, Sequence[int]]]) -> int:
    """The number of samples that all have."""
    for what, shape in shapes:
        if not shape:
            raise UsageError(f"calibration data: {what} is a single number", expected="samples along the first axis")
    counts = {shape[0] for _, shape in shapes}
    if len(counts) > 1:
        raise UsageError(
            "calibration data: the arrays are not of one length",
            received=", ".join(f"{what}: {shape[0]}" for what, shape in shapes),
        )
    return int(counts.pop()) if counts else 0


def _map(path: Path) -> Any:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error


def _members(path: Path) -> Dict[str, Tuple[int, ...]]:
    """The shapes of the arrays in a ``.npz`` file, by name."""
    shapes = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as file:
                        shapes[name[: -len(".npy")]] = _header(file)[0]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error
    return shapes


def _header(file: Any) -> Tuple[Tuple[int, ...], bool, Any]:
    """Shape, column order and dtype of the array that ``file`` stands at the beginning of."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    return shape, columns, dtype


def _zipped(path: Path, names: List[str], indices: Sequence[int]) -> Iterator[Dict[str, Any]]:
    """The rows at ``indices``, which rise, of the arrays in a ``.npz`` file: read in step, a row at a time."""
    wanted = iter(indices)
    with zipfile.ZipFile(path) as archive:
        readers = {name: _array_rows(archive, name) for name in names}
        position = -1
        for index in wanted:
            row: Dict[str, Any] = {}
            while position < index:
                try:
                    row = {name: next(rows) for name, rows in readers.items()}
                except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                    raise _unreadable(path, error) from error
                position += 1
            yield row


def _array_rows(archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    with archive.open(name + ".npy") as file:
        shape, columns, dtype = _header(file)
        if columns:  # its rows are spread over the whole member
            file.seek(0)
            yield from np.lib.format.read_array(file, allow_pickle=False)
            return
        size = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        for _ in range(shape[0]):
            data = file.read(size)
            if len(data) < size:
                raise EOFError(f"{name} ends early")
            yield np.frombuffer(data, dtype).reshape(shape[1:])


def _unreadable(path: Path, error: BaseException) -> UsageError:
    return UsageError(f"calibration data: {path} cannot be read", received=f"{type(error).__name__}: {error}")
