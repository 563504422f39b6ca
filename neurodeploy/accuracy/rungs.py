"""The rungs of the ladder: the same samples from source model to emulator, one change at a time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from neurodeploy.accuracy.rounded import simulate_rounded
from neurodeploy.backends import emulator
from neurodeploy.compiler.registers import registers
from neurodeploy.conversion import fold
from neurodeploy.ir import ops
from neurodeploy.ir.evaluate import apply, evaluate
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.simulate import is_encoder, simulate
from neurodeploy.program import Program
from neurodeploy.runs import Progress
from neurodeploy.scaleout.job import entering

Floats = npt.NDArray[np.float64]
Values = Mapping[str, Floats]

SOURCE, FOLDED, BALANCED, SPIKING, QUANTISED = (
    "source model", "folded", "balanced rate", "spiking", "quantised",
)  # fmt: skip
EMULATOR = "loihi-emulator"
"""Names of the rungs, from the top."""
CHUNK = 64
"""Samples that are simulated at a time."""


@dataclass(frozen=True, eq=False)
class Rung:
    """What the samples gave at one stage.

    Parameters
    ----------
    name : str
    outputs : ndarray of float64, shape (B, classes)
        In the source model's units, before a softmax.
    activity : mapping of str to ndarray of float64, shape (B, *population shape)
        Of every population that the source has too, in the source's units.
    spikes : mapping of str to float
        Per sample, where there are any.
    overflowed : ndarray of bool, shape (B,), optional
        Samples in which an accumulator of the chip wrapped.
    """

    name: str
    outputs: Floats
    activity: Values = field(default_factory=dict)
    spikes: Mapping[str, float] = field(default_factory=dict)
    overflowed: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "activity", MappingProxyType(dict(self.activity)))
        object.__setattr__(self, "spikes", MappingProxyType(dict(self.spikes)))

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Index of the largest output, shape (B,)."""
        return np.asarray(np.argmax(self.outputs, axis=1), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Climb:
    """Everything the rungs are made from.

    Parameters
    ----------
    source, folded, spiking : Graph
    program : Program
    x : ndarray, shape (B, ...)
        In the user's layout, undivided.
    steps, seed : int
    """

    source: Graph
    folded: Graph
    spiking: Graph
    program: Program
    x: npt.NDArray[np.generic]
    steps: int
    seed: int = 0

    @functools.cached_property
    def entering(self) -> Floats:
        """Samples as the spiking network takes them, shape (B, *input shape)."""
        return entering(self.spiking, self.x, None)

    def prepared(self, graph: Graph) -> Floats:
        """Return the samples in the layout of another graph."""
        return entering(graph, self.x, float(self.spiking.meta.get("divide_by", 1.0)))

    @functools.cached_property
    def counterparts(self) -> dict[str, Node]:
        """The populations whose activity the folded source has under the same name, in order."""
        return {
            n.name: n
            for n in self.spiking.neurons
            if not is_encoder(n)
            and n.name in self.folded
            and self.folded.shapes[n.name] == self.spiking.shapes[n.name]
        }

    @functools.cached_property
    def rounds(self) -> bool:
        """Whether the target has registers that round."""
        return registers(self.program.target) is not None

    @property
    def input_coding(self) -> str:
        """How samples enter."""
        return str(self.program.options["input_coding"])


def make_climb(program: Program, source: Graph, x: npt.ArrayLike, *, steps: int, seed: int = 0) -> Climb:
    """Fold the source and get the samples ready."""
    return Climb(source, fold(source), program.graph, program, np.asarray(x), steps, seed)


def rungs(climb: Climb, *, progress: Progress | None = None) -> tuple[Rung, ...]:
    """Run the samples through every stage.

    Parameters
    ----------
    climb : Climb
    progress : callable of (int, int), optional
        Called with samples done and total, over all stages.

    Returns
    -------
    tuple of Rung
        Without those that the target has no form of: where it keeps floats, or has no emulator.
    """
    makers: list[Callable[[Climb], Rung]] = [source_rung, folded_rung, balanced_rung, spiking_rung]
    if climb.rounds:
        makers += [quantised_rung, emulator_rung]
    made: list[Rung] = []
    for make in makers:
        made.append(make(climb))
        if progress is not None:
            progress(len(made) * len(climb.x), len(makers) * len(climb.x))
    return tuple(made)


def source_rung(climb: Climb) -> Rung:
    """Return what the trained model gives."""
    return _without_time(climb, climb.source, SOURCE)


def folded_rung(climb: Climb) -> Rung:
    """Return what it gives with batch normalisation, padding and scales folded."""
    return _without_time(climb, climb.folded, FOLDED)


def _without_time(climb: Climb, graph: Graph, name: str) -> Rung:
    seen: dict[str, Floats] = {}

    def watch(node: str, value: Floats) -> None:
        if node in climb.counterparts and value.shape[1:] == climb.folded.shapes[node]:
            seen[node] = value

    outputs = evaluate(graph, climb.prepared(graph), logits=True, watch=watch)
    return Rung(name, outputs.reshape(len(outputs), -1), seen)


def balanced_rung(climb: Climb) -> Rung:
    """Return what the spiking network gives with rates in place of spikes."""
    seen: dict[str, Floats] = {}
    graph = climb.spiking

    def watch(node: str, value: Floats) -> None:
        if node in climb.counterparts:
            seen[node] = value * graph[node].unit

    outputs = evaluate(graph, climb.entering, watch=watch).reshape(len(climb.x), -1)
    return Rung(BALANCED, outputs * read_out(graph).unit, seen)


def read_out(graph: Graph) -> Node:
    """Return the population that is read out."""
    return graph[graph.sources(graph.output.name)[0]]


def spiking_rung(climb: Climb) -> Rung:
    """Return what spikes in floats give."""
    graph = climb.spiking

    def part(x: Floats, first: int) -> tuple[Floats, Values]:
        got = simulate(
            graph, x, steps=climb.steps, input_coding=climb.input_coding, seed=climb.seed, first=first
        )
        return got.outputs.reshape(len(x), -1), got.rates

    return _in_time(climb, SPIKING, part)


def quantised_rung(climb: Climb) -> Rung:
    """Return what spikes in floats give with the chip's rounded parameters."""

    def part(x: Floats, first: int) -> tuple[Floats, Values]:
        got = simulate_rounded(climb.program, x, steps=climb.steps, seed=climb.seed, first=first)
        return got.outputs, got.rates

    return _in_time(climb, QUANTISED, part)


def emulator_rung(climb: Climb) -> Rung:
    """Return what the chip's emulator gives."""
    program, told = climb.program, {"steps": climb.steps, "seed": climb.seed}
    session = emulator.open_session(program, input_coding=climb.input_coding, raster=False, **told)
    wrapped: list[npt.NDArray[np.bool_]] = []

    def part(x: Floats, first: int) -> tuple[Floats, Values]:
        recording = session(x, first)
        trains = emulator.trains(program, x, input_coding=climb.input_coding, first=first, **told)
        wrapped.append(np.logical_or.reduce(list(recording.overflows.values())))
        return recording.outputs, {name: train.mean(axis=1) for name, train in trains.items()}

    rung = _in_time(climb, EMULATOR, part)
    return dataclasses.replace(rung, overflowed=np.concatenate(wrapped))


def _in_time(climb: Climb, name: str, part: Callable[[Floats, int], tuple[Floats, Values]]) -> Rung:
    """Run a stage that takes time, some samples at a time."""
    outputs, rates = [], dict[str, list[Floats]]()
    for first in range(0, len(climb.x), CHUNK):
        out, got = part(climb.entering[first : first + CHUNK], first)
        outputs.append(out)
        for population, rate in got.items():
            rates.setdefault(population, []).append(rate)
    whole = {k: np.concatenate(v) for k, v in rates.items()}
    return Rung(
        name,
        np.concatenate(outputs),
        decoded(climb, whole),
        {k: float(r.reshape(len(r), -1).sum(axis=1).mean()) * climb.steps for k, r in whole.items()},
    )


def decoded(climb: Climb, rates: Values) -> dict[str, Floats]:
    """Return what rates stand for in the source, for every population that it has too."""
    graph = climb.spiking
    return {
        name: rates[name].reshape(-1, *graph.shapes[name]) * node.unit
        for name, node in climb.counterparts.items()
        if name in rates
    }


def relative_error(value: Floats, reference: Floats) -> float:
    """Root of the mean squared difference, in units of the reference's own root mean square."""
    size = float(np.sqrt(np.mean(reference**2)))
    return float(np.sqrt(np.mean((value - reference) ** 2))) / size if size else 0.0


def evaluated(graph: Graph, x: Floats, change: Callable[[Node, Floats], Floats]) -> Floats:
    """Evaluate a rate graph in which nodes put out changed values; the outputs before a softmax.

    Parameters
    ----------
    graph : Graph
        Without neurons.
    x : ndarray of float64, shape (B, *input shape)
    change : callable of (Node, ndarray)
        Returns what a node puts out in place of its value.

    Returns
    -------
    ndarray of float64, shape (B, classes)
    """
    values: dict[str, Floats] = {}
    for node in graph.nodes:
        total = functools.reduce(np.add, [values[s] for s in graph.sources(node.name)] or [x])
        last = isinstance(node.op, ops.Softmax) and graph.output.name in graph.targets(node.name)
        values[node.name] = change(node, total if last else apply(node.op, total, dt=graph.dt))
    return values[graph.output.name].reshape(len(x), -1)
