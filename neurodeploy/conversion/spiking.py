"""From a rate graph to a spiking graph: activations become populations, data says what a spike stands for."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from neurodeploy.conversion.balance import balance
from neurodeploy.conversion.equalize import equalize as even_out
from neurodeploy.conversion.fold import fold
from neurodeploy.conversion.forms import with_forms
from neurodeploy.conversion.kinds import KINDS
from neurodeploy.conversion.skeleton import with_encoder, with_neurons
from neurodeploy.conversion.thresholds import BALANCINGS, PERCENTILE, Options
from neurodeploy.errors import ConvertError, DataError, OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.verify import verify

Floats = npt.NDArray[np.float64]

SAMPLES = 256
"""Calibration samples used at most."""
STEPS = 64
"""Steps that the conversion is balanced for unless told otherwise."""
RATES = {"if-soft": 1.0}
"""Spikes per step aimed at, by kind of neuron, where all charge is kept;"""
LOSSY_RATE = 0.5
"""and where a reset loses what lies above the threshold, the more the faster a neuron spikes."""
OUTPUTS = ("membrane", "spikes")

REASONS: dict[str, str] = {
    "Softmax": "a softmax before the end has no spiking form; only a final one can be left out",
    "BatchNorm": "this batch normalisation cannot be folded into a neighbour",
}
"""Why an op that folding left over has no spiking form."""


def convert(
    graph: Graph,
    calibration: Floats,
    *,
    neuron: str = "if-soft",
    balancing: str = PERCENTILE,
    percentile: float = 99.9,
    rate: float | None = None,
    steps: int | None = None,
    output: str = "membrane",
    equalize: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
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
    balancing : {"percentile", "local"}
        Whether a threshold is what `percentile` and `rate` make it, or the best one around that for this many
        steps, as `local.best_threshold` finds it.
    percentile : float
        Of the activations over the calibration samples; what it finds is mapped to `rate`.
    rate : float, optional
        Spikes per step, in (0, 1]; 1 where a reset keeps all charge, else 0.5.
    steps : int, optional
        Steps that runs are meant to take; with reset by subtraction, others do as well.
    output : {"membrane", "spikes"}
        What the decision is read from.
    equalize : bool
        Even out the weights of the channels between two layers first, as `equalize.equalize` does.
    seed : int
        Draws the calibration samples.
    progress : callable of (done, total), optional
        Called while populations are stepped one after the other, with steps done and all there are.

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
    if rate is None:
        rate = default_rate(neuron)
    _check_choice("balancing", balancing, BALANCINGS)
    _check_choice("neuron kind", neuron, KINDS)
    _check_choice("output", output, OUTPUTS)
    _check_numbers(percentile, rate, steps)
    refuse(graph)
    plain = even_out(fold(graph)) if equalize else fold(graph)
    folded = fold(with_forms(plain, capped=neuron in RATES))
    refuse_leftovers(folded)
    x = relayout(graph, folded, draw(calibration, seed))
    skeleton = with_neurons(with_encoder(folded, x), neuron, output)
    options = Options(float(percentile), float(rate), int(STEPS if steps is None else steps), balancing)
    spiking = fold(balance(skeleton, folded, x, options, progress))
    spikes_out = spiking[spiking.sources(spiking.output.name)[0]].op.spiking
    spiking = spiking.with_meta(
        neuron=neuron, percentile=options.percentile, rate=options.rate, steps=options.steps, seed=int(seed),
        output="spikes" if spikes_out else "membrane", calibration_samples=len(x), balancing=balancing,
    )  # fmt: skip
    return verify(spiking, form="spiking")


def default_rate(neuron: str) -> float:
    """Return the spikes per step that a conversion to a kind of neuron aims at unless told otherwise."""
    return RATES.get(neuron, LOSSY_RATE)


def _check_choice(what: str, chosen: str, known: Collection[str]) -> None:
    if chosen not in known:
        raise OptionError(f"{what} '{chosen}' is unknown; choose from {', '.join(known)}")


def _check_numbers(percentile: float, rate: float, steps: int | None) -> None:
    if not 0 < percentile <= 100:
        raise OptionError(f"percentile {percentile} is not in (0, 100]")
    if not 0 < rate <= 1:
        raise OptionError(
            f"rate {rate} spikes per step is not in (0, 1]: a neuron spikes at most once per step"
        )
    if steps is not None and steps < 1:
        raise OptionError(f"{steps} steps; at least 1 is needed")


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
                f"layer '{graph[edge[0]].origin}' feeds back into '{graph[edge[1]].origin}'; a recurrent "
                "network is converted only when it is made of neurons"
            )


def refuse_leftovers(graph: Graph) -> None:
    """Raise `ConvertError` for ops that folding could not remove."""
    for node in graph:
        if not node.op.may_lie_between_neurons and not isinstance(node.op, ops.ReLU):
            reason = REASONS.get(node.op.kind, f"{node.op.kind} has no spiking form")
            raise ConvertError(f"layer '{node.origin}' ({node.layer or node.op.kind}): {reason}")
        if isinstance(node.op, ops.Affine) and len(graph.shapes[node.name]) > 1:
            raise ConvertError(
                f"layer '{node.origin}' ({node.layer or node.op.kind}): weights on the last of several axes "
                "have no form in NIR; flatten first, or use a convolution of size 1"
            )
