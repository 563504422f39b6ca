"""Linear paths between populations as sparse matrices."""

import numpy as np
import pytest

from neurodeploy.errors import VerifyError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph, Node

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


LINEAR = [
    (ops.Affine(normal(3, 5), normal(3)), (5,)),
    (ops.Affine(normal(3, 5), normal(3)), (2, 5)),
    (ops.Conv2d(normal(4, 2, 3, 3), normal(4), padding=(1, 1)), (2, 5, 6)),
    (ops.Conv2d(normal(4, 1, 2, 3), normal(4), stride=(2, 1), dilation=(1, 2), groups=2), (2, 6, 7)),
    (ops.Conv1d(normal(4, 3, 3), normal(4), stride=2, padding=1), (3, 9)),
    (ops.SumPool2d((2, 2), (2, 2), (1, 0)), (3, 6, 6)),
    (ops.AvgPool2d((3, 2), (1, 2)), (3, 6, 6)),
    (ops.Scale(normal(3, 1, 1)), (3, 2, 2)),
    (ops.BatchNorm(normal(3), normal(3), normal(3), RNG.random(3)), (3, 2, 2)),
    (ops.Transpose((1, 2, 0)), (3, 2, 4)),
    (ops.Pad(((0, 0), (1, 2))), (3, 4)),
    (ops.Crop(((1, 0), (0, 2))), (3, 4)),
    (ops.Stretch((1, 3, 2)), (2, 3, 4)),
    (ops.Flatten(), (3, 4)),
    (ops.Reshape((4, 3)), (3, 4)),
]


@pytest.mark.parametrize(("op", "shape"), LINEAR, ids=lambda v: getattr(v, "kind", None))
def test_the_matrix_of_an_op_does_what_the_op_does(op, shape):
    x = normal(1, *shape)
    without_bias = apply(op, x, dt=1e-3) - apply(op, np.zeros_like(x), dt=1e-3)
    np.testing.assert_allclose(paths.op_matrix(op, shape) @ x.ravel(), without_bias.ravel(), atol=1e-12)


def neuron():
    return ops.IF(r=np.full((), 1000.0), v_threshold=np.ones(()))


def branching():
    """Input -> in -> (a -> b) + skip -> out, with a bias on every way."""
    affine = [ops.Affine(normal(4, 4), normal(4)) for _ in range(3)]
    nodes = (
        Node("input", ops.Input((4,))),
        Node("in", neuron()),
        Node("a", affine[0]),
        Node("b", affine[1]),
        Node("skip", affine[2]),
        Node("out", neuron()),
        Node("output", ops.Output((4,))),
    )
    edges = (
        ("input", "in"), ("in", "a"), ("a", "b"), ("b", "out"), ("in", "skip"), ("skip", "out"),
        ("out", "output"),
    )  # fmt: skip
    return Graph(nodes, edges), affine


def test_parallel_ways_between_two_populations_add_up():
    graph, (a, b, skip) = branching()
    chains = paths.projections(graph)["in", "out"]
    assert sorted(chains) == [("a", "b"), ("skip",)]
    want = b.weight @ a.weight + skip.weight
    np.testing.assert_allclose(paths.matrix(graph, "in", "out", chains).toarray(), want)
    np.testing.assert_allclose(paths.bias(graph, "out"), b.weight @ a.bias + b.bias + skip.bias)


def test_the_input_is_a_source_but_has_no_synapses():
    graph, _ = branching()
    assert ("input", "in") in paths.projections(graph)
    assert set(paths.fan_out(graph)) == {("in", "out")}


def test_zero_weights_are_no_synapses():
    weight = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    nodes = (
        Node("input", ops.Input((2,))), Node("in", neuron()), Node("w", ops.Affine(weight, np.zeros(3))),
        Node("out", neuron()), Node("output", ops.Output((3,))),
    )  # fmt: skip
    edges = (("input", "in"), ("in", "w"), ("w", "out"), ("out", "output"))
    assert paths.fan_out(Graph(nodes, edges))["in", "out"].tolist() == [2, 1]


def test_a_nonlinear_op_between_populations_is_refused():
    graph, _ = branching()
    with pytest.raises(VerifyError, match="'a' \\(ReLU\\)"):
        paths.projections(graph.with_node("a", op=ops.ReLU()))


def test_linear_nodes_are_ordered_by_need_and_a_circle_of_them_is_refused():
    graph, _ = branching()
    turned = Graph((*graph.nodes[:2], graph["b"], graph["a"], *graph.nodes[4:]), graph.edges)
    names = [node.name for node in paths.linear_order(turned)]
    assert names.index("a") < names.index("b")
    with pytest.raises(VerifyError, match="feed each other"):
        paths.linear_order(Graph(graph.nodes, (*graph.edges, ("b", "a"))))
