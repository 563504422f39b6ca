"""Cross-layer equalisation: the same function, in weights of one size."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.conversion import fold
from neurodeploy.conversion.equalize import equalize
from neurodeploy.demo_data import digits
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from tests.conversion.graphs import chain, perceptron, residual

MODELS = Path(__file__).resolve().parents[2] / "models"


def images(rng):
    """Convolution, pooling, depthwise convolution, dense: a ReLU behind each but the last."""
    return chain(
        ("in", ops.Input((2, 6, 6))),
        ("conv", ops.Conv2d(rng.normal(size=(4, 2, 3, 3)), rng.normal(size=4), padding=(1, 1))),
        ("relu1", ops.ReLU()),
        ("pool", ops.AvgPool2d((2, 2), (2, 2))),
        ("deep", ops.Conv2d(rng.normal(size=(4, 1, 2, 2)), rng.normal(size=4), groups=4)),
        ("relu2", ops.ReLU()),
        ("flat", ops.Flatten()),
        ("fc", ops.Affine(rng.normal(size=(3, 16)), rng.normal(size=3))),
        ("out", ops.Output((3,))),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [images, residual, lambda rng: perceptron((5, 7, 6, 3), rng)])
def test_it_computes_what_the_source_does(make, seed):
    rng = np.random.default_rng(seed)
    graph = fold(make(rng))
    x = rng.normal(size=(8, *graph.shapes[graph.input.name]))
    even = equalize(graph)
    assert [n.name for n in even] == [n.name for n in graph]
    assert np.allclose(evaluate(even, x), evaluate(graph, x), rtol=1e-9, atol=1e-9)


def test_channels_have_weights_of_one_size_on_both_sides(rng):
    even = equalize(fold(images(rng)))
    assert np.allclose(
        np.abs(even["deep"].op.weight).reshape(4, -1).max(axis=1),
        np.abs(even["fc"].op.weight.reshape(3, 4, -1)).max(axis=(0, 2)),
    )


def with_imbalance(graph, factor):
    """Make every second channel of the first layer weaker by a factor, and what reads it stronger."""
    first, second = (n for n in graph if isinstance(n.op, ops.Conv2d))
    scale = np.where(np.arange(len(first.op.weight)) % 2, 1.0, 1 / factor)
    weak = dataclasses.replace(
        first.op, weight=first.op.weight * scale[:, None, None, None], bias=first.op.bias * scale
    )
    strong = dataclasses.replace(second.op, weight=second.op.weight / scale[:, None, None])
    return graph.with_node(first.name, op=weak).with_node(second.name, op=strong)


def test_an_imbalance_that_ruins_a_conversion_is_repaired():
    split = digits()
    source = with_imbalance(fold(nd.load(MODELS / "digits_cnn.keras")), 2000.0)

    def accuracy(**options):
        spiking = nd.convert(source, calibration=split.x_train, steps=32, **options)
        return nd.run(spiking, split.x_test).accuracy(split.y_test)

    assert accuracy() < 0.9
    assert accuracy(equalize=True) > 0.98
