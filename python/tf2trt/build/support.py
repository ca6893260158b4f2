"""TensorRT's verdict on a model before the long build: which nodes it does not take, why, and what to do."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from tf2trt import _native, libraries
from tf2trt.errors import OnnxError

__all__ = ["SupportReport", "UnsupportedNode", "check_support"]

PathLike = Union[str, "os.PathLike[str]"]

_SHOWN = 8  # nodes in an error's message

_OWN_DOMAIN = "tf2trt"
_ONNX_DOMAINS = ("", "ai.onnx")

# Operators that TensorRT has, but not in all the forms that ONNX knows: what to write instead.
_FORMS: Dict[str, str] = {
    "BatchNormalization": "export the model for inference (training=False)",
    "Dropout": "export the model for inference (training=False)",
    "Pad": "pad with a constant, the edge or a reflection, by amounts that are constants",
    "Reshape": "reshape to a shape that is a constant, and that has as many elements",
    "Resize": "resize with mode nearest or linear, without antialias and without a crop",
    "TopK": "take a number of elements that is a constant",
    "Upsample": "export with opset 11 or later, where it is a Resize",
}

_RTX_LOWERS = "`tf2trt build` puts standard operators in its place here; a full TensorRT takes the plugin"
_FOREIGN = "an operator of another domain is a plugin to TensorRT: name its library with --plugin-library"
_OTHERWISE = (
    "write it with other operators in the model, replace it by a rewrite of your own (--rewrites my.py), or write a "
    "plugin for it"
)
_INPUT = "make the input a float, an integer or a bool, and do what comes before outside the model"


@dataclass(frozen=True)
class UnsupportedNode:
    """A node that TensorRT's parser refuses.

    ``name`` is the node's in the file, or ``#`` and its number where it has none; of a node in a body (If, Loop, Scan)
    or a function it is its own name, and ``reason`` says inside which node it is. ``index`` is the place in the main
    graph of the node, or of the one that it is inside. ``domain`` is empty for ONNX's own operators. ``origin`` is the
    Keras layer or TensorFlow op that the node was made from, empty where the file does not say. ``reason`` is
    TensorRT's own words. ``remedy`` is ``"plugin"``, ``"rewrite"`` (TensorRT has the operator, but not in this form) or
    ``"hybrid"`` (it has not), and ``advice`` says what to do.
    """

    index: int
    name: str
    op: str
    domain: str
    origin: str
    reason: str
    remedy: str
    advice: str


@dataclass(frozen=True)
class SupportReport:
    """What TensorRT says of a model.

    ``library`` is who was asked, such as ``"TensorRT-RTX 1.7.1"``; ``nodes`` counts those of the main graph. ``reason``
    is what it says of the model as a whole and of its inputs: a model without unsupported nodes may still be
    unsupported, as when the file of its weights is missing. Before TensorRT 10.1 (``complete`` is False) the parser
    stops at the first node that it cannot take, so that others may come to light once that one is gone.
    """

    onnx: Path
    library: str
    supported: bool
    complete: bool
    nodes: int
    unsupported: Tuple[UnsupportedNode, ...]
    reason: str

    def to_json(self) -> Dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "onnx": str(self.onnx), "unsupported": [asdict(node) for node in self.unsupported]}

    def raise_if_unsupported(self) -> None:
        """Raises OnnxError, with the first nodes, their reasons and what to do, where the model is not supported."""
        if self.supported:
            return
        lines = [f"{self.onnx}: {self.library} does not take it"]
        for node in self.unsupported[:_SHOWN]:
            origin = f" from {node.origin}" if node.origin else ""
            lines.append(f'  node "{node.name}" (operator {node.op}){origin}: {node.reason}')
            lines.append(f"    {node.advice}")
        if len(self.unsupported) > _SHOWN:
            lines.append(f"  ... and {len(self.unsupported) - _SHOWN} more")
        if self.reason:
            lines.append(f"  {self.reason}")
        hint = None if self.complete else "the parser stops at the first node that it cannot take: there may be others"
        raise OnnxError("\n".join(lines), hint=hint)


def check_support(
    onnx: PathLike,
    *,
    plugin_libraries: Sequence[PathLike] = (),
    library: Optional[_native.Library] = None,
) -> SupportReport:
    """Asks TensorRT's ONNX parser whether it takes ``onnx``, and which of its nodes it does not.

    Nothing is built: this takes seconds where a build takes minutes. ``plugin_libraries`` are loaded first, and
    tf2trt's own where the model has its operators; TensorRT-RTX has no plugins, and counts those operators as
    unsupported. ``library`` is the TensorRT to ask, by default the first one found that can build. A full TensorRT
    needs a GPU for it, TensorRT-RTX does not. The GIL is released while TensorRT reads.

    Raises:
        OnnxError: the ONNX file is missing, truncated or no ONNX model.
        LibraryNotFoundError: no TensorRT that can build was found.
        LibraryError: there is no ONNX parser beside the TensorRT, or it cannot be loaded.
        DeviceError: this TensorRT needs a GPU, and there is none.
        PluginError: a plugin library is missing, or TensorRT refuses it.
    """
    if library is None:
        library = libraries.find(need_builder=True)
    found = _native.supports(library, os.fspath(onnx), [os.fspath(path) for path in plugin_libraries])
    complete = found.supported or library.version >= (10, 1, 0) or library.kind == "rtx"
    return SupportReport(
        onnx=Path(onnx),
        library=f"TensorRT{'-RTX' if library.kind == 'rtx' else ''} {library.version_text}",
        supported=found.supported,
        complete=complete,
        nodes=found.nodes,
        unsupported=tuple(_describe(node, library) for node in found.unsupported),
        reason=found.reason,
    )


def _describe(node: _native.UnsupportedNode, library: _native.Library) -> UnsupportedNode:
    remedy, advice = _advise(node, library)
    name = node.name or f"#{node.index}"
    return UnsupportedNode(node.index, name, node.op_type, node.domain, node.origin, node.reason, remedy, advice)


def _advise(node: _native.UnsupportedNode, library: _native.Library) -> Tuple[str, str]:
    if node.domain == _OWN_DOMAIN:
        return "plugin", _RTX_LOWERS if library.kind == "rtx" else "see what its plugin says"
    if node.domain not in _ONNX_DOMAINS:
        return "plugin", _FOREIGN
    if node.reason.startswith('input "'):
        return "rewrite", _INPUT
    if node.op_type == "LpNormalization":
        return "plugin", "`tf2trt export --plugins l2_normalize` puts tf2trt's plugin in its place"
    form = _FORMS.get(node.op_type)
    return ("rewrite", form) if form else ("hybrid", _OTHERWISE)
