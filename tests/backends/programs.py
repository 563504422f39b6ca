"""Placed programs made by hand, with every feature of the synapse layout and random integers."""

from itertools import pairwise

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Block, Population, Program, Synapses
from neurodeploy.targets import target

DT = 1e-3


def spiking_graph(sizes, rng, *, spiking_output=False):
    """A chain of fully connected populations; only its neurons and names matter here."""

    def neuron(v_threshold=1.0):
        return ops.IF(r=np.full((), 1 / DT), v_threshold=np.full((), v_threshold))

    nodes = [Node("x", ops.Input((sizes[0],)))]
    code = ops.IF(np.full((), 1 / DT), np.ones(()), reset="subtract")
    nodes.append(Node("encoder", code, notes={"role": "encoder"}))
    for i, (before, size) in enumerate(pairwise(sizes)):
        nodes.append(Node(f"fc{i}", ops.Affine(rng.normal(size=(size, before)), np.zeros(size))))
        if i < len(sizes) - 2:
            nodes.append(Node(f"fc{i}.relu", neuron(), origin=f"fc{i}"))
    last = neuron() if spiking_output else ops.I(np.full((), 1 / DT))
    nodes += [Node("out", last, origin=f"fc{i}", unit=0.5), Node("y", ops.Output((sizes[-1],)))]
    edges = tuple((a.name, b.name) for a, b in pairwise(nodes))
    return Graph(tuple(nodes), edges, dt=DT, name="by hand")


def random_compartments(n, rng, *, spiking=True, vmin=-(2**23) + 1):
    """No more kinds of neuron and of threshold than a core has profiles for."""
    return Compartments(
        decay_u=np.full(n, rng.choice([4094, 3000, 1500])),
        decay_v=np.full(n, rng.choice([0, 300]) if spiking else 0),
        vth=rng.choice(rng.integers(20, 600, 7), n) * 64 if spiking else np.full(n, (2**17 - 1) * 64),
        bias=rng.integers(-2000, 4000, n),
        refract=rng.integers(1, 4, n) if spiking else np.ones(n),
        vmin=vmin,
        vmax=2**23 - 1,
    )


def random_weights(count, rng):
    return (rng.integers(-127, 128, count) * 128).astype(np.int32)


def dense_synapses(source, n_source, n, rng, *, skip=0):
    """One axon per source neuron, the first `skip` neurons not connected."""
    used = n_source - skip
    return Synapses(
        source=source,
        axon=np.concatenate([np.full(skip, -1), np.arange(used)]).astype(np.int32),
        atom=np.zeros(n_source, np.int32),
        first_row=np.arange(used, dtype=np.int32),
        base=np.zeros(used, np.int32),
        row_start=np.arange(used + 1, dtype=np.int64) * n,
        index=np.tile(np.arange(n, dtype=np.int32), used),
        weight=random_weights(used * n, rng),
    )


def population_synapses(source, n_source, n, rng, *, atoms=4):
    """Axons shared by `atoms` neurons; two axons share their rows, and each has a base of its own."""
    axons = n_source // atoms
    width = n // 2
    share = np.minimum(np.arange(axons), axons - 2)
    rows = (axons - 1) * atoms
    neuron = np.arange(n_source)
    return Synapses(
        source=source,
        axon=(neuron // atoms).astype(np.int32),
        atom=(neuron % atoms).astype(np.int32),
        first_row=(share * atoms).astype(np.int32),
        base=(4 * rng.integers(0, (n - width) // 4 + 1, axons)).astype(np.int32),
        row_start=np.arange(rows + 1, dtype=np.int64) * width,
        index=np.concatenate([rng.permutation(width) for _ in range(rows)]).astype(np.int32),
        weight=random_weights(rows * width, rng),
        axon_kind="pop16",
    )


def cut(name, parts, rng, make, **options):
    """Blocks of a population; neurons are dealt out at random."""
    size = sum(parts)
    deal = rng.permutation(size)
    blocks, start = [], 0
    for k, n in enumerate(parts):
        neurons = np.sort(deal[start : start + n]).astype(np.int32)
        compartments = random_compartments(n, rng, **options)
        blocks.append(Block(f"{name}[{k}]", name, name, neurons, compartments, make(n)))
        start += n
    return blocks


def by_hand(rng, *, coding="rate", spiking_output=False):
    """encoder (12) -> population axons -> 8 + 12 neurons, feeding themselves back -> 3 + 2 read out."""
    graph = spiking_graph([12, 20, 5], rng, spiking_output=spiking_output)
    sizes = {"encoder": 12, "fc0.relu": 20, "out": 5}
    populations = tuple(
        Population(
            name, name, (n,), membrane(graph[name].op, DT), np.zeros(n),
            on_chip=name != "encoder" or coding == "bias", weight_scale=12000.0, unit=graph[name].unit,
        )
        for name, n in sizes.items()
    )  # fmt: skip

    def hidden(n):
        back = dense_synapses("fc0.relu", 20, n, rng, skip=3)
        return population_synapses("encoder", 12, n, rng), back

    def read_out(n):
        return (dense_synapses("fc0.relu", 20, n, rng),)

    blocks = cut("encoder", [7, 5], rng, lambda n: ()) if coding == "bias" else []
    blocks += cut("fc0.relu", [8, 12], rng, hidden)
    blocks += cut("out", [3, 2], rng, read_out, spiking=spiking_output)
    cores, options = tuple(range(len(blocks))), {"input_coding": coding}
    return Program(graph, target("loihi1"), populations, (), tuple(blocks), cores, options=options)
