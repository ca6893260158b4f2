"""ResNet-50 FP16 called from many threads: the same bits, no less throughput, no growth of device memory."""

import threading
import time
from typing import Dict, List, Tuple

import numpy as np
from runtime_engines import Engines, random_array
from runtime_report import Report, Spread, no_collection

from tf2trt import _native
from tf2trt.runtime import Engine

THREADS, CALLS = 16, 500
OTHERS = {4: 2000, 1: 2000}  # threads: calls of each; 4 threads make as many calls as 16
REPEATS = 5
INTERVAL = 0.2  # seconds between looks at the device's memory
SETTLED = 1.0  # seconds after which nothing may be allocated any more


class MemoryWatch:
    """Looks at the device's free memory every INTERVAL seconds, in a thread of its own."""

    def __init__(self) -> None:
        self.samples: List[Tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "MemoryWatch":
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.samples.append((time.perf_counter() - self._started, _native.available_memory()))
            if self._stop.wait(INTERVAL):
                return

    def growth(self) -> int:
        """Bytes that the use grew by after SETTLED seconds, at most."""
        later = [free for seconds, free in self.samples if seconds >= SETTLED]
        return later[0] - min(later) if later else 0


def call_from_threads(engine: Engine, images: List[np.ndarray], expected: List[bytes], calls: int) -> Tuple[float, int]:
    """Calls a second of all threads together, each with an image of its own; and how many results had other bits.

    Raises:
        Exception: the first that a thread met.
    """
    wrong, errors = [0] * len(images), []
    barrier = threading.Barrier(len(images) + 1)

    def work(index: int) -> None:
        x, bits = images[index], expected[index]
        barrier.wait()
        try:
            for _ in range(calls):
                if engine(x).tobytes() != bits:
                    wrong[index] += 1
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(images))]
    for thread in threads:
        thread.start()
    with no_collection():
        barrier.wait()
        started = time.perf_counter()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
    if errors:
        raise errors[0]
    return len(images) * calls / seconds, sum(wrong)


def threads(report: Report, engines: Engines) -> None:
    """16, 4 and 1 threads in turns."""
    path = engines.one_image()
    report.start("threads", "ResNet-50 FP16, one image a call, one engine with up to eight contexts; calls a second")
    rates: Dict[int, List[float]] = {THREADS: [], **{count: [] for count in OTHERS}}
    wrong = 0
    with Engine.load(path) as engine:
        images = [random_array(seed, 1, *engine.inputs[0].shape[1:]) for seed in range(THREADS)]
        expected = [engine(x).tobytes() for x in images]
        distinct = len(set(expected))
        with MemoryWatch() as watch:
            for _ in range(REPEATS):
                for count, calls in {THREADS: CALLS, **OTHERS}.items():
                    rate, others = call_from_threads(engine, images[:count], expected[:count], calls)
                    rates[count].append(rate)
                    wrong += others
            time.sleep(max(0.0, SETTLED + 2 * INTERVAL - watch.samples[-1][0]))
        made = len(engine._pool._made)
    spreads = {count: Spread.of_single(samples) for count, samples in rates.items()}
    for count, spread in spreads.items():
        calls = {THREADS: CALLS, **OTHERS}[count]
        report.figure(f"{count} {'threads' if count > 1 else 'thread'} x {calls} calls", spread, "calls/s")
    report.note(f"{made} contexts were made; a thread compares each result's bits before its next call")
    total = REPEATS * sum(count * calls for count, calls in {THREADS: CALLS, **OTHERS}.items())
    report.check(
        f"all {total:,} outputs bit-equal to the serial ones",
        wrong == 0 and distinct == THREADS,
        f"{wrong} differed; {distinct} distinct images' outputs",
    )
    four = spreads[4]
    report.bound(
        "throughput of 16 threads by that of 4",
        spreads[THREADS].value / four.value,
        1.0,
        "x",
        at_most=False,
        note=f"noise: repeats of 4 threads lie {(four.most - four.least) / four.value:.1%} apart",
    )
    seconds = watch.samples[-1][0]
    report.bound(
        "growth of device memory after the first second",
        watch.growth() / 2**20,
        0.0,
        "MiB",
        at_most=True,
        note=f"{len(watch.samples)} looks in {seconds:.1f} s",
    )
