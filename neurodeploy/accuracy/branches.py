"""Sums of several branches: whether each weighs in the spiking network what it weighs in the source."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.accuracy.rungs import Climb
from neurodeploy.conversion import surgery
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import is_encoder

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Branches:
    """What feeds one sum.

    Parameters
    ----------
    node : str
        The node that takes the sum.
    names : tuple of str
        Its sources in the spiking graph.
    weights : tuple of float
        What each contributes for one unit of its counterpart in the source.
    origins : tuple of str
        The user's layers at the branches' ends.
    """

    node: str
    names: tuple[str, ...]
    weights: tuple[float, ...]
    origins: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The strongest branch's weight over the weakest one's."""
        return max(self.weights) / min(self.weights)

    @property
    def strong(self) -> str:
        """The layer at the end of the strongest branch."""
        return self.origins[int(np.argmax(self.weights))]

    @property
    def weak(self) -> str:
        """The layer at the end of the weakest one."""
        return self.origins[int(np.argmin(self.weights))]


def branches(climb: Climb, rates: Mapping[str, Floats]) -> list[Branches]:
    """Weigh the branches of every sum that the folded source and the spiking network both have.

    Parameters
    ----------
    climb : Climb
    rates : mapping of str to ndarray, shape (B, *population shape)
        Spikes per step of every population, over a run long enough to have settled.
    """
    graph, folded = climb.spiking, climb.folded
    sums = [n.name for n in folded if len(folded.sources(n.name)) > 1 and n.name in graph]
    sums = [n for n in sums if len(graph.sources(n)) == len(folded.sources(n))]
    if not sums:
        return []
    wanted = {s for name in sums for s in folded.sources(name)}
    theirs: dict[str, Floats] = {}
    evaluate(folded, climb.prepared(folded), watch=lambda n, v: theirs.update({n: v} if n in wanted else {}))
    ours = linear_values(graph, climb.entering, rates)
    found = []
    for name in sums:
        pairs = list(zip(graph.sources(name), folded.sources(name), strict=True))
        unit = graph[name].unit  # channels are scaled one by one, all branches of a channel alike
        slopes = [_slope(theirs[b], ours[a] * unit) for a, b in pairs]
        if all(slope > 0 for slope in slopes):
            origins = tuple(folded[b].origin for _, b in pairs)
            found.append(Branches(name, graph.sources(name), tuple(slopes), origins))
    return found


def _slope(x: Floats, y: Floats) -> float:
    """Change of y per change of x over the samples; what is constant, as a bias, plays no part."""
    if x.shape != y.shape:
        return 0.0
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    square = float(np.vdot(x, x))
    return float(np.vdot(x, y)) / square if square else 0.0


def linear_values(graph: Graph, x: Floats, rates: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return what every node of a spiking graph puts out on average, given the rates of its populations."""
    values: dict[str, Floats] = {}
    for node in graph.nodes:
        if node.name in rates:
            values[node.name] = rates[node.name].reshape(-1, *graph.shapes[node.name])
            continue
        total = functools.reduce(np.add, [values[s] for s in graph.sources(node.name)] or [x])
        keeps = node.op.stateful and not is_encoder(node)
        values[node.name] = total if keeps else apply(node.op, total, dt=graph.dt)
    return values


def rebalanced(
    graph: Graph, found: Iterable[Branches], to: Callable[[tuple[float, ...]], float] = max
) -> Graph:
    """Return a spiking graph in which all branches of some sums weigh as the strongest, or weakest, does."""
    for sum_ in found:
        for name, weight in zip(sum_.names, sum_.weights, strict=True):
            factor = to(sum_.weights) / weight
            scale = ops.Scale(np.full((1,) * len(graph.shapes[name]), factor))
            node = Node(surgery.fresh(graph, f"{name}.rebalanced"), scale, graph[sum_.node].origin)
            graph = surgery.insert_on(graph, (name, sum_.node), node)
    return graph
