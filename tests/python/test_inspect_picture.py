"""Networks as SVG and as text for Graphviz."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from inspector_samples import ResNet

from tf2trt.drawing.layout import lay_out
from tf2trt.inspect.dot import network_dot
from tf2trt.inspect.engine_network import network_from_information
from tf2trt.inspect.network import Layer, Network, Tensor
from tf2trt.inspect.palette import INK, KINDS, STEPS, fill_of
from tf2trt.inspect.picture import network_picture
from tf2trt.inspect.words import format_time

SVG = "{http://www.w3.org/2000/svg}"
NASTY = 'a "quoted" <name> & \\ back\x1eslash\nline'


@pytest.fixture(scope="module")
def resnet():
    sample = ResNet()
    inputs, outputs = (Tensor("images", "float32", (-1, 3, 224, 224)),), (Tensor("logits", "float32", (-1, 10)),)
    network = network_from_information(sample.information, "r.engine", inputs, outputs)
    layers = tuple(layer.from_nodes(sample.origins) for layer in network.layers)
    return Network("r.engine", layers, inputs, outputs).timed(sample.times)[0]


@pytest.fixture
def nasty():
    tensors = (Tensor(NASTY, "float32", (1, 2)),)
    first = Layer(NASTY, "k<", "float16", tensors, (Tensor("t"),), tactic='"', keras=(NASTY,), details={"d": NASTY})
    return Network(NASTY, (first, Layer("b", "k", "odd", (Tensor("t"),), tensors)), tensors, tensors)


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_box_for_each_layer_and_each_end(resnet):
    root = ElementTree.fromstring(network_picture("title", [resnet], "time"))
    boxes = [each for each in root.iter(f"{SVG}g") if each.get("class") == "layer"]
    assert len(boxes) == 57
    found = texts(network_picture("title", [resnet], "time"))
    assert {"title", "r.engine", "input images", "output logits", "conv1_conv + \N{HORIZONTAL ELLIPSIS}relu"} <= set(
        found
    )
    assert (
        f"{format_time(resnet.layers[1].milliseconds)} ({resnet.layers[1].milliseconds / resnet.milliseconds:.1%})"
        in found
    )
    tooltips = [each.text for each in root.iter(f"{SVG}title")]
    fused = next(each for each in tooltips if "conv2_block1_3_conv" in each)
    assert "Keras: conv2_block1_3_conv, conv2_block1_add, conv2_block1_out" in fused
    assert "tactic: sm80_xmma" in fused
    edges = [each for each in root.iter(f"{SVG}path") if each.get("class") == "edge"]
    assert len(edges) == len(resnet.edges()) + 2


def test_the_colours_are_those_of_time_or_of_precision(resnet):
    slowest = max(resnet.layers, key=lambda layer: layer.milliseconds)
    assert fill_of(slowest, resnet.slowest, "time") == STEPS[-1][0]
    assert fill_of(slowest, resnet.slowest, "precision") == KINDS["float16"][0]
    for color, fills in (("time", [pair[0] for pair in STEPS]), ("precision", [pair[0] for pair in KINDS.values()])):
        root = ElementTree.fromstring(network_picture("t", [resnet], color))
        for group in root.iter(f"{SVG}g"):
            if group.get("class") == "layer":
                assert group.find(f"{SVG}rect").get("fill") in fills
    # Without times it is drawn by precision, beside one that has them.
    untimed = Network("before", tuple(Layer(str(n), "Conv", "float32") for n in range(3)))
    root = ElementTree.fromstring(network_picture("t", [untimed, resnet], "time"))
    fills = [group.find(f"{SVG}rect").get("fill") for group in root.iter(f"{SVG}g") if group.get("class") == "layer"]
    assert fills[:3] == [KINDS["float32"][0]] * 3
    assert len(fills) == 60


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_words_on_every_colour_can_be_read(place):
    for pair in (*KINDS.values(), *STEPS):
        bright, dark = sorted((luminance(pair[place]), luminance(INK[place])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, pair


def test_odd_names_do_no_harm(nasty):
    for color in ("time", "precision"):
        found = texts(network_picture(NASTY.replace("\n", " ").replace("\x1e", ""), [nasty], color))
        assert any('a "quoted" <name>' in text for text in found)
    assert "<script" not in network_picture("<script>", [nasty], "time")


def test_layers_of_which_no_neighbour_is_known(resnet):
    alone = Network("names", tuple(Layer(f"n{place}", "", "unknown") for place in range(40)))
    root = ElementTree.fromstring(network_picture("t", [alone], "precision"))
    tops = {group.find(f"{SVG}rect").get("y") for group in root.iter(f"{SVG}g") if group.get("class") == "layer"}
    assert len(tops) == 40  # one below the other
    mixed = Network("mixed", (*resnet.layers, Layer("lost", "Reformat", "float32")), resnet.inputs, resnet.outputs)
    found = texts(network_picture("t", [mixed], "precision"))
    assert "mixed; without 1 layer of which it is not known where" in found
    assert texts(network_picture("t", [Network("empty", ())], "precision"))[-1] == "empty"


def test_an_engine_of_one_layer_has_its_ends():
    x, y = (Tensor("x", "float32", (1, 2)),), (Tensor("y", "float32", (1, 2)),)
    found = texts(network_picture("t", [Network("one", (Layer("all", "Myelin", "float16", x, y),), x, y)], "precision"))
    assert {"input x", "all", "output y"} <= set(found)


def statements(dot):
    """The statements of a digraph as (kind, names, attributes), by a reader of Graphviz's quoted strings."""
    token = re.compile(r'"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_.]+)|(->|[{}\[\];=,])|(\s+)')
    at, tokens = 0, []
    while at < len(dot):
        match = token.match(dot, at)
        assert match, dot[at : at + 40]
        at = match.end()
        if not match.group(4):
            tokens.append(match.group(1) if match.group(1) is not None else match.group(2) or match.group(3))
    assert tokens.count("{") == tokens.count("}")
    assert tokens.count("[") == tokens.count("]")
    return tokens


def test_graphviz_text_is_well_formed(resnet, nasty):
    for networks in ([resnet], [nasty, resnet], [Network("empty", ())]):
        tokens = statements(network_dot(networks, "precision"))
        assert tokens[0] == "digraph"
        assert sum(token == "fillcolor" for token in tokens) == sum(
            len(network.layers) + len(network.inputs) + len(network.outputs) for network in networks
        )
        edges = sum(len(network.edges()) for network in networks)
        ends = 2 * sum(bool(network.inputs) for network in networks)
        assert tokens.count("->") == edges + ends
    labels = network_dot([nasty], "precision")
    assert r"a \"quoted\" <name> & \\ back slash line" in labels
    assert "\x1e" not in labels


def test_a_chain_with_shortcuts_stays_straight():
    """Blocks of three with an edge around them: the drawing does not drift to one side."""
    edges, last = set(), 0
    for block in range(16):
        first = 1 + 3 * block
        edges |= {(last, first), (first, first + 1), (first + 1, first + 2), (last, first + 2)}
        last = first + 2
    layout = lay_out(list(range(last + 1)), edges, (100, 40), (20, 30))
    assert layout.width < 200
    assert len({corner[1] for corner in layout.corners}) == last + 1
