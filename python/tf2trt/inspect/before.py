"""The network that an engine was built from, where its ONNX file lies beside the engine."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Tuple

from tf2trt.errors import MissingExtraError, ModelError
from tf2trt.inspect.network import Network
from tf2trt.inspect.words import one_line
from tf2trt.sidecar import Origin, Sidecar, sha256

__all__ = ["find_before", "origins_of"]


def find_before(
    path: Path, sidecar: Optional[Sidecar], inputs: Iterable[str], outputs: Iterable[str]
) -> Tuple[Optional[Network], List[str]]:
    """The network in the file that the sidecar names, else in ``NAME.onnx``, where its inputs and outputs have these
    names; and notes on what is odd about it.
    """
    onnx = path.with_suffix(".onnx") if sidecar is None else path.parent / Path(sidecar.onnx_file).name
    if not onnx.is_file():
        return None, []
    from tf2trt.inspect.onnx_network import read_onnx

    try:
        network = read_onnx(onnx).network
    except (ModelError, MissingExtraError) as error:
        return None, [f"the network before is not shown: {one_line(error)}"]
    found = [{tensor.name for tensor in tensors} for tensors in (network.inputs, network.outputs)]
    if found != [set(inputs), set(outputs)]:
        return None, [f"{onnx.name} beside it is another network's"]
    if sidecar is None:
        return network, [f"taken for the network that it was built from, by its name: {onnx.name}"]
    with onnx.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        same = sha256(data) == sidecar.onnx_sha256
    note = f"{onnx.name} beside it is not the very file that it was built from: types may have been set on the way"
    return network, [] if same else [note]


def origins_of(network: Network) -> Dict[str, Origin]:
    """What the nodes of an ONNX file came from, by their names."""
    return {layer.name: ("".join(layer.keras), "".join(layer.ops)) for layer in network.layers}
