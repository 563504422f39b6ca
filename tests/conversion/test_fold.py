import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.conversion.fold import fold
from neurodeploy.conversion.linear import pad_conv
from neurodeploy.conversion.spiking import relayout
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.verify import verify
from tests.conversion.graphs import LAYERS, chain, conv, normal, random_graph

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(6,), (2, 9), (3, 6, 5)])


def difference(graph, folded, x):
    want = evaluate(graph, x, logits=True)
    have = evaluate(folded, relayout(graph, folded, x), logits=True)
    return np.abs(have - want).max() / max(np.abs(want).max(), 1e-300)


@given(SHAPES, st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=8), SEEDS)
@settings(max_examples=150, deadline=None)
def test_a_folded_graph_computes_what_the_source_does(shape, layers, seed):
    graph = random_graph(shape, layers, seed)
    x = np.random.default_rng(seed).normal(size=(2, *shape))
    assert difference(graph, verify(fold(graph)), x) < 1e-9


@given(SHAPES, st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=8), SEEDS)
@settings(max_examples=50, deadline=None)
def test_folding_twice_changes_nothing_more(shape, layers, seed):
    folded = fold(random_graph(shape, layers, seed))
    assert fold(folded) is folded


@given(st.sampled_from([(2, 9), (2, 7, 6)]), SEEDS)
def test_a_convolution_takes_any_zeros_around_its_input_into_its_kernel(shape, seed):
    rng = np.random.default_rng(seed)
    op = conv(shape, rng)
    pads = tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (len(shape) - 1, 2)))
    x = normal(rng, 2, *shape)
    want = apply(op, np.pad(x, ((0, 0), (0, 0), *pads)), dt=1)
    np.testing.assert_allclose(apply(pad_conv(op, pads), x, dt=1), want, rtol=0, atol=1e-12)


def kinds(graph):
    return [node.op.kind for node in graph]


def test_what_a_keras_network_is_made_of_folds_into_layers_with_weights(rng):
    graph = chain(
        ("in", ops.Input((2, 8, 8))),
        ("pad", ops.Pad(((0, 0), (0, 1), (0, 1))), "conv", "Conv2D"),
        ("conv", ops.Conv2d(normal(rng, 4, 2, 3, 3), np.zeros(4), (2, 2)), "conv", "Conv2D"),
        ("norm", ops.BatchNorm(*np.ones((4, 4))), "norm", "BatchNormalization"),
        ("relu", ops.ReLU()),
        ("pool", ops.AvgPool2d((2, 2), (2, 2))),
        ("drop", ops.Identity(), "drop", "Dropout"),
        ("last", ops.Transpose((1, 2, 0))),
        ("flat", ops.Flatten()),
        ("fc", ops.Affine(normal(rng, 3, 16), np.zeros(3))),
        ("soft", ops.Softmax()),
        ("out", ops.Output((3,))),
    )
    folded = fold(graph)
    assert kinds(folded) == ["Input", "Conv2d", "ReLU", "AvgPool2d", "Flatten", "Affine", "Output"]
    assert difference(graph, folded, normal(rng, 3, 2, 8, 8)) < 1e-12
    assert folded["conv"].notes["folded"] == "norm (BatchNormalization)"
    assert folded.meta["dropped"] == "softmax of soft; drop (Dropout)"


def test_batch_norm_in_front_of_a_padded_convolution_becomes_a_convolution_of_its_own(rng):
    norm = ops.BatchNorm(*np.abs(normal(rng, 4, 3)))
    padded = ops.Conv2d(normal(rng, 2, 3, 3, 3), np.zeros(2), padding=(1, 1))
    graph = chain(
        ("in", ops.Input((3, 4, 4))), ("norm", norm), ("conv", padded), ("out", ops.Output((2, 4, 4)))
    )
    folded = fold(graph)
    assert folded["norm"].op.groups == 3
    assert difference(graph, folded, normal(rng, 2, 3, 4, 4)) < 1e-12


def test_batch_norm_between_two_layers_goes_into_the_first(rng):
    first, second = ops.Affine(normal(rng, 5, 3), np.zeros(5)), ops.Affine(normal(rng, 9, 5), np.zeros(9))
    norm = ops.BatchNorm(*np.abs(normal(rng, 4, 5)))
    graph = chain(
        ("in", ops.Input((3,))),
        ("a", first),
        ("norm", norm),
        ("r", ops.ReLU()),
        ("b", second),
        ("out", ops.Output((9,))),
    )
    folded = fold(graph)
    assert np.array_equal(folded["b"].op.weight, second.weight)
    assert not np.array_equal(folded["a"].op.weight, first.weight)


@pytest.mark.parametrize(("middle", "merged"), [(4, True), (2, False)])
def test_two_affine_layers_merge_only_where_the_product_is_no_larger(rng, middle, merged):
    graph = chain(
        ("in", ops.Input((6,))),
        ("a", ops.Affine(normal(rng, middle, 6), normal(rng, middle))),
        ("b", ops.Affine(normal(rng, 7, middle), normal(rng, 7))),
        ("out", ops.Output((7,))),
    )
    folded = fold(graph)
    assert (kinds(folded) == ["Input", "Affine", "Output"]) is merged
    assert difference(graph, folded, normal(rng, 2, 6)) < 1e-12


def test_a_value_added_to_itself_is_a_factor(rng):
    first, last = ops.Affine(normal(rng, 4, 3), normal(rng, 4)), ops.Affine(normal(rng, 9, 4), normal(rng, 9))
    base = chain(
        ("in", ops.Input((3,))), ("a", first), ("r", ops.ReLU()), ("drop", ops.Identity()), ("b", last),
        ("out", ops.Output((9,))),
    )  # fmt: skip
    graph = Graph(base.nodes, (*base.edges, ("r", "b")))
    folded = fold(graph)
    assert kinds(folded) == ["Input", "Affine", "ReLU", "Affine", "Output"]
    assert difference(graph, folded, normal(rng, 5, 3)) < 1e-12


def test_a_softmax_that_is_not_last_stays(rng):
    graph = chain(
        ("in", ops.Input((4,))),
        ("soft", ops.Softmax()),
        ("fc", ops.Affine(normal(rng, 2, 4), np.zeros(2))),
        ("out", ops.Output((2,))),
    )
    assert "Softmax" in kinds(fold(graph))


def test_folding_leaves_its_input_as_it_was(rng):
    graph = random_graph((3, 6, 5), ["conv", "batch_norm", "relu", "pad", "pool", "flatten", "affine"], 0)
    before = graph.digest()
    fold(graph)
    assert graph.digest() == before
