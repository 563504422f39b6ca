"""Networks in which accuracy is lost for one known reason, and one in which none is."""

import dataclasses

import numpy as np

import neurodeploy as nd
from neurodeploy.conversion import surgery
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node


def with_busy(graph, name, factor):
    """Let a population spike more often, each spike standing for less: what exceeds one per step is lost."""
    node = graph[name]
    op = dataclasses.replace(node.op, v_threshold=node.op.v_threshold / factor)
    graph = graph.with_node(name, op=op, unit=node.unit / factor)
    for target in graph.targets(name):
        scale = Node(surgery.fresh(graph, f"{name}.less"), ops.Scale(np.full((1,), 1 / factor)))
        graph = surgery.insert_on(graph, (name, target), scale)
    return graph


def with_relays(graph, count):
    """Put populations that pass every spike on behind the first one: each costs a step."""
    last = graph.neurons[0].name
    for i in range(count):
        shape = graph.shapes[last]
        relay = Node(f"relay{i}", ops.IF(np.full(shape, 1 / graph.dt), np.full(shape, 0.5)), "pixels")
        graph = surgery.insert_after(graph, last, relay)
        last = relay.name
    return graph


def with_branch(graph, factor):
    """Let the first branch into the first sum weigh more than in the source."""
    name = next(node.name for node in graph if len(graph.sources(node.name)) > 1)
    branch = graph.sources(name)[0]
    return surgery.insert_on(graph, (branch, name), Node("off", ops.Scale(np.full((1,), factor))))


def with_thresholds(program, name, rng):
    """Move the integer thresholds of a population far from what they stand for."""
    factor = 3.0 ** rng.normal(size=program.population(name).size)

    def moved(compartments, of):
        vth = np.maximum(compartments.vth * of, 64).astype(np.int32)
        return dataclasses.replace(compartments, vth=vth)

    populations = tuple(
        dataclasses.replace(p, compartments=moved(p.compartments, factor)) if p.name == name else p
        for p in program.populations
    )
    blocks = tuple(
        dataclasses.replace(b, compartments=moved(b.compartments, factor[b.neurons]))
        if b.population == name
        else b
        for b in program.blocks
    )
    return dataclasses.replace(program, populations=populations, blocks=blocks)


def wrapping(rng):
    """A network of 300 neurons that all spike at once into sums that it is said to keep small."""
    source = dataclasses.replace(_wide(rng), name="wide")
    x = rng.uniform(0.5, 1.0, size=(60, 8))
    spiking = nd.convert(source, calibration=x, rate=1.0, percentile=50)
    last = spiking[spiking.sources(spiking.output.name)[0]]
    return spiking.with_node(last.name, notes={**last.notes, "peak_drive": 1.0, "peak_membrane": 1.0}), x


def _wide(rng):
    from tests.conversion.graphs import chain

    hidden = rng.random((300, 8))
    last = np.array([[0.6], [0.8], [1.0]]) + 0.2 * rng.normal(size=(3, 300))  # the largest sum wraps
    return chain(
        ("in", ops.Input((8,))), ("fc", ops.Affine(hidden, np.zeros(300))), ("relu", ops.ReLU()),
        ("last", ops.Affine(last, np.zeros(3))), ("out", ops.Output((3,))),
    )  # fmt: skip


def with_silent_tree(spiking, pool):
    """Silence the neurons that compare the values of a max pool, so that it takes the last one."""
    for node in spiking.neurons:
        if node.origin == pool and node.name != pool:
            op = dataclasses.replace(node.op, v_threshold=1e3 * node.op.v_threshold)
            spiking = spiking.with_node(node.name, op=op)
    return spiking


def pooled(rng):
    """A source with a maximum, the network of its twin with a mean, and samples."""
    from tests.conversion.graphs import chain

    kernel, last = rng.normal(size=(6, 1, 3, 3)), rng.normal(size=(4, 54))

    def network(pool):
        return chain(
            ("in", ops.Input((1, 8, 8))), ("conv", ops.Conv2d(kernel, np.zeros(6))), ("relu", ops.ReLU()),
            ("pool", pool), ("flat", ops.Flatten()), ("fc", ops.Affine(last, np.zeros(4))),
            ("out", ops.Output((4,))),
        )  # fmt: skip

    x = rng.random((150, 1, 8, 8))
    twin = nd.convert(network(ops.AvgPool2d((2, 2), (2, 2))), calibration=x)
    return network(ops.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)))), twin, x
