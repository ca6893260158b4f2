"""What a call costs beside the GPU's work, and of which parts: an engine of one layer, float32 1x64."""

import time
from typing import Any, Callable, List, Tuple

import numpy as np
from runtime_cuda import graph_microseconds
from runtime_engines import Engines, random_array
from runtime_report import Call, Report, Spread, no_collection, time_calls, time_small

from tf2trt.runtime import Engine, ExecutionContext

ROUNDS, CALLS = 5, 4000
OWN_COST = 12.0  # microseconds
SETTLE = 30_000  # ns that the GPU is left alone after it said that it is done


def call(report: Report, engines: Engines) -> None:
    """Times whole calls and their stages in turns, then each piece alone, and judges."""
    path = engines.one_layer()
    report.start("call", "one layer, float32 1x64; us a call, garbage collection off")
    with Engine.load(path) as engine, engine.context() as context:
        x = random_array(0, *engine.inputs[0].shape)
        for _ in range(3):
            engine(x)
            context(x)
        rounds: List[Tuple[np.ndarray, ...]] = []
        for _ in range(ROUNDS):
            rounds.append((*time_pair(lambda: engine(x), lambda: context(x), CALLS), *time_stages(context, x, CALLS)))
        report.check("calls replay a CUDA graph", context.graph_problem == "" and context._native.replays)
        whole, bare, start, finish = (Spread.of(samples) for samples in zip(*rounds))
        pool = Spread.of([each[0] - each[1] for each in rounds])
        report.figure("engine(x), the GPU's time included", whole, "us")
        report.figure("context(x), the same without the engine's pool", bare, "us")
        report.figure("a: run_async(x): checks, copy to pinned memory, graph launch", start, "us")
        report.figure("b: ticket.result() when the GPU is done: sync, fresh array", finish, "us")
        report.figure("c: engine(x) - context(x), call by call: the pool", pool, "us")
        own = [sum(float(np.median(part)) for part in (each[2], each[3], each[0] - each[1])) for each in rounds]
        pieces(report, context, x)
        gpu(report, context)
    spread = f"in rounds {min(own):.2f}..{max(own):.2f}; a and b make a Ticket, which engine(x) does not"
    report.bound("a call's own cost, a + b + c", float(np.median(own)), OWN_COST, "us", at_most=True, note=spread)


def time_pair(first: Call, second: Call, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Microseconds of each, called in turns, so that drift hits both alike."""
    clock = time.perf_counter_ns
    samples = np.empty((2, count))
    with no_collection():
        for index in range(count):
            started = clock()
            first()
            between = clock()
            second()
            samples[:, index] = between - started, clock() - between
    return samples[0] / 1e3, samples[1] / 1e3


def time_stages(context: ExecutionContext, x: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Microseconds of run_async(x), and of result() once the GPU is certainly done."""
    clock = time.perf_counter_ns
    samples = np.empty((2, count))
    with no_collection():
        for index in range(count):
            started = clock()
            ticket = context.run_async(x)
            samples[0, index] = clock() - started
            settle(ticket.done)
            started = clock()
            ticket.result()
            samples[1, index] = clock() - started
            del ticket  # not where the next one is timed
    return samples[0] / 1e3, samples[1] / 1e3


def settle(done: Callable[[], bool]) -> None:
    """Spins until the GPU is done, and a little longer."""
    while not done():
        pass
    until = time.perf_counter_ns() + SETTLE
    while time.perf_counter_ns() < until:
        pass


def pieces(report: Report, context: ExecutionContext, x: np.ndarray) -> None:
    """Each piece alone, as far as it can be had alone; they overlap, and are no sum."""
    session = context._native
    names = [spec.name for spec in (*context._inputs, *context._outputs)]
    inside, outside = (context.host[name] for name in names)

    def fresh() -> None:
        np.copyto(np.empty(outside.shape, outside.dtype), outside)

    def small(name: str, function: Call) -> None:
        report.figure(f"   {name}", Spread.of([time_small(function)]), "us")

    report.note("pieces, each alone (they overlap: no sum):")
    small("time.perf_counter_ns(), the clock of these figures", time.perf_counter_ns)
    small("a pybind11 call that does nothing (Session.release)", session.release)
    small("acquire and release of the session", lambda: (session.acquire(), session.release()))
    small("np.copyto of the input into pinned memory", lambda: np.copyto(inside, x))
    small("np.empty and np.copyto of the result", fresh)
    small("Session.results(True): view of pinned memory, fresh array", lambda: session.results(True))
    report.figure(
        "   Session.call, the GPU included", Spread.of([time_calls(lambda: session.call((x,), {}), CALLS)]), "us"
    )
    launches, waits = time_launch(session)
    report.figure("   Session.launch: queue the graph", Spread.of([launches]), "us")
    report.figure("   Session.wait when the GPU is done: synchronise", Spread.of([waits]), "us")


def time_launch(session: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Microseconds of launch(), and of wait() once the GPU is certainly done."""
    clock = time.perf_counter_ns
    samples = np.empty((2, CALLS))
    session.acquire()
    try:
        with no_collection():
            for index in range(CALLS):
                started = clock()
                session.launch()
                samples[0, index] = clock() - started
                settle(lambda: session.done)
                started = clock()
                session.wait()
                samples[1, index] = clock() - started
    finally:
        session.release()
    return samples[0] / 1e3, samples[1] / 1e3


def gpu(report: Report, context: ExecutionContext) -> None:
    """The GPU's side of it."""
    session = context._native
    together = Spread.of([graph_microseconds(session, CALLS)])
    report.figure("GPU: the graph with its copies, between events", together, "us", "the gap to its arrival included")
    alone = Spread.of([[1e3 * each for each in context.time_launches(CALLS)]])
    report.figure("GPU: the layer alone, between events", alone, "us", "the gap to its arrival included")
    samples = []
    session.acquire()
    try:
        for _ in range(20):
            started = time.perf_counter_ns()
            for _ in range(200):
                session.launch()
            session.wait()
            samples.append((time.perf_counter_ns() - started) / 200e3)
    finally:
        session.release()
    report.figure("GPU or launching core, back to back, per graph", Spread.of([samples]), "us")
