"""What the demo leaves in its folder; its first half can be taken to another machine and continued there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np

from tf2trt.errors import UsageError
from tf2trt.files import atomic_write

__all__ = ["Artifacts"]


@dataclass(frozen=True)
class Artifacts:
    """The files in ``folder``. ``digits.onnx``, ``heldout.npz`` and ``keras.json`` are what a continued run needs."""

    folder: Path

    @property
    def saved_model(self) -> Path:
        """The trained model, as TensorFlow saves it."""
        return self.folder / "digits.savedmodel"

    @property
    def onnx(self) -> Path:
        """The exported and simplified graph."""
        return self.folder / "digits.onnx"

    @property
    def heldout(self) -> Path:
        """The held-out images and labels, and what Keras makes of them."""
        return self.folder / "heldout.npz"

    @property
    def keras_facts(self) -> Path:
        """Keras's figures: accuracy, latency, and the error of the export."""
        return self.folder / "keras.json"

    def engine(self, precision: str) -> Path:
        """The engine of that precision."""
        return self.folder / f"digits.{precision}.engine"

    def write_facts(self, facts: Dict[str, Any]) -> None:
        """Writes Keras's figures, which ends the first half of the demo."""
        atomic_write(self.keras_facts, json.dumps(facts, indent=2).encode() + b"\n")

    def read_facts(self) -> Dict[str, Any]:
        """Keras's figures of an earlier run.

        Raises:
            UsageError: a file of the earlier run is missing or unreadable.
        """
        needed: Tuple[Path, ...] = (self.onnx, self.heldout, self.keras_facts)
        missing = [path.name for path in needed if not path.is_file()]
        if missing:
            raise UsageError(
                f"there is no earlier run of the demo in {self.folder}",
                received=f"missing: {', '.join(missing)}",
                hint="leave --reuse out, or copy these files there from a machine with TensorFlow",
            )
        try:
            facts: Dict[str, Any] = json.loads(self.keras_facts.read_text())
        except ValueError as error:
            raise UsageError(f"{self.keras_facts} is damaged", received=error, hint="leave --reuse out") from error
        return facts

    def read_heldout(self) -> Dict[str, np.ndarray[Any, Any]]:
        """``images``, ``labels``, and Keras's outputs ``scores`` and ``embedding``."""
        with np.load(self.heldout, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
