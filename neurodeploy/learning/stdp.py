"""Pair STDP: a synapse grows when its input spiked before its neuron, and shrinks the other way round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.learning.description import Rule, Trace, describe

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairSTDP:
    """Change weights by traces at spikes: ``dw = rise x s_post - fall y s_pre - rest s_post``.

    Parameters
    ----------
    rise, fall, rest : float
        Powers of two on a chip, and 0. With the last, inputs that were silent lose weight at a spike.
    tau : float
        Of both traces, in steps.

    References
    ----------
    .. [1] A. Morrison, M. Diesmann, W. Gerstner (2008), Phenomenological models of synaptic plasticity based
       on spike timing, Biological Cybernetics 98, section 4.1.
    .. [2] P. Diehl, M. Cook (2015), Unsupervised learning of digit recognition using
       spike-timing-dependent plasticity, Frontiers in Computational Neuroscience 9:99, where `rest` is
       ``rise x_tar``.
    """

    rise: float = 1.0
    fall: float = 1.0
    rest: float = 0.0
    tau: float = 20.0

    name: ClassVar[str] = "stdp"
    equation: ClassVar[str] = "dw = rise * trace(pre) * spike(post) - fall * trace(post) * spike(pre)"
    reference: ClassVar[str] = "Morrison et al. 2008"

    def change(
        self, *, x: npt.ArrayLike, y: npt.ArrayLike, pre: npt.ArrayLike, post: npt.ArrayLike
    ) -> Floats:
        """Return what is added to weights, shape (O, I), in one step.

        Parameters
        ----------
        x, pre : array_like, shape (I,)
            Trace and spikes before.
        y, post : array_like, shape (O,)
            Trace and spikes behind.
        """
        before, behind = np.asarray(x, np.float64), np.asarray(y, np.float64)
        grown = np.outer(np.asarray(post, np.float64), self.rise * before - self.rest)
        return np.asarray(grown - self.fall * np.outer(behind, np.asarray(pre, np.float64)))

    def window(self, lag: float) -> float:
        """Return the change by a pair of spikes, the post spike `lag` steps after the pre spike."""
        size = self.rise if lag > 0 else -self.fall
        return float(size * np.exp(-abs(lag) / self.tau))

    def chip(self, reward: Any = "r1") -> Rule:
        """Return the form of chips: one product for each order of spikes, a quarter of what they say."""
        scales = [round(math.log2(s)) - 2 if s else None for s in (self.rise, self.fall, self.rest)]
        signs = zip(("", "- ", "- "), scales, ("*x1*y0", "*y1*x0", "*y0"), strict=True)
        text = " ".join(f"{sign}2^{k}{what}" for sign, k, what in signs if k is not None)
        traces = [Trace("x1", self.tau, 32), *([Trace("y1", self.tau, 32)] if self.fall else [])]
        return describe(self.name, f"dw = {text}", *traces)
