"""PyTorch's ResNet-18, from both of its exporters, through surgery and the builder, against torch on the same GPU."""

import importlib.util

import numpy as np
import pytest

from tf2trt.build import BuildOptions, build_engine
from tf2trt.numerics import relative_error
from tf2trt.runtime import Engine
from tf2trt.specs import ShapeRange
from tf2trt.surgery import simplify

# The newer exporter stands on the package onnxscript, which torch does not bring.
EXPORTERS = ["torchscript", *(["dynamo"] if importlib.util.find_spec("onnxscript") else [])]
SHAPE = (3, 224, 224)
OPSET = 17
LIMIT = 1e-4


def resnet18(torch):
    """torchvision's ResNet-18 with seeded weights, and batch-norm statistics from a pass over random images."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inside, outside, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or inside != outside:
                shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outside))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inside = 64
    for outside, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inside, outside, stride), Block(outside, outside, 1)]
        inside = outside
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # one pass sets the statistics
    with torch.no_grad():
        model(torch.randn(8, *SHAPE))
    return model.eval()


def export(torch, model, path, exporter):
    """``path`` with input image (batch, 3, 224, 224) and output logits, the batch dynamic."""
    names = {"input_names": ["image"], "output_names": ["logits"], "opset_version": OPSET}
    example = (torch.randn(2, *SHAPE),)
    if exporter == "dynamo":
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(model, example, str(path), dynamo=True, dynamic_shapes=shapes, external_data=False, **names)
    else:
        axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
        torch.onnx.export(model, example, str(path), dynamo=False, dynamic_axes=axes, **names)


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch")  # a failure where TF2TRT_REQUIRE_GPU=1
    before = module.backends.cuda.matmul.allow_tf32, module.backends.cudnn.allow_tf32
    module.backends.cuda.matmul.allow_tf32 = module.backends.cudnn.allow_tf32 = False
    yield module
    module.backends.cuda.matmul.allow_tf32, module.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope="module")
def model(torch):
    return resnet18(torch)


@pytest.fixture(scope="module", params=EXPORTERS)
def engine(request, torch, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    export(torch, model.cpu(), folder / "exported.onnx", request.param)
    simplified = simplify(folder / "exported.onnx", folder / "m.onnx")
    print(f"{request.param}: {simplified.nodes_before} nodes, {simplified.nodes_after} after surgery")
    profile = {"image": ShapeRange((1, *SHAPE), (1, *SHAPE), (4, *SHAPE))}
    built = build_engine(folder / "m.onnx", folder / "m.engine", BuildOptions(profiles=(profile,)))
    with Engine.load(built.engine) as loaded:
        yield request.param, loaded


@pytest.mark.parametrize("batch", [1, 4])
def test_it_agrees_with_torch(engine, torch, model, batch):
    exporter, loaded = engine
    entropy = np.random.SeedSequence().entropy
    images = np.random.default_rng(entropy).standard_normal((batch, *SHAPE), np.float32)
    with torch.no_grad():
        expected = model.cuda()(torch.from_numpy(images).cuda()).cpu().numpy()
    error = relative_error(loaded(images), expected)
    print(f"ResNet-18 from torch's {exporter} exporter, batch {batch}: relative error {error:.2e}, seed {entropy}")
    assert 0 < error < LIMIT  # zero: nothing was compared
