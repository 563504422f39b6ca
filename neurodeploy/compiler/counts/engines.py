"""Layer engines: parts with a few unlike cores that each run one convolutional layer.

A layer is a weight op, the neurons behind it and the pools behind those. Which layer runs on which core is a
matching; where there is none, the layers that stand in each other's way are named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurodeploy.compiler.counts.uses import CoreUse, Use
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op, Shape
from neurodeploy.program import Program
from neurodeploy.targets import Limit, Target

KERNEL, NEURONS, BIASES = "kernel memory", "neuron memory", "bias memory"
PATHS = {KERNEL: "core.kernel_words", NEURONS: "core.neuron_words", BIASES: "core.bias_words"}


@dataclass(frozen=True)
class Engine:
    """One layer as an engine runs it.

    Parameters
    ----------
    neuron, weights : Node
        The population's node and the op in front of it.
    need : dict of str to int
        Words of kernel, neuron and bias memory.
    """

    neuron: Node
    weights: Node
    need: dict[str, int]


def layers(program: Program) -> list[Engine]:
    """Find the layers of a network, in execution order."""
    graph = program.graph
    found = []
    for node in graph.neurons:
        weights = _weights_before(graph, node.name)
        if node.notes.get("role") != "encoder" and weights is not None:
            found.append(Engine(node, weights, _need(graph, node, weights)))
    return found


def count(program: Program) -> Iterator[CoreUse]:
    """Count layer by layer, each against the core it is matched to, or the one that comes closest."""
    target, found = program.target, layers(program)
    cores = core_list(target)
    if not cores:
        return
    match = matching([[fits(layer, core) for core in cores] for layer in found])
    for number, layer in enumerate(found):
        at = match[number]
        core = closest(layer, cores) if at is None else at
        uses = tuple(Use(name, layer.need[name], _limit(target, cores[core], name)) for name in PATHS)
        yield CoreUse(layer.neuron.name, layer.neuron.origin, f"engine {core}", at, 0, uses)


def core_list(target: Target) -> list[dict[str, Limit]]:
    """Facts of every single core, by class."""
    return [
        dict(group.facts)
        for group in target.core_classes
        for _ in range(int(group.facts["core.count"].value) if group.facts["core.count"].known else 0)
    ]


def _limit(target: Target, core: dict[str, Limit], name: str) -> Limit:
    return core.get(PATHS[name], target.limit(PATHS[name]))


def fits(layer: Engine, core: dict[str, Limit]) -> bool:
    """Whether a core has room for a layer, as far as its limits are known."""
    return all(
        not (limit := core.get(path)) or not limit.known or layer.need[name] <= limit.value
        for name, path in PATHS.items()
    )


def closest(layer: Engine, cores: Sequence[dict[str, Limit]]) -> int:
    """Return the core that a layer exceeds least."""

    def excess(core: dict[str, Limit]) -> float:
        known = [(n, core[p]) for n, p in PATHS.items() if p in core and core[p].known]
        return max((layer.need[n] / max(limit.value, 1) for n, limit in known), default=0.0)

    return min(range(len(cores)), key=lambda i: excess(cores[i]))


def matching(fit: Sequence[Sequence[bool]]) -> list[int | None]:
    """Match as many layers to cores as possible (augmenting paths)."""
    taken: dict[int, int] = {}

    def place(layer: int, seen: set[int]) -> bool:
        for core, good in enumerate(fit[layer]):
            if good and core not in seen:
                seen.add(core)
                if core not in taken or place(taken[core], seen):
                    taken[core] = layer
                    return True
        return False

    for layer in range(len(fit)):
        place(layer, set())
    by_layer = {layer: core for core, layer in taken.items()}
    return [by_layer.get(layer) for layer in range(len(fit))]


def blocking_set(fit: Sequence[Sequence[bool]]) -> tuple[list[int], int]:
    """Find layers that together fit fewer cores than they are.

    Returns
    -------
    layers : list of int
        Empty if every layer can be matched.
    cores : int
        Cores that any of them fits.
    """
    match = matching(fit)
    free = [layer for layer, core in enumerate(match) if core is None]
    if not free:
        return [], 0
    holder = {core: layer for layer, core in enumerate(match) if core is not None}
    found, queue, cores = {free[0]}, [free[0]], set[int]()
    while queue:
        layer = queue.pop()
        for core, good in enumerate(fit[layer]):
            if good and core not in cores:
                cores.add(core)
                if core in holder and holder[core] not in found:
                    found.add(holder[core])
                    queue.append(holder[core])
    return sorted(found), len(cores)


def _weights_before(graph: Graph, name: str) -> Node | None:
    """Return the weight op in front of a population, past scales and changes of shape."""
    here = name
    while True:
        before = graph.sources(here)
        if not before:
            return None
        node = graph[before[0]]
        if isinstance(node.op, ops.Affine | ops.Conv1d | ops.Conv2d):
            return node
        if node.op.stateful or not node.op.linear:
            return None
        here = node.name


def _need(graph: Graph, neuron: Node, weights: Node) -> dict[str, int]:
    channels, features, taps = _kernel(weights.op, _image(graph, weights.name))
    shape = graph.shapes[neuron.name]
    height, width = (shape[-2], shape[-1]) if len(shape) == 3 else (1, 1)
    return {
        KERNEL: channels * 2 ** (_bits(taps) + _bits(features)),
        NEURONS: features * 2 ** (_bits(height) + _bits(width)),
        BIASES: features if np.any(getattr(weights.op, "bias", np.zeros(1))) else 0,
    }


def _bits(count: int) -> int:
    """Address bits for a number of places."""
    return math.ceil(math.log2(max(count, 1)))


def _image(graph: Graph, name: str) -> Shape:
    """Shape that enters a weight op, before it was flattened."""
    before = graph.sources(name)[0]
    while isinstance(graph[before].op, ops.Flatten | ops.Scale):
        before = graph.sources(before)[0]
    return graph.shapes[before]


def _kernel(op: Op, shape: Shape) -> tuple[int, int, int]:
    """Input channels, features and taps of a weight op; a dense layer is a convolution over the whole map."""
    if isinstance(op, ops.Affine):
        channels = shape[0]
        return channels, op.weight.shape[0], math.prod(shape[1:])
    assert isinstance(op, ops.Conv1d | ops.Conv2d)
    return op.weight.shape[1] * op.groups, op.weight.shape[0], math.prod(op.weight.shape[2:])
