"""The spiking skeleton: an encoder at the input, a population for every activation, one at the output."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import kinds, surgery
from neurodeploy.errors import DataError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op
from neurodeploy.ir.simulate import is_encoder

Floats = npt.NDArray[np.float64]

ENCODER = "encoder"
"""Name of the population that turns samples into spikes; its notes say ``role="encoder"``."""


def with_encoder(graph: Graph, x: Floats) -> Graph:
    """Put the encoder behind the input; signed samples get one channel for each sign.

    Parameters
    ----------
    graph : Graph
    x : ndarray of float64, shape (B, *input shape)
        Calibration samples; the largest, without sign, is one spike per step.

    Raises
    ------
    DataError
        If all samples are zero.
    """
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0:
        raise DataError("all calibration samples are zero; give samples of the training data")
    entry, last, shape = graph.input, graph.input, graph.shapes[graph.input.name]
    signed = bool((x < 0).any())
    if signed:
        both, back = _on_off(shape)
        last = Node(surgery.fresh(graph, f"{ENCODER}.on_off"), both, entry.origin)
        graph = surgery.insert_after(graph, entry.name, last)
        shape = both.out_shape(shape)
    op = ops.IF(np.full(shape, 1 / (graph.dt * largest)), np.ones(shape), np.zeros(shape), reset="subtract")
    notes: dict[str, float | str] = {"role": "encoder", "signed": int(signed)}
    encoder = Node(surgery.fresh(graph, ENCODER), op, entry.origin, unit=largest, notes=notes)
    graph = surgery.insert_after(graph, last.name, encoder)
    if signed:
        sign = Node(surgery.fresh(graph, f"{ENCODER}.sign"), back, entry.origin)
        graph = surgery.insert_after(graph, encoder.name, sign)
    return graph


def _on_off(shape: tuple[int, ...]) -> tuple[Op, Op]:
    """Return the op from x to (x, -x) along axis 0, and the one from rectified (x, -x) back to x."""
    channels = shape[0]
    both = np.concatenate([np.eye(channels), -np.eye(channels)])
    if len(shape) == 1:
        return ops.Affine(both, np.zeros(2 * channels)), ops.Affine(both.T, np.zeros(channels))
    kind = ops.Conv1d if len(shape) == 2 else ops.Conv2d
    spatial = (1,) * (len(shape) - 1)
    first, second = both.reshape(*both.shape, *spatial), both.T.reshape(*both.T.shape, *spatial)
    return kind(first, np.zeros(2 * channels)), kind(second, np.zeros(channels))


def with_neurons(graph: Graph, neuron: str, output: str) -> Graph:
    """Replace activations by populations under the same names, and end the graph in one.

    Parameters
    ----------
    graph : Graph
    neuron : str
        One of `kinds.KINDS`.
    output : {"membrane", "spikes"}
        The last population: an integrator, or neurons. A graph that ends in an activation is read from its
        spikes.
    """
    for node in graph:
        if isinstance(node.op, ops.ReLU):
            cap = {} if math.isinf(node.op.max_value) else {"cap": node.op.max_value}
            op = kinds.make(neuron, graph.shapes[node.name], graph.dt)
            graph = graph.with_node(node.name, op=op, notes={**node.notes, **cap})
    sources, shape = graph.sources(graph.output.name), graph.shapes[graph.output.name]
    near = graph[sources[-1]]
    if len(sources) == 1 and near.op.spiking and not is_encoder(near):
        return graph
    op = ops.I(np.full(shape, 1 / graph.dt)) if output == "membrane" else kinds.make(neuron, shape, graph.dt)
    name = surgery.fresh(graph, f"{near.origin}.{'sum' if output == 'membrane' else 'spikes'}")
    last = Node(name, op, near.origin, near.layer, notes={"role": "output"})
    return surgery.insert_before(graph, graph.output.name, last)
