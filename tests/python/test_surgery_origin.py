"""What a node came from stays with it through the passes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tf2trt.surgery import simplify, to_fp16
from tf2trt.surgery.origin import carry_origins, find_origins

FLOAT = TensorProto.FLOAT


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def marked(op, inputs, outputs, layer, **attributes):
    made = node(op, inputs, outputs, **attributes)
    made.metadata_props.add(key="tf2trt.layer", value=layer)
    made.metadata_props.add(key="tf2trt.op", value=f"model/{layer}/{op}")
    return made


def layers(model):
    return {
        item.output[0]: {prop.key: prop.value for prop in item.metadata_props}.get("tf2trt.layer")
        for item in model.graph.node
    }


def graph_of(nodes, x=(4,), y=(4,), constants=()):
    infos = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in (("x", x), ("y", y))]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def test_the_passes_keep_it(tmp_path):
    nodes = [
        marked("Identity", ["x"], ["same"], "handed_on"),
        marked("Shape", ["same"], ["shape"], "sized"),
        marked("Reshape", ["same", "shape"], ["flat"], "flat"),
        marked("Relu", ["flat"], ["positive"], "activation"),
        marked("Cast", ["positive"], ["cast"], "activation", to=FLOAT),
        marked("MatMul", ["cast", "w"], ["y"], "dense"),
    ]
    weights = numpy_helper.from_array(np.ones((4, 3), np.float32), "w")
    onnx.save(graph_of(nodes, (2, 4), (2, 3), [weights]), str(tmp_path / "in.onnx"))
    simplify(tmp_path / "in.onnx", tmp_path / "out.onnx")
    found = layers(onnx.load(str(tmp_path / "out.onnx")))
    assert found["y"] == "dense"
    assert "activation" in found.values()
    assert None not in found.values()
    to_fp16(tmp_path / "out.onnx", tmp_path / "half.onnx")
    found = layers(onnx.load(str(tmp_path / "half.onnx")))
    assert found["y"] is not None  # the cast behind the product, which is new
    assert None not in found.values()


def test_a_new_node_takes_it_from_its_reader_then_from_what_it_reads():
    origins = find_origins(graph_of([marked("Relu", ["x"], ["a"], "first"), marked("Neg", ["a"], ["y"], "second")]))
    changed = graph_of(
        [
            node("Relu", ["x"], ["a"]),
            node("Abs", ["a"], ["n1"]),
            node("Sqrt", ["n1"], ["n2"]),
            node("Neg", ["n2"], ["y"]),
            node("Exp", ["y"], ["nobody"]),
        ]
    )
    carry_origins(changed, origins)
    assert layers(changed) == {"a": "first", "n1": "second", "n2": "second", "y": "second", "nobody": "second"}


def test_it_is_not_written_twice_and_a_file_without_it_stays_without():
    first = graph_of([marked("Relu", ["x"], ["y"], "one")])
    carry_origins(first, find_origins(first))
    assert len(first.graph.node[0].metadata_props) == 2
    plain = graph_of([node("Relu", ["x"], ["y"])])
    carry_origins(plain, find_origins(plain))
    assert not plain.graph.node[0].metadata_props


def test_it_is_kept_inside_of_subgraphs():
    def choice(mark):
        bodies = [
            helper.make_graph([mark(op, ["x"], [op])], op, [], [helper.make_tensor_value_info(op, FLOAT, [4])])
            for op in ("Relu", "Neg")
        ]
        one = helper.make_node("If", ["c"], ["y"], name="if", then_branch=bodies[0], else_branch=bodies[1])
        return helper.make_model(helper.make_graph([one], "g", [], []))

    changed = choice(node)
    carry_origins(changed, find_origins(choice(lambda op, i, o: marked(op, i, o, f"layer_{op}"))))
    bodies = {item.name: item.g.node[0] for item in changed.graph.node[0].attribute}
    assert bodies["then_branch"].metadata_props[0].value == "layer_Relu"
    assert bodies["else_branch"].metadata_props[0].value == "layer_Neg"
