"""Controls of learning rules in the chip's integers: a task that needs depth, no errors at all, the gradient.

`tools/bench_rules.py` has them as options: ``--task banded-2d``, ``--control zero-error``, ``--cosine N`` and
``--rounding shared``.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends import deep as teaching
from neurodeploy.kernels import online
from neurodeploy.learning import DEEP, rate
from neurodeploy.learning.circuit import FULL, UNIT, WEIGHT_SHIFT, Circuit

Floats = npt.NDArray[np.float64]
BANDS, CLASSES = 3, 3
MARGIN = 0.3
"""Between bands, as a share of a band with its margin."""


def banded(samples: int, *, seed: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Draw points of a plane in bands both ways; their class is the sum of both bands' numbers, modulo 3.

    Neither coordinate alone says anything about the class.

    Parameters
    ----------
    samples : int
    seed : int

    Returns
    -------
    ndarray of float64, shape (B, 4)
        Both coordinates from 0 to 1, and 1 less each.
    ndarray of int64, shape (B,)

    References
    ----------
    .. [1] E. Hunsberger (2018), Spiking deep neural networks: engineered and biological approaches to object
       recognition, PhD thesis, University of Waterloo, "Limitations" of feedback alignment; with 9 bands.
    """
    rng = np.random.default_rng([seed, BANDS])
    band = rng.integers(0, BANDS, (samples, 2))
    x = (band + rng.uniform(MARGIN / 2, 1 - MARGIN / 2, (samples, 2))) / BANDS
    return np.concatenate([x, 1 - x], axis=1), band.sum(axis=1) % CLASSES


def untaught(wired: Circuit) -> Circuit:
    """Return a circuit that is never told anything: no label, nothing held, error neurons shut all the time.

    What its weights do then is drift.
    """
    told = {"label": 0, "hold": 0, "clamp": 0, "closed": UNIT}
    populations = tuple(
        dataclasses.replace(p, rates=(told[p.name],) * len(p.rates)) if p.name in told else p
        for p in wired.populations
    )
    return dataclasses.replace(wired, populations=populations)


def layers(wired: Circuit) -> list[tuple[str, str]]:
    """Return the ends of forward projections, in order."""
    hidden = [p.name for p in wired.populations if p.name[0] == "h" and p.name[1:].isdigit()]
    return list(pairwise(["data", *hidden, wired.readout]))


def weights(wired: Circuit, course: teaching.Course) -> list[npt.NDArray[np.int64]]:
    """Return the codes of every forward layer."""
    return [course.weight(wired, *ends) for ends in layers(wired)]


def drift(wired: Circuit, before: list[Any], after: list[Any], samples: int) -> list[dict[str, float]]:
    """Return how far weights went in every layer, in codes per 1,000 samples: their mean, and its size."""
    share = 1000 / samples
    return [
        {"layer": at + 1, "mean": float((b - a).mean()) * share, "size": float(np.abs(b - a).mean()) * share}
        for at, (a, b) in enumerate(zip(before, after, strict=True))
    ]


def cosines(wired: Circuit, course: teaching.Course, codes: Any, labels: Any, *, aim: float) -> list[float]:
    """Return the cosine of what a batch changes in every layer to the gradient in rates.

    Parameters
    ----------
    wired : Circuit
    course : Course
        Stays as it is.
    codes, labels : ndarray
        The batch; every sample is shown to the same weights, with random numbers of its own.
    aim : float
        Spikes per step that the right output is taught.

    Notes
    -----
    The gradient is that of the squared error of output rates from their aims, in a network of rates between 0
    and 1 with the same weights in thresholds; membranes, feedback and rounding are the chip's alone.
    """
    ends = layers(wired)
    before = weights(wired, course)
    after = [w.copy() for w in before]
    for at in range(len(codes)):
        state = course.state.copy()
        state.clock[1] += at * wired.steps
        online.run(course.laid, state, codes[at : at + 1], labels[at : at + 1])
        for total, w, v in zip(
            after, weights(wired, dataclasses.replace(course, state=state)), before, strict=True
        ):
            total += w - v
    thresholds = [wired[name].threshold / 2**WEIGHT_SHIFT for _, name in ends]
    floats = tuple(w / t for w, t in zip(before, thresholds, strict=True))
    net = rate.Network(floats, tuple(np.zeros(len(w)) for w in floats), top=1.0)
    pace = wired["data"].rates[0] / UNIT
    activity = rate.forward(net, np.asarray(codes, np.float64) / FULL * pace)
    wanted = rate.one_hot(labels, len(floats[-1])) * aim
    error = np.clip(activity.rates[-1], 0, 1) - wanted
    true, _ = rate.three_factor(activity, DEEP["backprop"].signals(net, activity, error, wanted))
    return [
        round(rate.cosine((a - b).astype(np.float64), g), 4)
        for a, b, g in zip(before, after, true, strict=True)
    ]
