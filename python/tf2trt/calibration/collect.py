"""Runs the model over the data in ONNX Runtime and keeps histograms; killed half-way, it goes on where it was."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from tf2trt.calibration.data import CalibrationData
from tf2trt.calibration.thresholds import Histogram
from tf2trt.errors import ModelError, OnnxError, UsageError
from tf2trt.extras import require
from tf2trt.files import atomic_write
from tf2trt.specs import TensorSpec

__all__ = ["Collection", "collect"]

SAVE_SECONDS = 5.0  # of work that a kill may cost
Progress = Callable[[int, Optional[int]], None]
Batch = Dict[str, Any]


@dataclass
class Collection:
    """Histograms by tensor; ``samples`` and ``batches`` that went into them. ``resumed`` batches were there before.

    ``first`` is a hash of the first batch and ``chain`` one over all so far, in order: they tell whether the data is
    still the same.
    """

    histograms: Dict[str, Histogram]
    samples: int = 0
    batches: int = 0
    resumed: int = 0
    first: str = ""
    chain: str = ""
    notes: List[str] = field(default_factory=list)


def collect(
    model: Path,
    tensors: Sequence[str],
    specs: Sequence[TensorSpec],
    data: CalibrationData,
    state: Path,
    identity: str,
    progress: Optional[Progress] = None,
) -> Collection:
    """Runs ``model``, an ONNX file that gives out ``tensors``, over all of ``data``.

    In memory are one batch, what the model makes of it, and the histograms. ``state`` is a file that is written every
    few seconds, and at the end or on an error; it is left there for the caller to remove. Where it already holds
    batches of the same model (``identity``) and the same data, these are read but not run again.

    Args:
        progress: called with the samples done and the number of all samples, where that is known.

    Raises:
        UsageError: data that does not fit.
        ModelError: the model cannot be run, or gives NaN or infinity.
        OutputError: ``state`` cannot be written.
    """
    session = _session(model)
    batches = data.batches(specs)
    collection = _read_state(state, identity, tensors)
    if collection.batches:
        try:
            batches, collection = _skip(batches, collection, data, specs)
        except UsageError:
            state.unlink()
            raise
    saved = time.monotonic()
    try:
        if progress:
            progress(collection.samples, data.count)
        for batch in batches:
            values = _run(session, tensors, batch)
            for name, value in zip(tensors, values):
                collection.histograms[name].add(value, name)
            collection.chain = _link(collection.chain, batch)
            collection.first = collection.first or collection.chain
            collection.samples += next((len(array) for array in batch.values() if array.ndim), 1)
            collection.batches += 1
            if progress:
                progress(collection.samples, data.count)
            if time.monotonic() - saved >= SAVE_SECONDS:
                _write_state(state, identity, collection)
                saved = time.monotonic()
    finally:
        if collection.batches:
            _write_state(state, identity, collection)
    return collection


def _skip(
    batches: Iterator[Batch], done: Collection, data: CalibrationData, specs: Sequence[TensorSpec]
) -> Tuple[Iterator[Batch], Collection]:
    """Reads past what was done; from the beginning, and without it, where the data is not what it was."""
    first = next(batches)
    chain = _link("", first)
    if chain == done.first:
        for batch in itertools.islice(batches, done.batches - 1):
            chain = _link(chain, batch)
        if chain == done.chain:
            done.resumed = done.batches
            return batches, done
        if data.one_shot:
            raise UsageError(
                "calibration data: the generator gives other samples than before the earlier calibration was stopped",
                hint="run this again: it will begin anew",
            )
        batches = data.batches(specs)
    else:
        batches = itertools.chain([first], batches)
    return batches, _anew(list(done.histograms), "an earlier calibration, stopped half-way, had other data: begun anew")


def _session(model: Path) -> Any:
    runtime = require("onnxruntime", "verify")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise OnnxError("ONNX Runtime cannot load the model", received=str(error).strip()[:1000]) from error


def _run(session: Any, tensors: Sequence[str], batch: Batch) -> List[Any]:
    try:
        return list(session.run(list(tensors), dict(batch)))
    except Exception as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in batch.items())
        raise ModelError(f"ONNX Runtime cannot run the model on {shapes}", received=str(error)[:1000]) from error


def _link(chain: str, batch: Batch) -> str:
    digest = hashlib.sha256(chain.encode())
    for name, array in sorted(batch.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(memoryview(array).cast("B") if array.size else b"")
    return digest.hexdigest()


def _write_state(path: Path, identity: str, collection: Collection) -> None:
    names = list(collection.histograms)
    histograms = [collection.histograms[name] for name in names]
    about = {
        "identity": identity,
        "tensors": names,
        "samples": collection.samples,
        "batches": collection.batches,
        "first": collection.first,
        "chain": collection.chain,
    }
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        counts=np.stack([histogram.counts for histogram in histograms]),
        limit=np.array([histogram.limit for histogram in histograms]),
        largest=np.array([histogram.largest for histogram in histograms]),
    )
    atomic_write(path, buffer.getvalue())


def _read_state(path: Path, identity: str, tensors: Sequence[str]) -> Collection:
    """What an earlier run left, or an empty collection."""
    try:
        with np.load(path, allow_pickle=False) as data:
            about = json.loads(data["about"].tobytes())
            counts, limit, largest = data["counts"], data["limit"], data["largest"]
    except FileNotFoundError:
        return _anew(tensors)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _anew(tensors, "what an earlier calibration left cannot be read: begun anew")
    if about["identity"] != identity or about["tensors"] != list(tensors):
        return _anew(tensors, "an earlier calibration, stopped half-way, was of another model: begun anew")
    histograms = {
        name: Histogram(counts[index], float(limit[index]), float(largest[index])) for index, name in enumerate(tensors)
    }
    return Collection(histograms, about["samples"], about["batches"], first=about["first"], chain=about["chain"])


def _anew(tensors: Sequence[str], *notes: str) -> Collection:
    return Collection({name: Histogram() for name in tensors}, notes=list(notes))
