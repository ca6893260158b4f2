"""What is found in a file: the facts of the whole, and its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from tf2trt.inspect.network import Network, Tensor
from tf2trt.specs import ShapeRange

__all__ = ["Inspection"]


@dataclass(frozen=True)
class Inspection:
    """An ONNX file or an engine, as far as it can be known here.

    ``kind`` is ``"onnx"`` or ``"engine"``. ``source`` says where the layers come from: ``"file"`` (of an ONNX file),
    ``"inspector"`` (TensorRT's, of a plan that was opened), ``"sidecar"``, or ``"nothing"``; ``times`` where their
    times do: ``"profile"`` (measured now), ``"build"`` or None. ``before`` is the network that an engine was built
    from, where its ONNX file lies beside it. ``memory`` is in bytes. ``plugins`` are operators, or files of plugin
    libraries, and what is known of them. ``notes`` say what is missing, and why.
    """

    path: str
    kind: str
    source: str
    network: Network
    before: Optional[Network]
    profiles: Tuple[Mapping[str, ShapeRange], ...]
    versions: Mapping[str, str]
    build: Mapping[str, str]
    memory: Mapping[str, int]
    plugins: Mapping[str, str]
    times: Optional[str]
    notes: Tuple[str, ...]

    @property
    def inputs(self) -> Tuple[Tensor, ...]:
        """Of the whole network."""
        return self.network.inputs

    @property
    def outputs(self) -> Tuple[Tensor, ...]:
        """Of the whole network."""
        return self.network.outputs

    @property
    def networks(self) -> List[Network]:
        """What there is to draw, the network before first."""
        known = [network for network in (self.before, self.network) if network is not None and network.layers]
        return known or [self.network]

    @property
    def summary(self) -> str:
        """One line: what it is, how many layers, in which precisions and times."""
        layers, time = self.network.layers, self.network.milliseconds
        word = "node" if self.kind == "onnx" else "layer"
        parts = [f"{len(layers)} {word}{'' if len(layers) == 1 else 's'}" if layers else f"{word}s not known"]
        if layers:
            parts.append(", ".join(f"{count} {name}" for name, (count, _) in self.network.by_precision().items()))
        if time is not None:
            parts.append(f"{time:.3f} ms")
        what = "ONNX"
        if self.kind == "engine":
            name, version = next(iter(self.versions.items()))
            what = f"{name} {version} engine"
        return f"{what}: {'; '.join(parts)}"

    def to_json(self) -> Dict[str, Any]:
        """Plain values. Times are in milliseconds, sizes in bytes."""
        return {
            "file": self.path,
            "kind": self.kind,
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "outputs": [tensor.to_json() for tensor in self.outputs],
            "profiles": [
                {
                    name: {"min": list(shapes.min), "opt": list(shapes.opt), "max": list(shapes.max)}
                    for name, shapes in profile.items()
                }
                for profile in self.profiles
            ],
            "versions": dict(self.versions),
            "build": dict(self.build),
            "memory": dict(self.memory),
            "plugins": dict(self.plugins),
            "layers_from": self.source,
            "times_from": self.times,
            "ms": self.network.milliseconds,
            "layers": [layer.to_json() for layer in self.network.layers],
            "before": None if self.before is None else [layer.to_json() for layer in self.before.layers],
            "notes": list(self.notes),
        }
