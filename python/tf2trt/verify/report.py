"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping

from tf2trt.errors import VerificationError

__all__ = ["VerifyReport"]


@dataclass(frozen=True)
class VerifyReport:
    """``errors`` holds ``||out - ref|| / ||ref||`` by output name; NaN and infinity where the results say so."""

    errors: Mapping[str, float]
    tolerance: float
    batch: int

    @property
    def max_rel_error(self) -> float:
        """The largest of ``errors``; NaN where one of them is."""
        values = list(self.errors.values())
        return next((value for value in values if value != value), max(values, default=0.0))

    @property
    def passed(self) -> bool:
        """Whether every output is within the tolerance. A NaN never is."""
        return self.max_rel_error <= self.tolerance

    def raise_if_failed(self) -> None:
        """Raises:
        VerificationError: an output is off by more than the tolerance; the message lists which, and by how much.
        """
        if not self.passed:
            off = [f"{name}: {error:.3g}" for name, error in self.errors.items() if not error <= self.tolerance]
            raise VerificationError(
                "the engine's results differ from ONNX Runtime's",
                received="relative error of " + ", ".join(off),
                expected=f"at most {self.tolerance:g}",
            )

    def to_json(self) -> Dict[str, Any]:
        """Plain values that :func:`json.dumps` takes; a figure that JSON lacks (NaN, infinity) as text."""
        plain = {name: error if abs(error) < float("inf") else str(error) for name, error in self.errors.items()}
        worst = self.max_rel_error
        return {
            "errors": plain,
            "max_rel_error": worst if abs(worst) < float("inf") else str(worst),
            "tolerance": self.tolerance,
            "batch": self.batch,
            "passed": self.passed,
        }
