"""Constants of a network read from NIR that can hardly be meant: findings, since the file has no units."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.rules import loading as rules

Floats = npt.NDArray[np.float64]

LONGEST_TAU = 10.0
"""Seconds; models of neurons have 1 ms to 1 s."""
LEAST_STEP = 1e-3
"""Share of the threshold that a spike through the largest weight moves a membrane by, at the least."""
SEVERAL_SPIKES = ("sinabs", "rockpool")


def implausible(graph: Graph) -> Iterator[Diagnostic]:
    """Yield what is odd about a graph's neurons, where they come from a NIR file; else nothing."""
    if not str(graph.meta.get("framework", "")).startswith("NIR"):
        return
    for node in graph.neurons:
        if node.notes.get("role") == "encoder":
            continue
        place = Place(layer=node.origin, node=node.name)
        yield from _time_constants(node, graph.dt, place)
        yield from _levels(node, graph, place)
        yield from _inputs(node, graph, place)
    tool = graph.meta.get("written_by")
    if tool in SEVERAL_SPIKES and graph.is_spiking:
        yield rules.ONE_SPIKE_A_STEP.at(Place(layer="model"), tool=tool)


def _time_constants(node: Node, dt: float, place: Place) -> Iterator[Diagnostic]:
    for name in ("tau", "tau_syn", "tau_mem"):
        tau = getattr(node.op, name, None)
        if tau is None or node.layer == "Threshold":
            continue
        if tau.max() > LONGEST_TAU:
            yield rules.LONG_TIME_CONSTANT.at(place, parameter=name, used=float(tau.max()), limit=LONGEST_TAU)
        # Euler's method makes a constant of one step into none, which snnTorch's beta = 0 means
        if 0 < tau[tau > 0].min(initial=np.inf) < dt / 10:
            yield rules.SHORT_TIME_CONSTANT.at(
                place, parameter=name, used=float(tau[tau > 0].min()), limit=dt
            )


def _levels(node: Node, graph: Graph, place: Place) -> Iterator[Diagnostic]:
    op, shape = node.op, graph.shapes[node.name]
    total = graph.size(node.name)
    if isinstance(op, ops.IF | ops.LIF | ops.CubaLIF):
        zero = np.zeros(())
        rest = np.maximum(getattr(op, "v_leak", zero), op.v_reset)
        rest, limit = np.broadcast_to(rest, shape), np.broadcast_to(op.v_threshold, shape)
        wrong = rest >= limit
        if wrong.any():
            yield rules.FIRES_AT_REST.at(
                place, neurons=int(wrong.sum()), total=total, used=float(rest[wrong][0]),
                limit=float(limit[wrong][0]),
            )  # fmt: skip
    wrong = np.broadcast_to(getattr(op, "r", np.ones(())), shape) <= 0
    if wrong.any():
        used = float(np.broadcast_to(getattr(op, "r"), shape)[wrong][0])  # noqa: B009 - neurons without r have 1
        yield rules.NEGATIVE_RESISTANCE.at(place, neurons=int(wrong.sum()), total=total, used=used)


def _inputs(node: Node, graph: Graph, place: Place) -> Iterator[Diagnostic]:
    neuron = membrane(node.op, graph.dt)
    weights = [_largest(graph[source]) for source in graph.sources(node.name)]
    known = [w for w in weights if w]
    if neuron.threshold is None or not known:
        return
    shape = graph.shapes[node.name]
    limit = np.broadcast_to(neuron.threshold, shape)
    moved = np.abs(np.broadcast_to(neuron.gain_u * neuron.gain_v, shape) * max(known))
    # a current that decays arrives over many steps
    moved = moved / np.broadcast_to(np.maximum(1 - neuron.keep_u, 1e-6), shape)
    share = float(np.max(np.where(limit > 0, moved / np.where(limit > 0, limit, 1.0), np.inf)))
    if 0 < share < LEAST_STEP:
        yield rules.INPUT_HAS_NO_WEIGHT.at(place, used=share, limit=LEAST_STEP)


@functools.singledispatch
def _weight(op: ops.Op) -> Floats | None:
    return None


@_weight.register(ops.Affine)
@_weight.register(ops.Conv1d)
@_weight.register(ops.Conv2d)
def _matrix(op: ops.Affine | ops.Conv1d | ops.Conv2d) -> Floats | None:
    return op.weight


@_weight.register
def _scale(op: ops.Scale) -> Floats | None:
    return op.scale


def _largest(node: Node) -> float:
    weight = _weight(node.op)
    return 0.0 if weight is None else float(np.abs(weight).max(initial=0.0))
