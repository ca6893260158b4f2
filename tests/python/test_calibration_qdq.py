"""Q/DQ graphs: where the nodes stand and what they hold."""

import json

import numpy as np
import pytest
from small_graphs import FLOAT, node

from tf2trt.calibration import CalibrationData, quantize
from tf2trt.errors import ModelError, OnnxError, OutputError, UsageError
from tf2trt.numerics import relative_error

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
import onnx
from calibration_graphs import DATA, conv, load, run, save, values, weights


def residual(folder, **keywords):
    """x -> c1 -> r1 -> c2 -> (+ r1) -> y, with a bias at the first."""
    nodes = [
        conv(["x", "w1", "b1"], "c1"),
        node("Relu", ["c1"], ["r1"]),
        conv(["r1", "w2"], "c2"),
        node("Add", ["c2", "r1"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    constants = {"w1": weights(6, 3, 3, 3), "b1": weights(6), "w2": weights(6, 6, 3, 3)}
    return save(folder, nodes, constants, **keywords)


def quantised_inputs(path):
    """The original tensors that each node reads through Q and DQ, by the node's name."""
    graph, maker, _ = load(path)
    found = {}
    for each in graph.node:
        if each.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        behind = [maker[name] for name in each.input if name in maker and maker[name].op_type == "DequantizeLinear"]
        if behind:
            found[each.output[0]] = [maker[dq.input[0]].input[0] for dq in behind]
    return found


def test_the_short_branch_of_a_residual_is_quantised_and_the_convolutions_branch_not(tmp_path):
    report = quantize(residual(tmp_path), tmp_path / "q.onnx", DATA)
    assert quantised_inputs(tmp_path / "q.onnx") == {"c1": ["x", "w1"], "c2": ["r1", "w2"], "s": ["r1"]}
    assert report.nodes == ("the c1", "the c2", "the s")
    assert report.left == ()
    assert (report.samples, report.batches, report.resumed) == (12, 2, 0)
    assert json.loads(json.dumps(report.to_json()))["scales"] == report.scales
    assert list(tmp_path.glob("*.calibration")) == []


@pytest.mark.parametrize("first", [True, False])
def test_a_projection_is_the_short_branch(tmp_path, first):
    # Both branches end in a convolution; the longer one is fused with the Add.
    path = save(
        tmp_path,
        [
            node("Conv", ["x", "w3"], ["p"]),
            conv(["x", "w1"], "c1"),
            node("Relu", ["c1"], ["r1"]),
            conv(["r1", "w2"], "c2"),
            node("Add", ["p", "c2"] if first else ["c2", "p"], ["y"]),
        ],
        {"w1": weights(6, 3, 3, 3), "w2": weights(6, 6, 3, 3), "w3": weights(6, 3, 1, 1)},
    )
    quantize(path, tmp_path / "q.onnx", DATA)
    assert quantised_inputs(tmp_path / "q.onnx")["y"] == ["p"]


def test_depthwise_convolutions_that_tensorrt_8_has_in_int8(tmp_path):
    def depthwise(given, made):
        return conv([given, f"w{made}"], made, group=3)

    nodes = [
        depthwise("x", "d1"),
        node("Clip", ["d1", "low", "high"], ["r1"]),
        depthwise("r1", "d2"),
        node("Sigmoid", ["d2"], ["g"]),
        node("Mul", ["d2", "g"], ["swish"]),
        depthwise("swish", "y"),
    ]
    constants = {f"w{name}": weights(3, 1, 3, 3) for name in ("d1", "d2", "y")}
    constants.update(low=np.float32(0), high=np.float32(6))
    report = quantize(save(tmp_path, nodes, constants), tmp_path / "q.onnx", DATA)
    assert quantised_inputs(tmp_path / "q.onnx") == {"d1": ["x", "wd1"]}
    reason = "a depthwise convolution without a Relu or a Clip behind it"
    assert report.left == (("the d2", reason), ("the y", reason))


def test_symmetric_scales_with_zero_points_of_0_and_weights_per_channel(tmp_path):
    path = residual(tmp_path)
    report = quantize(path, tmp_path / "q.onnx", DATA, "minmax")
    graph, _, constants = load(tmp_path / "q.onnx")
    original = load(path)[2]
    for each in graph.node:
        if each.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero = constants[each.input[1]], constants[each.input[2]]
        assert zero.dtype == np.int8
        assert not zero.any()
        assert scale.dtype == np.float32
        if each.op_type == "QuantizeLinear" and each.input[0] in original:
            weight = original[each.input[0]]
            assert [item.i for item in each.attribute if item.name == "axis"] == [0]
            np.testing.assert_allclose(scale, np.abs(weight).max(axis=(1, 2, 3)) / 127, rtol=1e-5)
        elif each.op_type == "QuantizeLinear":
            np.testing.assert_allclose(scale, report.scales[each.input[0]], rtol=1e-6)
    assert report.scales["x"] == pytest.approx(np.abs(DATA).max() / 127)
    # Weights and biases are in the file as they were.
    assert all(np.array_equal(constants[name], value) for name, value in original.items())


# Random values have no outliers to cut: what percentile and entropy do cut is error here.
@pytest.mark.parametrize(("method", "error"), [("minmax", 0.03), ("percentile", 0.06), ("entropy", 0.15)])
def test_the_function_stays(tmp_path, method, error):
    path = residual(tmp_path)
    quantize(path, tmp_path / "q.onnx", DATA, method)
    assert relative_error(run(tmp_path / "q.onnx", {"x": DATA})[0], run(path, {"x": DATA})[0]) < error


def test_names_inputs_and_outputs_stay(tmp_path):
    path = residual(tmp_path, outputs=("y", "r1", "c1"))
    quantize(path, tmp_path / "q.onnx", DATA)
    before, after = onnx.load(str(path)), onnx.load(str(tmp_path / "q.onnx"))
    names = [each.name for each in after.graph.node]
    assert len(set(names)) == len(names)
    assert {each.name for each in before.graph.node} <= set(names)
    assert after.graph.input == before.graph.input
    assert [each.name for each in after.graph.output] == ["y", "r1", "c1"]
    assert after.opset_import == before.opset_import
    assert after.producer_name == before.producer_name
    assert after.metadata_props == before.metadata_props
    # r1 is an output and goes into a convolution: the output is not the quantised one.
    maker = load(tmp_path / "q.onnx")[1]
    assert maker["r1"].op_type == "Relu"
    assert quantised_inputs(tmp_path / "q.onnx")["c2"] == ["r1", "w2"]
    assert not any(each.op_type == "Identity" for each in after.graph.node)


def test_other_readers_of_a_quantised_tensor_read_it_as_it_was(tmp_path):
    path = save(
        tmp_path,
        [conv(["x", "w1"], "c1"), node("Sigmoid", ["x"], ["s"]), node("Concat", ["c1", "s", "x"], ["y"], axis=1)],
        {"w1": weights(6, 3, 3, 3)},
    )
    quantize(path, tmp_path / "q.onnx", DATA)
    _, maker, _ = load(tmp_path / "q.onnx")
    assert list(maker["s"].input) == ["x"]
    assert list(maker["y"].input) == ["c1", "s", "x"]
    assert quantised_inputs(tmp_path / "q.onnx") == {"c1": ["x", "w1"]}


def test_matrices(tmp_path):
    """Gemm along either axis, with a beta; MatMul with a constant on the right, on the left, and of two activations."""
    nodes = [
        node("Gemm", ["x", "g", "b"], ["t"], transB=1, beta=0.5),
        node("Gemm", ["t", "h"], ["u"]),
        node("MatMul", ["u", "m"], ["v"]),
        node("Transpose", ["v"], ["vt"]),
        node("MatMul", ["vt", "v"], ["w"]),
        node("MatMul", ["left", "w"], ["y"]),
    ]
    constants = {"g": weights(5, 4), "b": weights(5), "h": weights(5, 6), "m": weights(6, 3), "left": weights(2, 3)}
    path = save(tmp_path, nodes, constants, inputs=(("x", FLOAT, ["n", 4]),))
    data = values(16, 4)
    report = quantize(path, tmp_path / "q.onnx", data)
    assert quantised_inputs(tmp_path / "q.onnx") == {"t": ["x", "g"], "u": ["t", "h"], "v": ["u", "m"]}
    assert dict(report.left) == {
        "the w": "its weights are not constant",
        "the y": "its first operand is constant",
    }
    _, maker, found = load(tmp_path / "q.onnx")
    assert [item.f for item in maker["t"].attribute if item.name == "beta"] == [0.5]
    channels = {name: len(found[maker[maker[name].input[1]].input[1]]) for name in ("t", "u", "v")}
    assert channels == {"t": 5, "u": 6, "v": 3}
    assert relative_error(run(tmp_path / "q.onnx", {"x": data})[0], run(path, {"x": data})[0]) < 0.05


def test_a_constant_node_holds_weights_too(tmp_path):
    value = onnx.numpy_helper.from_array(weights(6, 3, 3, 3), "value")
    path = save(tmp_path, [node("Constant", [], ["w1"], value=value), conv(["x", "w1"], "y")], {})
    quantize(path, tmp_path / "q.onnx", DATA)
    assert quantised_inputs(tmp_path / "q.onnx") == {"y": ["x", "w1"]}


def test_weights_that_two_use_along_different_axes(tmp_path):
    nodes = [node("Gemm", ["x", "w"], ["a"], transB=1), node("Gemm", ["x", "w"], ["b"]), node("Add", ["a", "b"], ["y"])]
    path = save(tmp_path, nodes, {"w": weights(4, 4)}, inputs=(("x", FLOAT, ["n", 4]),))
    report = quantize(path, tmp_path / "q.onnx", values(4, 4))
    assert quantised_inputs(tmp_path / "q.onnx") == {"a": ["x", "w"]}
    assert report.left == (("the b", "another operator uses its weights along another axis"),)


def test_bodies_of_an_if_read_what_they_read(tmp_path):
    made = onnx.helper.make_tensor_value_info
    bodies = {
        f"{which}_branch": onnx.helper.make_graph(
            [node(op, ["r1"], [f"{which}_out"])], which, [], [made(f"{which}_out", FLOAT, None)]
        )
        for which, op in (("then", "Neg"), ("else", "Abs"))
    }
    nodes = [
        conv(["x", "w1"], "c1"),
        node("Relu", ["c1"], ["r1"]),
        conv(["r1", "w2"], "c2"),
        node("If", ["yes"], ["i"], **bodies),
        node("Add", ["c2", "i"], ["y"]),
    ]
    constants = {"w1": weights(6, 3, 3, 3), "w2": weights(6, 6, 3, 3), "yes": np.array(True)}
    path = save(tmp_path, nodes, constants)
    quantize(path, tmp_path / "q.onnx", DATA)
    assert quantised_inputs(tmp_path / "q.onnx") == {"c1": ["x", "w1"], "c2": ["r1", "w2"], "y": ["i"]}
    assert relative_error(run(tmp_path / "q.onnx", {"x": DATA})[0], run(path, {"x": DATA})[0]) < 0.03


def test_nodes_without_names_and_with_the_same_name(tmp_path):
    path = residual(tmp_path)
    model = onnx.load(str(path))
    for each in model.graph.node:
        each.name = "same" if each.op_type == "Conv" else ""
    onnx.save(model, str(path))
    report = quantize(path, tmp_path / "q.onnx", DATA)
    assert report.nodes == ("same", "same_1", "node_of_s")
    assert quantised_inputs(tmp_path / "q.onnx")["s"] == ["r1"]


def test_exclusions_by_pattern(tmp_path):
    path = residual(tmp_path)
    report = quantize(path, tmp_path / "q.onnx", DATA, exclude=["the c[1]", "* s"])
    assert quantised_inputs(tmp_path / "q.onnx") == {"c2": ["r1", "w2"]}
    assert report.left == (("the c1", "excluded"), ("the s", "excluded"))
    with pytest.raises(UsageError, match=r"no node's name matches(?s:.)*conv9(?s:.)*the c1, the c2"):
        quantize(path, tmp_path / "q.onnx", DATA, exclude=["conv9*"])
    with pytest.raises(ModelError, match="nothing to quantise"):
        quantize(path, tmp_path / "other.onnx", DATA, exclude=["*"])
    assert not (tmp_path / "other.onnx").exists()


def test_several_inputs_and_dynamic_shapes(tmp_path):
    nodes = [
        conv(["x", "w1"], "c1"),
        conv(["z", "w1"], "c2"),
        node("Mul", ["c1", "c2"], ["m"]),
        node("GlobalAveragePool", ["m"], ["y"]),
    ]
    inputs = [(name, FLOAT, ["n", 3, "h", "w"]) for name in "xz"]
    path = save(tmp_path, nodes, {"w1": weights(6, 3, 3, 3)}, inputs=inputs)
    seeds = {"x": 1, "z": 2}
    data = [{name: values(3, side, 9, seed=seeds[name]) for name in seeds} for side in (4, 4, 7, 12)]
    report = quantize(path, tmp_path / "q.onnx", CalibrationData(data, batch_size=2))
    assert (report.samples, report.batches) == (4, 3)
    for name in "xz":
        assert report.scales[name] == pytest.approx(max(np.abs(each[name]).max() for each in data) / 127)


def test_an_activation_of_zeros_is_named(tmp_path):
    path = save(
        tmp_path,
        [node("Mul", ["x", "zero"], ["z"]), conv(["z", "w1"], "y")],
        {"zero": np.float32(0), "w1": weights(6, 3, 3, 3)},
    )
    report = quantize(path, tmp_path / "q.onnx", DATA)
    assert report.notes == ("nothing but zeros on this data: z",)
    assert not run(tmp_path / "q.onnx", {"x": DATA})[0].any()


def test_a_quantised_graph_is_refused_and_left_alone(tmp_path):
    quantize(residual(tmp_path), tmp_path / "q.onnx", DATA)
    before = (tmp_path / "q.onnx").read_bytes()
    for output in ("q.onnx", "again.onnx"):
        with pytest.raises(ModelError, match=r"quantised already(?s:.)*tf2trt build --precision int8"):
            quantize(tmp_path / "q.onnx", tmp_path / output, DATA)
    assert (tmp_path / "q.onnx").read_bytes() == before
    assert not (tmp_path / "again.onnx").exists()


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"data": DATA[:0]}, UsageError, "it is empty"),
        ({"data": DATA.astype(np.float64)}, UsageError, "float64"),
        ({"data": np.full_like(DATA, np.nan)}, UsageError, "not finite"),
        ({"method": "best"}, UsageError, "entropy, minmax, percentile"),
        ({"method": "percentile", "quantile": 1.5}, UsageError, "quantile"),
        ({"onnx": "none.onnx"}, OnnxError, "none.onnx"),
        ({"output": "no/q.onnx"}, OutputError, "cannot write"),
    ],
)
def test_faults_leave_no_file(tmp_path, keywords, error, words):
    given = {"onnx": "m.onnx", "output": "q.onnx", "data": DATA, **keywords}
    residual(tmp_path)
    given["onnx"], given["output"] = tmp_path / given["onnx"], tmp_path / given["output"]
    with pytest.raises(error, match=words):
        quantize(**given)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_model_that_gives_nan_is_told_from_data_that_does(tmp_path):
    nodes = [node("Sqrt", ["x"], ["r"]), conv(["r", "w1"], "y")]
    path = save(tmp_path, nodes, {"w1": weights(6, 3, 3, 3)})
    with pytest.raises(ModelError, match="the model gives NaN or infinity in 'r'"):
        quantize(path, tmp_path / "q.onnx", DATA)


def test_an_old_opset_and_a_model_without_weights_are_refused(tmp_path):
    with pytest.raises(ModelError, match="opset 12"):
        quantize(residual(tmp_path, opset=12), tmp_path / "q.onnx", DATA)
    with pytest.raises(ModelError, match=r"nothing to quantise(?s:.)*no operator has weights"):
        quantize(save(tmp_path, [node("Relu", ["x"], ["y"])], {}), tmp_path / "q.onnx", DATA)


def test_progress(tmp_path):
    calls = []
    quantize(residual(tmp_path), tmp_path / "q.onnx", DATA, progress=lambda *call: calls.append(call))
    assert calls == [(0, 12), (8, 12), (12, 12)]
    calls.clear()
    quantize(tmp_path / "m.onnx", tmp_path / "q.onnx", iter(DATA), progress=lambda *call: calls.append(call))
    assert calls == [(0, None), (8, None), (12, None)]
