import pytest

from tf2trt.build.profiles import check_profiles
from tf2trt.errors import UsageError
from tf2trt.specs import ShapeRange, TensorSpec

IMAGE = TensorSpec("image", "float32", (-1, 3, 8, 8))
MASK = TensorSpec("mask", "int32", (-1, 16))
FIXED = TensorSpec("fixed", "float32", (1, 2))
SIZES = TensorSpec("sizes", "int64", (2, 3))
COUNT = TensorSpec("count", "int32", ())


def shapes(*tail):
    return ShapeRange((1, *tail), (2, *tail), (4, *tail))


def test_static_inputs_need_no_profile():
    check_profiles([FIXED], [])
    check_profiles([FIXED], [{"fixed": ShapeRange((1, 2), (1, 2), (1, 2))}])


def test_profiles_that_fit():
    check_profiles([IMAGE, FIXED], [{"image": shapes(3, 8, 8)}, {"image": shapes(3, 8, 8)}])


@pytest.mark.parametrize("profiles", [[], [{}]])
def test_a_dynamic_input_without_shapes_gets_the_options_to_add(profiles):
    with pytest.raises(UsageError) as caught:
        check_profiles([IMAGE, FIXED, MASK], profiles)
    text = str(caught.value)
    assert "received: image: float32 ?x3x8x8, mask: int32 ?x16" in text
    assert "--min-shapes image:1x3x8x8,mask:1x16\n" in text
    assert "--opt-shapes image:8x3x8x8,mask:8x16\n" in text
    assert text.endswith("--max-shapes image:32x3x8x8,mask:32x16")


def test_every_profile_must_name_every_dynamic_input():
    with pytest.raises(UsageError, match="mask:1x16"):
        check_profiles([IMAGE, MASK], [{"image": shapes(3, 8, 8), "mask": shapes(16)}, {"image": shapes(3, 8, 8)}])


def test_an_unknown_input():
    with pytest.raises(UsageError, match="has no input 'img'") as caught:
        check_profiles([IMAGE], [{"img": shapes(3, 8, 8)}])
    assert "expected: image: float32 ?x3x8x8" in str(caught.value)


@pytest.mark.parametrize("wrong", [shapes(3, 8), shapes(4, 8, 8)])
def test_a_range_that_contradicts_the_model(wrong):
    with pytest.raises(UsageError, match=r"expected: \?x3x8x8"):
        check_profiles([IMAGE], [{"image": wrong}])


@pytest.mark.parametrize("extents", [(1, -1, 8, 8), (-1, 3, 8, 8)])
def test_a_negative_extent_is_no_shape(extents):
    with pytest.raises(UsageError, match="are not those of the model") as caught:
        check_profiles([IMAGE], [{"image": ShapeRange(extents, extents, extents)}])
    assert f"received: min {'x'.join(map(str, extents))}, opt" in str(caught.value)


def test_integers_of_a_static_shape_may_have_values():
    values = ShapeRange((-1, 0, 1, 2, 3, 4), (-1, 0, 1, 2, 3, 4), (-1, 9, 9, 9, 9, 9))
    one = ShapeRange((1,), (10,), (100,))
    check_profiles([SIZES, COUNT], [{"sizes": values, "count": one}])
    shape = ShapeRange((2, 3), (2, 3), (2, 3))
    check_profiles([SIZES, COUNT], [{"sizes": shape, "count": ShapeRange((), (), ())}])


@pytest.mark.parametrize(
    ("spec", "count", "words"),
    [
        (SIZES, 5, r"expected: 2x3, where only \? may vary; for a shape tensor, 6 values"),
        (COUNT, 2, r"expected: scalar, where only \? may vary; for a shape tensor, 1 value$"),
        (FIXED, 1, r"expected: 1x2, where only \? may vary$"),
        (MASK, 16, r"expected: \?x16, where only \? may vary$"),
    ],
)
def test_another_number_of_values(spec, count, words):
    entry = tuple(range(count))
    with pytest.raises(UsageError, match=words):
        check_profiles([spec], [{spec.name: ShapeRange(entry, entry, entry)}])


def test_a_range_is_in_order():
    with pytest.raises(UsageError, match="not in order"):
        ShapeRange((-1, 2), (-2, 2), (0, 2))
    with pytest.raises(UsageError, match="differ in rank"):
        ShapeRange((1,), (1, 2), (1,))
