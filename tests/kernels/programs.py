"""Random compiled programs that reach every corner of the arithmetic; shared by the kernel tests."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Block, Population, Program, Synapses
from neurodeploy.targets import target

WEIGHTS = {
    "loihi": lambda rng, k: rng.integers(-127, 128, k) << 7,
    "coarse": lambda rng, k: rng.integers(-3, 4, k) << 11,
    "odd": lambda rng, k: rng.integers(-128, 128, k),
    "medium": lambda rng, k: rng.integers(-40_000, 40_000, k),
    "overflow": lambda rng, k: rng.integers(-(2**20), 2**20, k),
    "huge": lambda rng, k: rng.integers(-(2**31), 2**31, k),
}
NEURONS = ("if", "lif", "any", "edge")


def compartments(rng: np.random.Generator, n: int, kind: str) -> Compartments:
    """Draw the compartments of a block."""

    def draw(low, high):
        return rng.integers(low, high, n)

    if kind == "if":
        keep = int(rng.integers(4094, 4096))
        return Compartments(
            np.full(n, keep),
            np.zeros(n),
            draw(1, 400) * 64,
            draw(-300, 300),
            np.ones(n),
            -(2**23) + 1,
            2**23 - 1,
        )
    if kind == "lif":
        return Compartments(
            np.full(n, draw(0, 4096)[0]),
            np.full(n, draw(0, 4096)[0]),
            draw(1, 4000) * 64,
            draw(-4095, 4095) << 3,
            np.full(n, draw(1, 4)[0]),
            0,
            2**21 - 1,
        )
    if kind == "any":
        return Compartments(
            draw(0, 4096),
            draw(0, 4096),
            draw(1, 131072) * 64,
            draw(-4095, 4095) * 2 ** draw(0, 8),
            draw(1, 64),
            -(2 ** int(rng.integers(0, 31))) + 1,
            2 ** (9 + 2 * int(rng.integers(0, 8))) - 1,
        )
    return Compartments(draw(0, 3), draw(0, 3), draw(100_000, 131072) * 64, draw(-(2**23), 2**23), draw(1, 3),
                        -(2**31) + 1, 2**23 - 1)  # fmt: skip


def synapses(
    rng: np.random.Generator, source: str, n_source: int, n: int, kind: str, weights: str
) -> Synapses:
    """Draw the synapses from a population into a block of `n` neurons."""
    if kind == "dense":
        length = n
        rows = n_source
        axon, atom = np.arange(n_source), np.zeros(n_source)
        first_row, base = np.arange(n_source), np.zeros(n_source)
        index = np.tile(np.arange(n), rows)
        start = np.arange(rows + 1) * length
    elif kind == "shared":
        atoms = int(rng.integers(1, 5))
        axons = max(1, n_source // atoms)
        axon = np.minimum(np.arange(n_source) // atoms, axons)
        axon[axon == axons] = -1
        atom = np.arange(n_source) % atoms
        span = int(rng.integers(1, n + 1))
        patterns = int(rng.integers(1, 4))
        first_row = rng.integers(0, patterns, axons) * atoms
        base = rng.integers(0, n - span + 1, axons)
        rows = [np.sort(rng.permutation(span)[: rng.integers(1, span + 1)]) for _ in range(patterns * atoms)]
        start = np.cumsum([0] + [len(r) for r in rows])
        index = np.concatenate(rows)
    else:
        axons = int(rng.integers(1, n_source + 1))
        axon, atom = rng.integers(-1, axons, n_source), np.zeros(n_source)
        first_row, base = np.arange(axons), np.zeros(axons)
        length = rng.integers(0, min(n, 6) + 1, axons)
        start = np.concatenate([[0], np.cumsum(length)])
        index = rng.integers(0, n, start[-1])  # duplicates add up
    as32 = [np.asarray(a, np.int32) for a in (axon, atom, first_row, base)]
    weight = WEIGHTS[weights](rng, len(index)).astype(np.int32)
    delay = int(rng.integers(2, 5)) if rng.random() < 0.2 else 1
    entries = np.asarray(start, np.int64), np.asarray(index, np.int32), weight
    return Synapses(source, *as32, *entries, delay=delay)


def program(seed: int, *, host: bool = True) -> Program:
    """Draw a program: two to four populations in blocks, fed forwards, backwards and sideways."""
    rng = np.random.default_rng(seed)
    shapes = [tuple(rng.integers(1, 9, 3)) if rng.random() < 0.4 else (int(rng.integers(1, 150)),)
              for _ in range(rng.integers(2, 5))]  # fmt: skip
    neuron = ops.IF(r=np.array(1000.0), v_threshold=np.array(1.0))
    populations = [
        Population(f"p{i}", f"p{i}", tuple(int(s) for s in shape), membrane(neuron, 1e-3),
                   np.zeros(int(np.prod(shape))), on_chip=i > 0 or not host)
        for i, shape in enumerate(shapes)
    ]  # fmt: skip
    blocks: list[Block] = []
    for i, population in enumerate(populations):
        if population.on_chip:
            blocks += draw_blocks(rng, populations, i)
    graph = chain([p.name for p in populations], shapes[0], neuron)
    return Program(graph, target("loihi1"), tuple(populations), (), tuple(blocks), tuple(range(len(blocks))))


def draw_blocks(rng: np.random.Generator, populations: list[Population], i: int) -> list[Block]:
    """Cut a population into blocks, interleaved or in order, and feed each from some populations."""
    me = populations[i]
    ids = np.arange(me.size, dtype=np.int32)
    parts = int(rng.integers(1, min(3, me.size) + 1))
    cut = [ids[k::parts] for k in range(parts)] if rng.random() < 0.5 else np.array_split(ids, parts)
    kind = str(rng.choice(NEURONS))
    sources = [populations[i - 1]] if i else []
    sources += [p for p in populations if rng.random() < 0.25 and p not in sources]
    kinds = {
        p.name: (str(rng.choice(["dense", "shared", "sparse"])), str(rng.choice(list(WEIGHTS))))
        for p in sources
    }
    blocks = []
    for k, neurons in enumerate(cut):
        fed = tuple(synapses(rng, p.name, p.size, len(neurons), *kinds[p.name]) for p in sources)
        blocks.append(
            Block(f"{me.name}[{k}]", me.name, me.name, neurons, compartments(rng, len(neurons), kind), fed)
        )
    return blocks


def chain(names: list[str], shape: tuple[int, ...], neuron: ops.IF) -> Graph:
    """Make the graph that names the populations."""
    nodes = [
        Node("input", ops.Input(shape)),
        *(Node(name, neuron) for name in names),
        Node("output", ops.Output(shape)),
    ]
    order = [n.name for n in nodes]
    return Graph(tuple(nodes), tuple(pairwise(order)))
