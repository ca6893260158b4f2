"""The proof that an engine computes in the type that was asked for, layer by layer.

Where TensorRT chooses types itself (8 and 10) the inspector is asked about the finished engine. Where networks are
strongly typed (11 and TensorRT-RTX) nothing is chosen: the parsed network's tensors have the types, and a plan need not
be opened, which takes a GPU.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Mapping, Optional, Sequence, Tuple

from tf2trt import _native
from tf2trt.build.inspection import EngineLayer, count_layer_types, read_layers
from tf2trt.errors import BuildError, Tf2TrtError
from tf2trt.precisions import DTYPES, LayerPrecision, PrecisionProof, Rules, assign

__all__ = ["MINIMUM_SHARE", "LayerTimer", "inspect_engine", "prove", "refuse_fallback"]

_log = logging.getLogger(__name__)

MINIMUM_SHARE = 0.5
"""The least part of an engine's heavy layers (convolutions, matrix products, deconvolutions and recurrent layers, by
count) that must compute in the type asked for. TensorRT 8 and 10 take the fastest kernel, which for a small layer may
be one in FP32; an engine in which that happened to more than half of the layers is not what was asked for."""

LayerTimer = Callable[[_native.Library, Any], Sequence[Tuple[str, float]]]
"""Runs a plan (a buffer) with a library and returns each engine layer's name and its time in milliseconds."""

_HEAVY = {"convolution", "deconvolution", "fully_connected", "matrix_multiply", "einsum", "rnn"}
_SEEN_THROUGH = {"shuffle", "identity", "cast"}  # between a DequantizeLinear and the layer that it is for
# A narrower type is then the graph's own wish, and TF32 an allowance: not every kernel's name tells that it was used.
_NOTHING_REFUSED = ("fp32", "tf32")
_SHOWN = 8  # layers in an error's message


@dataclass(frozen=True)
class _Network:
    """What the parsed network says: the place of each name, the types of the heavy layers by place, and the names of
    those and of the quantised ones among them. Several layers may have one name: they come from one node.
    """

    layers: Tuple[_native.NetworkLayer, ...]
    order: Mapping[str, int]
    types: Mapping[int, str]
    heavy: FrozenSet[str]
    quantised: FrozenSet[str]


def inspect_engine(library: _native.Library, plan: Any) -> str:
    """What TensorRT's inspector says of ``plan``, as JSON.

    Raises:
        EngineError: the plan cannot be deserialised.
        DeviceError: there is no GPU.
    """
    return _native.Engine.deserialize(library, plan).information()


def prove(
    precision: str,
    rules: Rules,
    network_layers: Iterable[_native.NetworkLayer],
    *,
    information: Optional[str] = None,
    times: Sequence[Tuple[str, float]] = (),
) -> Tuple[PrecisionProof, Dict[str, int]]:
    """Holds what was built against what was asked for.

    Args:
        precision: what was asked of the engine.
        rules: what was asked of single layers.
        network_layers: those of the parsed network.
        information: the inspector's JSON; None where the network's own types are the proof.
        times: each engine layer's name and time in milliseconds, where it was run.

    Returns:
        the proof, and how many layers give each type, which is empty where the inspector's answer cannot be read: a
        finished build is not lost for it.
    """
    network = _read_network(network_layers)
    asked = _asked_types(precision, _assign_known(network, rules), network)
    if information is None:
        if precision == "tf32":  # a flag, which the types do not show
            asked = {name: types - {"tf32"} for name, types in asked.items()}
        return _network_proof(network, asked), {}
    try:
        engine = read_layers(information, network.order, tuple(network.heavy))
        found = count_layer_types(information)
    except ValueError as error:
        _log.warning("the types of the built layers are not known: TensorRT's inspector answered no JSON: %s", error)
        return PrecisionProof("engine", None, None, ()), {}
    return _engine_proof(engine, asked, _default(precision), times), found


def _assign_known(network: _Network, rules: Rules) -> Dict[str, str]:
    """:func:`~tf2trt.precisions.assign` over the network's layers; what matches none was judged before the build."""
    found: Dict[str, str] = {}
    for rule in rules:
        try:
            found.update(assign(network.order, (rule,)))
        except Tf2TrtError:
            _log.debug("no layer of the parsed network matches %s=%s", *rule)
    return found


def refuse_fallback(
    precision: str, rules: Rules, proof: PrecisionProof, found: Mapping[str, int], library: _native.Library
) -> None:
    """Raises BuildError, with layers and reasons, where the proof does not show what was asked for.

    ``found`` counts all layers by the type that they give.
    """
    if precision in _NOTHING_REFUSED:
        return
    heavy = [layer for layer in proof.layers if layer.heavy]
    wrong = [layer for layer in heavy if layer.asked is False]
    without_int8 = (
        "int8" in precision
        and not rules
        and heavy
        and not any(layer.precision in ("int8", "unknown") or layer.asked is None for layer in heavy)
    )
    if heavy:
        enough = proof.share is None or (proof.share >= MINIMUM_SHARE and not without_int8)
    else:  # nothing heavy: of a strongly typed network at least one layer has to give the type
        wanted = {DTYPES[kind] for kind in precision.split("+") if kind in DTYPES}
        enough = not library.strongly_typed or any(found.get(each) for each in wanted)
    if enough:
        return
    lines = [f"{precision} was asked for, and the engine is something else"]
    lines += [f"  {layer.name}: {layer.precision}, {_reason(layer, proof, library)}" for layer in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        lines.append(f"  ... and {len(wrong) - _SHOWN} more")
    judged = [layer for layer in heavy if layer.asked is not None]
    counts = ", ".join(f"{count} layers of {name}" for name, count in sorted(found.items()))
    raise BuildError(
        "\n".join(lines),
        received=(f"{len(judged) - len(wrong)} of {len(judged)} heavy layers as asked; " if judged else "")
        + (counts or "no layers"),
        expected=f"at least {MINIMUM_SHARE:.0%} of the convolutions, matrix products and recurrent layers in the type",
        hint=_hint(precision, library),
    )


def _hint(precision: str, library: _native.Library) -> str:
    if "int8" in precision:
        way = "give INT8 scales to more layers (tf2trt calibrate)"
    elif library.strongly_typed:
        way = "write the type into the graph first: tf2trt.surgery.set_precision, or `tf2trt build`, which does it"
    else:
        way = "raise --optimization-level or --workspace"
    return f"{way}; --allow-fallback takes the engine as it is"


def _reason(layer: LayerPrecision, proof: PrecisionProof, library: _native.Library) -> str:
    if proof.source == "network":
        return "the type that its inputs have in the graph"
    return f"the kernel ({layer.kind}) that TensorRT {library.version_text} found fastest, or its only one"


def _read_network(layers: Iterable[_native.NetworkLayer]) -> _Network:
    listed = tuple(layers)
    makers = {name: layer for layer in listed for name, _ in layer.outputs if name}
    types: Dict[int, str] = {}
    quantised = set()
    for place, layer in enumerate(listed):
        if layer.kind not in _HEAVY:
            continue
        operands = {_operand(makers, name, dtype) for name, dtype in layer.inputs[:2]}
        narrow = operands.pop() if operands in ({"int8"}, {"float8"}) else ""
        types[place] = narrow or (layer.inputs[0][1] if layer.inputs else "unknown")
        if narrow:
            quantised.add(layer.name)
    order = {layer.name: place for place, layer in enumerate(listed)}
    return _Network(listed, order, types, frozenset(listed[place].name for place in types), frozenset(quantised))


def _operand(makers: Mapping[str, _native.NetworkLayer], name: str, dtype: str) -> str:
    """The type that an operand has in memory: of what a DequantizeLinear gives, that of what it takes."""
    maker = makers.get(name)
    while maker is not None and maker.kind in _SEEN_THROUGH and maker.inputs:
        maker = makers.get(maker.inputs[0][0])
    if maker is None or maker.kind != "dequantize" or not maker.inputs:
        return dtype
    # TensorRT 8's QuantizeLinear gives INT8 alone; should its tensor go by the type that it was before, it still is.
    narrow = maker.inputs[0][1]
    return "int8" if narrow.startswith("float") and narrow != "float8" else narrow


def _default(precision: str) -> FrozenSet[str]:
    """The types that will do for a layer of which nothing more is known."""
    return frozenset(DTYPES.get(kind, kind) for kind in precision.split("+"))


def _asked_types(precision: str, of_layers: Mapping[str, str], network: _Network) -> Dict[str, FrozenSet[str]]:
    """For each heavy layer of the network the types that will do; empty where any will."""
    asked = {}
    for name in network.heavy:
        types = _default(precision)
        if precision == "int8" and network.quantised and name not in network.quantised:
            types = frozenset()  # no scales, and none of INT8
        elif precision == "int8+fp16" and network.quantised:
            types = frozenset({"int8"} if name in network.quantised else {"float16"})
        elif "int8" not in precision and name in network.quantised:
            types = frozenset()  # the graph's own wish
        if name in of_layers:
            types = frozenset({DTYPES[of_layers[name]], *(("tf32",) if of_layers[name] == "fp32" else ())})
        asked[name] = types
    return asked


def _network_proof(network: _Network, asked: Mapping[str, FrozenSet[str]]) -> PrecisionProof:
    layers = []
    for place, layer in enumerate(network.layers):
        if layer.kind == "constant":
            continue
        heavy = place in network.types
        precision = network.types.get(place) or (layer.outputs[0][1] if layer.outputs else "unknown")
        judged = _judge(precision, asked[layer.name], opaque=False) if heavy else None
        layers.append(LayerPrecision(layer.name, layer.kind, precision, heavy, judged))
    return PrecisionProof("network", _share(layers), None, tuple(layers))


def _engine_proof(
    engine: Sequence[EngineLayer],
    asked: Mapping[str, FrozenSet[str]],
    default: FrozenSet[str],
    times: Sequence[Tuple[str, float]],
) -> PrecisionProof:
    spent = dict(times)
    layers = []
    for layer in engine:
        judged = None
        if layer.heavy:
            sets = [asked[part] for part in layer.parts if part in asked]
            types = frozenset().union(*sets) if sets else default
            judged = None if sets and not all(sets) else _judge(layer.precision, types, opaque=layer.opaque)
        time = spent.get(layer.name)
        layers.append(LayerPrecision(layer.name, layer.kind, layer.precision, layer.heavy, judged, time, layer.parts))
    return PrecisionProof("engine", _share(layers), _share(layers, by_time=True) if spent else None, tuple(layers))


def _judge(precision: str, types: FrozenSet[str], *, opaque: bool) -> Optional[bool]:
    if not types or precision == "unknown":
        return None
    if precision in types:
        return True
    # What is FP32 at its border may be anything inside, and what has 16 bits there INT8.
    return None if opaque and (precision in ("float32", "tf32") or types == {"int8"}) else False


def _share(layers: Sequence[LayerPrecision], *, by_time: bool = False) -> Optional[float]:
    """The part of the judged layers that are as asked; None where none was judged, or none has a time."""
    judged = [layer for layer in layers if layer.asked is not None]
    weights: List[float] = [(layer.milliseconds or 0.0) if by_time else 1.0 for layer in judged]
    total = sum(weights)
    if not total:
        return None
    return sum(weight for weight, layer in zip(weights, judged) if layer.asked) / total
