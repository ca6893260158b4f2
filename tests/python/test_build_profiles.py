import pytest

from tf2trt.build.profiles import check_profiles
from tf2trt.errors import UsageError
from tf2trt.specs import ShapeRange, TensorSpec

IMAGE = TensorSpec("image", "float32", (-1, 3, 8, 8))
MASK = TensorSpec("mask", "int32", (-1, 16))
FIXED = TensorSpec("fixed", "float32", (1, 2))


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
