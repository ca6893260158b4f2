"""ResNet-50 FP16 over a dataset: engine.map beside the three things that can limit it."""

import time
from typing import Callable, Dict, Iterator, List, Tuple

import numpy as np
from runtime_cuda import Trip, primary
from runtime_engines import Engines, random_array
from runtime_report import Report, Spread, no_collection

from tf2trt.runtime import Engine, ExecutionContext

IMAGES, DISTINCT = 4000, 64
BATCHES = (8, 32)
ROUNDS = 5
SHARE = 0.9
LAUNCHES = 100


def stream_dataset(report: Report, engines: Engines) -> None:
    """For each batch: the map and its limits in turns, figures and bounds."""
    path = engines.batches()
    report.start(
        "map",
        f"ResNet-50 FP16, engine.map over {IMAGES:,} float32 images ({DISTINCT} distinct ones); images a second; "
        "two cores copy, that of the calling thread and one more, where there are four",
    )
    with Engine.load(path) as engine, engine.context() as context:
        shape = engine.inputs[0].shape[1:]
        images = [random_array(seed, *shape) for seed in range(DISTINCT)]
        size = images[0].nbytes
        report.note(f"an image: {size:,} bytes; engine.map with its defaults (three batches on their way)")
        for batch in BATCHES:
            context(np.stack([images[index % DISTINCT] for index in range(batch)]))
            result = context.device[engine.outputs[0].name].nbytes
            with primary() as driver:
                trip = Trip(driver, batch * size, result)
            measure_batch(report, engine, context, images, batch, trip)
            with primary():
                trip.free()


def measure_batch(
    report: Report, engine: Engine, context: ExecutionContext, images: List[np.ndarray], batch: int, trip: Trip
) -> None:
    """One batch size."""
    check_order(report, engine, context, images, batch)
    rates: Dict[str, List[float]] = {"map": [], "gpu": [], "bus": [], "core": []}
    for index in range(ROUNDS + 1):  # the first is a warm-up
        found = {
            "map": per_second(lambda: sum(1 for _ in engine.map(dataset(images), batch=batch))),
            "gpu": 1e3 * batch / float(np.median(context.time_launches(LAUNCHES))),
            "core": per_second(lambda: copy_dataset(images, batch, trip)),
        }
        with primary():
            found["bus"] = per_second(lambda: move_dataset(batch, trip))
        for name, rate in found.items():
            if index > 0:
                rates[name].append(rate)
    spreads = {name: Spread.of_single(samples) for name, samples in rates.items()}
    report.figure(f"batch {batch}: engine.map", spreads["map"], "images/s")
    report.figure(f"batch {batch}: limit: the GPU alone (time_launches)", spreads["gpu"], "images/s")
    report.figure(f"batch {batch}: limit: the bus, pinned there and results back", spreads["bus"], "images/s")
    report.figure(f"batch {batch}: limit: one core, arrays to pinned memory", spreads["core"], "images/s")
    limits = {"the GPU": spreads["gpu"], "the bus": spreads["bus"], "one core": spreads["core"]}
    lowest = min(limits, key=lambda name: limits[name].value)
    shares = [rate / limits[lowest].value for rate in rates["map"]]
    note = f"in rounds {min(shares):.1%}..{max(shares):.1%}"
    report.bound(
        f"batch {batch}: engine.map by the lowest limit, {lowest}",
        spreads["map"].value / limits[lowest].value,
        SHARE,
        "x",
        at_most=False,
        note=note,
    )


def dataset(images: List[np.ndarray], count: int = IMAGES) -> Iterator[np.ndarray]:
    """The distinct images, again and again."""
    return (images[index % len(images)] for index in range(count))


def per_second(work: Callable[[], object]) -> float:
    """Images a second, where ``work`` takes all of them."""
    with no_collection():
        started = time.perf_counter()
        work()
        return IMAGES / (time.perf_counter() - started)


def copy_dataset(images: List[np.ndarray], batch: int, trip: Trip) -> None:
    """Every image into a row of one of two pinned batches, by this thread."""
    rows: List[Tuple[np.ndarray, ...]] = []
    for index in range(2):
        pinned = trip.host(index).view(np.float32).reshape(batch, *images[0].shape)
        rows.append(tuple(pinned))
    source = dataset(images)
    for index, image in enumerate(source):
        np.copyto(rows[index // batch % 2][index % batch], image)


def move_dataset(batch: int, trip: Trip) -> None:
    """As many batches as the dataset has, over the bus and back."""
    trip.run(-(-IMAGES // batch))


def check_order(
    report: Report, engine: Engine, context: ExecutionContext, images: List[np.ndarray], batch: int
) -> None:
    """Results come in the images' order, and are those of plain calls with the same batch."""
    found = list(engine.map(dataset(images, 4 * DISTINCT), batch=batch))
    expected: List[np.ndarray] = []
    for start in range(0, DISTINCT, batch):
        expected.extend(context(np.stack(images[start : start + batch])))
    same = len(found) == 4 * DISTINCT and all(
        row.tobytes() == expected[index % DISTINCT].tobytes() for index, row in enumerate(found)
    )
    report.check(f"batch {batch}: results in order, the bits of plain calls", same)
