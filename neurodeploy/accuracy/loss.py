"""A drop between two rungs, and the same samples run again in other ways to see what it is due to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.accuracy.rounded import simulate_rounded
from neurodeploy.accuracy.rungs import CHUNK, Climb, Rung, evaluated, read_out
from neurodeploy.backends.base import outputs_of
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.ir.simulate import simulate

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

LONGER = 4
"""How many times longer a run is in which too few steps would show."""


@dataclass(frozen=True, eq=False)
class Loss:
    """A drop from one rung to the next.

    Parameters
    ----------
    climb : Climb
    before, after : Rung
    labels : ndarray of int64, shape (B,)
    """

    climb: Climb
    before: Rung
    after: Rung
    labels: Longs

    @property
    def points(self) -> float:
        """Points of accuracy lost."""
        return self.accuracy(self.before.outputs) - self.accuracy(self.after.outputs)

    def accuracy(self, outputs: Floats) -> float:
        """Return the share of samples that outputs get right, in points."""
        return 100.0 * float(np.mean(outputs.reshape(len(outputs), -1).argmax(axis=1) == self.labels))

    def back(self, outputs: Floats) -> float:
        """Return the points that outputs have more than the rung after the drop."""
        return self.accuracy(outputs) - self.accuracy(self.after.outputs)

    @functools.cached_property
    def longer(self) -> Longer:
        """The same samples in a run `LONGER` times as long."""
        return run_longer(self.climb)

    @functools.cached_property
    def silent(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Neurons that never spike, however long, although the source uses them."""
        used = {
            name: (value.max(axis=0) > 0) & (self.longer.rates[name].max(axis=0) == 0)
            for name, value in self.before.activity.items()
            if name in self.longer.rates
        }
        return {name: mask for name, mask in used.items() if mask.any()}

    @functools.cached_property
    def worst_layer(self) -> Node:
        """The layer behind which the source, given its activity, loses most more than one layer earlier."""
        lost, last = dict[str, float](), 0.0
        for name, value in self.after.activity.items():
            if name in self.before.activity:
                kept = self.take_over({name: self.before.activity[name]})
                total = self.accuracy(kept) - self.accuracy(self.take_over({name: value}))
                lost[name], last = total - last, total
        lost[read_out(self.climb.spiking).name] = self.points - last
        return self.climb.spiking[max(lost, key=lambda name: lost[name])]

    def take_over(self, replaced: dict[str, Any]) -> Floats:
        """Let the folded source go on from the activity of some layers."""
        folded = self.climb.folded
        return evaluated(folded, self.climb.prepared(folded), lambda node, v: replaced.get(node.name, v))


@dataclass(frozen=True, eq=False)
class Longer:
    """Read-outs of a long run: over its second part, as long as the first, and over all of it."""

    window: Floats
    whole: Floats
    rates: dict[str, Floats]


def run_longer(climb: Climb) -> Longer:
    """Run all samples `LONGER` times as long as the ladder does."""
    parts = [_long(climb, climb.entering[i : i + CHUNK], i) for i in range(0, len(climb.x), CHUNK)]
    rates = {name: np.concatenate([p.rates[name] for p in parts]) for name in parts[0].rates}
    return Longer(np.concatenate([p.window for p in parts]), np.concatenate([p.whole for p in parts]), rates)


def _long(climb: Climb, x: Floats, first: int) -> Longer:
    graph, steps, out = climb.spiking, climb.steps, read_out(climb.spiking)
    total = np.zeros((len(x), *graph.shapes[out.name]))
    at: dict[int, Floats] = {}

    def watch(t: int, name: str, drive: Floats, value: Floats) -> None:
        nonlocal total
        if name == out.name:
            total = total + value if out.op.spiking else value
            if t + 1 in (steps, 2 * steps):
                at[t + 1] = total.copy()

    got = simulate(
        graph, x, steps=LONGER * steps, input_coding=climb.input_coding, seed=climb.seed, first=first,
        watch=watch,
    )  # fmt: skip
    grown = at[2 * steps] if isinstance(out.op, ops.LI) else at[2 * steps] - at[steps]
    window = outputs_of(out, grown, steps=steps).reshape(len(x), -1)
    return Longer(window, got.outputs.reshape(len(x), -1), dict(got.rates))


def rerun(climb: Climb, **options: Any) -> tuple[Floats, dict[str, Floats]]:
    """Run the samples again with something changed in the exact or rounded neurons; outputs and rates."""
    told = {"rounded": (), "steps": climb.steps, "seed": climb.seed, **options}
    parts = [
        simulate_rounded(climb.program, climb.entering[i : i + CHUNK], first=i, **told)
        for i in range(0, len(climb.x), CHUNK)
    ]
    rates = {name: np.concatenate([p.rates[name] for p in parts]) for name in parts[0].rates}
    return np.concatenate([p.outputs for p in parts]), rates
