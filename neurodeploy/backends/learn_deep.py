"""Let a spiking network learn by a deep rule in the chip's integers: the last layers, or all of them.

Layers that do not learn run on the emulator as compiled; their spike counts, evenly paced, are what the
learning circuit is shown. Layers that learn begin with the network's own weights, or anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurodeploy import targets
from neurodeploy.backends import deep as teaching
from neurodeploy.backends.emulator import trains
from neurodeploy.compiler.checks.plasticity import check_rule
from neurodeploy.compiler.learning_cores import LearningCores, check_cores, lay_out
from neurodeploy.compiler.pipeline import compile as compile_graph
from neurodeploy.diagnostics import Diagnostic, Place, Severity, render_all
from neurodeploy.errors import CompileError, OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.graph import Graph
from neurodeploy.learning import DEEP, HEBBIAN, NETWORKS, deep
from neurodeploy.learning.circuit import FULL, UNIT, Circuit

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

RULES = tuple(
    name for name, rule in DEEP.items() if rule.chip().feedback.path in ("local", "direct", "label")
)
"""Rules that a network learns by."""
CHUNK = 256
STEPS = 64
"""Of the frozen layers per sample, where the network does not say."""
LAID_OUT = "loihi1"
"""Chip whose emulator runs frozen layers, whatever the target: no other is laid out core by core."""
TRACE_AIM = 100.0
"""Code at which the trace of a feature that is often on settles."""
LARGEST = 200
"""Code of the largest weight at the start; the rest of the range is for learning."""


@dataclasses.dataclass(frozen=True, eq=False)
class Stack:
    """The plastic end of a network: one matrix and one population after the other.

    Parameters
    ----------
    source : str
        Population that feeds it.
    layers : tuple of (str, str)
        Affine node and population of each layer.
    weights, biases : tuple of ndarray of float64
        In thresholds per spike, and per step.
    """

    source: str
    layers: tuple[tuple[str, str], ...]
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]


def stack(graph: Graph, plastic: tuple[str, ...]) -> Stack:
    """Find the layers that learn.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    plastic : tuple of str
        Dense layers by name; the last ones of the network. None is the last one alone.

    Raises
    ------
    OptionError
        If they are not the last layers, dense, and one after the other.
    """
    chain: list[tuple[str, str]] = []
    at = graph.sources(graph.output.name)[0]
    while True:
        before = graph.sources(at)
        if len(before) != 1 or not isinstance(graph[before[0]].op, ops.Affine):
            break
        affine = before[0]
        chain.insert(0, (affine, at))
        if len(graph.sources(affine)) != 1 or len(graph.targets(affine)) != 1:
            break
        at = graph.sources(affine)[0]
    names = [affine for affine, _ in chain]
    wanted = list(plastic) or names[-1:]
    if not wanted or names[-len(wanted) :] != wanted:
        raise OptionError(
            f"layers {', '.join(wanted) or 'to learn'} are not the last dense ones, which are "
            f"{', '.join(names) or 'none'}; name some of those, from the one where learning begins to the end"
        )
    layers = tuple(chain[-len(wanted) :])
    source = graph.sources(wanted[0])[0]
    if not graph[source].op.spiking:
        raise OptionError(f"layer '{wanted[0]}' is fed by '{source}', which does not spike")
    matrices = [paths.matrix(graph, graph.sources(a)[0], p, ((a,),)).toarray() for a, p in layers]
    return Stack(source, layers, tuple(matrices), tuple(paths.bias(graph, p).ravel() for _, p in layers))


def learn(
    graph: Graph,
    x: Floats,
    labels: Longs,
    *,
    rule: str,
    layers: tuple[str, ...] = (),
    anew: bool = False,
    epochs: int = 1,
    target: str | targets.Target = "loihi1",
    steps: int | None = None,
    seed: int = 0,
    setup: deep.Setup | None = None,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> tuple[Graph, teaching.Course, tuple[Diagnostic, ...], tuple[LearningCores, ...]]:
    """Let the last layers of a spiking network learn by a deep rule.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    x : ndarray of float64, shape (B, *input shape)
        As `Graph.prepare` returns it, divided.
    labels : ndarray of int64, shape (B,)
    rule : str
        One of `RULES`.
    layers : tuple of str
        Dense layers that learn, the last of the network; the last one alone by default.
    anew : bool
        Whether their weights are drawn anew first.
    epochs : int
    target : str or Target
        Its engine has to run the rule: in two phases, or by errors that neurons collect.
    steps : int, optional
        Of the frozen layers.
    seed : int
    setup : Setup, optional
    progress : callable of (int, int), optional
    checkpoint : path-like, optional
    resume : bool
        Go on from the checkpoint.

    Returns
    -------
    graph : Graph
        With the learned weights.
    course : Course
    findings : tuple of Diagnostic
        Of the rule on the target, and of the cores it would take.
    cores : tuple of LearningCores
        Where the circuit would go.

    Raises
    ------
    OptionError
        If the layers are not the last dense ones, or the rule has no circuit.
    CompileError
        If the target's engine cannot run the rule, or the frozen layers do not fit.
    """
    if rule not in RULES:
        raise OptionError(refusal(rule))
    chip = targets.target(target) if isinstance(target, str) else target
    part = stack(graph, layers)
    shown = features(graph, part, x, steps=steps, seed=seed)
    made = setup or default_setup(chip)
    wired, scales = _circuit(part, shown, rule, made, anew=anew, seed=seed)
    found = _checked(graph, part, wired, chip)
    course = teaching.begin(wired, seed=seed)
    if resume and checkpoint is not None:
        course = teaching.resume(course, checkpoint)
    course = teaching.teach(
        course, shown, labels, epochs=epochs, seed=seed, progress=progress, checkpoint=checkpoint
    )
    learned = _written(graph, part, wired, course, scales, made, shown)
    return (
        learned.with_meta(learn_rule=rule, learn_target=chip.id, learn_epochs=epochs, learn_samples=len(x),
                          learn_seed=seed, learn_anew=int(anew)),
        course,
        found,
        lay_out(wired, chip),
    )  # fmt: skip


def _checked(graph: Graph, part: Stack, wired: Circuit, chip: targets.Target) -> tuple[Diagnostic, ...]:
    """Return findings of the rule and of its cores; refuse what the target cannot do."""
    places = {
        name: Place(graph[affine].origin, affine)
        for name, (affine, _) in zip(names(len(part.layers))[1:], part.layers, strict=True)
    }
    first = next(iter(places.values()))
    found = [d for j in wired.plastic[:1] if j.rule for d in check_rule(j.rule, chip, place=first)]
    found += check_cores(wired, chip, layers=places)
    errors = [d for d in found if d.severity is Severity.ERROR]
    if errors:
        raise CompileError(render_all(errors))
    return tuple(found)


def refusal(rule: str) -> str:
    """Say why a network cannot learn by a rule, and what to do in its place."""
    if rule in HEBBIAN:
        return (
            f"rule '{rule}' has no error that a layer of a network could learn from; features of its own it "
            f"finds under python tools/bench_features.py --rule {rule}; choose from {', '.join(RULES)}"
        )
    if rule not in NETWORKS:
        return f"there is no learning rule '{rule}'; choose from {', '.join(RULES)}"
    back = NETWORKS[rule].chip().feedback
    why = {
        "copied": "its way back copies weights",
        "signs": "the host would have to copy signs of weights",
    }.get(back.weights, f"its way back ({back.path}, {back.mechanism}) has no numbers for one")
    return (
        f"there is no circuit for rule '{rule}' behind a converted network: {why}; choose from "
        f"{', '.join(RULES)}; or measure it from scratch: python tools/bench_rules.py --rule {rule}"
    )


def default_setup(chip: targets.Target) -> deep.Setup:
    """Return numbers that suit a target's engine: two phases where neurons have no program of their own."""
    if "neuron-trace" in str(chip.limit("learning.third_factors").value):
        return deep.Setup(
            mechanism="neuron-trace", input_rate=UNIT, label_rate=512, impulse=4, teach=128, feedback=80,
            exponents=(-5, -5, -4), thresholds=(1020, 1020, 256),
        )  # fmt: skip
    return deep.Setup(
        input_rate=UNIT, label_rate=512, impulse=4, feedback=60, exponents=(-5, -5, -2),
        thresholds=(510, 510, 128),
    )  # fmt: skip


def features(
    graph: Graph, part: Stack, x: Floats, *, steps: int | None = None, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """Return what enters the plastic layers as codes, shape (B, I + 1): rates, and the constant input."""
    length = int(steps or graph.meta.get("steps", STEPS))
    if graph[part.source].notes.get("role") == "encoder":
        drive = paths.drive(graph, part.source, x)
        rates = apply(graph[part.source].op, drive, dt=graph.dt).reshape(len(x), -1)
        return deep.codes(rates, divide_by=1.0)
    program = compile_graph(graph, LAID_OUT, input_coding="rate").raise_for_errors()
    found = [
        trains(program, x[at : at + CHUNK], steps=length, input_coding="rate", seed=seed, first=at)[
            part.source
        ].mean(axis=1)
        for at in range(0, len(x), CHUNK)
    ]
    return deep.codes(np.concatenate(found), divide_by=1.0)


def _circuit(
    part: Stack, shown: npt.NDArray[np.uint8], rule: str, s: deep.Setup, *, anew: bool, seed: int
) -> tuple[Circuit, tuple[float, ...]]:
    """Build the circuit; return it with the codes that stand for one threshold in each layer."""
    sizes = (part.weights[0].shape[1], *(len(b) for b in part.biases))
    rng = np.random.default_rng(seed)
    count = len(sizes) - 1
    thresholds = tuple(
        float(s.thresholds[-1] if at == count - 1 else s.thresholds[min(at, len(s.thresholds) - 1)])
        for at in range(count)
    )
    if anew:
        made = dataclasses.replace(s, thresholds=tuple(map(int, thresholds)))
        return deep.circuit(DEEP[rule], sizes, rng=rng, setup=made), thresholds
    scales = tuple(LARGEST / max(float(np.abs(w).max()), 1e-9) for w in part.weights)
    held = (*scales[:-1], scales[-1] * _output_scale(part, shown, s))
    made = _suited(s, held, thresholds, shown)
    wired = deep.circuit(DEEP[rule], sizes, rng=rng, setup=made)
    begun = {
        names(count)[at + 1]: _codes(w, b if at == 0 else None, scale, s.input_rate / UNIT)
        for at, (w, b, scale) in enumerate(zip(part.weights, part.biases, scales, strict=True))
    }
    forward = set(pairwise(names(count)))
    joins = tuple(
        dataclasses.replace(j, weight=begun[j.target]) if (j.source, j.target) in forward else j
        for j in wired.projections
    )
    return dataclasses.replace(wired, projections=joins), scales


def _suited(
    s: deep.Setup, held: tuple[float, ...], meant: tuple[float, ...], shown: npt.NDArray[np.uint8]
) -> deep.Setup:
    """Fit a setup to thresholds that the network's weights dictate, and to how often its features spike.

    A threshold of twice as many codes takes errors twice as strong where they make neurons spike, and twice
    the learning rate.
    """
    more = [round(np.log2(h / m)) for h, m in zip(held, meant, strict=True)]
    exponents = tuple(
        int(s.exponents[-1] if at == len(held) - 1 else s.exponents[min(at, len(s.exponents) - 1)]) + up
        for at, up in enumerate(more)
    )
    reach = (max(more[-1], -6), max(more[0], -6)) if s.mechanism == "two-phase" else (0, 0)
    usual = float(np.percentile(shown[:, :-1][shown[:, :-1] > 0], 95)) / FULL if shown.any() else 1.0
    return dataclasses.replace(
        s,
        thresholds=tuple(max(round(t), 1) for t in held),
        exponents=tuple(min(max(e, -7), 7) for e in exponents),
        reach=reach,
        impulse=float(min(TRACE_AIM / (s.tau * usual * s.input_rate / UNIT), 127.0)),
    )


def names(count: int) -> list[str]:
    """Return the populations of a circuit with so many layers, in order."""
    return ["data", *(f"h{i + 1}" for i in range(count - 1)), "out"]


def _codes(weight: Floats, bias: Floats | None, scale: float, pace: float) -> Longs:
    """Turn weights in thresholds into codes; the first layer's bias is the constant input's weight."""
    codes = weight * scale
    if bias is not None:
        codes = np.concatenate([codes, (bias * scale / pace)[:, None]], axis=1)
    return deep.even(codes)


def _output_scale(part: Stack, shown: npt.NDArray[np.uint8], s: deep.Setup) -> float:
    """Return by how much to raise the output's threshold so that a winner spikes at the rate it is taught."""
    rates = shown[:256, :-1].astype(np.float64) / FULL * (s.input_rate / UNIT)
    for at, (w, b) in enumerate(zip(part.weights, part.biases, strict=True)):
        drive = rates @ w.T + b * (at == 0)
        rates = np.clip(drive, 0, 1)
    winner = float(np.median(drive.max(axis=1)))
    return max(winner / (s.label_rate / UNIT), 1e-3)


def _written(
    graph: Graph, part: Stack, wired: Circuit, course: teaching.Course, scales: tuple[float, ...],
    s: deep.Setup, shown: npt.NDArray[np.uint8],
) -> Graph:  # fmt: skip
    """Put learned codes back, as weights in thresholds, and what compilation has to know about them."""
    way = names(len(part.layers))
    nodes = {n.name: n for n in graph.nodes}
    pace = s.input_rate / UNIT
    rates = shown[:256, :-1].astype(np.float64) / FULL
    for at, (affine, population) in enumerate(part.layers):
        codes = course.weight(wired, way[at], way[at + 1]) / scales[at]
        if at == 0:
            weight, bias = codes[:, :-1] * pace, codes[:, -1] * pace
        else:
            weight, bias = codes, np.zeros(len(codes))
        nodes[affine] = dataclasses.replace(nodes[affine], op=ops.Affine(weight, bias))
        drive = rates @ weight.T + bias
        spread = float(np.abs(drive).max()) * 2
        steps = float(graph.meta.get("steps", STEPS))
        notes = {**nodes[population].notes, "peak_drive": spread,
                 "peak_membrane": max(spread, float(np.abs(drive).max()) * steps)}  # fmt: skip
        nodes[population] = dataclasses.replace(nodes[population], notes=notes)
        rates = np.clip(drive, 0, 1)
    return dataclasses.replace(graph, nodes=tuple(nodes[n.name] for n in graph.nodes))
