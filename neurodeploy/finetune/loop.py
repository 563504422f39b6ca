"""Train the rates of a spiking network in nengo-dl, epoch by epoch, and put the parameters back into it.

Adam starts anew with every epoch, so a checkpoint is the parameters and what was measured, and a run that was
interrupted and resumed gives what one that was not gives. After every epoch the network runs on the target's
emulator over samples that it was not trained on; the best epoch is kept, the network as it was among them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.arrays import digest
from neurodeploy.data import as_labels, check_samples
from neurodeploy.errors import DataError, OptionError
from neurodeploy.files import write_beside
from neurodeploy.finetune.layer import check_tunable, trained_nodes
from neurodeploy.finetune.session import Session, open_session
from neurodeploy.ir.graph import Graph
from neurodeploy.ir.simulate import simulate
from neurodeploy.program import Program
from neurodeploy.runs import Progress
from neurodeploy.scaleout.job import entering
from neurodeploy.stages import DEFAULT_TARGET, compile, run
from neurodeploy.targets import Target

Floats = npt.NDArray[np.float64]
Parameters = list[npt.NDArray[np.float32]]

HELD_OUT = 500
"""Most samples that measure an epoch and train none."""
MEASURED = 64
"""Samples that say anew how far membranes and inputs go."""
_FORMAT = "neurodeploy tuning 1"


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave on the emulator: 0 is the network before training.

    Parameters
    ----------
    number : int
    loss : float or None
        Mean over the epoch.
    accuracy : float
        On held-out samples, 0 to 1.
    spikes : float
        Per sample.
    """

    number: int
    loss: float | None
    accuracy: float
    spikes: float


@dataclass(frozen=True, eq=False)
class Tuned:
    """A tuned network and how it came about.

    Parameters
    ----------
    graph : Graph
        With the parameters of the best epoch.
    epochs : tuple of Epoch
    best : int
        Number of that epoch.
    held_out : int
        Samples that measured.
    """

    graph: Graph
    epochs: tuple[Epoch, ...]
    best: int
    held_out: int


@dataclass(frozen=True)
class Recipe:
    """How to train; as `tune` takes it."""

    epochs: int
    batch: int
    learning_rate: float
    rate_penalty: float
    seed: int


def tune(
    graph: Graph,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    target: str | Target = DEFAULT_TARGET,
    epochs: int = 3,
    batch: int = 32,
    learning_rate: float = 1e-4,
    rate_penalty: float = 0.01,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    after: Callable[[Epoch], object] | None = None,
) -> Tuned:
    """Adapt the parameters of a spiking network to the target's rounding and to the noise of its spikes.

    Parameters
    ----------
    graph : Graph
        In spiking form, of IF neurons.
    x, y : array_like, shape (B, ...) and (B,)
        Training samples in the user's layout, undivided, with labels; never test data.
    target : str or Target
        Whose rounding is trained with, and whose emulator measures.
    epochs, batch : int
    learning_rate : float
        Of Adam in the first epoch; it falls to nothing like a cosine.
    rate_penalty : float
        Loss per spike, as a share of those the network sends before training.
    seed : int
        Of the order of samples, of the noise, and of which samples measure.
    checkpoint : path-like, optional
        Where parameters are kept after every epoch; removed at the end.
    resume : bool
        Go on from there.
    progress : callable of (int, int), optional
        Called with samples done and total, over all epochs.
    after : callable of Epoch, optional
        Called after every epoch.

    Raises
    ------
    MissingExtra
        If TensorFlow or nengo-dl is not installed.
    OptionError, DataError
        If a layer has no form here, options make no sense, or there are too few samples.

    Notes
    -----
    TensorFlow's deterministic kernels are switched on for the whole process.
    """
    check_tunable(graph)
    recipe = _checked(Recipe(epochs, batch, learning_rate, rate_penalty, seed))
    samples, labels = np.asarray(x), as_labels(y, np.shape(x)[0])
    check_samples(samples)
    train, held = split(len(samples), batch, seed)
    program = compile(graph, target).raise_for_errors()
    few = entering(graph, samples[train[:MEASURED]], None)
    bench = _Bench(graph, program.target, samples[held], labels[held], few)
    session = open_session(
        graph, entering(graph, samples[train], None), labels[train],
        bits=weight_bits(program), batch=batch, rate_penalty=rate_penalty, seed=seed,
    )  # fmt: skip
    place = None if checkpoint is None else Path(checkpoint)
    key = _key(graph, samples, labels, recipe, program.target.id)
    state = _read(place, key) if resume and place is not None and place.exists() else None
    state = state or State([bench.measure(0, None, graph)], session.parameters, session.parameters)
    for number in range(len(state.epochs), epochs + 1):
        state = _epoch(session, bench, state, number, recipe, progress)
        if place is not None:
            _write(place, key, state)
        if after is not None:
            after(state.epochs[-1])
    if place is not None:
        place.unlink(missing_ok=True)
    best = best_of(state.epochs)
    tuned = bench.remeasured(with_parameters(graph, state.best)) if best else graph
    return Tuned(tuned.with_meta(tuned_epochs=best), tuple(state.epochs), best, len(held))


def _checked(recipe: Recipe) -> Recipe:
    if recipe.epochs < 1 or recipe.batch < 1:
        raise OptionError(f"{recipe.epochs} epochs of batches of {recipe.batch}; each is at least 1")
    if not recipe.learning_rate > 0 or recipe.rate_penalty < 0:
        raise OptionError(
            f"learning rate {recipe.learning_rate:g} and rate penalty {recipe.rate_penalty:g}; the first is "
            "above 0, the second not below"
        )
    return recipe


def split(count: int, batch: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw which samples train and which measure; none does both."""
    held = min(HELD_OUT, count // 5)
    if held < 1 or count - held < batch:
        raise DataError(f"{count} samples are too few for a batch of {batch} and some to measure on")
    order = np.random.default_rng(seed).permutation(count)
    return order[held:], np.sort(order[:held])


def weight_bits(program: Program) -> dict[str, int]:
    """Return the bits that the weights of every trained node are stored in."""
    by_layer: dict[str, int] = {}
    for projection in program.projections:
        bits = min(projection.weight_bits, by_layer.get(projection.origin, projection.weight_bits))
        by_layer[projection.origin] = bits
    graph = program.graph
    fallback = min(by_layer.values())
    return {name: by_layer.get(graph[name].origin, fallback) for name in trained_nodes(graph)}


def with_parameters(graph: Graph, values: Sequence[npt.NDArray[Any]]) -> Graph:
    """Put weights and biases, in the order of `trained_nodes`, into a graph."""
    for name, weight, bias in zip(trained_nodes(graph), values[::2], values[1::2], strict=True):
        op: Any = graph[name].op
        changed = {"weight": np.asarray(weight, np.float64), "bias": np.asarray(bias, np.float64)}
        graph = graph.with_node(name, op=dataclasses.replace(op, **changed))
    return graph


def best_of(epochs: Sequence[Epoch]) -> int:
    """Return the number of the most accurate epoch; of equals the one with fewest spikes."""
    return max(epochs, key=lambda e: (e.accuracy, -e.spikes, -e.number)).number


# --- one epoch ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class State:
    """What is known between two epochs."""

    epochs: list[Epoch]
    now: Parameters
    best: Parameters


def _epoch(
    session: Session, bench: _Bench, state: State, number: int, recipe: Recipe, progress: Progress | None
) -> State:
    rate = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (number - 1) / recipe.epochs))
    told = None if progress is None else _over_all(progress, number, recipe.epochs)
    loss, now = session.train(state.now, number, learning_rate=rate, progress=told)
    epochs = [*state.epochs, bench.measure(number, loss, with_parameters(bench.graph, now))]
    return State(epochs, now, now if best_of(epochs) == number else state.best)


def _over_all(progress: Progress, number: int, epochs: int) -> Progress:
    return lambda done, total: progress((number - 1) * total + done, epochs * total)


@dataclass(frozen=True, eq=False)
class _Bench:
    """What every epoch is measured by."""

    graph: Graph
    target: Target
    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    few: Floats

    def measure(self, number: int, loss: float | None, graph: Graph) -> Epoch:
        """Run the held-out samples on the emulator."""
        recording = run(self.remeasured(graph) if number else graph, self.x, target=self.target)
        return Epoch(number, loss, recording.accuracy(self.y), recording.spikes_per_sample)

    def remeasured(self, graph: Graph) -> Graph:
        """Note anew how far inputs and membranes go, which sets the scales of the integers."""
        drive = {n.name: 0.0 for n in graph.neurons}
        reach = dict(drive)

        def watch(t: int, name: str, into: Floats, out: Floats) -> None:
            drive[name] = max(drive[name], float(np.abs(into).max()))
            reach[name] = max(reach[name], float(np.abs(out).max()))

        simulate(graph, self.few, steps=int(graph.meta.get("steps", 64)), watch=watch)
        for node in graph.neurons:
            if "peak_drive" in node.notes and node.notes.get("role") != "encoder":
                notes: dict[str, float | str] = {**node.notes, "peak_drive": drive[node.name]}
                if not node.op.spiking:
                    notes["peak_membrane"] = reach[node.name]
                graph = graph.with_node(node.name, notes=notes)
        return graph


# --- checkpoints --------------------------------------------------------------------------------------------


def _key(graph: Graph, x: npt.NDArray[Any], y: npt.NDArray[Any], recipe: Recipe, target: str) -> str:
    """Digest of all that decides the result."""
    told = {
        "graph": graph.digest(), "x": digest(x), "y": digest(y), "target": target,
        **dataclasses.asdict(recipe),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _write(place: Path, key: str, state: State) -> None:
    epochs = [dataclasses.asdict(e) for e in state.epochs]
    head = json.dumps({"format": _FORMAT, "key": key, "epochs": epochs})
    arrays = {f"now{i}": v for i, v in enumerate(state.now)}
    arrays |= {f"best{i}": v for i, v in enumerate(state.best)}

    def save(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, head=np.array(head), **arrays)

    write_beside(place, save)


def _read(place: Path, key: str) -> State:
    """Read a checkpoint of the same network, data and options."""
    try:
        with np.load(place, allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            count = sum(name.startswith("now") for name in stored.files)
            parts = [[stored[f"{part}{i}"] for i in range(count)] for part in ("now", "best")]
        if head["format"] != _FORMAT or head["key"] != key:
            raise DataError(
                f"'{place}' is of another network, other samples or options; without --resume it starts anew"
            )
        return State([Epoch(**e) for e in head["epochs"]], *parts)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"'{place}' is no checkpoint that can be read; without --resume it starts anew"
        ) from error
