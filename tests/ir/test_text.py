import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.text import op_text, to_text
from tests.ir.graphs import STEPS, changed, sequence_graph, spiking_graph

FIELDS = [(name, field.name) for name, op in STEPS.items() for field in dataclasses.fields(op)]
EVERYWHERE = st.sampled_from(sorted(STEPS))


@pytest.mark.parametrize(("node", "field"), FIELDS)
def test_the_digest_covers_every_parameter_of_every_op(node, field):
    op = STEPS[node]
    other = object.__new__(type(op))  # past the checks of shapes: only the text is looked at
    for spec in dataclasses.fields(op):
        value = getattr(op, spec.name)
        object.__setattr__(other, spec.name, changed(value) if spec.name == field else value)
    assert op_text(other) != op_text(op)


@given(EVERYWHERE, st.sampled_from(["origin", "layer", "unit", "notes", "added note"]))
@settings(max_examples=60, deadline=None)
def test_the_digest_covers_what_is_said_about_every_node(name, field):
    graph = spiking_graph()
    node = graph[name]
    notes = {"notes": {**node.notes, "note": 1.75}, "added note": {**node.notes, "more": 1}}
    change = {"notes": notes[field]} if field in notes else {field: changed(getattr(node, field))}
    assert graph.with_node(name, **change).digest() != graph.digest()


@given(EVERYWHERE)
@settings(max_examples=20, deadline=None)
def test_the_digest_covers_the_names_of_nodes(name):
    graph = spiking_graph()
    nodes = tuple(dataclasses.replace(n, name=n.name + "s") if n.name == name else n for n in graph)
    edges = tuple(tuple(end + "s" if end == name else end for end in edge) for edge in graph.edges)
    assert dataclasses.replace(graph, nodes=nodes, edges=edges).digest() != graph.digest()


def test_the_digest_covers_every_edge():
    graph = spiking_graph()
    fewer = dataclasses.replace(graph, edges=graph.edges[:-1])
    twice = dataclasses.replace(graph, edges=(*graph.edges, graph.edges[-1]))
    assert len({graph.digest(), fewer.digest(), twice.digest()}) == 3


@pytest.mark.parametrize("change", [{"dt": 1e-3}, {"name": "x"}, {"meta": {}}, {"meta": {"rate": 0.25}}])
def test_the_digest_covers_what_is_said_about_the_graph(change):
    graph = spiking_graph()
    assert dataclasses.replace(graph, **change).digest() != graph.digest()


def test_numbers_of_numpy_and_of_python_give_the_same_text():
    one = Graph((Node("in", ops.Input((3,)), unit=2.0, notes={"a": 1.5}),), (), 1e-3, meta={"b": 2})
    notes = {"a": np.float64(1.5)}
    other = Graph(
        (Node("in", ops.Input((np.int64(3),)), unit=np.float64(2.0), notes=notes),),
        (), np.float64(1e-3), meta={"b": np.int64(2)},
    )  # fmt: skip
    assert to_text(one) == to_text(other)


def test_names_cannot_be_mistaken_for_the_text_around_them():
    def text(name):
        return to_text(Graph((Node("in", ops.Input((3,)), origin="a", layer=name),), ()))

    assert text("x 'a' unit=1.0") != text("x")
    assert "\n  fake" not in text("x\n  fake")


def test_the_text_names_every_node_with_shape_sources_and_the_users_layer():
    text = re.sub(r":[0-9a-f]{12}>", ">", to_text(sequence_graph()))
    assert text.splitlines() == [
        "graph model dt=0.001",
        "  in [2x9] <- () = Input(shape=(2, 9), sample_shape=(2, 9), axes=(0, 1)) from - 'in' unit=1.0",
        "  conv [4x5] <- (in) = Conv1d(weight=<4x1x3>, bias=[1.0, 1.0, 1.0, 1.0], stride=2, "
        "padding=1, dilation=1, groups=2) from - 'conv' unit=1.0",
        "  if [4x5] <- (conv) = IF(r=1.0, v_threshold=1.0, v_reset=0.0, reset='zero', refractory=0) "
        "from - 'if' unit=1.0",
        "  flat [20] <- (if) = Flatten() from - 'flat' unit=1.0",
        "  sum [20] <- (flat) = I(r=<20>) from - 'sum' unit=1.0",
        "  out [20] <- (sum) = Output(shape=(20,)) from - 'out' unit=1.0",
    ]
