"""What is fed to both: arrays from files, or random ones."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from tf2trt.errors import InputError, UsageError
from tf2trt.numerics import random_inputs
from tf2trt.specs import Shape, TensorSpec

__all__ = ["DISTRIBUTIONS", "Feed", "FileInputs", "GeneratedInputs", "Inputs", "safe_name", "tuned_shapes"]

PathLike = Union[str, "os.PathLike[str]"]
DISTRIBUTIONS = ("normal", "uniform", "bytes")


@dataclass(frozen=True)
class Feed:
    """One batch: arrays by input name, and what else was in the files, such as labels."""

    arrays: Dict[str, Any]
    extras: Dict[str, Any] = field(default_factory=dict)


class GeneratedInputs:
    """Random batches, the same each time that they are gone through.

    Args:
        specs: the inputs.
        distribution: of floating-point values: ``"normal"`` (standard), ``"uniform"`` (0 to 1) or ``"bytes"`` (whole
            numbers from 0 to 255).
        batch: the extent of a dynamic first axis; by default that of ``shapes``, else 1.
        batches: how many.
        seed: for the generator; None takes a fresh one, which :attr:`seed` tells.
        shapes: for dynamic extents, by input name.

    Raises:
        UsageError: an argument that cannot work.
    """

    def __init__(
        self,
        specs: Sequence[TensorSpec],
        distribution: str = "normal",
        *,
        batch: Optional[int] = None,
        batches: int = 1,
        seed: Optional[int] = None,
        shapes: Optional[Mapping[str, Shape]] = None,
    ) -> None:
        if distribution not in DISTRIBUTIONS:
            raise UsageError("the distribution", received=repr(distribution), expected=", ".join(DISTRIBUTIONS))
        if batches < 1:
            raise UsageError("batches", received=batches, expected="1 or more")
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._specs = _with_shapes(specs, shapes or {}, batch)
        self._batch = 1 if batch is None else batch
        random_inputs(self._specs, self._batch, self.seed)  # what cannot be made is an error now
        self._distribution, self._batches = distribution, batches

    @property
    def description(self) -> str:
        """What they are, in words, the seed included."""
        count = f"{self._batches} batches" if self._batches > 1 else "1 batch"
        return f"random, {self._distribution}, {count}, seed {self.seed}"

    def __iter__(self) -> Iterator[Feed]:
        for index in range(self._batches):
            yield self._one(index)

    def another(self) -> Feed:
        """A batch that is none of these, of the same kind."""
        return self._one(self._batches)

    def _one(self, index: int) -> Feed:
        seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
        arrays = random_inputs(self._specs, self._batch, seed)
        rng = np.random.default_rng(seed)
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.floating) and self._distribution != "normal":
                made = rng.random(array.shape) if self._distribution == "uniform" else rng.integers(0, 256, array.shape)
                arrays[name] = np.asarray(made).astype(array.dtype)
        return Feed(arrays)


class FileInputs:
    """Batches from a ``.npy`` or ``.npz`` file, or from a folder of them.

    A ``.npz`` file is one batch: an array for each input under its name. ``.npy`` files in a folder are one batch where
    they are called after the inputs (``NAME.npy``); else, of a model with one input, each is one batch, in the order of
    their names. An array without the batch's axis gets one. What is called otherwise, such as ``labels``, is handed to
    the task's metric.

    Args:
        path: the file or folder.
        specs: the inputs.
        batch: cut batches that are larger into parts of so many samples.

    Raises:
        InputError: nothing there fits; an input is missing.
    """

    seed: Optional[int] = None

    def __init__(self, path: PathLike, specs: Sequence[TensorSpec], batch: Optional[int] = None) -> None:
        if batch is not None and batch < 1:
            raise UsageError("batch", received=batch, expected="1 or more")
        self._path, self._specs, self._batch = Path(path), tuple(specs), batch
        self._groups = self._find()

    @property
    def description(self) -> str:
        """Where they are from, in words."""
        return f"from {self._path}, {len(self._groups)} file{'s' if len(self._groups) > 1 else ''} of batches"

    def __iter__(self) -> Iterator[Feed]:
        for group in self._groups:
            feed = self._read(group)
            yield from self._parts(feed) if self._batch else [feed]

    def another(self) -> Feed:
        """A batch like the first, its values a little off."""
        feed = next(iter(self))
        rng = np.random.default_rng()
        arrays = dict(feed.arrays)
        for name, array in arrays.items():
            if np.issubdtype(array.dtype, np.floating) and array.size:
                arrays[name] = (array + rng.standard_normal(array.shape) * (array.std() or 1.0)).astype(array.dtype)
        return Feed(arrays, feed.extras)

    def _find(self) -> List[Dict[str, Path]]:
        """The files of each batch: arrays' names and the files; a ``.npz`` under the name ``""``."""
        if not self._path.exists():
            raise InputError(f"there are no inputs at {self._path}", expected="a folder, or a .npy or .npz file")
        files = sorted(self._path.iterdir()) if self._path.is_dir() else [self._path]
        archives = [{"": file} for file in files if file.suffix == ".npz"]
        if archives:
            return archives
        single = {file.stem: file for file in files if file.suffix == ".npy"}
        names = [safe_name(spec.name) for spec in self._specs]
        if all(name in single for name in names):
            return [single]
        if len(names) == 1 and single:
            return [{names[0]: file} for file in single.values()]
        raise InputError(
            f"{self._path} does not hold the inputs",
            received=", ".join(file.name for file in files[:10]) or "no file",
            expected=".npz files with " + ", ".join(spec.name for spec in self._specs)
            + ", or " + " and ".join(f"{name}.npy" for name in names),
        )  # fmt: skip

    def _read(self, group: Mapping[str, Path]) -> Feed:
        found: Dict[str, Any] = {}
        for name, file in group.items():
            try:
                loaded = np.load(file, allow_pickle=False)
                found.update(loaded.items() if not name else {name: loaded})
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                expected = "a file of numbers that NumPy wrote"
                raise InputError(f"cannot read {file}", received=str(error), expected=expected) from error
        arrays = {}
        for spec in self._specs:
            key = spec.name if spec.name in found else safe_name(spec.name)
            if key not in found:
                raise InputError(
                    f"{next(iter(group.values()))} lacks the input {spec.name!r}", received=", ".join(found)
                )
            arrays[spec.name] = _fit(found.pop(key), spec)
        return Feed(arrays, found)

    def _parts(self, feed: Feed) -> Iterator[Feed]:
        sizes = {len(array) if array.ndim else 0 for array in feed.arrays.values()}
        size = max(sizes, default=0)
        if len(sizes) != 1 or self._batch is None or size <= self._batch:
            yield feed
            return
        for start in range(0, size, self._batch):
            part = slice(start, start + self._batch)
            extras = {
                name: array[part] if np.ndim(array) and len(array) == size else array
                for name, array in feed.extras.items()
            }
            yield Feed({name: array[part] for name, array in feed.arrays.items()}, extras)


Inputs = Union[GeneratedInputs, FileInputs]


def safe_name(tensor: str) -> str:
    """A tensor's name as a file name: TensorFlow's hold slashes and colons."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in tensor)


def tuned_shapes(specs: Sequence[TensorSpec], candidate: Sequence[TensorSpec], shapes: Mapping[str, Shape]) -> Any:
    """The shapes that an engine is tuned for, or that its inputs have, under the reference's names.

    Left out where they do not fit: another layout, for instance.
    """
    found: Dict[str, Shape] = {}
    if len(specs) != len(candidate):
        return found
    by_name = {spec.name: spec for spec in candidate}
    for spec, other in zip(specs, candidate):
        mine = by_name.get(spec.name, other)
        shape = tuple(shapes.get(mine.name, mine.shape))
        if len(shape) == len(spec.shape) and all(a < 0 or b < 0 or a == b for a, b in zip(shape, spec.shape)):
            found[spec.name] = shape
    return found


def _with_shapes(
    specs: Sequence[TensorSpec], shapes: Mapping[str, Shape], batch: Optional[int]
) -> Tuple[TensorSpec, ...]:
    fixed = []
    for spec in specs:
        extents = list(spec.shape)
        given = shapes.get(spec.name, spec.shape)
        if len(given) != len(extents) or any(a >= 0 and b >= 0 and a != b for a, b in zip(given, extents)):
            raise UsageError("shapes: this does not fit the model", received=f"{spec.name} {given}", expected=spec)
        for axis, extent in enumerate(given):
            if extents[axis] < 0 and (axis or batch is None):
                extents[axis] = extent
        fixed.append(TensorSpec(spec.name, spec.dtype, tuple(extents)))
    return tuple(fixed)


def _fit(array: Any, spec: TensorSpec) -> Any:
    """The array with the batch's axis, and of the input's type where that loses nothing but digits."""
    if array.ndim + 1 == len(spec.shape):
        array = array[None]
    if array.dtype.name != spec.dtype:
        target = np.dtype(spec.dtype)
        whole = np.issubdtype(array.dtype, np.integer) and np.issubdtype(target, np.floating)
        if not whole and not np.can_cast(array.dtype, target, "same_kind"):
            raise InputError(f"the input {spec.name!r} is of another type", received=str(array.dtype), expected=spec)
        array = array.astype(target)
    return np.ascontiguousarray(array)
