"""Engines and their contexts from Python, on the fake driver and the fake TensorRT; runtime_bodies.py has what is done.

Each of its functions runs in a process of its own: a fake driver cannot be unloaded.
"""

import pytest

MODULE = "runtime_bodies"
RUNTIMES = ["libnvinfer.so.8", "libnvinfer.so.10", "libnvinfer.so.11"]
EVERYWHERE = [
    "follows_shapes_and_replays",
    "runs_all_forms_of_a_call",
    "sizes_depend_on_the_data",
    "values_decide_shapes",
    "streams_datasets",
]
ONCE = [
    "reads_and_gives_memory_in_place",
    "takes_device_arrays",
    "waits_for_tickets",
    "splits_batches",
    "memory_is_forced",
    "runs_without_graphs",
    "has_too_little_memory",
    "times_layers_and_launches",
    "closes_while_it_is_used",
    "marks_calls_for_nvtx",
]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_on_every_generation(fake_gpu, name, runtime):
    fake_gpu.run(f"{MODULE}.{name}", runtime=runtime)


@pytest.mark.parametrize("name", ONCE)
def test_on_one(fake_gpu, name):
    fake_gpu.run(f"{MODULE}.{name}")


def test_an_integrated_gpu(fake_gpu):
    fake_gpu.run(f"{MODULE}.shares_the_hosts_memory", integrated=1)


@pytest.mark.parametrize(("shared", "contexts"), [(True, 3), (False, 2)])
def test_threads(fake_gpu, shared, contexts):
    """TensorRT 8 without profile sharing lends each of the engine's two profiles to one context."""
    assert 1 <= int(fake_gpu.run(f"{MODULE}.many_threads_share_an_engine", shared)) <= contexts
