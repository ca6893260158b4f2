"""rewrite_resize: the same results in ONNX Runtime, and only what TensorRT-RTX's parser takes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tf2trt import libraries
from tf2trt.build import BuildOptions, build_engine
from tf2trt.errors import OnnxError
from tf2trt.numerics import relative_error
from tf2trt.specs import ShapeRange
from tf2trt.surgery.rewrite_resize import rewrite_resize
from tf2trt.surgery.runner import run_pass

SEED = int(np.random.default_rng().integers(1 << 31))
print("seed", SEED)
rng = np.random.default_rng(SEED)
FLOAT, HALF, INT32, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.UINT8
SHAPE = ("n", 3, 8, 10)


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("onnxruntime_ep_nv_tensorrt_rtx", exc_type=ImportError)
    found = [each.library for each in libraries.candidates() if each.library is not None and each.library.kind == "rtx"]
    assert found, "the wheel is installed but its library was not found"
    return found[0]


def build(*, shape=SHAPE, scales=None, sizes=None, roi=None, kind=FLOAT, opset=18, **attributes):
    constants = {"roi": roi, "scales": scales, "sizes": sizes}
    constants = {name: np.asarray(value) for name, value in constants.items() if value is not None}
    constants = {name: value if name == "sizes" else value.astype(np.float32) for name, value in constants.items()}
    inputs = ["x", *(name if name in constants else "" for name in ("roi", "scales", "sizes"))]
    resize = helper.make_node("Resize", inputs if sizes is not None else inputs[:3], ["y"], name="it", **attributes)
    return model_of([resize], constants, shape, kind, opset)


def model_of(nodes, constants, shape=SHAPE, kind=FLOAT, opset=18):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, [None] * len(shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


def rewritten(model, shape=(2, 3, 8, 10), tolerance=1e-6):
    before = onnx.ModelProto()
    before.CopyFrom(model)
    after, report = run_pass("rewrite_resize", rewrite_resize, model)
    dtype = helper.tensor_dtype_to_np_dtype(before.graph.input[0].type.tensor_type.elem_type)
    x = (rng.standard_normal(shape) * 40).astype(dtype)
    assert relative_error(run(after, x), run(before, x)) <= tolerance
    return after, report.notes


def takes(rtx, folder, model):
    """Whether TensorRT-RTX builds an engine of it."""
    onnx.save(model, str(folder / "m.onnx"))
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    dynamic = 0 in dims
    least, most = (tuple(dim or batch for dim in dims) for batch in (1, 4))
    profiles = [{"x": ShapeRange(least, least, most)}] if dynamic else []
    try:
        build_engine(folder / "m.onnx", folder / "m.engine", BuildOptions(profiles=profiles), library=rtx)
    except OnnxError:
        return False
    return True


def ops(model):
    return [item.op_type for item in model.graph.node]


TAKEN = [
    *(
        {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": rounding}
        for mode in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ),
    *(
        {"mode": mode, "coordinate_transformation_mode": coordinates, "exclude_outside": outside}
        for mode in ("linear", "cubic")
        for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
        for outside in ((0, 1) if mode == "cubic" else (0,))
    ),
]


@pytest.mark.parametrize("by", ["scales", "sizes"])
def test_what_tensorrt_takes_stays(rtx, tmp_path, by):
    shape = SHAPE if by == "scales" else (2, *SHAPE[1:])
    how = {"scales": [1, 1, 2, 1.5]} if by == "scales" else {"sizes": [2, 3, 16, 15]}
    for attributes in TAKEN:
        model, notes = rewritten(build(shape=shape, **how, **attributes), tolerance=0)
        assert not notes
        assert ops(model) == ["Resize"]
        assert takes(rtx, tmp_path, model), attributes


OTHERS = {
    "tf linear": {"scales": [1, 1, 2, 1.5], "mode": "linear", "coordinate_transformation_mode": "tf_half_pixel_for_nn"},
    "tf cubic": {"scales": [1, 1, 2, 0.7], "mode": "cubic", "coordinate_transformation_mode": "tf_half_pixel_for_nn"},
    "symmetric": {
        "scales": [1, 1, 1.23, 0.77],
        "mode": "linear",
        "coordinate_transformation_mode": "half_pixel_symmetric",
        "opset": 19,
    },
    "symmetric nearest": {
        "scales": [1, 1, 1.23, 0.77],
        "mode": "nearest",
        "coordinate_transformation_mode": "half_pixel_symmetric",
        "opset": 19,
    },
    "crop": {
        "sizes": [2, 3, 7, 6],
        "roi": [0, 0, 0.1, 0.2, 1, 1, 0.9, 0.7],
        "mode": "linear",
        "coordinate_transformation_mode": "tf_crop_and_resize",
        "shape": (2, *SHAPE[1:]),
    },
    "crop nearest": {
        "sizes": [2, 3, 7, 6],
        "roi": [0, 0, 0.1, 0, 1, 1, 0.9, 1],
        "mode": "nearest",
        "coordinate_transformation_mode": "tf_crop_and_resize",
        "shape": (2, *SHAPE[1:]),
    },
    "antialias": {"scales": [1, 1, 0.5, 0.3], "mode": "linear", "antialias": 1},
    "antialias larger": {"scales": [1, 1, 2, 0.5], "mode": "linear", "antialias": 1},
    "antialias cubic": {"scales": [1, 1, 0.5, 0.3], "mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5},
    "cubic, channels last": {"scales": [1, 2, 1.5, 1], "mode": "cubic", "shape": (2, 8, 10, 3)},
    "keep ratio": {
        "sizes": [16, 30],
        "axes": [2, 3],
        "mode": "linear",
        "keep_aspect_ratio_policy": "not_larger",
    },
    "nearest bytes": {"scales": [1, 1, 2, 1.5], "mode": "nearest", "kind": UINT8},
    "nearest integers": {"scales": [1, 1, 0.5, 1.5], "mode": "nearest", "kind": INT32, "nearest_mode": "ceil"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_by_matrices_and_indices(rtx, tmp_path, name):
    how = OTHERS[name]
    made = build(**how)
    shape = tuple(2 if extent == "n" else extent for extent in how.get("shape", SHAPE))
    if "tf" not in name:  # which the parser takes for half_pixel
        assert not takes(rtx, tmp_path, made)
    nearest = how["mode"] == "nearest"
    model, notes = rewritten(made, shape, 0 if nearest else 2e-6)
    assert "Resize" not in ops(model)
    assert ("Gather" if nearest else "MatMul") in ops(model)
    assert len(notes) == 1
    assert notes[0].startswith("1 Resize with ")
    assert how.get("kind") == UINT8 or takes(rtx, tmp_path, model)


def test_fp16():
    made = build(scales=[1, 1, 0.5, 0.3], mode="linear", antialias=1)
    for value in (made.graph.input[0], made.graph.output[0]):
        value.type.tensor_type.elem_type = HALF
    after, _ = run_pass("rewrite_resize", rewrite_resize, made)
    x = rng.standard_normal((2, 3, 8, 10)).astype(np.float16)
    wanted = run(build(scales=[1, 1, 0.5, 0.3], mode="linear", antialias=1), x.astype(np.float32))
    assert relative_error(run(after, x), wanted) < 2e-3


@pytest.mark.parametrize("rounding", ["floor", "round_prefer_floor", "ceil", "round_prefer_ceil"])
@pytest.mark.parametrize("lengths", [(16, 20), (15, 13), (5, 3), (8, 31), (4, 5)])
def test_tensorflows_nearest_mode(rtx, tmp_path, rounding, lengths):
    """The forms that TensorFlow needs are a half_pixel, for any extents; the others take indices."""
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": rounding}
    model, notes = rewritten(build(sizes=[2, 3, *lengths], shape=(2, *SHAPE[1:]), **attributes), tolerance=0)
    assert set(ops(model)) == ({"Resize"} if "floor" in rounding else {"Gather"})
    assert notes == (
        "1 Resize with tf_half_pixel_for_nn rewritten"
        if "floor" in rounding
        else "1 Resize with tf_half_pixel_for_nn, nearest rewritten",
    )
    assert takes(rtx, tmp_path, model)
    if "floor" in rounding:  # and where nothing is known
        scales = [1, 1, lengths[0] / 8, lengths[1] / 10]
        model, _ = rewritten(build(scales=scales, shape=("n", 3, "h", "w"), **attributes), tolerance=0)
        assert ops(model) == ["Resize"]


def test_half_pixel_symmetric_that_is_half_pixel():
    attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric", "opset": 19}
    for how in ({"sizes": [2, 3, 11, 7]}, {"scales": [1, 1, 2, 3]}):
        model, notes = rewritten(build(shape=(2, 3, "h", "w"), **how, **attributes), tolerance=1e-6)
        assert ops(model) == ["Resize"]
        assert notes == ("1 Resize with half_pixel_symmetric rewritten",)


@pytest.mark.parametrize("shape", [SHAPE, ("n", 3, "h", "w"), (2, 3, 8, 10)])
def test_axes(rtx, tmp_path, shape):
    for axes, last in (([2, 3], [16, 5]), ([-1, -2], [5, 16]), ([3], [25])):
        for how in ({"sizes": last}, {"scales": np.array(last) / 10}):
            model, notes = rewritten(build(shape=shape, axes=axes, mode="linear", **how))
            assert ops(model)[-1] == "Resize"
            assert not any(item.name == "axes" for item in model.graph.node[-1].attribute)
            assert notes == ("1 Resize with axes rewritten",)
            assert "h" in shape or takes(rtx, tmp_path, model)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"scales": [1, 1, 0.5, 0.3], "mode": "linear", "antialias": 1}, "antialias, linear"),
        (
            {"scales": [1, 1, 1.5, 2], "mode": "linear", "coordinate_transformation_mode": "tf_half_pixel_for_nn"},
            "tf_half_pixel_for_nn, linear",
        ),
        (
            {"sizes": [16, 30], "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
            "keep_aspect_ratio_policy not_larger",
        ),
        ({"scales": [1, 1, 2, 2], "kind": INT32}, "elements of type INT32"),
    ],
)
def test_what_takes_known_extents_is_named(how, reason):
    model, notes = rewritten(build(shape=("n", 3, "h", "w"), **how), tolerance=1e-6)
    assert ops(model) == ["Resize"]
    assert notes == (f"left alone, TensorRT may refuse it: it: Resize with {reason}",)


def test_values_from_outside_stay():
    """tf_crop_and_resize with a part from outside the image, or with another value there than 0; or the same length."""
    common = {"sizes": [2, 3, 7, 6], "coordinate_transformation_mode": "tf_crop_and_resize", "shape": (2, *SHAPE[1:])}
    for mode, roi in (("nearest", [0, 0, -0.5, 0, 1, 1, 1.5, 1]), ("linear", [0, 0, 0, 0, 1, 1, 1.5, 1])):
        model, notes = rewritten(build(roi=roi, mode=mode, extrapolation_value=3.0, **common))
        assert ops(model) == ["Resize"]
        assert len(notes) == 1
    same_length = build(roi=[0, 0, 0.5, 0, 1, 1, 1, 1], mode="linear", **{**common, "sizes": [2, 3, 8, 6]})
    assert ops(run_pass("rewrite_resize", rewrite_resize, same_length)[0]) == ["Resize"]
    model, _ = rewritten(build(roi=[0, 0, -0.5, 0, 1, 1, 1.5, 1], mode="linear", **common))
    assert "Resize" not in ops(model)


def test_sizes_computed_from_the_input():
    """As PyTorch writes them: the batch and the channels from Shape, the rest constants."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "two", "zero"], ["front"]),
        helper.make_node("Concat", ["front", "new"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], name="it", mode="cubic", antialias=1),
    ]
    constants = {"zero": np.array([0]), "two": np.array([2]), "new": np.array([5, 4])}
    model, _ = rewritten(model_of(nodes, constants), tolerance=2e-6)
    assert ops(model) == ["MatMul", "MatMul"]


@pytest.fixture(scope="module")
def exported():
    """What tf2onnx writes for TensorFlow's ways to resize, by name."""
    tf = pytest.importorskip("tensorflow")
    tf2onnx = pytest.importorskip("tf2onnx")
    keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")
    v1 = tf.compat.v1.image
    calls = {
        **{
            f"{method} {size}": lambda x, method=method, size=size: tf.image.resize(x, size, method=method)
            for method in ("bilinear", "nearest", "bicubic", "area")
            for size in ((16, 20), (16, 15), (5, 3))
        },
        **{
            f"{name} {corners} {half}": lambda x, call=call, corners=corners, half=half: call(
                x, (16, 15), align_corners=corners, half_pixel_centers=half
            )
            for name, call in (
                ("v1 bilinear", v1.resize_bilinear),
                ("v1 nearest", v1.resize_nearest_neighbor),
                ("v1 bicubic", v1.resize_bicubic),
            )
            for corners, half in ((False, False), (False, True), (True, False))
        },
        **{
            f"{library.__name__} {how}": library.layers.UpSampling2D((2, 3), interpolation=how)
            for library in (keras, tf_keras)
            for how in ("nearest", "bilinear")
        },
    }
    spec = [tf.TensorSpec((None, 8, 10, 3), tf.float32, name="x")]
    made = {}
    for name, call in calls.items():
        function = tf.function(lambda x, call=call: tf.identity(call(x), name="y"), input_signature=spec)
        made[name] = (function, tf2onnx.convert.from_function(function, input_signature=spec, opset=17)[0])
    return made


def test_what_tensorflow_writes(rtx, tmp_path, exported):
    """Each export is taken by TensorRT-RTX after the pass, and computes what it did."""
    refused = [name for name, (_, model) in exported.items() if not takes(rtx, tmp_path, model)]
    nearest = ["nearest (16, 20)", "nearest (16, 15)", "nearest (5, 3)", "v1 nearest False True", "tf_keras nearest"]
    assert sorted(refused) == sorted(nearest)
    x = rng.standard_normal((2, 8, 10, 3)).astype(np.float32)
    for name, (function, model) in exported.items():
        after, notes = rewritten(model, x.shape, 0)
        assert bool(notes) == (name in nearest), name
        assert takes(rtx, tmp_path, after), name
        if name in nearest:
            np.testing.assert_array_equal(run(after, x), function(x).numpy())
