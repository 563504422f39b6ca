"""Learning on the chip: a converted network adapts its last layer to labelled samples, online.

The frozen layers run on the emulator as compiled; their spikes feed plastic cores (`plastic`), which
nengo-loihi's learning path changes step by step. Nothing leads back from the read-out, so running one after
the other gives what running both side by side would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy import targets
from neurodeploy.backends import learn_deep, plastic
from neurodeploy.backends.deep import check_labels
from neurodeploy.backends.emulator import trains
from neurodeploy.backends.readout import LastLayer, last_layer, with_weight
from neurodeploy.compiler.learning_cores import LearningCores
from neurodeploy.compiler.pipeline import compile as compile_graph
from neurodeploy.diagnostics import Diagnostic, Place, Severity, render_all
from neurodeploy.errors import CompileError, DataError, OptionError
from neurodeploy.ir.graph import Graph
from neurodeploy.learning import RULES
from neurodeploy.learning.pes import PES
from neurodeploy.program import Program
from neurodeploy.rules import plasticity

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

CHUNK = 64
"""Samples whose spikes are held at once."""
STEPS = 100
"""Per sample, where neither the caller nor the graph says."""
MEASURED = 256
"""Samples on which the range of the learned read-out is measured."""
DEFAULT = PES()


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """How learning went.

    Parameters
    ----------
    right : ndarray of bool, shape (samples shown,)
        Whether each sample was classified rightly by the weights as they stood before it was shown.
    error : ndarray of float64, shape (samples shown,)
        Mean size of the error that was sent while it was shown; empty where no error leaves the circuit.
    cores : int
        Plastic cores in use; of a deep rule, all that its circuit would take.
    diagnostics : tuple of Diagnostic
    per_sample : dict
        Spikes, synaptic events and weight updates.
    layout : tuple of LearningCores
        Of a deep rule: where its circuit would go on the target.
    """

    right: Bools
    error: Floats
    cores: int
    diagnostics: tuple[Diagnostic, ...] = ()
    per_sample: dict[str, float] = field(default_factory=dict)
    layout: tuple[LearningCores, ...] = ()


@dataclass(frozen=True, eq=False)
class Lesson:
    """Samples, and how the frozen layers turn them into spikes."""

    program: Program
    population: str
    x: Floats
    labels: Longs
    steps: int
    input_coding: str
    seed: int

    def show(self, order: Longs) -> Iterator[tuple[Bools, int]]:
        """Yield spikes of the last hidden layer, shape (T, I), and label of samples in an order."""
        for at in range(0, len(order), CHUNK):
            ids = order[at : at + CHUNK]
            spikes = trains(
                self.program,
                self.x[ids],
                steps=self.steps,
                input_coding=self.input_coding,
                seed=self.seed,
                first=at,
            )
            for train, label in zip(spikes[self.population], self.labels[ids], strict=True):
                yield train, int(label)


def learn(
    graph: Graph,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    rule: str = "pes",
    limit: int | None = None,
    divide_by: float | None = None,
    curve: Callable[[LearningCurve], Any] | None = None,
    rate: float = DEFAULT.rate,
    tau: float = DEFAULT.tau,
    **options: Any,
) -> Graph:
    """Adapt the last layer of a spiking network.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    x : array_like, shape (B, ...)
        In the user's layout, undivided.
    y : array_like of int, shape (B,)
    rule : str
    limit : int, optional
        Take only the first samples.
    divide_by : float, optional
        Of the samples; as at conversion where absent.
    curve : callable of LearningCurve, optional
        Told how it went.
    rate, tau : float
        Of the rule.
    **options
        As `learn_pes`, or `learn_deep.learn`, takes them.

    Returns
    -------
    Graph
        With the learned weights; its `meta` says how they were learned.

    Raises
    ------
    OptionError
        If there is no such rule.
    """
    if rule in learn_deep.RULES:
        return _learn_deep(graph, x, y, rule=rule, limit=limit, divide_by=divide_by, curve=curve, **options)
    if rule not in RULES:
        raise OptionError(
            learn_deep.refusal(rule).replace("choose from ", f"choose from {', '.join(RULES)}, ")
        )
    samples = graph.prepare(np.asarray(x)[:limit])
    divisor = float(graph.meta.get("divide_by", 1.0)) if divide_by is None else divide_by
    chosen = RULES[rule](rate=rate, tau=tau)
    learned, how = learn_pes(graph, samples / divisor, np.asarray(y)[:limit], rule=chosen, **options)
    if curve is not None:
        curve(how)
    return learned


def _learn_deep(
    graph: Graph,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    rule: str,
    limit: int | None,
    divide_by: float | None,
    curve: Callable[[LearningCurve], Any] | None,
    passes: int = 1,
    input_coding: str | None = None,
    **options: Any,
) -> Graph:
    """Hand over to `learn_deep.learn`."""
    if input_coding not in (None, "rate"):
        raise OptionError(f"rule '{rule}' is shown samples as rates; leave out --input-coding {input_coding}")
    divisor = float(graph.meta.get("divide_by", 1.0)) if divide_by is None else divide_by
    samples = graph.prepare(np.asarray(x)[:limit]) / divisor
    labels = check_labels(np.asarray(y)[:limit], len(samples), graph.size(graph.output.name))
    learned, course, findings, cores = learn_deep.learn(
        graph, samples, labels, rule=rule, epochs=passes, **options
    )
    if curve is not None:
        used = sum(c.cores for c in cores)
        curve(LearningCurve(course.right, np.zeros(0), used, findings, course.per_sample(), cores))
    return learned


def learn_pes(
    graph: Graph,
    x: Floats,
    labels: npt.ArrayLike,
    *,
    rule: PES = DEFAULT,
    target: str | targets.Target = "loihi1",
    input_coding: str | None = None,
    steps: int | None = None,
    passes: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Graph, LearningCurve]:
    """Adapt the last layer of a spiking network by PES on nengo-loihi's emulator.

    While a sample is shown, the host reads the plastic cores after every step and sends back the softmax of
    the read-out minus the label (the gradient of the cross-entropy). All other layers are frozen, and so is
    the last one's bias.

    Parameters
    ----------
    graph : Graph
        In spiking form, its read-out integrators or IF neurons.
    x : ndarray of float64, shape (B, *input shape)
        As `Graph.prepare` returns it, divided.
    labels : array_like of int, shape (B,)
    rule : PES
        Its rate is in units of the outputs.
    target : str or Target
    input_coding : {"rate", "poisson", "bias"}, optional
    steps : int, optional
        Per sample; as converted where absent.
    passes : int
        How often every sample is shown, in an order drawn anew each time.
    seed : int
        Of the order, of the chip's stochastic rounding and of Poisson input.
    progress : callable of (int, int), optional
        Called with samples shown and their total.

    Returns
    -------
    graph : Graph
        With the weights read back from the chip.
    curve : LearningCurve

    Raises
    ------
    OptionError
        If the network has no last layer of this kind, or an option makes no sense.
    DataError
        If a label is not one of the network's classes.
    CompileError
        If the network does not fit the chip, or the rate is too small to change any weight on it.
    """
    layer = last_layer(graph)
    if passes < 1:
        raise OptionError(f"passes is {passes}; every sample is shown at least once")
    chip = targets.target(target) if isinstance(target, str) else target
    coding = input_coding or "rate"
    program = compile_graph(graph, chip, input_coding=coding).raise_for_errors()
    y = _class_indices(labels, len(x), len(layer.bias))
    length = int(steps or graph.meta.get("steps", STEPS))
    lesson = Lesson(program, layer.source, x, y, length, coding, seed)
    in_weights = dataclasses.replace(rule, rate=rule.rate / layer.slope)
    readout = plastic.build(layer.weight, in_weights, chip)
    place = Place(graph[layer.target].origin, layer.target)
    _refuse(rate_findings(readout.scales, place))
    draw = np.random.default_rng(seed)
    order = np.concatenate([draw.permutation(len(x)) for _ in range(passes)])
    right, error = _teach(readout, layer, lesson, order, progress)
    peaks = _peaks(layer, readout.weights(), lesson, order[:MEASURED])
    learned = with_weight(graph, layer, readout.weights(), **peaks).with_meta(
        learn_rule=rule.name, learn_rate=rule.rate, learn_tau=rule.tau, learn_samples=len(x),
        learn_passes=passes, learn_steps=length, learn_seed=seed, learn_target=chip.id,
        learn_accuracy=float(right[-max(len(right) // 4, 1) :].mean()),
    )  # fmt: skip
    findings = (*rate_findings(readout.scales, place), *outcome_findings(readout, place))
    return learned, LearningCurve(right, error, len(readout.cores), findings)


def _teach(
    readout: plastic.Readout, layer: LastLayer, lesson: Lesson, order: Longs, progress: Progress | None
) -> tuple[Bools, Floats]:
    right, error = np.zeros(len(order), bool), np.zeros(len(order))
    for i, (train, label) in enumerate(lesson.show(order)):
        if progress is not None:
            progress(i, len(order))
        before = layer.slope * (readout.weights() @ train.mean(axis=0) + layer.bias)
        right[i] = before.argmax() == label
        error[i] = _show(readout, layer, train, label, seed=lesson.seed + i)
    if progress is not None:
        progress(len(order), len(order))
    return right, error


def _show(readout: plastic.Readout, layer: LastLayer, train: Bools, label: int, *, seed: int) -> float:
    """Show one sample; return the mean size of the errors."""
    wanted = np.arange(len(layer.bias)) == label
    sizes: list[float] = []

    def error_of(drive: Floats) -> Floats:
        error: Floats = softmax(layer.slope * (drive + layer.bias)) - wanted
        sizes.append(float(np.abs(error).mean()))
        return error

    readout.run(train, error_of, seed=seed)
    return float(np.mean(sizes))


def softmax(x: Floats) -> Floats:
    """Return shares that add up to 1, shape (O,)."""
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())


def _peaks(layer: LastLayer, weight: Floats, lesson: Lesson, order: Longs) -> dict[str, float]:
    """Largest drive and membrane of the learned read-out, from which compilation takes its scale."""
    drive, membrane = 0.0, 0.0
    for train, _ in lesson.show(order):
        arriving = train[:-1] @ weight.T + layer.bias
        drive = max(drive, float(np.abs(arriving).max(initial=0.0)))
        membrane = max(membrane, float(np.abs(np.cumsum(arriving, axis=0)).max(initial=0.0)))
    gain = layer.slope / lesson.program.population(layer.target).unit
    return {"peak_drive": drive * gain, "peak_membrane": membrane * gain, "steps": lesson.steps}


def rate_findings(scales: plastic.Scales, place: Place) -> Iterator[Diagnostic]:
    """Compare the increment of a trace with what its register holds: 1/128 to 127 127/128."""
    used, low, high = scales.increment, plastic.SMALLEST_INCREMENT, plastic.LARGEST_INCREMENT
    if used < low:
        yield plasticity.LEARNING_RATE_VANISHES.at(place, used=used, limit=low, factor=low / used)
    if used > high:
        yield plasticity.LEARNING_RATE_SATURATES.at(place, used=used, limit=high)


def outcome_findings(readout: plastic.Readout, place: Place) -> Iterator[Diagnostic]:
    """Report weights that ended at the largest code, and spikes that traces missed."""
    full = sum(
        int((np.abs(core.weights) >= plastic.TOP * readout.scales.unit).sum()) for core in readout.cores
    )
    if full:
        total = sum(core.weights.size for core in readout.cores)
        yield plasticity.LEARNED_WEIGHTS_SATURATE.at(place, used=full, limit=total, unit="weights")
    lost = readout.incidents["Synaptic trace spikes lost"]
    if lost:
        yield plasticity.TRACE_SPIKES_LOST.at(place, used=lost, unit="spikes")


def _refuse(findings: Iterator[Diagnostic]) -> None:
    errors = [d for d in findings if d.severity is Severity.ERROR]
    if errors:
        raise CompileError(render_all(errors))


def _class_indices(labels: npt.ArrayLike, samples: int, classes: int) -> Longs:
    y = np.asarray(labels)
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        raise DataError(
            f"labels are {y.dtype} of shape {y.shape}; {samples} samples need one class index each"
        )
    if y.min() < 0 or y.max() >= classes:
        odd = y.min() if y.min() < 0 else y.max()
        raise DataError(f"label {odd} is none of the network's {classes} classes, 0 to {classes - 1}")
    return y.astype(np.int64)
