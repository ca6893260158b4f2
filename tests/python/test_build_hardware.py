"""Types that a GPU lacks are refused before the build, from its compute capability."""

from types import SimpleNamespace

import pytest

from tf2trt.build.hardware import check_hardware, has_type
from tf2trt.errors import UsageError

# NVIDIA's table: FP16, INT8, BF16 and TF32 (the same GPUs have both), FP8.
GPUS = {
    "Tesla M10": ((5, 0), False, False, False, False),
    "Jetson Nano": ((5, 3), True, False, False, False),
    "Tesla P100": ((6, 0), True, False, False, False),
    "Tesla P4": ((6, 1), False, True, False, False),
    "Jetson TX2": ((6, 2), True, False, False, False),
    "V100": ((7, 0), True, True, False, False),
    "Jetson Xavier": ((7, 2), True, True, False, False),
    "T4": ((7, 5), True, True, False, False),
    "A100": ((8, 0), True, True, True, False),
    "Jetson Orin": ((8, 7), True, True, True, False),
    "RTX 4090": ((8, 9), True, True, True, True),
    "H200": ((9, 0), True, True, True, True),
    "RTX 5090": ((12, 0), True, True, True, True),
}


@pytest.mark.parametrize("name", GPUS)
def test_the_table(name):
    capability, fp16, int8, bf16, fp8 = GPUS[name]
    kinds = {"fp32": True, "fp16": fp16, "int8": int8, "bf16": bf16, "tf32": bf16, "fp8": fp8}
    assert {kind: has_type(kind, capability) for kind in kinds} == kinds


def gpu(name):
    return SimpleNamespace(name=name, compute_capability=GPUS[name][0])


def test_int8_on_the_nano():
    with pytest.raises(UsageError) as caught:
        check_hardware("int8", (), gpu("Jetson Nano"))
    message = str(caught.value)
    assert message.startswith("Jetson Nano does not compute in INT8: its compute capability is 5.3")
    assert "received: precision int8" in message
    assert "expected: a GPU of compute capability 6.1 or later, 6.2 excepted" in message
    assert "hint: use fp16" in message


@pytest.mark.parametrize(
    ("precision", "rules", "types", "name", "words"),
    [
        ("int8+fp16", (), (), "Jetson TX2", "in INT8"),
        ("int8+fp16", (), (), "Tesla P4", "in FP16"),
        ("bf16", (), (), "T4", "8.0 or later"),
        ("tf32", (), (), "V100", "in TF32"),
        ("fp16", (("conv*", "int8"),), (), "Jetson Nano", r"layer precision conv\*=int8"),
        ("fp32", (), ("int8",), "Jetson Nano", "a graph that holds INT8"),
        ("fp16", (), ("fp8",), "A100", "in FP8: its compute capability is 8.0"),
    ],
)
def test_what_is_refused(precision, rules, types, name, words):
    with pytest.raises(UsageError, match=words):
        check_hardware(precision, rules, gpu(name), types)


def test_what_passes():
    check_hardware("int8+fp16", (("conv", "bf16"),), gpu("H200"), ("int8", "fp8"))
    check_hardware("fp16", (), gpu("Jetson Nano"))
    check_hardware("bf16", (), None, ("fp8",))  # ahead of time, for other machines
