"""From a rate graph to a spiking graph: activations become populations, data says what a spike stands for."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion import kinds, surgery
from neurodeploy.conversion.balance import balance
from neurodeploy.conversion.fold import fold
from neurodeploy.errors import ConvertError, DataError, OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.ops import Op
from neurodeploy.ir.verify import verify

Floats = npt.NDArray[np.float64]

SAMPLES = 256
"""Calibration samples used at most."""
STEPS = 64
"""Steps that the conversion is balanced for unless told otherwise."""
OUTPUTS = ("membrane", "spikes")
ENCODER = "encoder"

REASONS: dict[str, str] = {
    "Softmax": "a softmax before the end has no spiking form; only a final one can be left out",
    "BatchNorm": "this batch normalisation cannot be folded into a neighbour",
    "Reshape": "values cannot be rearranged between two populations here; NIR has no such op",
    "Transpose": "values cannot be rearranged between two populations here; NIR has no such op",
    "Pad": "this padding cannot be folded into a neighbour",
}


def convert(
    graph: Graph,
    calibration: Floats,
    *,
    neuron: str = "if",
    percentile: float = 99.9,
    rate: float = 0.5,
    steps: int | None = None,
    output: str = "membrane",
    seed: int = 0,
) -> Graph:
    """Convert a trained rate network to spiking neurons.

    Parameters
    ----------
    graph : Graph
        In rate form.
    calibration : ndarray of float64, shape (B, *input shape)
        Training samples, as `Graph.prepare` returns them, never test data; at most `SAMPLES` are drawn.
    neuron : str
        One of `kinds.KINDS`.
    percentile : float
        Of the activations over the calibration samples; what it finds is mapped to `rate`.
    rate : float
        Spikes per step, in (0, 1].
    steps : int, optional
        Steps that runs are meant to take; the balance is exact for these.
    output : {"membrane", "spikes"}
        What the decision is read from.
    seed : int
        Draws the calibration samples.

    Returns
    -------
    Graph
        In spiking form; `meta` and every node's `notes` say what was measured.

    Raises
    ------
    ConvertError
        If a layer has no spiking form; it names the layer.
    OptionError, DataError
    """
    _check_options(percentile, rate, steps, output)
    refuse(graph)
    folded = fold(graph)
    refuse_leftovers(folded)
    x = relayout(graph, folded, draw(calibration, seed))
    skeleton = with_encoder(folded, x)
    skeleton = with_neurons(skeleton, neuron, output)
    steps = STEPS if steps is None else steps
    spiking = balance(skeleton, folded, x, percentile=percentile, rate=rate, steps=steps)
    spiking = fold(spiking).with_meta(
        neuron=neuron, percentile=float(percentile), rate=float(rate), steps=int(steps), output=output,
        seed=int(seed), calibration_samples=len(x),
    )  # fmt: skip
    return verify(spiking, form="spiking")


def _check_options(percentile: float, rate: float, steps: int | None, output: str) -> None:
    if not 0 < percentile <= 100:
        raise OptionError(f"percentile {percentile} is not in (0, 100]")
    if not 0 < rate <= 1:
        raise OptionError(
            f"rate {rate} spikes per step is not in (0, 1]: a neuron spikes at most once per step"
        )
    if steps is not None and steps < 1:
        raise OptionError(f"{steps} steps; at least 1 is needed")
    if output not in OUTPUTS:
        raise OptionError(f"output '{output}' is unknown; choose from {', '.join(OUTPUTS)}")


def draw(samples: Floats, seed: int) -> Floats:
    """Draw at most `SAMPLES` calibration samples."""
    if len(samples) == 0:
        raise DataError("there are no calibration samples")
    if len(samples) > SAMPLES:
        chosen = np.random.default_rng(seed).choice(len(samples), SAMPLES, replace=False)
        samples = samples[np.sort(chosen)]
    return np.asarray(samples, dtype=np.float64)


def relayout(graph: Graph, folded: Graph, x: Floats) -> Floats:
    """Bring prepared samples from the layout of one graph into that of another with the same samples."""
    entry = graph.input.op
    assert isinstance(entry, ops.Input)
    inverse = np.argsort(entry.axes)
    return folded.prepare(x.transpose((0, *(a + 1 for a in inverse))))


def refuse(graph: Graph) -> None:
    """Raise `ConvertError` for a graph that has no spiking form, naming the user's layer."""
    if graph.neurons:
        raise ConvertError(
            f"'{graph.name}' has neurons already ('{graph.neurons[0].origin}'); it needs no converting"
        )
    for edge in graph.edges:
        if graph.is_back_edge(edge):
            raise ConvertError(
                f"layer '{graph[edge[0]].origin}' feeds back into '{graph[edge[1]].origin}'; a recurrent network "
                "is converted only when it is made of neurons"
            )


def refuse_leftovers(graph: Graph) -> None:
    """Raise `ConvertError` for ops that folding could not remove."""
    for node in graph:
        if not node.op.nir and not isinstance(node.op, ops.ReLU):
            reason = REASONS.get(node.op.kind, f"{node.op.kind} has no spiking form")
            raise ConvertError(f"layer '{node.origin}' ({node.layer or node.op.kind}): {reason}")


def with_encoder(graph: Graph, x: Floats) -> Graph:
    """Put the encoder behind the input; signed samples get one channel for each sign."""
    entry = graph.input
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0:
        raise DataError("all calibration samples are zero")
    shape = graph.shapes[entry.name]
    signed = bool((x < 0).any())
    if signed:
        both, back = _on_off(shape)
        graph = surgery.insert_after(graph, entry.name, _own(graph, entry, f"{ENCODER}.on_off", both))
        shape = graph.shapes[f"{ENCODER}.on_off"]
    before = f"{ENCODER}.on_off" if signed else entry.name
    op = ops.IF(np.full(shape, 1 / (graph.dt * largest)), np.ones(shape), np.zeros(shape), reset="subtract")
    node = dataclasses.replace(
        _own(graph, entry, ENCODER, op), unit=largest, notes={"role": "encoder", "signed": int(signed)}
    )
    graph = surgery.insert_after(graph, before, node)
    if signed:
        graph = surgery.insert_after(graph, ENCODER, _own(graph, entry, f"{ENCODER}.sign", back))
    return graph


def _own(graph: Graph, near: Node, name: str, op: Op) -> Node:
    """Return a node of ours beside a layer of the user's."""
    if name in graph:
        raise ConvertError(f"layer name '{name}' is taken by the conversion; rename the layer")
    return Node(name, op, near.origin, near.layer)


def _on_off(shape: tuple[int, ...]) -> tuple[Op, Op]:
    """Return the op from x to (x, -x) along axis 0, and its inverse on rectified values."""
    channels = shape[0]
    both = np.concatenate([np.eye(channels), -np.eye(channels)])
    if len(shape) == 1:
        return ops.Affine(both, np.zeros(2 * channels)), ops.Affine(both.T, np.zeros(channels))
    kind = ops.Conv1d if len(shape) == 2 else ops.Conv2d
    spatial = (1,) * (len(shape) - 1)
    first, second = both.reshape(*both.shape, *spatial), both.T.reshape(*both.T.shape, *spatial)
    return kind(first, np.zeros(2 * channels)), kind(second, np.zeros(channels))


def with_neurons(graph: Graph, neuron: str, output: str) -> Graph:
    """Replace activations by populations under the same names, and end the graph in one."""
    for node in graph:
        if isinstance(node.op, ops.ReLU):
            graph = surgery.replace_op(graph, node, kinds.make(neuron, graph.shapes[node.name], graph.dt))
    exit_ = graph.output
    sources = graph.sources(exit_.name)
    if len(sources) == 1 and graph[sources[0]].op.spiking and graph[sources[0]].name != ENCODER:
        return graph  # ends in an activation: its spikes are the output
    shape = graph.shapes[exit_.name]
    op = ops.I(np.full(shape, 1 / graph.dt)) if output == "membrane" else kinds.make(neuron, shape, graph.dt)
    near = graph[sources[0]]
    name = surgery.fresh(graph, f"{near.origin}.{'sum' if output == 'membrane' else 'spikes'}")
    return surgery.insert_before(graph, exit_.name, Node(name, op, near.origin, near.layer))
