"""One spiking graph with an op of every kind that NIR has, and one changed value for every kind of value."""

from itertools import pairwise

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node

STEPS = {
    "in": ops.Input((2, 8, 8), (8, 8, 2), (2, 0, 1)),
    "encoder": ops.IF(np.ones(()), np.ones(()), reset="subtract"),
    "conv": ops.Conv2d(np.arange(8.0).reshape(2, 1, 2, 2), np.ones(2), (1, 1), (1, 1), (2, 2), 2),
    "scale": ops.Scale(np.full((2, 1, 1), 0.3)),
    "if": ops.IF(np.full(2 * 8 * 8, 0.1).reshape(2, 8, 8), np.ones((2, 1, 1)), refractory=1),
    "sum": ops.SumPool2d((2, 2), (2, 2)),
    "average": ops.AvgPool2d((2, 2), (2, 2)),
    "lif": ops.LIF(*np.full((4, 2, 2, 2), 0.1)),
    "flat": ops.Flatten(),
    "fc/0": ops.Affine(np.linspace(0, 1, 24).reshape(3, 8), np.zeros(3)),
    "cuba": ops.CubaLIF(*np.full((6, 3), 0.2)),
    "last": ops.Affine(np.ones((2, 3)), np.zeros(2)),
    "leaky": ops.LI(*np.full((3, 2), 0.5)),
    "out": ops.Output((2,)),
}


def spiking_graph():
    """Build a chain of all ops with one edge back, every field of every node in use."""
    nodes = tuple(
        Node(name, op, f"my {name}", op.kind, 2.0, {"note": 1.5, "role": name}) for name, op in STEPS.items()
    )
    edges = pairwise(STEPS)
    return Graph(
        nodes, (*edges, ("if", "scale")), 2e-3, "all ops", {"rate": 0.5, "neuron": "if", "steps": 64}
    )


def sequence_graph():
    """Build a graph with the ops of sequences and the plain integrator."""
    conv = ops.Conv1d(np.arange(12.0).reshape(4, 1, 3), np.ones(4), 2, 1, 1, 2)
    steps = {
        "in": ops.Input((2, 9)), "conv": conv, "if": ops.IF(np.ones(()), np.ones(())), "flat": ops.Flatten(),
        "sum": ops.I(np.ones(20)), "out": ops.Output((20,)),
    }  # fmt: skip
    return Graph(tuple(Node(k, op) for k, op in steps.items()), tuple(pairwise(steps)))


def delayed_graph():
    """Build a graph with a delay and a leaky read-out behind a synapse."""
    steps = {
        "in": ops.Input((5,)), "late": ops.Delay(np.linspace(0, 4e-3, 5)),
        "leaky": ops.CubaLI(*np.full((5, 5), 0.2)), "out": ops.Output((5,)),
    }  # fmt: skip
    return Graph(tuple(Node(k, op) for k, op in steps.items()), tuple(pairwise(steps)))


def changed(value):
    """Return a value of the same kind that is not the same."""
    if isinstance(value, np.ndarray):
        array = value.copy()
        array[(-1,) * array.ndim] += 1e-12
        return array
    if isinstance(value, tuple):
        return (*value[:-1], value[-1] + 1)
    return value + "s" if isinstance(value, str) else value + 1
