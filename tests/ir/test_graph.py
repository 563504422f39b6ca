import dataclasses

import numpy as np
import pytest

from neurodeploy.errors import DataError, VerifyError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.verify import verify
from tests.conversion.graphs import chain
from tests.ir.graphs import STEPS, spiking_graph


def image_graph():
    return chain(("in", ops.Input((2, 3, 4), (3, 4, 2), (2, 0, 1))), ("out", ops.Output((2, 3, 4))))


def test_samples_come_in_in_the_users_layout_and_reach_ours(rng):
    x = rng.random((5, 3, 4, 2))
    assert np.array_equal(image_graph().prepare(x), x.transpose(0, 3, 1, 2))
    assert np.array_equal(image_graph().prepare(x.reshape(5, 24)), x.transpose(0, 3, 1, 2))
    assert image_graph().prepare((x * 255).astype(np.uint8)).dtype == np.float64


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (np.ones((2, 3, 4)), "12 values.*takes 24"),
        (np.ones((2, 2, 3, 4)), "axes in another order.*3, 4, 2"),
        (np.ones((0, 24)), "no samples"),
        (np.float64(1), "no samples"),
        (np.full((1, 24), np.nan), "not finite"),
        (np.array([["a"] * 24]), "not numbers"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples, told):
    with pytest.raises(DataError, match=told):
        image_graph().prepare(samples)


def test_removing_a_node_joins_its_sources_to_its_targets():
    graph = chain(("in", ops.Input((2,))), ("r", ops.ReLU()), ("out", ops.Output((2,))))
    graph = Graph(graph.nodes, (*graph.edges, ("in", "out")))
    assert graph.without_node("r").edges == (("in", "out"), ("in", "out"))


def test_a_node_looks_up_by_name_and_an_edge_back_is_told():
    graph = spiking_graph()
    assert "conv" in graph
    assert graph["conv"].op.kind == "Conv2d"
    assert [edge for edge in graph.edges if graph.is_back_edge(edge)] == [("if", "scale")]
    assert [n.name for n in graph.neurons] == ["encoder", "if", "lif", "cuba", "leaky"]


def test_values_are_frozen():
    weight = np.ones((2, 2))
    op = ops.Affine(weight, np.zeros(2))
    weight[0, 0] = 5
    assert op.weight[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        op.weight[0, 0] = 2
    with pytest.raises(TypeError):
        Node("a", op, notes={})["x"] = 1


SHAPES = [
    (ops.Conv2d(np.ones((4, 3, 3, 3)), np.zeros(4), (2, 2), (1, 1)), (3, 8, 9), (4, 4, 5)),
    (ops.Conv1d(np.ones((4, 1, 3)), np.zeros(4), dilation=2, groups=3), (3, 8), (4, 4)),
    (ops.AvgPool2d((2, 2), (2, 2)), (3, 5, 4), (3, 2, 2)),
    (ops.Affine(np.ones((5, 4)), np.zeros(5)), (3, 4), (3, 5)),
    (ops.Pad(((0, 0), (1, 2))), (3, 4), (3, 7)),
    (ops.Crop(((1, 0), (1, 2))), (3, 4), (2, 1)),
    (ops.Stretch((1, 3)), (3, 4), (3, 10)),
    (ops.MaxPool((2,), (2,), ((0, 1),)), (3, 5), (3, 3)),
    (ops.MaxPool((3, 2), (1, 2)), (3, 5, 4), (3, 3, 2)),
    (ops.Flatten(), (3, 4), (12,)),
]
MISFITS = [
    (ops.Conv2d(np.ones((4, 3, 3, 3)), np.zeros(4)), (2, 8, 9)),
    (ops.Conv2d(np.ones((4, 3, 3, 3)), np.zeros(4)), (3, 2, 9)),
    (ops.AvgPool2d((2, 2), (2, 2)), (3, 5)),
    (ops.Affine(np.ones((5, 4)), np.zeros(5)), (4, 3)),
    (ops.Scale(np.ones((3, 1, 1))), (1, 4, 4)),
    (ops.Crop(((2, 1),)), (3,)),
    (ops.Crop(((-1, 0),)), (3,)),
    (ops.Stretch((2,)), (3, 4)),
    (ops.MaxPool((2,), (2,)), (3, 5, 4)),
    (ops.MaxPool((2,), (1,), ((2, 0),)), (3, 5)),
    (ops.ReLU(negative_slope=np.ones((3, 1))), (2, 4)),
    (ops.Reshape((5,)), (2, 3)),
    (ops.Transpose((0, 0)), (2, 3)),
    (ops.BatchNorm(*np.ones((4, 3))), (2, 3)),
    (ops.IF(np.ones(3), np.ones(3)), (2,)),
]


@pytest.mark.parametrize(("op", "shape", "want"), SHAPES, ids=lambda v: getattr(v, "kind", ""))
def test_an_op_knows_the_shape_it_makes(op, shape, want):
    assert op.out_shape(shape) == want


@pytest.mark.parametrize(("op", "shape"), MISFITS, ids=lambda v: getattr(v, "kind", ""))
def test_an_op_refuses_an_input_that_does_not_fit(op, shape):
    with pytest.raises(ValueError, match=r"fit|takes|reshape|permute|normalises|broadcast"):
        op.out_shape(shape)


def broken(change):
    """Return the graph of all ops with one thing wrong."""
    graph = spiking_graph()
    if change == "twice":
        return dataclasses.replace(graph, nodes=(*graph.nodes, graph.nodes[2]))
    if change == "nowhere":
        return dataclasses.replace(graph, edges=(*graph.edges, ("conv", "nowhere")))
    if change == "two inputs":
        return dataclasses.replace(graph, nodes=(*graph.nodes, Node("in2", STEPS["in"])))
    if change == "NaN":
        return graph.with_node("last", op=ops.Affine(np.full((2, 3), np.nan), np.zeros(2)))
    if change == "unequal":
        return dataclasses.replace(graph, edges=(*graph.edges, ("conv", "last")))
    if change == "misfit":
        return graph.with_node("last", op=ops.Affine(np.ones((2, 4)), np.zeros(2)))
    return dataclasses.replace(graph, edges=tuple(e for e in graph.edges if e[1] != "scale"))


TOLD = {
    "twice": "repeat.*conv",
    "nowhere": "nowhere",
    "two inputs": "2 Input",
    "NaN": "'last'.*weight.*NaN",
    "unequal": "'last' sums inputs of different shapes",
    "misfit": "'last'.*takes 4",
    "no source": "'scale' has no input",
}


@pytest.mark.parametrize("change", TOLD)
def test_an_illegal_graph_is_our_bug_and_names_the_node(change):
    with pytest.raises(VerifyError, match=TOLD[change]) as raised:
        verify(broken(change))
    assert "bug in neurodeploy" in str(raised.value)


def test_a_legal_graph_passes_in_its_own_form_only():
    assert verify(spiking_graph(), form="spiking")
    with pytest.raises(VerifyError, match="spikes in a rate graph"):
        verify(spiking_graph(), form="rate")
    rate = chain(("in", ops.Input((2,))), ("r", ops.ReLU()), ("out", ops.Output((2,))))
    assert verify(rate, form="rate")
    with pytest.raises(VerifyError, match=r"'r' \(ReLU\) has no place in a spiking graph"):
        verify(rate, form="spiking")


def test_a_spiking_graph_ends_in_a_population():
    graph = chain(
        ("in", ops.Input((2,))), ("n", ops.IF(np.ones(()), np.ones(()))), ("f", ops.Flatten()),
        ("out", ops.Output((2,))),
    )  # fmt: skip
    with pytest.raises(VerifyError, match="one neuron population"):
        verify(graph, form="spiking")
