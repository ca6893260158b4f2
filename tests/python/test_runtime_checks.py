import re

import numpy as np
import pytest

from tf2trt.errors import InputError, UsageError
from tf2trt.runtime.arrays import DeviceInput
from tf2trt.runtime.batches import batch_limits, run_in_parts
from tf2trt.runtime.checks import bind, check_arrays, check_device_input, check_results, numpy_dtype
from tf2trt.specs import ShapeRange, TensorSpec

IMAGE = TensorSpec("image", "float32", (-1, 3, 4))
IDS = TensorSpec("ids", "int32", (2,))
INPUTS = (IMAGE, IDS)


def arrays(image=None, ids=None):
    return {
        "image": np.zeros((1, 3, 4), np.float32) if image is None else image,
        "ids": np.zeros(2, np.int32) if ids is None else ids,
    }


def test_arguments_by_position_by_name_and_as_a_mapping_come_in_the_engines_order():
    for bound in (
        bind(INPUTS, (1, 2), {}),
        bind(INPUTS, (1,), {"ids": 2}),
        bind(INPUTS, (), {"ids": 2, "image": 1}),
        bind(INPUTS, ({"ids": 2, "image": 1},), {}),
        bind(INPUTS, ({"ids": 2},), {"image": 1}),
    ):
        assert list(bound.items()) == [("image", 1), ("ids", 2)]


@pytest.mark.parametrize(
    ("args", "named", "lines"),
    [
        ((1, 2, 3), {}, ["too many inputs", "received: 3 arrays", "expected: image: float32 ?x3x4, ids: int32 2"]),
        ((1,), {}, ["missing input: ids", "received: image", "expected: image: float32 ?x3x4, ids: int32 2"]),
        ((), {}, ["missing input: image, ids", "received: none"]),
        ((1, 2), {"image": 3}, ["'image' was given twice"]),
        ((), {"imgae": 1, "ids": 2}, ["no input 'imgae'", "received: imgae, ids", "hint: did you mean 'image'?"]),
        (({"zzz": 1},), {}, ["no input 'zzz'", "expected: image: float32 ?x3x4, ids: int32 2"]),
        (({3: 1},), {}, ["no input 3"]),
    ],
)
def test_wrong_names(args, named, lines):
    with pytest.raises(InputError) as caught:
        bind(INPUTS, args, named)
    for line in lines:
        assert line in str(caught.value)


def test_arrays_that_fit_contiguous_or_not():
    check_arrays(INPUTS, arrays())
    check_arrays(INPUTS, arrays(image=np.zeros((4, 3, 7), np.float32).T))
    check_arrays(INPUTS, arrays(image=np.zeros((2, 3, 8), np.float32)[:, :, ::2]))
    check_arrays([TensorSpec("s", "float32", ())], {"s": np.zeros((), np.float32)})


@pytest.mark.parametrize(
    ("wrong", "lines"),
    [
        (
            {"image": [[1.0]]},
            ["'image' is not a NumPy array", "received: list", "hint: np.asarray(x, dtype=np.float32)"],
        ),
        ({"image": np.zeros((1, 3, 4))}, ["wrong dtype", "float64", "expected: float32", "hint: x.astype(np.float32)"]),
        ({"image": np.zeros((1, 3, 4), ">f4")}, ["wrong dtype", "received: >f4"]),
        ({"ids": np.zeros(2, np.int64)}, ["'ids'", "received: int64", "hint: x.astype(np.int32)"]),
        ({"image": np.zeros((3, 4), np.float32)}, ["dimensions", "2: 3x4", "3: ?x3x4", "hint: x[np.newaxis]"]),
        ({"image": np.zeros((1, 1, 3, 4), np.float32)}, ["dimensions", "received: 4: 1x1x3x4"]),
        ({"image": np.zeros((1, 4, 3), np.float32)}, ["wrong shape", "1x4x3", "?x3x4, where ? may vary"]),
        ({"ids": np.zeros(3, np.int32)}, ["wrong shape", "received: 3", "expected: 2"]),
    ],
)
def test_wrong_arrays(wrong, lines):
    with pytest.raises(InputError) as caught:
        check_arrays(INPUTS, arrays(**wrong))
    for line in lines:
        assert line in str(caught.value)


def test_the_hint_for_booleans_is_a_name_that_numpy_has():
    with pytest.raises(InputError, match=re.escape("x.astype(np.bool_)")):
        check_arrays([TensorSpec("mask", "bool", (1,))], {"mask": np.zeros(1, np.uint8)})


@pytest.mark.parametrize("dtype", ["float8", "int5"])
def test_a_dtype_that_numpy_lacks(dtype):
    with pytest.raises(InputError, match="cannot be a NumPy array") as caught:
        numpy_dtype(TensorSpec("x", dtype, (1,)))
    assert "hint: build the engine from a model with float32 inputs" in str(caught.value)


X = TensorSpec("x", "float32", (-1, 4))


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (DeviceInput(4096, (2, 4), "float16", 0, None), "wrong dtype"),
        (DeviceInput(4096, (2, 5), "float32", 0, None), "wrong shape"),
        (DeviceInput(4096, (2, 4, 1), "float32", 0, None), "wrong shape"),
        (DeviceInput(4096, (2, 4), "float32", 1, None), "another GPU"),
        (DeviceInput(4096 + 16, (2, 4), "float32", 0, None), "a multiple of 256"),
    ],
)
def test_device_arrays_that_do_not_fit(view, words):
    check_device_input(X, DeviceInput(4096, (2, 4), "float32", None, None), 0)
    with pytest.raises(InputError, match=words):
        check_device_input(X, view, 0)


def test_kinds_of_results():
    for kind in ("copy", "view", "device"):
        check_results(kind)
    with pytest.raises(UsageError, match="'fresh'"):
        check_results("fresh")


RANGE = {"x": ShapeRange((1, 4), (2, 4), (4, 4))}
LARGE = {"x": ShapeRange((2, 4), (8, 4), (16, 4))}


@pytest.mark.parametrize(
    ("inputs", "profiles", "limits"),
    [
        ([X], [RANGE], (1, 4)),
        ([X], [RANGE, LARGE], (2, 16)),
        ([TensorSpec("x", "float32", (3, 4))], [], (3, 3)),
        ([TensorSpec("x", "float32", (3, 4)), TensorSpec("y", "float32", (2, 4))], [], None),
        ([TensorSpec("x", "float32", ())], [], None),
        ([], [], None),
    ],
)
def test_the_batches_that_an_engine_takes(inputs, profiles, limits):
    assert batch_limits(inputs, profiles) == limits


@pytest.mark.parametrize(("total", "smallest", "sizes"), [(9, 1, [4, 4, 1]), (9, 3, [4, 4, 3]), (4, 1, [4])])
def test_large_batches_run_in_parts_that_are_joined(total, smallest, sizes):
    seen = []

    def run(part):
        seen.append(len(part["x"]))
        return part["x"] * 2

    x = np.random.default_rng().normal(size=(total, 4)).astype(np.float32)
    result = run_in_parts(run, {"x": x}, (smallest, 4), [TensorSpec("y", "float32", (-1, 4))])
    np.testing.assert_array_equal(result, x * 2)
    assert seen == sizes


def test_parts_that_cannot_be_joined():
    x, y = np.zeros((9, 4), np.float32), TensorSpec("y", "float32", (4,))
    with pytest.raises(InputError, match="cannot be joined"):
        run_in_parts(lambda part: part["x"].sum(axis=0), {"x": x}, (1, 4), [y])
    with pytest.raises(InputError, match="different sizes"):
        run_in_parts(lambda part: part["x"], {"x": x, "z": x[:3]}, (1, 4), [y])
