"""Why accuracy was lost between two rungs: an experiment for each cause takes it away, or adds it alone.

What an experiment recovers (or loses), in points, is what its cause explains. Nothing is guessed from a
symptom: a layer may be full of silent neurons that no sample needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.accuracy.branches import branches, linear_values, rebalanced
from neurodeploy.accuracy.loss import LONGER, Loss, rerun
from neurodeploy.accuracy.rounded import (
    BOTH,
    THRESHOLDS,
    WEIGHTS,
    burst,
    moved_by_rounding,
)
from neurodeploy.accuracy.rungs import (
    BALANCED,
    CHUNK,
    EMULATOR,
    QUANTISED,
    SPIKING,
    Climb,
    evaluated,
    read_out,
    relative_error,
)
from neurodeploy.diagnostics import Diagnostic, Place, Rule
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import is_encoder, simulate
from neurodeploy.rules import accuracy as rules

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

EXPLAINS = 0.5
"""Share of a loss that a cause has to explain to be named."""
UNEVEN = 1.05
"""How far apart the weights of branches may lie, as a factor, before rescaling them is tried."""


@dataclass(frozen=True)
class Cause:
    """What an experiment showed.

    Parameters
    ----------
    rule : Rule
    points : float
        Explained by it.
    node : Node
        Where it is worst.
    facts : dict
        For the rule's message.
    """

    rule: Rule
    points: float
    node: Node
    facts: dict[str, Any]

    def diagnostic(self, loss: Loss) -> Diagnostic:
        """Write it as a finding, with a command that helps."""
        graph = loss.climb.spiking
        steps = loss.climb.steps
        told = {
            "model": graph.meta.get("source", "MODEL"), "file": f"{graph.name}.nd", "where": self.node.origin,
            "used": self.points, "limit": loss.points, "unit": "points", "rate": lower_rate(graph.meta),
            "enough": 2 * steps, "steps": steps, "rung": loss.after.name,
        }  # fmt: skip
        return self.rule.at(Place(self.node.origin, self.node.name), **{**told, **self.facts})


Experiment = Callable[[Loss], Iterator[Cause]]


def causes(loss: Loss) -> list[Cause]:
    """Try every cause that a drop between these two rungs can have; what explains most comes first."""
    tried = [cause for experiment in EXPERIMENTS.get(loss.after.name, ()) for cause in experiment(loss)]
    return sorted(tried, key=lambda cause: -cause.points)


def named(loss: Loss, tried: Sequence[Cause]) -> Cause | None:
    """Return the cause to name, if one explains enough; a longer run mends much, so that comes last."""
    enough = [cause for cause in tried if cause.points >= EXPLAINS * loss.points]
    return next((c for c in enough if c.rule is not rules.FEW_STEPS), enough[0] if enough else None)


def lower_rate(meta: Any) -> float:
    """Return half of the peak rate that a conversion was told."""
    return float(meta.get("rate", 0.5)) / 2


# --- between rates and spikes -------------------------------------------------------------------------------


def few_steps(loss: Loss) -> Iterator[Cause]:
    """Run longer."""
    climb, longer, reference = loss.climb, loss.longer, loss.before.outputs
    yield Cause(
        rules.FEW_STEPS, loss.back(longer.whole), loss.worst_layer,
        {
            "longer": LONGER * climb.steps, "enough": LONGER * climb.steps,
            "error": relative_error(loss.after.outputs, reference),
            "error_longer": relative_error(longer.whole, reference),
        },
    )  # fmt: skip


def transient(loss: Loss) -> Iterator[Cause]:
    """Count from where the first run ended, for as long."""
    graph = loss.climb.spiking
    yield Cause(
        rules.TRANSIENT, loss.back(loss.longer.window), read_out(graph),
        {"depth": depth(loss.climb), "enough": 2 * loss.climb.steps},
    )  # fmt: skip


def depth(climb: Climb) -> int:
    """Count the populations on the longest way to the read-out."""
    far: dict[str, int] = {}
    for node in climb.spiking.nodes:
        before = max((far.get(s, 0) for s in climb.spiking.sources(node.name)), default=0)
        far[node.name] = before + int(node.op.stateful)
    return far[climb.spiking.output.name] - 1


def saturation(loss: Loss) -> Iterator[Cause]:
    """Let neurons spike as often in a step as their membrane holds thresholds."""
    outputs, rates = rerun(loss.climb, advance=burst)
    asked = {
        name: float(np.mean(r > 1)) for name, r in rates.items() if not is_encoder(loss.climb.spiking[name])
    }
    if asked and max(asked.values()) > 0:
        where = max(asked, key=lambda name: asked[name])
        node = loss.climb.spiking[where]
        yield Cause(rules.SATURATION, loss.back(outputs), node, {"share": asked[where]})


def dead_units(loss: Loss) -> Iterator[Cause]:
    """Take the neurons that never spike out of the source."""
    if not loss.silent:
        return
    folded = loss.climb.folded
    outputs = evaluated(
        folded,
        loss.climb.prepared(folded),
        lambda node, value: value * ~loss.silent[node.name] if node.name in loss.silent else value,
    )
    activity = loss.before.activity
    missing = {name: float(np.sum(activity[name] * mask)) for name, mask in loss.silent.items()}
    where = max(missing, key=lambda name: missing[name] / max(float(np.abs(activity[name]).sum()), 1e-12))
    yield Cause(
        rules.DEAD_UNITS,
        loss.accuracy(loss.before.outputs) - loss.accuracy(outputs),
        loss.climb.spiking[where],
        {
            "count": int(sum(mask.sum() for mask in loss.silent.values())),
            "silent": int(loss.silent[where].sum()),
            "share": missing[where] / float(np.abs(activity[where]).sum()),
            "rate": min(1.0, max(0.5, 2 * float(loss.climb.spiking.meta.get("rate", 0.5)))),
        },
    )


def residual_imbalance(loss: Loss) -> Iterator[Cause]:
    """Weigh the branches of every sum as the source does."""
    climb = loss.climb
    found = [b for b in branches(climb, loss.longer.rates) if b.ratio > UNEVEN]
    if not found:
        return
    run = _without_time if loss.after.name == BALANCED else _in_time
    tried = [run(climb, rebalanced(climb.spiking, found, to)) for to in (max, min)]
    points = max(loss.back(outputs) for outputs in tried)
    worst = max(found, key=lambda b: b.ratio)
    yield Cause(
        rules.RESIDUAL_IMBALANCE, points, climb.spiking[worst.node],
        {"strong": worst.strong, "weak": worst.weak, "share": worst.ratio},
    )  # fmt: skip


def _without_time(climb: Climb, graph: Graph) -> Floats:
    return evaluate(graph, climb.entering)


def _in_time(climb: Climb, graph: Graph) -> Floats:
    told: dict[str, Any] = {"steps": climb.steps, "input_coding": climb.input_coding, "seed": climb.seed}
    parts = range(0, len(climb.x), CHUNK)
    return np.concatenate(
        [simulate(graph, climb.entering[i : i + CHUNK], first=i, **told).outputs for i in parts]
    )


def pooling(loss: Loss) -> Iterator[Cause]:
    """Go on in the source from behind a maximum, and from in front of it."""
    folded, spiking = loss.climb.folded, loss.climb.spiking
    for node in folded:
        if not isinstance(node.op, ops.MaxPool) or node.name not in spiking:
            continue
        before, reference = _activity_before(loss, node.name), maximum(loss, node)
        behind = {node.name: pooled(loss, node.name, reference)}
        points = loss.accuracy(loss.take_over(before)) - loss.accuracy(loss.take_over(behind))
        errors = [relative_error(v, loss.before.activity[name]) for name, v in before.items()]
        yield Cause(
            rules.POOLING, points, spiking[node.name],
            {"share": relative_error(behind[node.name], reference), "before": max(errors, default=0.0)},
        )  # fmt: skip


def maximum(loss: Loss, node: Node) -> Floats:
    """Return what a node of the folded source puts out."""
    seen: list[Floats] = []
    folded = loss.climb.folded
    evaluate(
        folded, loss.climb.prepared(folded), watch=lambda n, v: seen.append(v) if n == node.name else None
    )
    return seen[0]


def pooled(loss: Loss, name: str, reference: Floats) -> Floats:
    """Return what the spiking network makes of a maximum, in the source's units."""
    if name in loss.after.activity:
        return loss.after.activity[name]
    climb = loss.climb
    rates = {k: v / climb.spiking[k].unit for k, v in loss.after.activity.items()}
    rates = {k: v for k, v in loss.longer.rates.items() if k not in rates} | rates
    value = linear_values(climb.spiking, climb.entering, rates)[name]
    square = float(np.vdot(value, value))
    return value * (float(np.vdot(value, reference)) / square if square else 1.0)


def _activity_before(loss: Loss, name: str) -> dict[str, Any]:
    """Return the activity of the populations that feed a node of the folded source."""
    found, stack = dict[str, Any](), list(loss.climb.folded.sources(name))
    while stack:
        here = stack.pop()
        if here in loss.after.activity:
            found[here] = loss.after.activity[here]
        else:
            stack += loss.climb.folded.sources(here)
    return found


# --- between floats and integers ----------------------------------------------------------------------------


def _rounding_alone(loss: Loss, what: str) -> float:
    """Points lost when nothing but one kind of parameter is rounded."""
    outputs, _ = rerun(loss.climb, rounded=(what,))
    return loss.accuracy(loss.before.outputs) - loss.accuracy(outputs)


def weight_rounding(loss: Loss) -> Iterator[Cause]:
    """Round the weights alone."""
    program = loss.climb.program
    moved = {p.name: moved_by_rounding(program, p)[0] for p in program.populations if p.on_chip}
    where = max(moved, key=lambda name: moved[name])
    bits = min(p.weight_bits for p in program.projections if p.target == where)
    yield Cause(
        rules.WEIGHT_ROUNDING, _rounding_alone(loss, WEIGHTS), loss.climb.spiking[where],
        {"share": moved[where], "bits": bits},
    )  # fmt: skip


def threshold_range(loss: Loss) -> Iterator[Cause]:
    """Round thresholds, biases and decays alone."""
    program = loss.climb.program
    moved = {p.name: moved_by_rounding(program, p)[1] for p in program.populations if p.on_chip}
    where = max(moved, key=lambda name: moved[name])
    yield Cause(
        rules.THRESHOLD_RANGE, _rounding_alone(loss, THRESHOLDS), loss.climb.spiking[where],
        {"share": moved[where]},
    )  # fmt: skip


def overflow(loss: Loss) -> Iterator[Cause]:
    """Count what was lost in samples in which a register wrapped."""
    wrapped = loss.after.overflowed
    if wrapped is None or not wrapped.any():
        return
    was, now = (rung.predictions == loss.labels for rung in (loss.before, loss.after))
    points = 100.0 * float(((was & ~now & wrapped).sum() - (~was & now & wrapped).sum()) / len(wrapped))
    yield Cause(rules.OVERFLOW, points, loss.worst_layer, {"count": int(wrapped.sum())})


def encoder(loss: Loss) -> Iterator[Cause]:
    """Let the encoder reset to zero, where it lies on the chip."""
    climb = loss.climb
    entry = climb.program.populations[0]
    if entry.on_chip:
        outputs, _ = rerun(climb, rounded=BOTH, hard_encoder=True)
        points = loss.accuracy(loss.before.outputs) - loss.accuracy(outputs)
        yield Cause(rules.ENCODER, points, climb.spiking[entry.name], {})


EXPERIMENTS: dict[str, tuple[Experiment, ...]] = {
    BALANCED: (residual_imbalance, dead_units, pooling),
    SPIKING: (saturation, dead_units, residual_imbalance, pooling, transient, few_steps),
    QUANTISED: (weight_rounding, threshold_range),
    EMULATOR: (overflow, encoder),
}
"""What is tried for a drop that ends on a rung."""
