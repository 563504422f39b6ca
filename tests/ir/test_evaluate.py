import numpy as np
import pytest

from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.numerics.neurons import MembraneState, step
from tests.conversion.graphs import chain

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def naive_conv2d(x, op):
    """Cross-correlate one image, four loops and a sum."""
    out = np.zeros(op.out_shape(x.shape))
    padded = np.pad(x, ((0, 0), (op.padding[0],) * 2, (op.padding[1],) * 2))
    per_group, outs = op.weight.shape[1], len(out) // op.groups
    for o, i, j in np.ndindex(out.shape):
        total = op.bias[o]
        for c, m, n in np.ndindex(op.weight.shape[1:]):
            place = (i * op.stride[0] + m * op.dilation[0], j * op.stride[1] + n * op.dilation[1])
            total += op.weight[o, c, m, n] * padded[(o // outs * per_group + c, *place)]
        out[o, i, j] = total
    return out


def naive_pool(x, op):
    out = np.zeros(op.out_shape(x.shape))
    padded = np.pad(x, ((0, 0), (op.padding[0],) * 2, (op.padding[1],) * 2))
    for c, i, j in np.ndindex(out.shape):
        for m, n in np.ndindex(*op.kernel_size):
            out[c, i, j] += padded[c, i * op.stride[0] + m, j * op.stride[1] + n]
    return out / (np.prod(op.kernel_size) if op.kind == "AvgPool2d" else 1)


def naive_max(x, op):
    out = np.full(op.out_shape(x.shape), -np.inf)
    padded = np.pad(x, ((0, 0), *op.pads), constant_values=-np.inf)
    for c, i, j in np.ndindex(out.shape):
        for m, n in np.ndindex(*op.kernel_size):
            out[c, i, j] = max(out[c, i, j], padded[c, i * op.stride[0] + m, j * op.stride[1] + n])
    return out


CONVS = [
    ops.Conv2d(normal(4, 2, 3, 3), normal(4)),
    ops.Conv2d(normal(4, 2, 3, 2), normal(4), (2, 1), (1, 0)),
    ops.Conv2d(normal(6, 1, 2, 2), normal(6), (1, 2), (1, 2), (2, 1), 2),
]
POOLS = [
    ops.SumPool2d((2, 2), (2, 2)),
    ops.AvgPool2d((3, 2), (1, 2), (1, 0)),
    ops.SumPool2d((2, 3), (3, 1), (0, 1)),
]


@pytest.mark.parametrize("op", CONVS)
def test_convolutions_equal_the_naive_loops(op):
    x = normal(2, 2, 6, 7)
    np.testing.assert_allclose(apply(op, x, dt=1), [naive_conv2d(image, op) for image in x], atol=1e-12)


@pytest.mark.parametrize("op", POOLS)
def test_pooling_equals_the_naive_loops(op):
    x = normal(2, 3, 6, 7)
    np.testing.assert_allclose(apply(op, x, dt=1), [naive_pool(image, op) for image in x], atol=1e-12)


MAXIMA = [
    ops.MaxPool((2, 2), (2, 2)),
    ops.MaxPool((3, 2), (1, 3), ((1, 2), (0, 1))),
    ops.MaxPool((2, 3), (3, 1)),
]


@pytest.mark.parametrize("op", MAXIMA)
def test_max_pooling_equals_the_naive_loops(op):
    x = normal(2, 3, 6, 7)
    assert np.array_equal(apply(op, x, dt=1), [naive_max(image, op) for image in x])


ELEMENTWISE = [
    (ops.Affine(np.array([[1.0, 2], [0, -1]]), np.array([1.0, 0])), [[3.0, 4]], [[12.0, -4]]),
    (ops.Scale(np.array([2.0, 3])), [[1.0, 1]], [[2.0, 3]]),
    (ops.ReLU(), [[-1.0, 2]], [[0.0, 2]]),
    (ops.ReLU(6.0), [[-1.0, 5, 7]], [[0.0, 5, 6]]),
    (ops.ReLU(2.0, np.array([0.5, 0.0, -1.0])), [[-1.0, -1, -3], [3, 1, 2]], [[-0.5, 0, 3], [2, 1, 2]]),
    (ops.Crop(((1, 2),)), [[1.0, 2, 3, 4]], [[2.0]]),
    (ops.Stretch((3,)), [[1.0, 2]], [[1.0, 0, 0, 2]]),
    (ops.MaxPool((2,), (2,), ((1, 0),)), [[[-3.0, -1, -2]]], [[[-3.0, -1]]]),
    (ops.Pad(((1, 0),)), [[5.0]], [[0.0, 5]]),
    (ops.BatchNorm(*np.array([[2.0], [1], [3], [4]]), epsilon=0.0), [[7.0]], [[5.0]]),
    (ops.Transpose((1, 0)), [[[1.0, 2], [3, 4]]], [[[1.0, 3], [2, 4]]]),
    (ops.Reshape((4,)), [[[1.0, 2], [3, 4]]], [[1.0, 2, 3, 4]]),
    (ops.Softmax(), [[0.0, np.log(3.0)]], [[0.25, 0.75]]),
    (ops.Softmax(log=True), [[0.0, np.log(3.0)]], [[-np.log(4.0), np.log(0.75)]]),
    (ops.IF(np.full((), 10.0), np.full((), 2.0)), [[-1.0, 4]], [[0.0, 2]]),
    (ops.I(np.full((), 10.0)), [[-1.0]], [[-1.0]]),
    (ops.LI(*np.array([0.02, 2.0, 0.5])), [[3.0]], [[6.5]]),
]


@pytest.mark.parametrize(("op", "x", "want"), ELEMENTWISE, ids=lambda v: getattr(v, "kind", ""))
def test_small_ops_give_the_numbers_worked_out_by_hand(op, x, want):
    np.testing.assert_allclose(apply(op, np.array(x), dt=0.1), want, atol=1e-12)


@pytest.mark.parametrize("refractory", [0, 3])
@pytest.mark.parametrize("drive", [0.9, 1.3, 2.0, 5.0])
def test_the_rate_of_a_leaky_neuron_is_what_stepping_it_gives(drive, refractory):
    op = ops.LIF(*(np.full(1, v) for v in (0.02, 1.0, 0.2, 1.0)), refractory=refractory)
    dt, steps = 1e-4, 20000
    neuron, state = membrane(op, dt), MembraneState.zeros((1,))
    count = sum(step(neuron, state, np.full(1, drive))[0] for _ in range(steps))
    assert count / steps == pytest.approx(apply(op, np.full((1, 1), drive), dt=dt)[0, 0], rel=0.02, abs=1e-9)


def test_several_edges_into_a_node_are_summed_and_one_source_may_feed_many():
    base = chain(("in", ops.Input((2,))), ("a", ops.ReLU()), ("b", ops.Identity()), ("out", ops.Output((2,))))
    graph = Graph(base.nodes, (*base.edges, ("in", "b"), ("in", "out")))
    assert evaluate(graph, np.array([[1.0, -1.0]])).tolist() == [[3.0, -2.0]]


def test_logits_leave_out_the_last_softmax_only():
    graph = chain(
        ("in", ops.Input((2,))), ("first", ops.Softmax()), ("x", ops.Scale(np.full(2, 4.0))),
        ("last", ops.Softmax()), ("out", ops.Output((2,))),
    )  # fmt: skip
    assert evaluate(graph, np.zeros((1, 2)), logits=True).tolist() == [[2.0, 2.0]]
    assert evaluate(graph, np.zeros((1, 2))).tolist() == [[0.5, 0.5]]


def test_a_gain_in_the_notes_scales_the_response_of_a_neuron():
    neuron = Node("n", ops.IF(np.ones(()), np.ones(())), notes={"gain": 0.5})
    nodes = (Node("in", ops.Input((1,))), neuron, Node("out", ops.Output((1,))))
    assert evaluate(Graph(nodes, (("in", "n"), ("n", "out")), dt=1.0), np.ones((1, 1))).tolist() == [[0.5]]


def test_every_node_is_watched_in_order():
    graph, names = chain(("in", ops.Input((2,))), ("r", ops.ReLU()), ("out", ops.Output((2,)))), []
    evaluate(graph, np.ones((1, 2)), watch=lambda name, value: names.append(name))
    assert names == ["in", "r", "out"]


def test_a_recurrent_graph_has_no_value_without_time():
    base = chain(("in", ops.Input((2,))), ("r", ops.ReLU()), ("out", ops.Output((2,))))
    with pytest.raises(OptionError, match="r -> r"):
        evaluate(Graph(base.nodes, (*base.edges, ("r", "r"))), np.ones((1, 2)))
