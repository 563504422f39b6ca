"""Networks of rates that settle with feedback, and what rules read from two such states."""

from __future__ import annotations

import numpy as np

from neurodeploy.learning.rate import Compared, Floats, Layers, Network

PACE = 0.5
"""Part of the way to its drive that a rate goes in one step."""


def settle(
    net: Network,
    x: Floats,
    *,
    steps: int,
    gain: float = 1.0,
    start: Layers | None = None,
    clamp: Floats | None = None,
    nudge: tuple[Floats, float] | None = None,
) -> Layers:
    """Let rates between 0 and 1 come to rest: each follows its input from below and from above.

    Parameters
    ----------
    net : Network
        Its feedback leads from every layer to the one before.
    x : ndarray of float64, shape (B, I)
    steps : int
    gain : float
        Of all feedback.
    start : tuple of ndarray, optional
        Rates to go on from, as this returns them; zeros by default.
    clamp : ndarray of float64, shape (B, O), optional
        Held at the output.
    nudge : (ndarray of float64, shape (B, O), float), optional
        Wanted output, and how strongly the output is pulled to it.

    Returns
    -------
    tuple of ndarray of float64, shape (B, N)
        The input first, then every layer.
    """
    first = x @ net.weights[0].T + net.biases[0]
    rates = list(start) if start else [x, *(np.zeros((len(x), len(b))) for b in net.biases)]
    if clamp is not None:
        rates[-1] = clamp
    for _ in range(steps):
        after = list(rates)
        for n in range(net.hidden + 1):
            if n == net.hidden and clamp is not None:
                continue
            drive = first if n == 0 else rates[n] @ net.weights[n].T + net.biases[n]
            if n < net.hidden and gain:
                drive = drive + gain * (rates[n + 2] @ net.feedback[n].T)
            elif n == net.hidden and nudge is not None:
                drive = drive + nudge[1] * (nudge[0] - rates[-1])
            after[n + 1] = (1 - PACE) * rates[n + 1] + PACE * np.clip(drive, 0, 1)
        rates = after
    return tuple(rates)


def output_drive(net: Network, rates: Layers) -> Floats:
    """Return what the last layer's neurons get, before they saturate: ties are broken by it."""
    return np.asarray(rates[-2] @ net.weights[-1].T + net.biases[-1])


def contrast(minus: Layers, plus: Layers, *, scales: tuple[float, ...]) -> Compared:
    """Return ``mean (y x^T)_minus - (y x^T)_plus`` of every layer times its scale, and of all feedback.

    Both synapses between two neurons see the same product, so feedback changes as the weights do.
    """
    weights, biases = [], []
    for n, scale in enumerate(scales):
        share = scale / len(minus[0])
        weights.append((minus[n + 1].T @ minus[n] - plus[n + 1].T @ plus[n]) * share)
        biases.append((minus[n + 1] - plus[n + 1]).sum(axis=0) * share)
    return Compared(tuple(weights), tuple(biases), tuple(w.T for w in weights[1:]))


def difference(minus: Layers, plus: Layers) -> Compared:
    """Return ``mean (y_minus - y_plus) x_minus^T`` of every layer, and of feedback from its own two ends."""
    gaps = [(a - b) / len(minus[0]) for a, b in zip(minus[1:], plus[1:], strict=True)]
    weights = tuple(g.T @ x for g, x in zip(gaps, minus, strict=False))
    feedback = tuple(g.T @ above for g, above in zip(gaps, minus[2:], strict=False))
    return Compared(weights, tuple(g.sum(axis=0) for g in gaps), feedback)


def as_wide(net: Network, rng: np.random.Generator) -> Layers:
    """Draw feedback from every layer to the one before, as wide as the weights and independent of them."""
    return tuple(rng.normal(0, w.std(), w.T.shape) for w in net.weights[1:])
