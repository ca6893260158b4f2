"""Where a model's time goes in TensorFlow: seconds by node, from TensorFlow's own profiler."""

from __future__ import annotations

import contextlib
import itertools
import re
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from tf2trt.errors import DeviceError, ModelError
from tf2trt.export.quiet import import_tensorflow, quiet_loggers, without_chatter
from tf2trt.export.source import brief
from tf2trt.extras import require

__all__ = ["NodeKey", "node_seconds"]

NodeKey = Tuple[Optional[str], str]
"""The function whose body holds the node, None for the main graph; and the node's name in it."""

_LOOPS = ("While", "StatelessWhile")
_BRANCHES = ("If", "StatelessIf")
# TensorFlow names the nodes of a body that it has put in the place of a loop or branch OWNER/PLACE/_NUMBER/NODE; PLACE
# is here with the attribute that holds the body's name.
_BODIES = {"body": "body", "cond": "cond", "then": "then_branch", "else": "else_branch"}
_INLINED = re.compile(r"(?P<owner>.+?)/(?P<place>body|cond|then|else)/_\d+/(?P<node>.+)")
_RAN = re.compile(r"(?P<node>[^: ]+):[A-Za-z_]\w*")  # NODE:OPERATOR
_NUMBERED = re.compile(r"/_\d+$")
_COPIES = itertools.count()
_WARM = 2  # runs before the first that is traced: kernels are chosen, memory is taken


def node_seconds(
    graph_def: Any,
    feeds: Mapping[str, Any],
    fetches: Sequence[str],
    captures: Optional[Mapping[str, Any]] = None,
    runs: int = 5,
) -> Dict[NodeKey, float]:
    """Runs a frozen graph natively and returns the median time of each node: on a GPU that of its kernels, where it has
    any.

    The graph runs as it is written, without TensorFlow's own rewrites, so that nodes keep their names; what these would
    fuse counts a little more than it should. A loop's body counts as often as it runs. What takes TensorFlow next to no
    time (constants, the parts of a loop) may be missing.

    Args:
        graph_def: the frozen graph; it is not changed.
        feeds: arrays by tensor name.
        fetches: tensor names.
        captures: tensors (of tables, for instance) by the names of the placeholders that stand for them.
        runs: how many are measured.

    Raises:
        ModelError: the graph does not run (a Python function of another process, for example).
        DeviceError: there is a GPU, and TensorFlow's trace says nothing of it (CUPTI is missing).
    """
    tensorflow = import_tensorflow()
    wrap = require("tensorflow.python.eager.wrap_function", "export").function_from_graph_def
    graph_def, owners = _prepared(graph_def)
    held = {**feeds, **{f"{name}:0": tensor for name, tensor in (captures or {}).items()}}
    samples: Dict[NodeKey, List[float]] = defaultdict(list)
    with _as_written(tensorflow):
        try:
            call = wrap(graph_def, list(held), list(fetches))
            tensors = [tensorflow.convert_to_tensor(value) for value in held.values()]
            for _ in range(_WARM):
                call(*tensors)
            for _ in range(runs):
                with _traced(tensorflow) as planes:
                    results = call(*tensors)
                    for result in tensorflow.nest.flatten(results):
                        result.numpy()  # a GPU is done then
                for key, seconds in _one_run(planes, owners, bool(tensorflow.config.list_physical_devices("GPU"))):
                    samples[key].append(seconds)
        except (tensorflow.errors.OpError, ValueError) as error:
            raise ModelError(
                "the nodes' times cannot be measured",
                received=brief(error),
                hint="coverage by the number of nodes needs no run",
            ) from error
    # A node that some runs did not reach (the other branch) took no time in these.
    return {key: statistics.median(times + [0.0] * (runs - len(times))) for key, times in samples.items()}


@contextlib.contextmanager
def _as_written(tensorflow: Any) -> Iterator[None]:
    """Without TensorFlow's rewrites of graphs, which would merge and rename nodes."""
    optimizer = tensorflow.config.optimizer
    before = optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({"disable_meta_optimizer": before})


@contextlib.contextmanager
def _traced(tensorflow: Any) -> Iterator[List[Any]]:
    """Traces what runs meanwhile; the list that it gives holds the trace's planes afterwards."""
    space = require("tensorflow.tsl.profiler.protobuf.xplane_pb2", "export").XSpace()
    profiler = tensorflow.profiler.experimental
    planes: List[Any] = []
    with tempfile.TemporaryDirectory() as folder, quiet_loggers(), without_chatter():
        options = profiler.ProfilerOptions(host_tracer_level=2, python_tracer_level=0, device_tracer_level=1)
        profiler.start(folder, options=options)
        try:
            yield planes
        finally:
            profiler.stop()
        for file in Path(folder).rglob("*.xplane.pb"):
            space.MergeFromString(file.read_bytes())
        planes.extend(space.planes)


def _prepared(graph_def: Any) -> Tuple[Any, Dict[NodeKey, Mapping[str, str]]]:
    """A copy in which loops and branches run as TensorFlow runs them in a model, and the bodies' names by the node that
    owns them.

    The copy's functions have names of their own: TensorFlow keeps one table of functions for the whole process, and
    takes no other function under a name that is in it.
    """
    copy = type(graph_def)()
    copy.CopyFrom(graph_def)
    owners: Dict[NodeKey, Mapping[str, str]] = {}
    for function, node in _all_nodes(copy):
        if node.op in _LOOPS + _BRANCHES:
            node.attr["_lower_using_switch_merge"].b = True
            owners[function, node.name] = {
                place: node.attr[attribute].func.name for place, attribute in _BODIES.items() if attribute in node.attr
            }
    del copy.library.gradient[:]
    suffix = f"_measured{next(_COPIES)}"
    named = {function.signature.name for function in copy.library.function}
    for _, node in _all_nodes(copy):
        for value in node.attr.values():
            for called in [*([value.func] if value.HasField("func") else []), *value.list.func]:
                called.name += suffix if called.name in named else ""
    for function in copy.library.function:
        function.signature.name += suffix
    return copy, owners


def _all_nodes(graph_def: Any) -> Iterator[Tuple[Optional[str], Any]]:
    for node in graph_def.node:
        yield None, node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield function.signature.name, node


def _one_run(
    planes: Iterable[Any], owners: Mapping[NodeKey, Mapping[str, str]], has_gpu: bool
) -> Iterator[Tuple[NodeKey, float]]:
    launched: Dict[NodeKey, float] = defaultdict(float)
    kernels: Dict[NodeKey, float] = defaultdict(float)
    seen_gpu = False
    for plane in planes:
        is_gpu = plane.name.startswith("/device:GPU")
        seen_gpu = seen_gpu or (is_gpu and bool(plane.lines))
        totals = kernels if is_gpu else launched
        for name, seconds in _events(plane, is_gpu):
            match = _RAN.fullmatch(name)
            if match:  # what else is traced is TensorFlow's own work
                totals[_key(match.group("node"), owners)] += seconds
    if has_gpu and not seen_gpu:
        raise DeviceError(
            "TensorFlow's trace says nothing of the GPU",
            hint="it needs CUDA's profiling library, libcupti, and the right to use it",
        )
    yield from {**launched, **kernels}.items()


def _events(plane: Any, is_gpu: bool) -> Iterator[Tuple[str, float]]:
    """What ran, and for how many seconds; of a GPU's kernel the node that it ran for."""
    tf_op = next((number for number, stat in plane.stat_metadata.items() if stat.name == "tf_op"), None)
    for line in plane.lines:
        if is_gpu and not line.name.startswith("Stream"):
            continue  # sums over the streams' events, such as "TensorFlow Ops"
        for event in line.events:
            name = plane.event_metadata[event.metadata_id].name
            if is_gpu:
                stats = (stat for stat in event.stats if stat.metadata_id == tf_op)
                name = next((stat.str_value or plane.stat_metadata[stat.ref_value].name for stat in stats), "")
            yield name, event.duration_ps * 1e-12


def _key(traced: str, owners: Mapping[NodeKey, Mapping[str, str]]) -> NodeKey:
    """The node that a name in the trace belongs to."""
    handed = traced.startswith("Func/")  # a body's inputs and outputs
    function: Optional[str] = None
    name = traced[len("Func/") :] if handed else traced
    owner: Optional[NodeKey] = None
    match = _INLINED.fullmatch(name)
    while match:
        key = (function, match.group("owner"))
        body = owners.get(key, {}).get(match.group("place"))
        if body is None:
            break
        owner, function, name = key, body, match.group("node")
        match = _INLINED.fullmatch(name)
    if handed and owner is not None:
        return owner
    if _NUMBERED.search(name):  # Enter, Merge, Switch and the like, OWNER/.../_NUMBER
        parts = name.split("/")
        prefixes = ((function, "/".join(parts[:count])) for count in range(len(parts) - 1, 0, -1))
        return next((prefix for prefix in prefixes if prefix in owners), (function, name))
    return function, name
