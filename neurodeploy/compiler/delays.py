"""Delays: what lies between two populations and makes spikes arrive late becomes the delay of synapses.

A spike takes one step to the next population anyway; a `Delay` on the way adds its own. Delays commute with
all that is linear, so that one which is the same for all of its values can stand anywhere on the way. Where
they differ, sources of one delay become a projection of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from neurodeploy.compiler import maps
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.delays import delay_steps
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Map, Program, Projection
from neurodeploy.rules.connectivity import DELAY_CLIPPED, DELAYED_BIAS

Longs = npt.NDArray[np.int64]


def at_once(graph: Graph, chain: Sequence[str]) -> tuple[str, ...]:
    """Return a way between populations without the delays on it."""
    return tuple(name for name in chain if not isinstance(graph[name].op, ops.Delay))


def split(graph: Graph, chain: Sequence[str], projection: Projection) -> Iterator[Projection]:
    """Yield a projection once for every delay that its sources have.

    Raises
    ------
    OptionError
        If delays differ behind an op that mixes sources.
    """
    steps, mixed = np.zeros(1, np.int64), False
    for name in chain:
        op = graph[name].op
        if not isinstance(op, ops.Delay):
            mixed = mixed or not isinstance(op, ops.Flatten | ops.Reshape | ops.Identity)
            continue
        more = np.broadcast_to(delay_steps(op, graph.dt), graph.shapes[name]).ravel()
        if mixed and (more != more[0]).any():
            raise OptionError(
                f"'{graph[name].origin}' delays its values by {more.min()} to {more.max()} steps, behind a "
                "layer that mixes its inputs; put it right behind the neurons it delays, or give it one delay"
            )
        steps = steps + (more[:1] if mixed else more)
    for late in np.unique(steps).tolist():
        if (steps == late).all():
            yield dataclasses.replace(projection, delay=1 + late)
            return
        yield dataclasses.replace(projection, map=_only(projection, steps == late), delay=1 + late)


def _only(projection: Projection, sources: npt.NDArray[np.bool_]) -> Map:
    """Keep the weights of some sources."""
    from scipy import sparse

    matrix = maps.as_matrix(projection.map)
    return maps.from_matrix(matrix @ sparse.diags_array(sources.astype(np.float64)))


def fitted(program: Program, found: Sequence[Projection]) -> tuple[list[Projection], list[Diagnostic]]:
    """Cut delays short where the user allows it, with a finding for each; else leave them to the checks."""
    limit = program.target.limit("delay.max_steps")
    if not program.options.get("clip_delays") or not limit.known:
        return list(found), []
    most = limit.value + (program.target.number("delay.implicit_steps") or 0)
    notes = [
        DELAY_CLIPPED.at(
            Place(layer=p.origin, node=p.target), used=p.delay - 1, limit=most - 1, unit="steps",
            source_layer=p.source, target=program.target.id,
        )
        for p in found
        if p.delay > most
    ]  # fmt: skip
    return [dataclasses.replace(p, delay=min(p.delay, most)) for p in found], notes


def early_bias(graph: Graph, target: str, chain: Sequence[str]) -> Iterator[Diagnostic]:
    """Say where a bias lies before a delay: it acts from the first step on."""
    before = 0
    late = {i: op for i, name in enumerate(chain) if isinstance(op := graph[name].op, ops.Delay)}
    for at, op in late.items():
        for name in chain[before:at]:
            if np.any(getattr(graph[name].op, "bias", 0.0)):
                place, steps = Place(layer=graph[name].origin, node=target), delay_steps(op, graph.dt)
                yield DELAYED_BIAS.at(place, used=int(steps.max()), unit="steps")
        before = at
