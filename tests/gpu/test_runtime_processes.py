"""The runtime on a real GPU, in processes of their own: what they share with others, bring in, and leave behind."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt.build import BuildOptions, build_engine
from tf2trt.specs import ShapeRange


@pytest.fixture(scope="module")
def engine_file(tmp_path_factory):
    """Takes x: float32 ?x32, of 1 to 16 rows."""
    folder = tmp_path_factory.mktemp("engine")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Tanh", ["m"], ["y"])]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in (("x", 32), ("y", 16))
    ]
    weights = numpy_helper.from_array(np.random.default_rng().normal(size=(32, 16)).astype(np.float32), "w")
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "m.onnx")
    options = BuildOptions(profiles=({"x": ShapeRange((1, 32), (4, 32), (16, 32))},))
    return build_engine(folder / "m.onnx", folder / "m.engine", options).engine


def alone(code):
    """Runs code in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_only_the_primary_context_is_used(engine_file):
    """In a process of its own: a context that was current stays current, and it is the one that everybody shares."""
    code = f"""
import numpy as np
import pycuda.autoprimaryctx, pycuda.driver as cuda
from tf2trt.runtime import Engine
mine = cuda.Context.get_current()
with Engine.load({str(engine_file)!r}) as engine:
    assert cuda.Context.get_current() == mine
    assert engine._native.cuda_context == mine.handle, "a second context"
    for _ in range(3):
        engine(np.ones((4, 32), np.float32))
        assert cuda.Context.get_current() == mine
    memory = cuda.mem_alloc(64)
    memory.free()
assert cuda.Context.get_current() == mine
"""
    result = alone(code)
    assert result.returncode == 0, result.stderr
    assert "PyCUDA" not in result.stderr


def test_an_engine_that_was_never_closed_ends_quietly(engine_file):
    code = f"""
import numpy as np
from tf2trt.runtime import Engine
engine = Engine.load({str(engine_file)!r})
for _ in range(3):
    engine(np.ones((4, 32), np.float32))
"""
    result = alone(code)
    assert (result.returncode, result.stderr) == (0, "")


def test_no_tensorflow_in_the_process(engine_file):
    code = f"""
import sys, numpy as np
from tf2trt.runtime import Engine
with Engine.load({str(engine_file)!r}) as engine:
    engine(np.ones((4, 32), np.float32))
heavy = ["tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "click", "rich"]
print([name for name in heavy if name in sys.modules])
"""
    result = alone(code)
    assert (result.stdout.strip(), result.returncode) == ("[]", 0), result.stderr


def test_beside_torch_in_one_process(engine_file):
    """Where torch is installed (it need not be): both use the primary context."""
    code = f"""
import importlib.util, sys
if importlib.util.find_spec("torch") is None:
    print("no torch"); sys.exit()
import numpy as np, torch
from tf2trt.runtime import Engine
kept = torch.ones(1000, device="cuda")
with Engine.load({str(engine_file)!r}) as engine:
    for _ in range(3):
        y = engine(np.ones((4, 32), np.float32))
        t = torch.ones((64, 64), device="cuda") @ torch.ones((64, 64), device="cuda")
        assert float(t[0, 0]) == 64.0
assert float(kept.sum()) == 1000.0
print("ran")
"""
    result = alone(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in ("ran", "no torch")
