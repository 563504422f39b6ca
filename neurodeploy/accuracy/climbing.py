"""The accuracy ladder: what every stage keeps and loses, layer by layer, and why most of it went."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.accuracy.causes import EXPERIMENTS, Cause, causes, named
from neurodeploy.accuracy.loss import Loss
from neurodeploy.accuracy.rungs import Climb, Rung, make_climb, relative_error, rungs
from neurodeploy.data import as_labels, check_samples
from neurodeploy.diagnostics import Place
from neurodeploy.errors import OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.reporting.ladder import FORMAT, LadderReport
from neurodeploy.rules.accuracy import NO_CAUSE
from neurodeploy.runs import Progress
from neurodeploy.stages import DEFAULT_TARGET, compile
from neurodeploy.targets import Target

Longs = npt.NDArray[np.int64]

SIGNIFICANT = 2.0
"""Standard errors of the paired difference by which a drop has to differ from chance to be explained."""
LEAST_POINTS = 0.1
"""Points that a drop must have to be explained."""


def ladder(
    model: Graph | Program,
    x: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    source: Graph | None = None,
    target: str | Target = DEFAULT_TARGET,
    input_coding: str = "rate",
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> LadderReport:
    """Run the same samples through every stage from the source model to the chip's emulator.

    The rungs are the source model, the folded one, the spiking network with rates in place of spikes, its
    spikes in floats, those with the chip's rounded parameters, and the emulator. A target that keeps floats
    ends with the spikes.

    Parameters
    ----------
    model : Graph or Program
        In spiking form; a graph is compiled for `target`.
    x : array_like, shape (B, ...)
        In the user's layout, undivided.
    labels : array_like, shape (B,), optional
        Without them, accuracy is agreement with the source model.
    source : Graph, optional
        The rate network it was converted from; what `convert` kept with it by default.
    target : str or Target
    input_coding : {"rate", "poisson", "bias"}
    steps : int, optional
        What the conversion chose by default.
    seed : int
        Of Poisson input.
    progress : callable of (int, int), optional
        Called with samples done and total.

    Returns
    -------
    LadderReport
        Its figures hold every rung, and the cause of the largest drop, if it is one that chance does not make
        and an experiment explains.

    Raises
    ------
    OptionError
        If the source is not known, or is none.
    CompileError
        If the program has error findings.
    """
    if isinstance(model, Graph):
        model = compile(model, target, input_coding=input_coding, steps=steps)
    graph = model.raise_for_errors().graph
    samples = np.asarray(x)
    check_samples(samples)
    steps = int(graph.meta.get("steps", 100)) if steps is None else steps
    climb = make_climb(model, source_of(graph, source), samples, steps=steps, seed=seed)
    steps_made = rungs(climb, progress=progress)
    known = None if labels is None else as_labels(labels, len(samples))
    right = steps_made[0].predictions if known is None else known
    losses = [Loss(climb, a, b, right) for a, b in itertools.pairwise(steps_made)]
    worst = lasting(losses)
    tried = causes(worst) if is_significant(worst) else []
    return LadderReport(_figures(climb, steps_made, right, known is not None, worst, tried))


def source_of(graph: Graph, source: Graph | None) -> Graph:
    """Return the source that was given, or that the network kept."""
    found = graph.source if source is None else source
    if found is None:
        raise OptionError(
            f"'{graph.name}' does not hold the model it was converted from; name it with --source, or "
            "convert it again"
        )
    if found.is_spiking:
        raise OptionError(f"'{found.name}' is a spiking network; the source is the trained model")
    if found.size(found.output.name) != graph.size(graph.output.name):
        raise OptionError(
            f"'{found.name}' has {found.size(found.output.name)} outputs and '{graph.name}' has "
            f"{graph.size(graph.output.name)}; it is not its source"
        )
    return found


def lasting(losses: Sequence[Loss]) -> Loss:
    """Return the largest drop that no later rung makes up for."""
    shares = [loss.accuracy(loss.after.outputs) for loss in losses]
    return max(
        losses, key=lambda loss: loss.points + shares[losses.index(loss)] - max(shares[losses.index(loss) :])
    )


def is_significant(loss: Loss) -> bool:
    """Whether a drop is more than samples that flip either way by chance would make (McNemar)."""
    was, now = (rung.predictions == loss.labels for rung in (loss.before, loss.after))
    lost, gained = int((was & ~now).sum()), int((~was & now).sum())
    return bool(loss.points >= LEAST_POINTS and lost - gained >= SIGNIFICANT * np.sqrt(lost + gained))


def layer_names(climb: Climb) -> list[str]:
    """Return the user's names of the populations, with ours where several share one."""
    origins = [node.origin for node in climb.counterparts.values()]
    return [
        node.origin if origins.count(node.origin) == 1 else f"{node.origin} ({name})"
        for name, node in climb.counterparts.items()
    ]


def _figures(
    climb: Climb, made: Sequence[Rung], right: Longs, labelled: bool, worst: Loss, tried: Sequence[Cause]
) -> dict[str, Any]:
    cause = named(worst, tried)
    significant = is_significant(worst)
    finding = cause.diagnostic(worst).as_dict() if cause else None
    if significant and cause is None:
        node = worst.worst_layer
        place = Place(node.origin, node.name)
        finding = NO_CAUSE.at(
            place, used=worst.points, rung=worst.after.name, tried=len(EXPERIMENTS.get(worst.after.name, ()))
        ).as_dict()
    return {
        "format": FORMAT,
        "model": climb.spiking.name,
        "target": climb.program.target.id,
        "samples": len(right),
        "labelled": labelled,
        "steps": climb.steps,
        "rungs": [_rung(climb, rung, made, right) for rung in made],
        "layers": dict(zip(climb.counterparts, layer_names(climb), strict=True)),
        "drop": {
            "from": worst.before.name, "to": worst.after.name, "points": worst.points,
            "significant": significant,
        },
        "cause": finding,
        "tried": [
            {
                "cause": c.rule.name, "code": c.rule.code, "points": c.points, "layer": c.node.origin,
                "facts": {k: v for k, v in c.diagnostic(worst).as_dict()["facts"].items()},
            }
            for c in tried
        ],
    }  # fmt: skip


def _rung(climb: Climb, rung: Rung, made: Sequence[Rung], right: Longs) -> dict[str, Any]:
    first = made[0]
    reference = made[1].activity if len(made) > 1 else first.activity
    errors = {
        name: relative_error(rung.activity[name], reference[name])
        for name in climb.counterparts
        if name in rung.activity and name in reference
    }
    return {
        "rung": rung.name,
        "accuracy": float(np.mean(rung.predictions == right)),
        "right_to_wrong": int(((first.predictions == right) & (rung.predictions != right)).sum()),
        "wrong_to_right": int(((first.predictions != right) & (rung.predictions == right)).sum()),
        "errors": errors,
        "output_error": relative_error(rung.outputs, first.outputs),
        "spikes_per_sample": sum(rung.spikes.values()) if rung.spikes else None,
        "overflowed_samples": None if rung.overflowed is None else int(rung.overflowed.sum()),
    }
