"""The loop that GPU tests compare tf2trt bench with, on the fake driver."""

import subprocess

import pytest
from fake_gpu import plan

RUNTIMES = {"libnvinfer.so.8": (8, 6, 0), "libnvinfer.so.11": (11, 4, 0)}


def loop(program, fake_gpu, engine, batch, runtime="libnvinfer.so.8"):
    command = [str(program), str(engine), str(batch), "0.05"]
    environment = fake_gpu.environment(runtime)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_times_launches(bench_loop, fake_gpu, tmp_path, runtime):
    engine = tmp_path / "m.engine"
    engine.write_bytes(plan("double shared", RUNTIMES[runtime]))
    done = loop(bench_loop, fake_gpu, engine, 3, runtime)
    assert done.returncode == 0, done.stderr
    milliseconds, launches = done.stdout.split()
    assert float(milliseconds) > 0
    assert int(launches) > 1
    assert done.stderr == ""


def test_a_batch_that_the_engine_does_not_take(bench_loop, fake_gpu, tmp_path):
    engine = tmp_path / "m.engine"
    engine.write_bytes(plan("double shared"))
    done = loop(bench_loop, fake_gpu, engine, 4096)
    assert (done.returncode, done.stderr) == (1, "Error: no profile takes the batch\n")
