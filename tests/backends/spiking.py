"""Small spiking graphs for the tests of backends: written by hand, or random."""

import itertools

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node

DT = 1e-3
ADD = np.full((), 1 / DT)
"""r of a neuron that adds its weighted input to the membrane once per step."""


def chain(*nodes, edges=(), **options):
    row = tuple((a.name, b.name) for a, b in itertools.pairwise(nodes))
    return Graph(nodes, (*row, *edges), dt=DT, **options)


def encoder():
    return Node("encoder", ops.IF(ADD, np.ones(()), reset="subtract"), notes={"role": "encoder"})


def dense(rng, out, into, *, scale=1.0):
    return ops.Affine(scale * rng.normal(size=(out, into)) / np.sqrt(into), 0.05 * rng.normal(size=out))


def perceptron(rng, sizes=(6, 8, 4), *, neuron=None, output=None):
    """Build input, encoder, one hidden population and a read-out."""
    neuron = ops.IF(ADD, np.full((), 0.7), reset="subtract") if neuron is None else neuron
    return chain(
        Node("input", ops.Input((sizes[0],))),
        encoder(),
        Node("fc1", dense(rng, sizes[1], sizes[0], scale=2.0), "fc1", "Dense"),
        Node("fc1.relu", neuron, "fc1", "Dense"),
        Node("fc2", dense(rng, sizes[2], sizes[1]), "fc2", "Dense"),
        Node("fc2.sum", ops.I(ADD) if output is None else output, "fc2", "Dense"),
        Node("output", ops.Output((sizes[2],))),
    )


def convolutional(rng, *, size=6):
    """Build two convolutions with a pool between, then a dense read-out."""

    def conv(out, into, **options):
        return ops.Conv2d(0.5 * rng.normal(size=(out, into, 3, 3)), 0.05 * rng.normal(size=out), **options)

    after = size // 2 - 2
    return chain(
        Node("input", ops.Input((1, size, size))),
        encoder(),
        Node("conv1", conv(3, 1, padding=(1, 1)), "conv1", "Conv2D"),
        Node("conv1.relu", ops.IF(ADD, np.full((3, 1, 1), 0.8), reset="subtract"), "conv1", "Conv2D"),
        Node("pool", ops.AvgPool2d((2, 2), (2, 2)), "pool", "AveragePooling2D"),
        Node("conv2", conv(4, 3), "conv2", "Conv2D"),
        Node("conv2.relu", ops.IF(ADD, np.full((), 0.5), refractory=1), "conv2", "Conv2D"),
        Node("flatten", ops.Flatten()),
        Node("fc", dense(rng, 5, 4 * after**2), "fc", "Dense"),
        Node("fc.sum", ops.I(ADD), "fc", "Dense"),
        Node("output", ops.Output((5,))),
    )


def recurrent(rng):
    """Build a perceptron whose hidden population feeds itself, next to a shortcut around it."""
    base = perceptron(rng, (6, 6, 6))
    nodes = (*base.nodes[:4], Node("back", dense(rng, 6, 6, scale=0.5)), *base.nodes[4:])
    edges = (("fc1.relu", "back"), ("back", "fc1.relu"), ("encoder", "fc2"))
    return Graph(nodes, (*base.edges, *edges), dt=DT)


def some(value):
    return np.full((), float(value))


NEURONS = {
    "if-subtract": ops.IF(ADD, some(0.7), reset="subtract"),
    "if-zero": ops.IF(ADD, some(0.7), some(0.1)),
    "if-refractory": ops.IF(ADD, some(0.7), refractory=2),
    "lif": ops.LIF(some(0.01), some(12.0), some(0.05), some(0.7), reset="subtract"),
    "cuba": ops.CubaLIF(some(0.004), some(0.02), some(20.0), some(0.0), some(0.7), some(2.0)),
    "leaky": ops.LI(some(0.02), some(1.0), some(0.1)),
}
"""One neuron of every kind that a hidden population can be."""
