"""The tables of seeds.py: what was published, on which board, and which rows are measured beside it.

A row without a published figure is there to compare with: no figure was published for it that we know of.
"""

from typing import Dict, NamedTuple, Tuple

# How a row runs its network.
TENSORFLOW, TF_TRT, HYBRID, ENGINE = "TensorFlow", "TF-TRT", "hybrid", "engine"


class Published(NamedTuple):
    """A figure as it was published. ``unit`` is ``"ms"`` (of a call) or ``"samples/s"``."""

    value: float
    unit: str
    board: str
    source: str


class Wanted(NamedTuple):
    """A row. ``precision`` is one of tf2trt's names; TensorFlow's own rows are in FP32 with TF32 off."""

    way: str
    precision: str
    batch: int = 1
    published: Tuple[Published, ...] = ()


class Table(NamedTuple):
    """Rows of one network, a key of ``seeds_models.NETWORKS``. ``remark`` is printed under the table."""

    title: str
    network: str
    rows: Tuple[Wanted, ...]
    remark: str = ""


_REPORTS = "the reports on TF-TRT and TensorRT that tf2trt grew from"
_TORCH2TRT = "torch2trt's own benchmark table for this board (torchvision's network, FP16, 224 x 224)"
_TF_TRT_MODELS = "NVIDIA's tf_trt_models, table of detection networks (ssd_mobilenet_v1_coco, MAX-N mode)"

_JETSONS = ("Jetson Nano", "Jetson Xavier")
# Images a second in FP16 at batch 1, for each of the boards; the tables have no googlenet.
_TORCH = {"resnet18": (90.2, 712.0), "resnet50": (34.2, 312.0), "densenet121": (41.9, 168.0)}
_BATCHES = (1, 2, 4, 8)


def _torch(network: str) -> Table:
    """A network of torchvision, as engines, by precision and batch."""
    figures = tuple(
        Published(value, "samples/s", board, _TORCH2TRT) for board, value in zip(_JETSONS, _TORCH.get(network, ()))
    )
    rows = tuple(
        Wanted(ENGINE, precision, batch, figures if (precision, batch) == ("fp16", 1) else ())
        for precision in ("fp32", "fp16", "int8+fp16")
        for batch in _BATCHES
    )
    return Table(f"{network} of torchvision by precision and batch", f"torch-{network}", rows)


TABLES: Dict[str, Table] = {
    "resnet50": Table(
        "ResNet-50 by TF-TRT, one image of 224 x 224",
        "resnet50",
        (
            Wanted(TENSORFLOW, "fp32"),
            Wanted(TF_TRT, "fp16", published=(Published(37, "samples/s", "Jetson Nano", _REPORTS),)),
            Wanted(HYBRID, "fp16"),
            Wanted(ENGINE, "fp16"),
        ),
    ),
    "box3d": Table(
        "The 3-D bounding-box network, one image of 224 x 224",
        "box3d",
        (
            Wanted(TENSORFLOW, "fp32", published=(Published(30, "ms", "Jetson Xavier", _REPORTS),)),
            Wanted(ENGINE, "fp32", published=(Published(18, "ms", "Jetson Xavier", _REPORTS),)),
            Wanted(ENGINE, "fp16", published=(Published(6, "ms", "Jetson Xavier", _REPORTS),)),
        ),
    ),
    **{f"torch-{network}": _torch(network) for network in ("googlenet", "resnet18", "resnet50", "densenet121")},
    "ssd": Table(
        "SSD MobileNet v1, one image of 300 x 300, boxes sorted out in TensorFlow",
        "ssd",
        (
            Wanted(TENSORFLOW, "fp32", published=(Published(72.9, "ms", "Jetson TX2", _TF_TRT_MODELS),)),
            Wanted(TF_TRT, "fp16", published=(Published(50.5, "ms", "Jetson TX2", _TF_TRT_MODELS),)),
            Wanted(HYBRID, "fp16"),
        ),
    ),
    "mnist": Table(
        "A small network for MNIST, batches of 512",
        "mnist",
        (
            Wanted(TENSORFLOW, "fp32", 512),
            Wanted(TF_TRT, "fp16", 512),
            Wanted(TF_TRT, "int8+fp16", 512),
            Wanted(ENGINE, "fp16", 512),
        ),
        remark=f"Published for TensorFlow against TF-TRT in FP16 and INT8 on a Tesla T4: 126,000 and 244,000 samples/s "
        f"({_REPORTS}); to which of the rows each figure belongs is not said.",
    ),
}
