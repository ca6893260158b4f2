"""What is compared: FP16 and BF16 graphs rounded as they are meant, inputs from files and random ones."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from verify_models import Graph, overflowing

from tf2trt.errors import InputError, OnnxError, UsageError
from tf2trt.specs import TensorSpec
from tf2trt.surgery import set_precision
from tf2trt.verify import FileInputs, GeneratedInputs, OnnxReference, open_candidate, relative_error
from tf2trt.verify.candidate import adapt, load_rounded
from tf2trt.verify.inputs import tuned_shapes
from tf2trt.verify.rounding import graph_precision, rounded

rng = np.random.default_rng()


def dense(path):
    graph = Graph()
    last = "x"
    for index in range(3):
        weights = graph.constant(f"w{index}", rng.standard_normal((8, 8)))
        last = graph.add("MatMul", [last, weights], f"m{index}", f"dense_{index}")
        last = graph.add("Relu", [last], f"r{index}", f"dense_{index}")
    return graph.save(path, {"x": ["n", 8]}, {last: ["n", 8]})


def by_hand(path, x, to):
    value = to(x)
    for tensor in onnx.load(str(path)).graph.initializer:
        weights = to(numpy_helper.to_array(tensor))
        value = np.maximum(to((value.astype(np.float64) @ weights.astype(np.float64)).astype(np.float32)), 0)
    return value


def to_fp16(array):
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def to_bf16(array):
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    kept = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return kept.astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(("precision", "to", "least"), [("fp16", to_fp16, 5e-5), ("bf16", to_bf16, 5e-4)])
def test_each_result_is_rounded(tmp_path, precision, to, least):
    source = dense(tmp_path / "m.onnx")
    set_precision(source, tmp_path / "half.onnx", precision)
    x = rng.standard_normal((16, 8)).astype(np.float32)
    with open_candidate(tmp_path / "half.onnx") as candidate:
        assert candidate.precision == precision
        assert candidate.description.endswith(f"rounded to {precision.upper()}")
        got = candidate({"x": x})["r2"]
    assert got.dtype == np.float32
    wanted = by_hand(source, x, to)
    exact = OnnxReference(source)({"x": x})["r2"]
    assert relative_error(got, wanted) < 0.2 * relative_error(wanted, exact)  # sums may round to the other side
    assert relative_error(wanted, exact) > least


def test_an_overflow_shows(tmp_path):
    source = overflowing(tmp_path / "m.onnx", layers=4, loud=1)
    set_precision(source, tmp_path / "half.onnx", "fp16")
    x = rng.standard_normal((4, 32)).astype(np.float32)
    plain = OnnxReference(tmp_path / "half.onnx")({"x": x})
    meant = load_rounded(onnx.load(str(tmp_path / "half.onnx")))({"x": x})
    assert relative_error(next(iter(plain.values())), OnnxReference(source)({"x": x})["t3"]) < 2e-2  # not rounded
    assert not relative_error(meant["t3"], OnnxReference(source)({"x": x})["t3"]) < 2e-2


def test_half_inputs_outputs_and_bodies(tmp_path):
    """If in FP16, with FP16 inputs and outputs: one branch doubles, the other overflows."""
    half = TensorProto.FLOAT16
    two = numpy_helper.from_array(np.float16(2), "two")
    big = numpy_helper.from_array(np.float16(60000), "big")

    def body(name, factor):
        return helper.make_graph(
            [helper.make_node("Mul", ["x", factor.name], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, half, [2])],
            [factor],
        )

    nodes = [
        helper.make_node("If", ["flag"], ["z"], "choice", then_branch=body("a", two), else_branch=body("b", big)),
        helper.make_node("Constant", [], ["one"], "one", value=numpy_helper.from_array(np.float16(1), "one")),
        helper.make_node("Add", ["z", "one"], ["y"], "add"),
        helper.make_node("Identity", ["y"], ["same"], "same"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", half, [2]), helper.make_tensor_value_info("flag", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", half, [2]), helper.make_tensor_value_info("same", half, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    assert graph_precision(model) == "fp16"
    changed = rounded(model)
    onnx.checker.check_model(changed, full_check=True)
    x = np.float16([1.5, -2049.0])
    loaded = load_rounded(model)
    for flag, wanted in ((True, [4.0, -4096.0]), (False, [np.inf, -np.inf])):
        results = loaded({"x": x, "flag": np.asarray(flag)})
        for name in ("y", "same"):
            assert results[name].dtype == np.float16
            assert results[name].tolist() == wanted
    assert model.graph.node[0].name == changed.graph.node[1].name == "choice"


def test_what_holds_no_half_stays(tmp_path):
    model = onnx.load(str(dense(tmp_path / "m.onnx")))
    assert graph_precision(model) == "fp32"
    assert rounded(model) is model


@pytest.mark.parametrize(("name", "error"), [("m.keras", UsageError), ("m.onnx", OnnxError)])
def test_candidates_that_are_none(tmp_path, name, error):
    with pytest.raises(error):
        open_candidate(tmp_path / name)


X = TensorSpec("in/x:0", "float32", (-1, 3))
N = TensorSpec("n", "int64", (-1,))


def test_generated_inputs_come_again_and_another_is_another():
    inputs = GeneratedInputs((X, N), "uniform", batch=4, batches=3)
    first, second = [[feed.arrays for feed in inputs] for _ in range(2)]
    again = [feed.arrays for feed in GeneratedInputs((X, N), "uniform", batch=4, batches=3, seed=inputs.seed)]
    for one, two, three in zip(first, second, again):
        for name, array in one.items():
            assert np.array_equal(array, two[name])
            assert np.array_equal(array, three[name])
    assert str(inputs.seed) in inputs.description
    values = [feed["in/x:0"] for feed in [*first, inputs.another().arrays]]
    assert len({array.tobytes() for array in values}) == 4
    assert all(array.shape == (4, 3) and array.dtype == np.float32 for array in values)
    assert min(array.min() for array in values) >= 0


def test_generated_shapes():
    spec = TensorSpec("x", "float32", (-1, -1, 3))
    assert next(iter(GeneratedInputs((spec,), shapes={"x": (7, 5, 3)}))).arrays["x"].shape == (7, 5, 3)
    assert next(iter(GeneratedInputs((spec,), shapes={"x": (7, 5, 3)}, batch=2))).arrays["x"].shape == (2, 5, 3)
    bytes_ = next(iter(GeneratedInputs((spec,), "bytes", batch=2))).arrays["x"]
    assert np.array_equal(bytes_, bytes_.round())
    assert bytes_.max() > 200
    assert tuned_shapes((spec,), (TensorSpec("x", "float32", (-1, -1, 3)),), {"x": (8, 9, 3)}) == {"x": (8, 9, 3)}
    assert tuned_shapes((spec,), (TensorSpec("x", "float32", (1, 4, 9)),), {}) == {}
    for wrong in ({"distribution": "even"}, {"batches": 0}, {"batch": 0}, {"shapes": {"x": (1, 2)}}):
        with pytest.raises(UsageError):
            GeneratedInputs((spec,), **wrong)


def test_inputs_from_npz_files(tmp_path):
    x = rng.standard_normal((10, 3)).astype(np.float32)
    for index in range(2):
        part = slice(5 * index, 5 * index + 5)
        arrays = {"in/x:0": x[part].astype(np.float64), "n": np.arange(5), "labels": np.arange(10)[part]}
        np.savez(tmp_path / f"{index}.npz", **arrays)
    feeds = list(FileInputs(tmp_path, (X, N), batch=2))
    assert [len(feed.arrays["n"]) for feed in feeds] == [2, 2, 1, 2, 2, 1]
    assert np.array_equal(np.concatenate([feed.arrays["in/x:0"] for feed in feeds]), x)
    assert np.concatenate([feed.extras["labels"] for feed in feeds]).tolist() == list(range(10))
    assert len(list(FileInputs(tmp_path / "0.npz", (X, N)))) == 1


def test_inputs_from_npy_files(tmp_path):
    x = rng.standard_normal((4, 3)).astype(np.float32)
    np.save(tmp_path / "in_x_0.npy", x)
    np.save(tmp_path / "labels.npy", np.arange(4))
    (feed,) = FileInputs(tmp_path, (X,))
    assert np.array_equal(feed.arrays["in/x:0"], x)
    assert feed.extras["labels"].tolist() == [0, 1, 2, 3]
    another = FileInputs(tmp_path, (X,)).another().arrays["in/x:0"]
    assert another.shape == x.shape
    assert not np.array_equal(another, x)


def test_one_sample_a_file(tmp_path):
    for index in range(3):
        np.save(tmp_path / f"image_{index}.npy", np.full(3, index, np.uint8))
    feeds = list(FileInputs(tmp_path, (X,)))
    assert [feed.arrays["in/x:0"].tolist() for feed in feeds] == [[[float(index)] * 3] for index in range(3)]
    assert feeds[0].arrays["in/x:0"].dtype == np.float32


@pytest.mark.parametrize("case", ["nothing", "empty", "other names", "lacks one", "damaged", "complex"])
def test_inputs_that_do_not_fit(tmp_path, case):
    path = tmp_path
    if case == "nothing":
        path = tmp_path / "missing"
    elif case == "other names":
        np.save(tmp_path / "a.npy", np.zeros(3))
        np.save(tmp_path / "b.npy", np.zeros(3))
    elif case == "lacks one":
        np.savez(tmp_path / "a.npz", n=np.zeros(3, np.int64))
    elif case == "damaged":
        (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    elif case == "complex":
        np.savez(tmp_path / "a.npz", **{"in/x:0": np.zeros((1, 3), complex), "n": np.zeros(1, np.int64)})
    with pytest.raises(InputError):
        list(FileInputs(path, (X, N)))


def test_arrays_as_the_candidate_takes_them():
    model = (TensorSpec("x", "float32", (-1, 4, 5, 3)), TensorSpec("n", "int64", (-1,)))
    feed = {"x": np.arange(120, dtype=np.float32).reshape(2, 4, 5, 3), "n": np.arange(2)}
    notes = []
    taken = (TensorSpec("image", "uint8", (-1, 3, 4, 5)), TensorSpec("count", "int32", (-1,)))
    for _ in range(2):
        given = adapt(feed, taken, model, notes)
    assert np.array_equal(given["image"], feed["x"].transpose(0, 3, 1, 2))
    assert (given["image"].dtype, given["count"].dtype) == (np.uint8, np.int32)
    assert len(notes) == 3
    with pytest.raises(InputError, match="does not hold these values"):
        adapt({**feed, "x": feed["x"] + 0.5}, taken, model, notes)
    with pytest.raises(InputError, match="other inputs"):
        adapt(feed, taken[:1], model, notes)
    half = adapt(feed, (TensorSpec("x", "float16", (-1, 4, 5, 3)), model[1]), model, [])
    assert half["x"].dtype == np.float16
