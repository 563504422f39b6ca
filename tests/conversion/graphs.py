"""Small rate graphs for the tests of conversion: written by hand, or random."""

from itertools import pairwise

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node


def chain(*steps, **options):
    """Build a graph of ops in a row, from (name, op) or (name, op, origin, layer)."""
    nodes = tuple(Node(*step) for step in steps)
    return Graph(nodes, tuple((a.name, b.name) for a, b in pairwise(nodes)), **options)


def perceptron(sizes, rng, *, relu_last=False):
    """Build an affine network with activations between its layers."""
    steps = [("in", ops.Input((sizes[0],)))]
    for i, (into, out) in enumerate(pairwise(sizes)):
        weight = rng.normal(size=(out, into)) / np.sqrt(into)
        steps.append((f"fc{i}", ops.Affine(weight, 0.1 * rng.normal(size=out)), f"fc{i}", "Dense"))
        if relu_last or i < len(sizes) - 2:
            steps.append((f"fc{i}.relu", ops.ReLU(), f"fc{i}", "Dense"))
    return chain(*steps, ("out", ops.Output((sizes[-1],))))


def residual(rng, *, size=6):
    """Build a network with a shortcut around one of its layers."""
    base = perceptron((size, size, size, 3), rng)
    return Graph(base.nodes, (*base.edges, ("fc0.relu", "fc1.relu")))


def normal(rng, *shape):
    return rng.normal(size=shape)


def batch_norm(shape, rng):
    axis = int(rng.choice([0, len(shape) - 1]))
    gamma, beta, mean = normal(rng, 3, shape[axis])
    return ops.BatchNorm(gamma, beta, mean, rng.uniform(0.5, 2, shape[axis]), axis=axis)


def conv(shape, rng):
    """Return a random convolution that fits an image or a sequence."""
    groups = int(rng.choice([1, shape[0]]))
    out, kernel = groups * int(rng.integers(1, 3)), [int(rng.integers(1, min(n, 3) + 1)) for n in shape[1:]]
    stride, padding = rng.integers(1, 3, len(kernel)).tolist(), rng.integers(0, 2, len(kernel)).tolist()
    dilation = [
        2 if 2 * (k - 1) < n and rng.random() < 0.5 else 1 for k, n in zip(kernel, shape[1:], strict=True)
    ]
    weight, bias = normal(rng, out, shape[0] // groups, *kernel), normal(rng, out)
    if len(shape) == 2:
        return ops.Conv1d(weight, bias, stride[0], padding[0], dilation[0], groups)
    return ops.Conv2d(weight, bias, tuple(stride), tuple(padding), tuple(dilation), groups)


def pool(shape, rng):
    stride, padding = rng.integers(1, 3, 2).tolist(), rng.integers(0, 2, 2).tolist()
    return (ops.AvgPool2d, ops.SumPool2d)[rng.integers(2)]((2, 2), tuple(stride), tuple(padding))


def pad(shape, rng):
    return ops.Pad(((0, 0), *(tuple(pair) for pair in rng.integers(0, 3, (len(shape) - 1, 2)).tolist())))


LAYERS = {
    "affine": lambda shape, rng: ops.Affine(normal(rng, 4, shape[-1]), normal(rng, 4)),
    "batch_norm": batch_norm,
    "conv": lambda shape, rng: conv(shape, rng) if len(shape) > 1 else None,
    "flatten": lambda shape, rng: ops.Flatten(),
    "identity": lambda shape, rng: ops.Identity(),
    "pad": lambda shape, rng: pad(shape, rng) if len(shape) > 1 else None,
    "pool": lambda shape, rng: pool(shape, rng) if len(shape) == 3 and min(shape[1:]) > 1 else None,
    "relu": lambda shape, rng: ops.ReLU(),
    "reshape": lambda shape, rng: ops.Reshape((shape[0] * shape[1], *shape[2:])) if len(shape) > 1 else None,
    "scale": lambda shape, rng: ops.Scale(normal(rng, *shape)),
    "scale_channels": lambda shape, rng: ops.Scale(normal(rng, shape[0], *(1,) * (len(shape) - 1))),
    "transpose": lambda shape, rng: ops.Transpose(tuple(rng.permutation(len(shape)).tolist())),
}
"""Makers of a random op for an input of a shape; None where it does not fit."""


def random_graph(shape, layers, seed):
    """Build a graph of random layers, some with a shortcut around them."""
    rng = np.random.default_rng(seed)
    nodes, edges, before = [Node("in", ops.Input(shape))], [], "in"
    for i, layer in enumerate(layers):
        op = LAYERS[layer](shape, rng)
        if op is None:
            continue
        node = Node(f"{layer}{i}", op)
        nodes.append(node)
        edges.append((before, node.name))
        if op.out_shape(shape) == shape and rng.random() < 0.2:
            nodes.append(Node(f"add{i}", ops.Identity()))
            edges += [(node.name, f"add{i}"), (before, f"add{i}")]
            node = nodes[-1]
        shape, before = op.out_shape(shape), node.name
    nodes.append(Node("out", ops.Output(shape)))
    return Graph(tuple(nodes), (*edges, (before, "out")))
