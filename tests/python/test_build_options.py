from types import SimpleNamespace

import pytest

from tf2trt.build import PRECISIONS, BuildOptions, parse_size
from tf2trt.build.builder import _native_options
from tf2trt.errors import UsageError
from tf2trt.specs import ShapeRange

RANGE = ShapeRange((1, 3), (4, 3), (8, 3))


def test_the_defaults():
    options = BuildOptions()
    assert (options.precision, options.profiles, options.workspace) == ("fp32", (), None)
    assert PRECISIONS == ("fp32", "tf32", "fp16", "bf16", "int8", "int8+fp16")
    assert (options.layer_precision, options.allow_fallback, options.calibration) == ((), False, None)


def test_profiles_of_any_sequence_become_a_tuple():
    assert BuildOptions(profiles=[{"x": RANGE}]).profiles == ({"x": RANGE},)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"precision": "int4"}, "expected: fp32, tf32, fp16, bf16"),
        ({"profiles": {"x": RANGE}}, "profiles="),
        ({"profiles": [{"x": ((1,), (2,), (3,))}]}, "ShapeRange"),
        ({"workspace": 0}, "more than 0 bytes"),
        ({"optimization_level": 6}, "0 to 5"),
        ({"optimization_level": -1}, "0 to 5"),
        ({"plugin_libraries": "libmine.so"}, "a sequence"),
        ({"layer_precision": [("conv", "half")]}, "PATTERN=PRECISION"),
        ({"layer_precision": "conv=fp32"}, "a sequence"),
        ({"precision": "fp16", "calibration": object()}, "int8 or int8+fp16"),
    ],
)
def test_values_that_cannot_work(wrong, words):
    with pytest.raises(UsageError) as caught:
        BuildOptions(**wrong)
    assert words in str(caught.value)
    assert "received:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 1 << 30),
        ("1.5 MiB", 3 << 19),
        ("512mb", 512_000_000),
        ("64KiB", 65536),
        ("1048576", 1 << 20),
        ("100B", 100),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "1 G i B", "1XB", "-1GiB", "1e9", "1G"])
def test_texts_that_are_no_size(text):
    with pytest.raises(UsageError, match="for example 1GiB"):
        parse_size(text)


@pytest.mark.parametrize("precision", ["fp16", "int8+fp16", "int8"])
def test_where_the_graph_has_the_types_a_layer_in_fp32_is_no_tf32(precision):
    """The one flag that is left there is TF32's, which ``"fp32"`` turns off."""
    typed = SimpleNamespace(strongly_typed=True)
    options = BuildOptions(precision=precision, layer_precision=(("conv", "fp32"),))
    assert _native_options(options, typed).precision == "fp32"
    assert _native_options(BuildOptions(precision="fp16", layer_precision=(("c", "fp16"),)), typed).precision == "fp16"
    tf32 = BuildOptions(precision="tf32", layer_precision=options.layer_precision)
    assert _native_options(tf32, typed).precision == "tf32"
    weakly = _native_options(options, SimpleNamespace(strongly_typed=False))
    assert (weakly.precision, weakly.layer_precision) == (precision, [("conv", "fp32")])
