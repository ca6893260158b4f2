"""The layers of an engine: from the JSON of TensorRT's inspector, or from the sidecar where the plan is not opened."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from tf2trt.build.inspection import EngineLayer, read_layers, tensor_dtype
from tf2trt.inspect.network import Layer, Network, Tensor
from tf2trt.sidecar import Sidecar

__all__ = ["network_from_information", "network_from_sidecar"]

_KNOWN = {"Name", "LayerType", "Inputs", "Outputs", "TacticName", "Metadata", "ParameterType"}
_QUIET = {"0", "", "[]", "{}"}  # values of parameters that say nothing
_LONGEST = 200  # letters of a parameter's value
_CONTROLS = re.compile(r"[\x00-\x1f]+")


def network_from_information(
    information: str, title: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], order: Sequence[str] = ()
) -> Network:
    """The engine that the inspector describes, in the JSON of TensorRT 8, 10 or 11.

    Of an engine that was built without detailed verbosity (trtexec's usual) it tells the layers' names alone.

    Args:
        order: the names of the ONNX nodes, in order, where they are known.

    Raises:
        ValueError: it is no JSON.
    """
    # Not strict: TensorRT 8.6 leaves control characters in its strings, between the names of fused layers.
    values: List[Any] = list(json.loads(information, strict=False).get("Layers", []))
    known = iter(read_layers(information, {name: place for place, name in enumerate(order)}, ()))
    layers = [
        _layer(value, next(known)) if isinstance(value, dict) else _named(str(value), set(order)) for value in values
    ]
    return Network(title, tuple(layers), tuple(inputs), tuple(outputs))


def network_from_sidecar(sidecar: Sidecar, title: str) -> Network:
    """The layers that the sidecar's proof of precision lists, with the times of the build; no tensors between them."""
    proof = sidecar.proof
    layers = [
        Layer(
            name=layer.name,
            kind=layer.kind,
            precision=layer.precision,
            milliseconds=layer.milliseconds,
            nodes=layer.nodes or ((layer.name,) if layer.name in sidecar.origins else ()),
            plugin=_is_plugin(layer.kind),
        ).from_nodes(sidecar.origins)
        for layer in (proof.layers if proof is not None else ())
    ]
    inputs = tuple(Tensor(spec.name, spec.dtype, spec.shape) for spec in sidecar.inputs)
    outputs = tuple(Tensor(spec.name, spec.dtype, spec.shape) for spec in sidecar.outputs)
    return Network(title, tuple(layers), inputs, outputs)


def _layer(value: Mapping[str, Any], known: EngineLayer) -> Layer:
    details = dict(_details(value))
    kind = known.kind
    more = str(value.get("ParameterType", ""))
    if more and more != kind:
        details = {"operation": more, **details}
    return Layer(
        name=known.name,
        kind=kind,
        precision=known.precision,
        inputs=_tensors(value.get("Inputs")),
        outputs=_tensors(value.get("Outputs")),
        tactic=known.tactic or str(value.get("TacticValue", "")),
        nodes=known.parts,
        plugin=_is_plugin(kind) or "PluginType" in value,
        details=details,
    )


def _named(name: str, nodes: Any) -> Layer:
    parts = [name] if name in nodes else [part for part in name.split(" + ") if part in nodes]
    return Layer(name, "", "unknown", nodes=tuple(parts))


def _is_plugin(kind: str) -> bool:
    return kind.lower().startswith("plugin")


def _tensors(values: Any) -> Tuple[Tensor, ...]:
    return tuple(_tensor(value) for value in values or () if isinstance(value, dict))


def _tensor(value: Mapping[str, Any]) -> Tensor:
    layout = str(value.get("Format/Datatype") or value.get("Datatype") or value.get("DataType") or "")
    extents = value.get("Dimensions")
    shape = tuple(int(extent) for extent in extents) if isinstance(extents, list) else None
    dtype = tensor_dtype(value)
    return Tensor(str(value.get("Name", "")), "" if dtype == "other" else dtype, shape, layout)


def _details(value: Mapping[str, Any]) -> Dict[str, str]:
    found = {}
    for name, given in value.items():
        if name in _KNOWN or (name == "TacticValue" and "TacticName" not in value):
            continue
        if isinstance(given, dict):
            text = ", ".join(f"{key} {each}" for key, each in given.items())
        elif isinstance(given, list):
            text = "x".join(map(str, given)) if all(isinstance(each, int) for each in given) else json.dumps(given)
        else:
            text = str(given)
        text = _CONTROLS.sub(" ", text)
        if text not in _QUIET:
            found[name] = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return found
