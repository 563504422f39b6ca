"""Local threshold balancing: per channel, the threshold at which a population comes closest to the source.

A low threshold cuts large activations off, a high one leaves the others only a few coarse steps, and where
the balance lies depends on the number of steps. So each population is stepped, on the spikes that really
reach it, with several thresholds around the one that its percentile gives, and every channel takes the one
whose decoded rates have the least squared error. The percentile, and the rate, say where is looked.

References
----------
.. [1] Li et al. (2021), A free lunch from ANN: towards efficient, accurate spiking neural networks
   calibration, ICML, section 4.1 (the threshold of least squared error, layer by layer).
.. [2] Bu et al. (2025), Inference-scale complexity in ANN-SNN conversion for high-performance and low-power
   applications, CVPR, arXiv:2409.03368 (thresholds channel by channel, each layer by itself).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion.thresholds import LOCAL, Options, cap, wanted_of
from neurodeploy.ir.graph import Node

Floats = npt.NDArray[np.float64]

FACTORS = (0.5, 0.63, 0.8, 1.0, 1.25, 1.6)
"""Of the threshold that the percentile gives: a third of an octave apart, down as far as spikes double."""
FEW = slice(0, 64)
"""Calibration samples that thresholds are tried on."""


def best_threshold(
    node: Node, z: Floats, options: Options, threshold: Floats, decoded: Callable[[Floats], Floats]
) -> Floats:
    """Return the threshold of least error, per channel where there are several.

    Parameters
    ----------
    node : Node
        A population. Those that together take a maximum share their threshold and keep it, as integrators do.
    z : ndarray of float64, shape (B, *population shape)
        What enters the activation in the source.
    options : Options
    threshold : ndarray of float64
        That the percentile gives; broadcast to the population's shape.
    decoded : callable of (ndarray)
        Returns what the population's rates stand for with a threshold, over the samples `FEW`.
    """
    if options.balancing != LOCAL or not node.op.spiking or node.notes.get("pool") is not None:
        return threshold
    wanted = wanted_of(node, z[FEW])
    over = tuple(a for a in range(z.ndim) if a != 1 or not threshold.ndim)
    tried = np.stack([np.minimum(threshold * factor, cap(node)) for factor in FACTORS])
    errors = [((decoded(at) - wanted) ** 2).mean(axis=over).reshape(threshold.shape) for at in tried]
    best = np.argmin(np.stack(errors), axis=0)
    return np.asarray(np.take_along_axis(tried, best[np.newaxis], axis=0)[0])
