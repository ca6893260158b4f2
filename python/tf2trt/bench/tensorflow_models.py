"""Models in TensorFlow as a benchmark's subjects: Keras files, and SavedModels with and without engines in them.

A SavedModel is called by its signature, a Keras model through a ``tf.function`` of ``model(x, training=False)``, not
``predict``, which adds a loop over batches of its own to every call. The regime gpu is not measured: TensorFlow lets
nobody put events around the work of one call, and what its profiler reports is slowed by being observed.
"""

from __future__ import annotations

import contextlib
import json
import statistics
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Set, Tuple

from tf2trt.bench.adapter import Adapter, Arrays, Watched
from tf2trt.export import keras
from tf2trt.export.quiet import import_tensorflow, quiet_loggers
from tf2trt.export.saved_model import is_saved_model
from tf2trt.export.source import Source
from tf2trt.extras import require
from tf2trt.hybrid.memory import prepare_memory
from tf2trt.hybrid.op import load_op
from tf2trt.hybrid.options import HybridOptions
from tf2trt.hybrid.report import HybridReport
from tf2trt.hybrid.saved_model import REPORT
from tf2trt.hybrid.signature import find_signature
from tf2trt.hybrid.stats import stats
from tf2trt.hybrid.tftrt_engines import EngineWatch, asset_file
from tf2trt.hybrid.tftrt_graph import ConvertedGraph
from tf2trt.hybrid.tftrt_log import Log, captured_log, engine_failures, import_with_warnings
from tf2trt.specs import TensorSpec

__all__ = ["HybridAdapter", "KerasAdapter", "SavedModelAdapter", "TfTrtAdapter", "open_saved_model"]

_LOGGED = 5  # times that TF-TRT logs one kind of trouble in a process
_SHORTEST_BUILD_MS = 50.0  # no engine is built in less


class _TensorFlowAdapter(Adapter):
    """What the kinds share. ``_function`` takes tensors by input name and gives tensors by output name.

    Job: ``path``, and ``tf32``, whether TensorFlow may compute in TF32.
    """

    _function: Callable[..., Mapping[str, Any]]

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._tensorflow = self._import()
        prepare_memory()  # without it the first process takes all of the GPU's memory
        self._tensorflow.config.experimental.enable_tensor_float_32_execution(bool(job["tf32"]))
        with quiet_loggers():
            self._load(Path(job["path"]))

    def _import(self) -> Any:
        return import_tensorflow()

    def _load(self, path: Path) -> None:
        raise NotImplementedError

    def facts(self) -> Dict[str, Any]:
        """TensorFlow's version."""
        return {"versions": {"tensorflow": str(self._tensorflow.__version__)}}

    def call(self, inputs: Arrays) -> Arrays:
        """From NumPy arrays to NumPy arrays, through the GPU where there is one."""
        return {name: tensor.numpy() for name, tensor in self._dispatch(inputs).items()}

    def start(self, inputs: Arrays, slot: int) -> Callable[[], Arrays]:
        """TensorFlow returns when the work is queued on the GPU; on a CPU when it is done."""
        tensors = self._dispatch(inputs)
        return lambda: {name: tensor.numpy() for name, tensor in tensors.items()}

    def events(self, inputs: Arrays, calls: int, process: str) -> Sequence[Any]:
        """By TensorFlow's profiler."""
        from tf2trt.bench.trace import record_tensorflow

        return record_tensorflow(lambda: self.call(inputs), calls, process=process)

    def _dispatch(self, inputs: Arrays) -> Mapping[str, Any]:
        convert = self._tensorflow.convert_to_tensor
        return self._function(**{name: convert(array) for name, array in inputs.items()})


class KerasAdapter(_TensorFlowAdapter):
    """A Keras file."""

    def _load(self, path: Path) -> None:
        source = keras.source(keras.load(path), None, path)
        self.inputs = source.inputs
        traced, names = _trace(self._tensorflow, source), [spec.name for spec in source.inputs]
        self._function = lambda **tensors: traced(*(tensors[name] for name in names))


class SavedModelAdapter(_TensorFlowAdapter):
    """A SavedModel, by its signature."""

    def _load(self, path: Path) -> None:
        self._path = path
        self._name, specs = find_signature(self._tensorflow, path, HybridOptions())
        self.inputs = tuple(specs)
        self._model = self._tensorflow.saved_model.load(str(path))
        self._function = self._model.signatures[self._name]


class HybridAdapter(SavedModelAdapter):
    """A SavedModel with tf2trt's op in it, which counts its calls."""

    def _load(self, path: Path) -> None:
        load_op()
        super()._load(path)

    def facts(self) -> Dict[str, Any]:
        """With precision, versions and coverage as the conversion left them in the assets."""
        facts = {**super().facts(), "engine_bytes": _engine_bytes(self._path)}
        file = self._path / "assets" / REPORT
        if not file.is_file():
            return facts
        report = HybridReport.from_json(json.loads(file.read_bytes()))
        versions = {**report.versions, **facts["versions"]}
        known = {"precision": report.precision.lower(), "versions": versions, "coverage": report.coverage.share}
        return {**facts, **known}

    @contextlib.contextmanager
    def watched(self, batch: int, timed: bool) -> Iterator[Watched]:
        """Segments that ran natively, and engines that were built, by the op's own counts."""
        watched = Watched()
        before = stats(self._model)
        yield watched
        for name, now in stats(self._model).items():
            was = before[name]
            native, builds = now.native_calls - was.native_calls, now.builds - was.builds
            if native:
                watched.reasons.append(f"fallback: {name} ran natively in {native} calls")
            if builds:
                watched.reasons.append(f"build: {builds} engines of {name} were built")


class TfTrtAdapter(SavedModelAdapter):
    """A SavedModel that TF-TRT converted. What it does instead of running an engine is only in TensorFlow's log, and
    what it builds only in its cache, which takes a while to read.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._failed: Dict[int, List[str]] = {}
        self._ran: Set[int] = set()  # batches that were warmed up, and would have been logged had they failed
        self._logged = 0
        super().__init__(job)
        self._watch = EngineWatch(self._module, self._names, Log(None))

    def _import(self) -> Any:
        return import_with_warnings()

    def _load(self, path: Path) -> None:
        with captured_log() as log:
            super()._load(path)
            self._logged += len(engine_failures(log.lines))
            self._module = require("tensorflow.python.compiler.tensorrt.trt_convert", "export")
        graph = ConvertedGraph(self._model.signatures[self._name].graph.as_graph_def())
        self._names = list(graph.engines)
        modes = {node.attr["precision_mode"].s.decode().lower() for node in graph.engines.values()}
        self._precision = "+".join(sorted(modes))

    def facts(self) -> Dict[str, Any]:
        """With the precision of the engine nodes and the version of TensorRT that TensorFlow loaded."""
        loaded = self._module._pywrap_py_utils.get_loaded_tensorrt_version()
        versions = {**super().facts()["versions"], "tensorrt": ".".join(map(str, loaded))}
        return {"precision": self._precision, "versions": versions, "engine_bytes": _engine_bytes(self._path)}

    @contextlib.contextmanager
    def watched(self, batch: int, timed: bool) -> Iterator[Watched]:
        """Engines that were not made or not used, and engines that were built.

        TF-TRT logs each kind of trouble five times only: a batch that fell back in the warm-up is taken to do so again,
        and one that did not, while there was still a log, is taken to run in its engines.
        The cache is read after the warm-up, and after a turn with a call that was slow enough for a build.
        """
        watched = Watched()
        with captured_log() as log:
            yield watched
            failures = engine_failures(log.lines)
        known = self._failed.setdefault(batch, [])
        known.extend(f"fallback: {each.name}: {each.reason}" for each in failures)
        self._logged += len(failures)
        watched.reasons.extend(dict.fromkeys(known))
        if not known and self._logged < _LOGGED and not timed:
            self._ran.add(batch)
        if not known and self._logged >= _LOGGED and batch not in self._ran:
            watched.reasons.append("fallback: cannot be ruled out: TF-TRT stops to log after five of them")
        if not timed:
            self._watch.before(())
        elif max(watched.times, default=0.0) > statistics.median(watched.times or [0.0]) + _SHORTEST_BUILD_MS:
            self._watch.after(())
            built = sum(len(build.made) for builds in self._watch.builds.values() for build in builds)
            if built:
                watched.reasons.append(f"build: {built} engines were built")
            self._watch = EngineWatch(self._module, self._names, Log(None))
            self._watch.before(())


def open_saved_model(job: Mapping[str, Any]) -> Tuple[Path, Tuple[TensorSpec, ...]]:
    """The SavedModel of a job that is to be converted, and its inputs. A Keras file is written as one to
    ``job["saved_model"]``, where it is not there yet.

    TensorFlow's settings are those of the job then. To be called before TensorFlow was used.
    """
    tensorflow = import_with_warnings()
    prepare_memory()
    tensorflow.config.experimental.enable_tensor_float_32_execution(bool(job["tf32"]))
    path = Path(job["path"])
    with quiet_loggers():
        if not is_saved_model(path):
            file, path = path, Path(job["saved_model"])
            if not path.exists():
                source = keras.source(keras.load(file), None, file)
                module = tensorflow.Module()
                module.model, module.call = source.model, _trace(tensorflow, source)
                tensorflow.saved_model.save(module, str(path), signatures=module.call)
        _, specs = find_signature(tensorflow, path, HybridOptions())
    return path, tuple(specs)


def _engine_bytes(saved_model: Path) -> int:
    """Of all engines in a SavedModel, which are files among its assets."""
    return sum(
        file.stat().st_size
        for file in (saved_model / "assets").iterdir()
        if file.suffix == ".engine" or file.name.startswith(asset_file(""))
    )


def _trace(tensorflow: Any, source: Source) -> Any:
    """A ``tf.function`` of tensors in the order of the inputs, which gives tensors by name."""
    signature = [
        tensorflow.TensorSpec([None if extent < 0 else extent for extent in spec.shape], spec.dtype, spec.name)
        for spec in source.inputs
    ]
    return tensorflow.function(lambda *tensors: dict(source.run(tensors)), input_signature=signature)
