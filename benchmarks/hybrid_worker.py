"""One subject of hybrid.py in a process of its own, which answers one line of JSON to each line that it gets.

    python benchmarks/hybrid_worker.py FOLDER NETWORK SUBJECT

SUBJECT is ``native``, ``tf2trt FP16`` and the like, or ``engine FP16``: the plan out of a tf2trt conversion that is one
segment, run by tf2trt's own runtime. Commands, and what they answer:

    {"do": "turn", "batch": 8, "mode": MODE, "calls": 100}   {"ms": [...], "fell_back": ...} of each call, after a few
    {"do": "error", "batch": 8}                              {"error": 1e-4, "output": "y"}: the worst output
    {"do": "stages", "batch": 1, "calls": 200}               {"stages": {"name": [...]}}, TensorFlow's subjects only
    {"do": "memory"}                                         {"resident": bytes, "peak": bytes, "gpu": bytes}

MODE: ``gpu``, from inputs on the GPU until it is done; ``host``, from arrays to arrays; ``queued``, inputs on the GPU,
all calls queued and one wait at the end (one mean for all).
"""

import json
import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
from hybrid_networks import read_samples
from hybrid_plan import ENGINE, NATIVE, NETWORKS, Job, Places, read
from runtime_footprint import memory

from tf2trt.errors import Tf2TrtError
from tf2trt.numerics import relative_error

WARM_CALLS = 5
Call = Callable[[], Any]


class Subject(ABC):
    """What the subjects share; they give :meth:`calls`, :meth:`answers` and, where they count, :meth:`fallbacks`."""

    def __init__(self, folder: Path, network: str, precision: str) -> None:
        self.folder, self.network, self.precision = folder, network, precision
        self._made: Dict[Tuple[int, str], Tuple[Call, Call]] = {}

    @abstractmethod
    def calls(self, batch: int, mode: str) -> Tuple[Call, Call]:
        """A call, and what waits for it: for ``host`` nothing."""

    @abstractmethod
    def answers(self, batch: int) -> Dict[str, Any]:
        """The outputs on the samples, by name."""

    def fallbacks(self) -> int:
        """Calls that no engine took, and engines built, so far."""
        return 0

    def turn(self, batch: int, mode: str, calls: int) -> Dict[str, Any]:
        """Milliseconds of each call."""
        if (batch, mode) not in self._made:
            self._made[batch, mode] = self.calls(batch, mode)
        call, wait = self._made[batch, mode]
        for _ in range(WARM_CALLS):
            call()
        wait()
        before = self.fallbacks()
        samples = queued(call, wait, calls) if mode == "queued" else each(call, wait, calls)
        return {"ms": samples, "fell_back": self.fallbacks() - before}

    def error(self, batch: int) -> Dict[str, Any]:
        """The largest relative error of an output."""
        wanted = read_samples(self.folder, self.network, batch)[1]
        found = self.answers(batch)
        left_out = NETWORKS[self.network].loose if self.precision == "FP16" else ()
        errors = {
            name: relative_error(np.asarray(found[name], np.float64), array.astype(np.float64))
            for name, array in wanted.items()
            if name not in left_out
        }
        worst = max(errors, key=lambda name: errors[name] if np.isfinite(errors[name]) else np.inf)
        return {"error": float(errors[worst]), "output": worst}

    def memory(self) -> Dict[str, int]:
        """Bytes."""
        return memory()

    def stages(self, batch: int, calls: int) -> Dict[str, Any]:
        """Nothing to take apart."""
        return {"stages": {}}


def each(call: Call, wait: Call, calls: int) -> List[float]:
    """Milliseconds of each call."""
    clock, samples = time.perf_counter_ns, []
    for _ in range(calls):
        started = clock()
        call()
        wait()
        samples.append((clock() - started) / 1e6)
    return samples


def queued(call: Call, wait: Call, calls: int) -> List[float]:
    """Milliseconds a call, on the mean."""
    started = time.perf_counter_ns()
    for _ in range(calls):
        call()
    wait()
    return [(time.perf_counter_ns() - started) / 1e6 / calls]


class SavedModel(Subject):
    """A SavedModel in TensorFlow: the native one, or a converted one."""

    def __init__(self, folder: Path, network: str, backend: str, precision: str) -> None:
        super().__init__(folder, network, precision)
        from tf2trt.export.quiet import import_tensorflow

        self.tf = import_tensorflow()
        # Not by tf2trt.hybrid.memory: the core that it brings with it would have CUDA load TensorFlow's kernels lazily.
        for gpu in self.tf.config.list_physical_devices("GPU"):
            self.tf.config.experimental.set_memory_growth(gpu, True)
        if precision == "FP32":
            self.tf.config.experimental.enable_tensor_float_32_execution(False)
        self.device = "/GPU:0" if self.tf.config.list_physical_devices("GPU") else "/CPU:0"
        self.counted = backend == "tf2trt"
        if self.counted:
            from tf2trt.hybrid.op import load_op

            load_op()
        places = Places(folder)
        path = places.model(network) if backend == NATIVE else places.converted(Job(network, backend, precision))
        self.model = self.tf.saved_model.load(str(path))
        self.function = self.model.signatures["serving_default"]

    def tensors(self, batch: int, device: str) -> Dict[str, Any]:
        """The samples; strings are never on a GPU."""
        with self.tf.device(device):
            return {
                name: self.tf.constant(array) if array.dtype.kind == "f" else self._on_host(array)
                for name, array in read_samples(self.folder, self.network, batch)[0].items()
            }

    def calls(self, batch: int, mode: str) -> Tuple[Call, Call]:
        """See :class:`Subject`."""
        function, wait = self.function, self.tf.test.experimental.sync_devices
        if mode != "host":
            inputs = self.tensors(batch, self.device)
            return (lambda: function(**inputs)), wait
        arrays, constant = read_samples(self.folder, self.network, batch)[0], self.tf.constant

        def call() -> Any:
            given = {name: constant(array) for name, array in arrays.items()}
            return [tensor.numpy() for tensor in function(**given).values()]

        return call, _nothing

    def answers(self, batch: int) -> Dict[str, Any]:
        """See :class:`Subject`."""
        found = self.function(**self.tensors(batch, self.device))
        return {name: tensor.numpy() for name, tensor in found.items()}

    def fallbacks(self) -> int:
        """See :class:`Subject`. TF-TRT does not count."""
        if not self.counted:
            return 0
        from tf2trt.hybrid.stats import stats

        return sum(each.native_calls + each.builds for each in stats(self.model).values())

    def memory(self) -> Dict[str, int]:
        """With ``gpu``, the most that TensorFlow's allocator had given out; engines' weights are not in it."""
        found = memory()
        if self.device != "/CPU:0":
            found["gpu"] = int(self.tf.config.experimental.get_memory_info("GPU:0")["peak"])
        return found

    def stages(self, batch: int, calls: int) -> Dict[str, Any]:
        """What remains of a call as parts are taken out: times of a call with its wait, in turns."""
        tf, wait = self.tf, self.tf.test.experimental.sync_devices
        inputs = self.tensors(batch, self.device)
        module = tf.Module()
        specs = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name) for name, tensor in inputs.items()]
        module.call = tf.function(lambda *given: {"y": tf.identity(given[0])}, input_signature=specs)
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(module, folder, signatures=module.call)
            loaded = tf.saved_model.load(folder)
        empty, first = loaded.signatures["serving_default"], next(iter(inputs.values()))
        parts: Dict[str, Call] = {
            "wait": _nothing,
            "operator": lambda: tf.identity(first),
            "empty model": lambda: empty(**inputs),
            "model": lambda: self.function(**inputs),
        }
        found: Dict[str, List[float]] = {name: [] for name in parts}
        for _ in range(5):
            for name, call in parts.items():
                each(call, wait, WARM_CALLS)
                found[name] += each(call, wait, calls // 5)
        return {"stages": found}

    def _on_host(self, array: Any) -> Any:
        with self.tf.device("/CPU:0"):
            return self.tf.constant(array)


class PureEngine(Subject):
    """The plan of a segment that is the whole model, in tf2trt's runtime, without TensorFlow."""

    def __init__(self, folder: Path, network: str, precision: str) -> None:
        super().__init__(folder, network, precision)
        from tf2trt.runtime import Engine

        job = Job(network, "tf2trt", precision)
        outcome = read(Places(folder).outcome(job))
        assert outcome is not None
        self.engine = Engine.load(Places(folder).converted(job) / "assets" / outcome["engines"][0])
        self.context = self.engine.context()
        self.others = [self.engine.context() for _ in range(2)]
        self.holders: List[Any] = []  # whose device memory the inputs are, as another library's would be

    def array(self, batch: int) -> Any:
        """The only input's."""
        (array,) = read_samples(self.folder, self.network, batch)[0].values()
        return array

    def calls(self, batch: int, mode: str) -> Tuple[Call, Call]:
        """See :class:`Subject`. ``queued`` keeps two contexts busy."""
        array, context = self.array(batch), self.context
        if mode == "host":
            return (lambda: context(array)), _nothing
        name = self.engine.inputs[0].name
        self.holders.append(self.engine.context())
        self.holders[-1](array)
        given = self.holders[-1].device[name]
        if mode == "gpu":
            return (lambda: context.run(given, results="device")), _nothing
        tickets: List[Any] = []

        def call() -> None:
            if len(tickets) == len(self.others):
                tickets.pop(0).result()
            self.others.append(self.others.pop(0))
            tickets.append(self.others[-1].run_async(given, results="device"))

        def wait() -> None:
            while tickets:
                tickets.pop(0).result()

        return call, wait

    def answers(self, batch: int) -> Dict[str, Any]:
        """See :class:`Subject`."""
        found = self.context(self.array(batch))
        (name,) = read_samples(self.folder, self.network, batch)[1]
        return {name: found}


def _nothing() -> None:
    pass


def open_subject(folder: Path, network: str, name: str) -> Subject:
    """The subject called ``name``."""
    backend, _, precision = name.partition(" ")
    if backend == ENGINE:
        return PureEngine(folder, network, precision)
    return SavedModel(folder, network, backend, precision)


def answer(subject: Subject, command: Dict[str, Any]) -> Dict[str, Any]:
    """Does what a line asks for; an error is an answer too."""
    given = {key: value for key, value in command.items() if key != "do"}
    try:
        found: Dict[str, Any] = getattr(subject, command["do"])(**given)
    except Tf2TrtError as error:
        return {"failed": " ".join(str(error).split())}
    except Exception as error:  # noqa: BLE001 (TensorFlow's own, of many kinds: it is told, and no row is made of it)
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:1000]}"}
    return found


def main() -> None:
    """Reads commands until there are no more."""
    folder, network, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def tell(found: Dict[str, Any]) -> None:
        lines.write(json.dumps(found) + "\n")
        lines.flush()

    try:
        subject = open_subject(folder, network, name)
        first = subject.answers(NETWORKS[network].timed(name.partition(" ")[2])[0])
    except Exception as error:  # noqa: BLE001 (as above)
        tell({"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:1000]}"})
        return
    tell({"outputs": sorted(first)})
    for line in sys.stdin:
        tell(answer(subject, json.loads(line)))


if __name__ == "__main__":
    main()
