"""An engine that TensorRT can open here: what it says of itself, and how long its layers take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Dict, List, Mapping, Sequence, Tuple, Union

import numpy as np

from tf2trt.inspect.network import Tensor
from tf2trt.numerics import random_inputs
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange, TensorSpec

__all__ = ["Opened", "open_engine"]

PathLike = Union[str, "os.PathLike[str]"]

_WARMUP, _RUNS = 5, 20


@dataclass(frozen=True)
class Opened:
    """``information`` is the inspector's JSON, ``times`` each layer's name and milliseconds, empty without a profile;
    ``context_bytes`` the device memory of an execution context.
    """

    information: str
    inputs: Tuple[Tensor, ...]
    outputs: Tuple[Tensor, ...]
    profiles: Tuple[Mapping[str, ShapeRange], ...]
    context_bytes: int
    times: Tuple[Tuple[str, float], ...]


def open_engine(path: Path, *, profile: bool, plugin_libraries: Sequence[PathLike]) -> Opened:
    """Deserialises a plan and asks it; with ``profile`` it is run.

    Raises:
        EngineError, LibraryError, PluginError, DeviceError: it cannot be opened, or not be run, on this machine.
    """
    with Engine.load(path, plugin_libraries=plugin_libraries) as engine:
        return Opened(
            engine.information(),
            _tensors(engine.inputs),
            _tensors(engine.outputs),
            engine.profiles,
            engine.context_bytes,
            tuple(_times(engine)) if profile else (),
        )


def _times(engine: Engine) -> List[Tuple[str, float]]:
    """The median of each layer's time, in the order in which they ran."""
    context = engine.context()
    inputs = _usual_inputs(engine)
    for _ in range(_WARMUP):
        context(inputs)
    runs = [context.profile() for _ in range(_RUNS)]
    return [(name, median(run[place][1] for run in runs)) for place, (name, _) in enumerate(runs[0])]


def _usual_inputs(engine: Engine) -> Dict[str, object]:
    """Random inputs of the shapes that the first profile was tuned for; of shape tensors those values."""
    usual = engine.profiles[0] if engine.profiles else {}
    specs, values = [], {}
    for spec in engine.inputs:
        limits = usual.get(spec.name)
        if limits is not None and spec.name in engine.shape_tensors:
            values[spec.name] = np.array(limits.opt, spec.dtype).reshape(spec.shape)
        else:
            specs.append(TensorSpec(spec.name, spec.dtype, limits.opt) if limits is not None else spec)
    return {**random_inputs(specs, seed=0), **values}


def _tensors(specs: Sequence[TensorSpec]) -> Tuple[Tensor, ...]:
    return tuple(Tensor(spec.name, spec.dtype, spec.shape) for spec in specs)
