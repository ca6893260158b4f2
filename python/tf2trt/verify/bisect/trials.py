"""One model with some layers in FP32 and the rest in the precision under trial: as an ONNX file, or as an engine."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple, Union

from tf2trt.specs import TensorSpec
from tf2trt.verify.bisect.marks import marked
from tf2trt.verify.candidate import adapt, load_rounded

if TYPE_CHECKING:
    from tf2trt import _native
    from tf2trt.build import BuildOptions

__all__ = ["EngineTrial", "OnnxTrial", "Rules", "Trial"]

PathLike = Union[str, "os.PathLike[str]"]
Rules = Tuple[Tuple[str, str], ...]
"""A ``--layer-precision`` list: patterns over node names, and ``"fp32"``."""
Outputs = Iterator[Dict[str, Any]]


class Trial:
    """Builds ``source``, an FP32 or Q/DQ graph, in ``precision`` and runs it.

    ``source`` is the ``onnx.ModelProto``, whole.
    """

    source: Any
    precision: str

    def run(self, rules: Rules, marks: Sequence[str], feeds: Iterable[Mapping[str, Any]]) -> Outputs:
        """The outputs, and the tensors ``marks``, by name, for each of ``feeds``; ``rules`` say what is in FP32.

        Raises:
            Tf2TrtError: it cannot be built or run.
        """
        raise NotImplementedError


class OnnxTrial(Trial):
    """In ONNX Runtime on the CPU, each FP16 or BF16 result rounded to that type.

    Args:
        source: the ONNX file.
        precision: ``"fp16"``, ``"bf16"``, or of a graph with QuantizeLinear nodes ``"int8"`` or ``"int8+fp16"``.
    """

    def __init__(self, source: PathLike, precision: str) -> None:
        from tf2trt.surgery.files import read_model

        self.source, self.precision = read_model(source), precision

    def run(self, rules: Rules, marks: Sequence[str], feeds: Iterable[Mapping[str, Any]]) -> Outputs:
        """See :class:`Trial`."""
        from tf2trt.surgery import set_precision
        from tf2trt.surgery.files import read_model, write_model

        with tempfile.TemporaryDirectory(prefix="tf2trt-") as folder:
            path = Path(folder, "trial.onnx")
            write_model(marked(self.source, marks), path)
            set_precision(path, path, self.precision, rules)
            loaded = load_rounded(read_model(path), self.precision)
        for feed in feeds:
            yield loaded(feed)


class EngineTrial(Trial):
    """On the GPU: an engine is built for each trial, with a timing cache from one to the next.

    Where TensorRT chooses the types (8 and 10) the layers' precision goes to the builder, where the graph holds them
    (11 and RTX) into the graph: :func:`tf2trt.conversion.build_for` does either.

    Args:
        source: the ONNX file that the engine is built from.
        options: how; its precision is the one under trial.
        library: the TensorRT; by default the first found that can build.
        calibrate: makes, for an ONNX file, the calibrator of an INT8 build from data; the one in ``options`` would
            have no data left after the first build.
    """

    def __init__(
        self,
        source: PathLike,
        options: BuildOptions,
        *,
        library: Optional[_native.Library] = None,
        calibrate: Optional[Callable[[Path], Any]] = None,
    ) -> None:
        from tf2trt.surgery.files import read_model

        self.source, self.precision = read_model(source), options.precision
        self._options, self._library, self._calibrate = options, library, calibrate
        self._folder = tempfile.TemporaryDirectory(prefix="tf2trt-")  # goes with the object

    def run(self, rules: Rules, marks: Sequence[str], feeds: Iterable[Mapping[str, Any]]) -> Outputs:
        """See :class:`Trial`."""
        from tf2trt.conversion import build_for
        from tf2trt.runtime import Engine
        from tf2trt.surgery.files import write_model

        path = Path(self._folder.name, "trial.onnx")
        engine = path.with_suffix(".engine")
        write_model(marked(self.source, marks), path)
        rules = (*self._options.layer_precision, *rules)  # the last one that matches wins
        changes: Dict[str, Any] = {"layer_precision": rules, "allow_fallback": True}
        if self._options.timing_cache is None:
            changes["timing_cache"] = path.with_name("timing.cache")
        if self._calibrate is not None:
            changes["calibration"] = self._calibrate(path)
        build_for(path, engine, replace(self._options, **changes), library=self._library)
        libraries = self._options.plugin_libraries
        with Engine.load(engine, library=self._library, plugin_libraries=libraries, split_batches=True) as loaded:
            names = [spec.name for spec in loaded.outputs]
            for feed in feeds:
                given = [TensorSpec(name, array.dtype.name, array.shape) for name, array in feed.items()]
                result = loaded(adapt(feed, loaded.inputs, given, []))  # TensorRT 8 takes INT32 for INT64
                yield dict(result) if isinstance(result, Mapping) else {names[0]: result}
