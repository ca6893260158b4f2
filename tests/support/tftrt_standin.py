"""A stand-in for TensorFlow 2.17's ``trt_convert`` and its C++ ops: the same names, the same log lines, the same files.

What it copies was read in TensorFlow's sources: the cache of engines (one for each input shape, used for smaller
batches too, least recently used out first, an empty entry where a build failed), what is logged and how often, the
report on nodes that were not converted, and the files that ``save`` writes. It converts a frozen graph whose nodes form
a chain; each run of nodes that it takes becomes a segment. Models run natively in it.
"""

import os
import struct
import tempfile as real_tempfile
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_shape_pb2
from tensorflow.python.framework import convert_to_constants

PREFIX = "2026-01-01 20:36:48.227138: {} tensorflow/compiler/tf2tensorrt/{}] {}"
LOGGED = 5
_INNER = ("Placeholder", "Const", "NoOp", "Identity")


def write_log(severity, file, text):
    if severity in "WEF" and _State.quiet:
        return
    os.write(2, (PREFIX.format(severity, file, text) + "\n").encode())


class _State:
    quiet = False  # TF_CPP_MIN_LOG_LEVEL above 1


def record(shapes, plan=b"plan"):
    """One TFRecord with a TRTEngineInstance."""
    body = b""
    for shape in shapes:
        dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=extent) for extent in shape]
        proto = tensor_shape_pb2.TensorShapeProto(dim=dims).SerializeToString()
        body += b"\x0a" + _varint(len(proto)) + proto
    body += b"\x12" + _varint(len(plan)) + plan
    return struct.pack("<Q", len(body)) + b"crc." + body + b"crc."


def _varint(value):
    encoded = b""
    while value >= 0x80:
        encoded, value = encoded + bytes([value & 0x7F | 0x80]), value >> 7
    return encoded + bytes([value])


class TrtConvert:
    """The module. ``refused`` are operators that TensorRT does not take, ``fails(name, shapes)`` the error of a build
    or None, ``linked`` and ``loaded`` the versions of TensorRT.
    """

    def __init__(self, refused=(), fails=None, linked=(8, 6, 1), loaded=(8, 6, 1), enabled=True, quiet=False):
        _State.quiet = quiet
        self.refused = dict(refused)
        self.fails = fails or (lambda name, shapes: None)
        self.tempfile = real_tempfile
        self.cache = {}
        self.calls = []
        self.logged = 0
        self.converters = 0
        self._pywrap_py_utils = SimpleNamespace(
            is_tensorrt_enabled=lambda: enabled,
            get_linked_tensorrt_version=lambda: linked,
            get_loaded_tensorrt_version=lambda: loaded,
        )
        self.gen_trt_ops = SimpleNamespace(serialize_trt_resource=self.serialize_trt_resource)
        module = self

        class TrtGraphConverterV2(_Converter):
            def __init__(self, **arguments):
                super().__init__(module, **arguments)

        self.TrtGraphConverterV2 = TrtGraphConverterV2

    def _check_trt_version_compatibility(self):
        if self._pywrap_py_utils.get_loaded_tensorrt_version() < self._pywrap_py_utils.get_linked_tensorrt_version():
            raise RuntimeError("Incompatible TensorRT major version")

    def serialize_trt_resource(self, resource_name, filename, delete_resource=False, save_gpu_specific_engines=True):
        if resource_name not in self.cache:
            raise tf.errors.NotFoundError(None, None, f"Resource TF-TRT/{resource_name} does not exist.")
        with open(filename, "wb") as file:
            for shapes, plan in self.cache[resource_name].items():
                if plan is not None and save_gpu_specific_engines:
                    file.write(record(shapes, plan))
        if delete_resource:
            del self.cache[resource_name]


class _Converter:
    def __init__(
        self,
        module,
        input_saved_model_dir=None,
        input_saved_model_tags=None,
        input_saved_model_signature_key=None,
        use_dynamic_shape=None,
        dynamic_shape_profile_strategy=None,
        max_workspace_size_bytes=1 << 30,
        precision_mode="FP32",
        minimum_segment_size=3,
        maximum_cached_engines=1,
        use_calibration=True,
        allow_build_at_runtime=True,
    ):
        module._check_trt_version_compatibility()
        self.module = module
        self.dynamic = use_dynamic_shape
        self.minimum = minimum_segment_size
        self.maximum = maximum_cached_engines
        self.key = input_saved_model_signature_key
        self.folder = input_saved_model_dir
        self.tags = input_saved_model_tags
        self.calibrate = precision_mode.upper() == "INT8" and use_calibration
        self.number = module.converters
        module.converters += 1

    def convert(self, calibration_input_fn=None):
        assert bool(calibration_input_fn) == self.calibrate
        self.model = tf.saved_model.load(self.folder, self.tags)
        self.function = self.model.signatures[self.key]
        frozen = convert_to_constants.convert_variables_to_constants_v2(self.function)
        self._converted_graph_def = self._cut(frozen.graph.as_graph_def())
        self._converted_func = self.function
        tf.get_logger().info("Clearing prior device assignments in loaded saved model")
        if self.calibrate and not self.dynamic:
            for batch in calibration_input_fn():
                shapes = self._shapes(batch)
            for name in self.engines:
                self.module.cache[name] = OrderedDict([(shapes, b"int8")])
        return self._converted_func

    def build(self, input_fn):
        first, seen = None, []
        for batch in input_fn():
            first = batch if first is None else first
            seen.append(self._shapes(batch))
            if not self.dynamic:
                self._run(batch)
        if self.dynamic:
            self.profiles = seen
        self._run(first)

    def save(self, output_saved_model_dir, save_gpu_specific_engines=True, options=None):
        folder = self.module.tempfile.mkdtemp()
        module = tf.Module()
        module.original = self.model
        module.assets = []
        for name in self.engines:
            path = os.path.join(folder, "trt-serialized-engine." + name)
            try:
                self.module.gen_trt_ops.serialize_trt_resource(
                    resource_name=name,
                    filename=path,
                    delete_resource=True,
                    save_gpu_specific_engines=save_gpu_specific_engines,
                )
            except tf.errors.NotFoundError:
                continue
            module.assets.append(tf.saved_model.Asset(path))
        tf.saved_model.save(module, output_saved_model_dir, {self.key: self.function}, options=options)

    def _shapes(self, batch):
        values = batch.values() if isinstance(batch, dict) else batch
        return tuple(tuple(np.shape(value)) for value in values)

    def _run(self, batch):
        self.module.calls.append(batch)
        arguments = [] if isinstance(batch, dict) else [tf.convert_to_tensor(value) for value in batch]
        names = self.function._arg_keywords
        named = batch if isinstance(batch, dict) else dict(zip(names, arguments))
        self.function(**{name: tf.convert_to_tensor(value) for name, value in named.items()})
        shapes = self._shapes(batch)
        for name in self.engines:
            cache = self.module.cache.setdefault(name, OrderedDict())
            fitting = [key for key in cache if all(_fits(key_one, one) for key_one, one in zip(key, shapes))]
            if fitting:
                cache.move_to_end(fitting[0])
                plan = cache[fitting[0]]
            else:
                reason = self.module.fails(name, shapes)
                plan = None if reason else b"plan" * 300
                if reason:
                    self._warn(
                        f"Engine creation for PartitionedCall/{name} failed. The native segment will be used instead. "
                        f"Reason: {reason}"
                    )
                cache[shapes] = plan
                if len(cache) > self.maximum:
                    cache.popitem(last=False)
            if plan is None:
                self._warn(
                    f"Engine retrieval for input shapes: {list(shapes)} failed. Running native segment for {name}"
                )

    def _warn(self, text):
        self.module.logged += 1
        if self.module.logged <= LOGGED:
            write_log("W", "kernels/trt_engine_op.cc:83", f"TF-TRT Warning: {text}")

    def _cut(self, graph):
        """Replaces runs of nodes that are taken by TRTEngineOp nodes; their insides go to the function library."""
        self.engines = []
        runs, run = [], []
        for node in graph.node:
            if node.op in _INNER:
                continue
            if node.op in self.module.refused:
                runs.append(run)
                run = []
            else:
                run.append(node)
        runs.append(run)
        self._report(graph)
        write_log("I", "convert/convert_graph.cc:799", f"Number of TensorRT candidate segments: {len(runs)}")
        cut = tf.compat.v1.GraphDef()
        inside = {}
        for run in runs:
            if len(run) >= self.minimum:
                name = f"TRTEngineOp_{self.number:03}_{len(self.engines):03}"
                self.engines.append(name)
                inside.update({node.name: name for node in run})
                function = cut.library.function.add()
                function.signature.name = f"{name}_native_segment"
                function.node_def.extend(run)
        readers = {}
        for node in graph.node:
            for each in node.input:
                readers.setdefault(each.split(":")[0], []).append(inside.get(node.name))
        constants = {node.name for node in graph.node if node.op == "Const"}
        for function in cut.library.function:
            name = function.signature.name.replace("_native_segment", "")
            for node in function.node_def:
                for index, each in enumerate(node.input):
                    if each in constants:
                        continue
                    if inside.get(each) == name:
                        node.input[index] = f"{each}:out:0"
                        continue
                    node.input[index] = f"TensorRTInputPH_{len(function.signature.input_arg)}"
                    function.signature.input_arg.add(name=node.input[index])
                if any(reader != name for reader in readers.get(node.name, [])):
                    result = f"TensorRTOutputPH_{len(function.signature.output_arg)}"
                    function.signature.output_arg.add(name=result)
                    function.ret[result] = f"{node.name}:out:0"
        for node in graph.node:
            if node.name not in inside:
                kept = cut.node.add()
                kept.CopyFrom(node)
                kept.input[:] = [inside.get(each, each) for each in kept.input]
                continue
            name = inside[node.name]
            engine = next((each for each in cut.node if each.name == name), None)
            engine = engine or cut.node.add(name=name, op="TRTEngineOp")
            outside = [each for each in node.input if inside.get(each) != name and each not in constants]
            engine.input.extend(inside.get(each, each) for each in outside)
        cut.library.function.extend(graph.library.function)
        return cut

    def _report(self, graph):
        counts = {op: sum(node.op == op for node in graph.node) for op in self.module.refused}
        path = os.environ.get("TF_TRT_SHOW_DETAILED_REPORT", "")
        with open(path, "w") as file:
            file.write("OP Name|Reason|Count\n")
            for op, reason in self.module.refused.items():
                file.write(f"{op}|{reason}|{counts[op]}\n")
        rule = "#" * 80
        rows = "".join(f"\n\t- {op} -> {count}x" for op, count in counts.items())
        text = f"\n\n{rule}\nTensorRT unsupported/non-converted OP Report:{rows}\n{'-' * 80}"
        write_log("W", "segment/segment.cc:970", f"{text}\nFor more information see the guide.\n{rule}\n")


def _fits(engine, shape):
    """An engine for a larger batch is used for a smaller one."""
    return engine[1:] == shape[1:] and engine[:1] >= shape[:1]
