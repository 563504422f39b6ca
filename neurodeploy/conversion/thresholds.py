"""What activation one spike of a population stands for, from the source's activations on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.ir.graph import Graph, Node

Floats = npt.NDArray[np.float64]

PERCENTILE, LOCAL = "percentile", "local"
BALANCINGS = (PERCENTILE, LOCAL)
"""Where a threshold is the activation found, and where `local` looks for a better one around it."""
LEAST_OF_LAYER = 0.1
"""Smallest threshold of a channel, as part of its layer's: a few weak samples do not make a scale."""


def nothing(share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Options:
    """How to balance; as in `spiking.convert`. `advance` is told what share of a population is done."""

    percentile: float
    rate: float
    steps: int
    balancing: str = PERCENTILE
    per_channel: bool = True
    advance: Callable[[float], object] = nothing


def thresholds(node: Node, z: Floats, options: Options) -> Floats:
    """Return the threshold per channel: its high activations over the rate aimed at; 1 for integrators."""
    if not node.op.spiking:
        return np.ones(())
    high = _percentile(z[z > 0], options.percentile, 1.0)
    shared = node.notes.get("role") == "output" or not options.per_channel
    if shared:
        return np.asarray(min(high / options.rate, cap(node)))
    least = LEAST_OF_LAYER * high
    channels = [max(_percentile(c[c > 0], options.percentile, high), least) for c in np.moveaxis(z, 1, 0)]
    return np.minimum(np.reshape(channels, (-1, *(1,) * (z.ndim - 2))) / options.rate, cap(node))


def threshold_of(node: Node, z: Floats, options: Options, alike: Mapping[object, Floats]) -> Floats:
    """Return the threshold of a population, which is that of its pool, if it is in one, up to its cap."""
    of_pool = alike.get(node.notes.get("pool"), np.zeros(()))
    return np.minimum(np.maximum(thresholds(node, z, options), of_pool), cap(node))


def of_pools(graph: Graph, inputs: Mapping[str, Floats], options: Options) -> dict[object, Floats]:
    """Return the thresholds of the populations of each max pool: alike, so that no synapse exceeds one."""
    found: dict[object, Floats] = {}
    for node in graph.neurons:
        if (pool := node.notes.get("pool")) is not None:
            own = thresholds(node, inputs[node.name], options)
            found[pool] = np.maximum(found.get(pool, own), own)
    return found


def cap(node: Node) -> float:
    """Return the largest activation, where the source cuts them; a neuron that spikes in every step."""
    return float(node.notes.get("cap", np.inf))


def wanted_of(node: Node, z: Floats) -> Floats:
    """Return the source's activation behind a weighted input."""
    return np.clip(z, 0.0, cap(node)) if node.op.spiking else z


def _percentile(active: Floats, percentile: float, default: float) -> float:
    return float(np.percentile(active, percentile)) if active.size else default
