"""NIR files that another tool steps as we do: the same neurons, in the terms of its importer.

Tools read the same primitives each in its own way (see `reading`), and leave parameters out. What a tool can
express is rescaled until its steps give our spikes; what it cannot is refused by name.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy import store
from neurodeploy.errors import ConvertError, OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op
from neurodeploy.numerics.neurons import Membrane

Floats = npt.NDArray[np.float64]

SNNTORCH_DT = 1e-4
"""The step that snnTorch's importer has built in."""
NO_LEAK = 1e6
"""Steps of a time constant that stands for none, where a tool has leaky neurons only."""


def save_nir(graph: Graph, path: str | os.PathLike[str], *, written_for: str) -> Path:
    """Write a spiking graph for another tool.

    Parameters
    ----------
    graph : Graph
        In spiking form; an encoder is left out, since other tools take spikes.
    path : path-like
    written_for : str
        One of `TOOLS`.

    Raises
    ------
    ConvertError
        Naming a neuron or op that the tool's importer does not take, or would step otherwise.
    OptionError
        If the tool is not known.
    """
    if written_for not in TOOLS:
        raise OptionError(f"there is no way to write for '{written_for}'; choose from {', '.join(TOOLS)}")
    bare = graph
    for node in graph:
        if node.notes.get("role") == "encoder":
            bare = bare.without_node(node.name)
    nodes = tuple(dataclasses.replace(n, op=_translated(n, bare, written_for)) for n in bare)
    return store.save_plain(dataclasses.replace(bare, nodes=nodes), path)


def _translated(node: Node, graph: Graph, tool: str) -> Op:
    known, translate, subtracts = TOOLS[tool]
    op = node.op
    if not isinstance(op, ops.Neuron):
        if op.kind not in (*known, "Input", "Output"):
            raise _refused(node, tool, f"its importer does not take {op.kind}")
        return op
    if not isinstance(op, ops.IF | ops.LIF | ops.CubaLIF) or op.kind not in known:
        raise _refused(node, tool, f"its importer does not take {op.kind} as it is meant")
    if (op.reset == "subtract") != subtracts:
        does = "subtracts the threshold" if subtracts else "resets to zero"
        raise _refused(node, tool, f"it resets otherwise, and what {tool} reads {does}")
    if op.refractory or np.any(op.v_reset):
        raise _refused(node, tool, "v_reset off zero and refractory steps are not read")
    neuron = membrane(op, graph.dt)
    if np.any(neuron.drift):
        raise _refused(node, tool, "v_leak off zero is not read")
    shape = graph.shapes[node.name]
    full: dict[str, Any] = {
        name: np.broadcast_to(value, shape)
        for name, value in vars(neuron).items()
        if isinstance(value, np.ndarray)
    }
    try:
        return translate(op, dataclasses.replace(neuron, **full), graph.dt)
    except ValueError as error:
        raise _refused(node, tool, str(error)) from error


def _refused(node: Node, tool: str, why: str) -> ConvertError:
    return ConvertError(f"'{node.origin}' ({node.op.kind}) cannot be written for {tool}: {why}")


def _limit(neuron: Membrane, gain: Floats) -> Floats:
    """Return the threshold of a membrane that takes in `gain` times its input, in place of ours."""
    assert neuron.threshold is not None
    return np.asarray(neuron.threshold * gain / (neuron.gain_u * neuron.gain_v))


def _norse(op: Op, neuron: Membrane, dt: float) -> Op:
    """Take steps of Euler's method, ``v += dt/tau (I - v)``; r is read of CubaLIF alone."""
    one = np.ones_like(neuron.keep_v)
    if isinstance(op, ops.IF) or np.all(neuron.keep_v == 1):
        if isinstance(op, ops.CubaLIF):
            raise ValueError("its membrane does not leak, which Norse has for IF only")
        return ops.IF(one, _limit(neuron, one))
    tau = dt / (1 - neuron.keep_v)
    if isinstance(op, ops.LIF):
        return ops.LIF(tau, one, 0 * one, _limit(neuron, 1 - neuron.keep_v))
    syn = 1 - neuron.keep_u
    limit = np.asarray(neuron.threshold)
    return ops.CubaLIF(
        dt / syn, tau, neuron.gain_v / (1 - neuron.keep_v), 0 * one, limit, neuron.gain_u / syn
    )


def _snntorch(op: Op, neuron: Membrane, dt: float) -> Op:
    """Take ``v = beta v + I`` at its own step, one threshold a layer; its IF leaks, so LIF stands in."""
    one = np.ones_like(neuron.keep_v)
    limit = _limit(neuron, one)
    if np.ptp(limit) > 1e-6 * np.abs(limit).max():
        raise ValueError("its neurons differ in what they need to spike, and snnTorch keeps one threshold")
    limit = one * float(limit.flat[0])
    tau = SNNTORCH_DT / np.maximum(1 - neuron.keep_v, 1 / NO_LEAK)
    if isinstance(op, ops.IF | ops.LIF):
        return ops.LIF(tau, tau / SNNTORCH_DT, 0 * one, limit)
    syn = SNNTORCH_DT / np.maximum(1 - neuron.keep_u, 1 / NO_LEAK)
    return ops.CubaLIF(syn, tau, tau / SNNTORCH_DT, 0 * one, limit, syn / SNNTORCH_DT)


def _sinabs(op: Op, neuron: Membrane, dt: float) -> Op:
    """Take ``v = k v + I`` with ``k = exp(-1/tau)``, time in steps."""
    one = np.ones_like(neuron.keep_v)
    limit = _limit(neuron, one)
    if isinstance(op, ops.IF) or np.all(neuron.keep_v == 1):
        return ops.IF(one, limit)
    with np.errstate(divide="ignore"):
        tau = np.where(neuron.keep_v > 0, -1 / np.log(neuron.keep_v), 0.0)
    if not np.all(tau > 0):
        raise ValueError("its membrane keeps nothing, which sinabs has no time constant for")
    return ops.LIF(tau, one, 0 * one, limit)


def _rockpool(op: Op, neuron: Membrane, dt: float) -> Op:
    """Take ``u = b (u + I)``, ``v = a v + u``; the step is found in r, as ``tau / (1 + r)``."""
    if not (np.all(neuron.keep_v < 1) and np.all(neuron.keep_v > 0) and np.all(neuron.keep_u > 0)):
        raise ValueError("Rockpool's neurons leak, and keep some of both membrane and current")
    one = np.ones_like(neuron.keep_v)
    mem, syn = -dt / np.log(neuron.keep_v), -dt / np.log(neuron.keep_u)
    return ops.CubaLIF(syn, mem, mem / dt - 1, 0 * one, _limit(neuron, neuron.keep_u), one)


Translate = Callable[[Any, Membrane, float], Op]
TOOLS: dict[str, tuple[tuple[str, ...], Translate, bool]] = {
    "norse": (("Affine", "Conv2d", "SumPool2d", "IF", "LIF", "CubaLIF"), _norse, False),
    "rockpool": (("Affine", "CubaLIF"), _rockpool, True),
    "sinabs": (("Affine", "Conv1d", "Conv2d", "SumPool2d", "Flatten", "IF", "LIF"), _sinabs, True),
    "snntorch": (("Affine", "Conv2d", "AvgPool2d", "IF", "LIF", "CubaLIF"), _snntorch, False),
}
"""What an importer takes, how neurons are put in its terms, and whether its neurons reset by subtraction.

Norse and snnTorch merge the batch too where NIR flattens, and Rockpool's importer fails at every LIF; these
are left out. sinabs emits several spikes in a step and stops membranes at minus the threshold; where neither
happens, it gives our spikes.
"""
