"""Engines for tests of ``tf2trt inspect``: what TensorRT's inspector says, worded as TensorRT 8.6 and 10 do."""

import hashlib
import json

import numpy as np

from tf2trt.precisions import LayerPrecision, PrecisionProof
from tf2trt.sidecar import Sidecar
from tf2trt.specs import ShapeRange, TensorSpec

LINEAR = {"float32": "Row major linear FP32", "float16": "Row major linear FP16 format"}
CHANNELS = {"float32": "Row major linear FP32", "float16": "Channel major FP16 format where channel % 8 == 0"}
TACTICS = {
    "float32": "sm80_xmma_fprop_implicit_gemm_f32f32_f32f32_f32_nhwckrsc_nhwc_tilesize128x64x8_stage3",
    "float16": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x64x32_stage5",
}


def tensor(name, shape, layout, location=True):
    """An entry of Inputs or Outputs."""
    value = {"Name": name, "Dimensions": list(shape), "Format/Datatype": layout}
    return {"Location": "Device", **value} if location else value


def metadata(nodes):
    """As from 8.6 on: the ONNX nodes, parted by the unit separator."""
    return "\x1f".join(f"[ONNX Layer: {node}]" for node in nodes)


def information(layers, bindings=("x", "y")):
    """The inspector's answer; 8.6 leaves its separators as they are, which is no strict JSON."""
    return json.dumps({"Layers": list(layers), "Bindings": list(bindings)}).replace("\\u001f", "\x1f")


def reformat(source, target, shape, given, made):
    return {
        "Name": f"Reformatting CopyNode for Input Tensor 0 to {target}",
        "LayerType": "Reformat",
        "Inputs": [tensor(source, shape, given)],
        "Outputs": [tensor(target, shape, made)],
        "ParameterType": "Reformat",
        "Origin": "REFORMAT",
        "TacticValue": "0x00000000000003e8",
        "StreamId": 0,
        "Metadata": "",
    }


def convolution(nodes, inputs, output, precision="float16", weights=36864):
    return {
        "Name": " + ".join(nodes),
        "LayerType": "CaskConvolution",
        "Inputs": [tensor(name, shape, CHANNELS[precision]) for name, shape in inputs],
        "Outputs": [tensor(*output, CHANNELS[precision])],
        "ParameterType": "Convolution",
        "Kernel": [3, 3],
        "Stride": [1, 1],
        "Groups": 1,
        "Weights": {"Type": "Half" if precision == "float16" else "Float", "Count": weights},
        "Bias": {"Type": "Half" if precision == "float16" else "Float", "Count": 64},
        "HasBias": 1,
        "HasReLU": 1,
        "AllowSparse": 0,
        "TacticName": TACTICS[precision],
        "TacticValue": "0xa1c540a5038e4190",
        "StreamId": 0,
        "Metadata": metadata(nodes),
    }


def myelin(name, nodes, inputs, outputs):
    """A layer of TensorRT 10, named by its compiler."""
    return {
        "Name": name,
        "LayerType": "kgen",
        "Inputs": [tensor(each, shape, "Half", location=False) for each, shape in inputs],
        "Outputs": [tensor(each, shape, "Half", location=False) for each, shape in outputs],
        "TacticName": f"{name}_0x1f2e3d4c5b6a79880706050403020100",
        "StreamId": 0,
        "Metadata": "\x1f".join(f"[ONNX Layer: {node}]" for node in nodes),
    }


class ResNet:
    """A network of ResNet-50's structure, its channels fewer, and an FP16 engine of it as TensorRT 8.6 fuses it.

    ``nodes`` are (name, operator, inputs, output, Keras layer); ``information`` and ``times`` the engine's.
    """

    blocks = ((3, 8, 56), (4, 16, 28), (6, 32, 14), (3, 64, 7))  # how many, channels, extent

    def __init__(self, precision="float16", seed=0):
        self.nodes, self.weights, self.layers = [], {}, []
        self.shapes = {"images": (1, 3, 224, 224)}
        layout = CHANNELS[precision]
        if precision != "float32":
            self.layers.append(
                reformat("images", "images reformatted", self.shapes["images"], LINEAR["float32"], layout)
            )
        start = "images reformatted" if precision != "float32" else "images"
        self.precision = precision
        last = self._fused("conv1", "images", 3, 8, 7, 112, relu=True, reads=start)
        last = self._node("pool1_pool", "MaxPool", [last], (1, 8, 56, 56))
        self._layer(["pool1_pool/MaxPool"], [self.nodes[-1][2][0]], last, "CaskPooling")
        channels = 8
        for stage, (count, width, extent) in enumerate(self.blocks, 2):
            for block in range(1, count + 1):
                name = f"conv{stage}_block{block}"
                short = last
                if block == 1:
                    short = self._fused(f"{name}_0", last, channels, 4 * width, 1, extent)
                first = self._fused(f"{name}_1", last, channels, width, 1, extent, relu=True)
                second = self._fused(f"{name}_2", first, width, width, 3, extent, relu=True)
                last = self._fused(f"{name}_3", second, width, 4 * width, 1, extent, add=short, out=f"{name}_out")
                channels = 4 * width
        pooled = self._node("avg_pool", "GlobalAveragePool", [last], (1, channels, 1, 1))
        self._layer(["avg_pool/GlobalAveragePool"], [last], pooled, "CaskPooling")
        flat = self._node("flatten", "Flatten", [pooled], (1, channels))
        self._weight("predictions/w", (channels, 10))
        self.nodes.append(("predictions/MatMul", "MatMul", [flat, "predictions/w"], "logits", "predictions"))
        self.shapes["logits"] = (1, 10)
        self._layer(["flatten/Flatten", "predictions/MatMul"], [pooled], "logits", "CaskGemmMatrixMultiply")
        rng = np.random.default_rng(seed)
        self.information = information(self.layers, ("images", "logits"))
        self.times = [(layer["Name"], float(rng.gamma(2.0, 0.004))) for layer in self.layers]

    def _weight(self, name, shape):
        self.weights[name] = np.zeros(shape, np.float32)

    def _node(self, layer, operator, inputs, shape):
        name = f"{layer}/{operator}"
        self.nodes.append((name, operator, inputs, f"{name}:0", layer))
        self.shapes[f"{name}:0"] = shape
        return f"{name}:0"

    def _layer(self, nodes, inputs, output, kind):
        value = convolution(
            nodes, [(name, self.shapes[name]) for name in inputs], (output, self.shapes[output]), self.precision
        )
        value["LayerType"] = kind
        self.layers.append(value)

    def _fused(self, layer, source, given, made, kernel, extent, relu=False, add=None, out=None, reads=None):
        """A convolution with what follows it, one layer of the engine."""
        shape = (1, made, extent, extent)
        self._weight(f"{layer}/w", (made, given, kernel, kernel))
        last = self._node(f"{layer}_conv", "Conv", [source, f"{layer}/w"], shape)
        nodes, inputs = [self.nodes[-1][0]], [reads or source]
        if add:
            last = self._node(f"{layer[:-2]}_add", "Add", [last, add], shape)
            nodes.append(self.nodes[-1][0])
            inputs.append(add)
        if relu or out:
            last = self._node(out or f"{layer}_relu", "Relu", [last], shape)
            nodes.append(self.nodes[-1][0])
        self.shapes.setdefault("images reformatted", self.shapes["images"])
        found = [(name, self.shapes[name]) for name in inputs]
        size = made * given * kernel * kernel
        self.layers.append(convolution(nodes, found, (last, shape), self.precision, size))
        return last

    @property
    def origins(self):
        return {name: (layer, f"resnet50_1/{name}") for name, _, _, _, layer in self.nodes}

    def save(self, path):
        """The ONNX file, with the origins that the export writes."""
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        nodes = []
        for name, operator, inputs, output, layer in self.nodes:
            more = {}
            if operator == "Conv":
                extent = self.weights[inputs[1]].shape[-1]
                strides = self.shapes[inputs[0]][2] // self.shapes[output][2]
                more = {"pads": [extent // 2] * 4, "strides": [strides] * 2, "kernel_shape": [extent] * 2}
            elif operator == "MaxPool":
                more = {"pads": [1] * 4, "strides": [2, 2], "kernel_shape": [3, 3]}
            node = helper.make_node(operator, inputs, [output], name, **more)
            node.metadata_props.add(key="tf2trt.layer", value=layer)
            node.metadata_props.add(key="tf2trt.op", value=f"resnet50_1/{name}")
            nodes.append(node)
        graph = helper.make_graph(
            nodes,
            "resnet",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 224, 224])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8, producer_name="test"
        )
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
        return path


def write_engine(path, plan, network=None, *, onnx=None, device=("NVIDIA T4", (7, 5)), version="8.6.0", **changes):
    """A plan with its sidecar, for another GPU than any test has; ``network`` is a :class:`ResNet`."""
    path.write_bytes(plan)
    proof = None
    if network is not None:
        layers = [
            LayerPrecision(
                name=layer["Name"],
                kind=layer["LayerType"],
                precision=network.precision if layer["LayerType"] != "Reformat" else "float32",
                heavy="Convolution" in layer["LayerType"],
                asked=True if "Convolution" in layer["LayerType"] else None,
                milliseconds=time,
                nodes=tuple(part for part in layer["Name"].split(" + ") if part in network.origins),
            )
            for layer, (_, time) in zip(network.layers, network.times)
        ]
        proof = PrecisionProof("engine", 1.0, 1.0, tuple(layers))
    values = {
        "tf2trt": "0.1.0",
        "tensorrt": version,
        "generation": int(version.split(".")[0]),
        "kind": "full",
        "version_compatible": False,
        "device_name": device[0],
        "compute_capability": device[1],
        "inputs": (TensorSpec("images", "float32", (-1, 3, 224, 224)),),
        "outputs": (TensorSpec("logits", "float32", (-1, 10)),),
        "profiles": ({"images": ShapeRange((1, 3, 224, 224), (8, 3, 224, 224), (32, 3, 224, 224))},),
        "precision_asked": "fp16",
        "precision_found": {"float16": 57, "float32": 1},
        "plugins": ({"file": "libmine.so", "sha256": "ab" * 32},),
        "onnx_file": "resnet.onnx",
        "onnx_sha256": hashlib.sha256(onnx.read_bytes()).hexdigest() if onnx else "0" * 64,
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "plan_bytes": len(plan),
        "seconds": 81.5,
        "created": "2026-11-21T10:00:00+00:00",
        "proof": proof,
        "origins": network.origins if network is not None else {},
        **changes,
    }
    Sidecar(**values).write(path)
    return path
