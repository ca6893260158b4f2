"""What hybrid.py converts and measures, for all of its parts: no TensorFlow here, and nothing of tf2trt."""

import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

BACKENDS = ("tf2trt", "tf-trt")
PRECISIONS = ("FP16", "FP32")
LIMITS = {"FP32": 1e-3, "FP16": 2e-2}
NATIVE, ENGINE = "native", "engine"


class Network(NamedTuple):
    """One of the models.

    ``batches`` are timed in FP16, ``few`` in FP32, where a large network's builds take too long for all. Engines are
    built for ``built``, by default for what is timed: one for each, or, with ``in_range``, one for all between the
    least and the most. ``minutes`` is what a build may take on an H200 with TensorRT 8.6, in FP16 and FP32. ``loose``
    outputs are compared in FP32 only: FP16 may put two boxes of nearly one score in another order.
    """

    text: str
    batches: Tuple[int, ...]
    few: Tuple[int, ...]
    minutes: Tuple[float, float]
    built: Tuple[int, ...] = ()
    in_range: bool = False
    loose: Tuple[str, ...] = ()

    def timed(self, precision: Optional[str]) -> Tuple[int, ...]:
        """The batches that a subject of this precision is timed at; native TensorFlow (None) at all."""
        return self.few if precision == "FP32" else self.batches

    def shapes(self, precision: str) -> Tuple[int, ...]:
        """The batches that engines are built for, the small ones first: TF-TRT takes a larger engine that is there."""
        return tuple(sorted(self.built or self.timed(precision)))


NETWORKS: Dict[str, Network] = {
    "resnet50": Network("ResNet-50, 224x224", (1, 32), (1,), (3.0, 1.0)),
    "mobilenetv2": Network("MobileNetV2, 224x224", (1, 32), (1,), (2.0, 0.7)),
    "detector": Network(
        "SSD-style detector, boxes decoded, combined_non_max_suppression",
        (1, 8),
        (1,),
        (0.7, 0.3),
        (),
        False,
        ("boxes", "classes"),
    ),
    "text": Network("numbers to strings and back, and rows by strings, in its middle", (1, 32), (1, 32), (0.4, 0.3)),
    "lstm": Network("an LSTM in a tf.while_loop, 32 steps", (1, 8), (1, 8), (0.4, 0.3)),
    "dynamic": Network("batch 1 to 8 by one engine", (1, 3, 8), (1, 3, 8), (0.5, 0.3), (1, 4, 8), True),
}


class Job(NamedTuple):
    """One conversion."""

    network: str
    backend: str
    precision: str

    @property
    def subject(self) -> str:
        """``"tf2trt FP16"``."""
        return f"{self.backend} {self.precision}"

    @property
    def minutes(self) -> float:
        """What it may take, the network's own start and end included."""
        return NETWORKS[self.network].minutes[PRECISIONS.index(self.precision)] + 0.2


class Places:
    """Where everything lies in the folder of the benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def model(self, network: str) -> Path:
        """The SavedModel."""
        return self.folder / network / "model"

    def samples(self, network: str) -> Path:
        """Inputs (``in/BATCH/NAME``) and TensorFlow's answers in FP32 (``out/BATCH/NAME``)."""
        return self.folder / network / "samples.npz"

    def converted(self, job: Job) -> Path:
        """The SavedModel with engines."""
        return self.folder / job.network / f"{job.backend}-{job.precision}"

    def outcome(self, job: Job) -> Path:
        """What became of a conversion, as JSON."""
        return self.folder / job.network / f"{job.backend}-{job.precision}.json"

    def measured(self, network: str) -> Path:
        """What was measured of a network, as JSON."""
        return self.folder / network / "measured.json"

    def log(self, name: str) -> Path:
        """What a process wrote to its standard error."""
        return self.folder / "logs" / f"{name}.log"


def read(path: Path) -> Optional[Dict[str, Any]]:
    """A JSON file; None where it is not there."""
    if not path.is_file():
        return None
    found: Dict[str, Any] = json.loads(path.read_text())
    return found


def jobs(names: List[str], precisions: List[str]) -> List[Job]:
    """All conversions: FP16 of every network before FP32, and our own backend first, as time may run out."""
    chosen = [each for each in PRECISIONS if each in precisions]
    return [Job(name, backend, precision) for precision in chosen for backend in BACKENDS for name in names]
