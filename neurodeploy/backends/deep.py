"""Teach a learning circuit from labelled samples: epochs, checkpoints, a curve, and what it cost.

The host shows samples and labels as spike trains and reads spike counts, nothing else: no gradient, no error
and no weight is computed outside the circuit. Weights are read back when learning is over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError, LoadError
from neurodeploy.files import write_beside
from neurodeploy.kernels import online
from neurodeploy.kernels.online_tables import State, Tables, tables
from neurodeploy.learning import chain
from neurodeploy.learning.arithmetic import DEFAULT, Arithmetic
from neurodeploy.learning.circuit import Circuit

Progress = Callable[[int, int], None]
Codes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

PORTION = 500
"""Samples between two looks at the clock, and between two checkpoints at least."""
SHOWN = 3
"""Phases that an answer takes: forward, and back to rest."""


@dataclass(frozen=True, eq=False)
class Course:
    """Where learning stands.

    Parameters
    ----------
    laid : Tables
    state : State
    right : ndarray of bool, shape (samples shown,)
        Whether each was classified rightly before it was learned from.
    """

    laid: Tables
    state: State
    right: npt.NDArray[np.bool_]

    def weight(self, circuit: Circuit, source: str, target: str) -> Longs:
        """Return the codes between two populations, shape (O, I)."""
        names = [p.name for p in circuit.populations]
        row = next(r for r in self.laid.projections if (names[r[0]], names[r[1]]) == (source, target))
        flat = self.state.w[row[4] : row[4] + row[2] * row[3]]
        return np.asarray(flat.reshape(row[2], row[3]).T.astype(np.int64))

    def per_sample(self) -> dict[str, float]:
        """Return spikes, synaptic events and weight updates per sample shown."""
        names = ("spikes", "synops", "weights_visited", "weights_changed")
        shown = max(len(self.right), 1)
        return {n: float(c) / shown for n, c in zip(names, self.state.counters, strict=True)}


def begin(circuit: Circuit, *, seed: int = 0, arithmetic: Arithmetic = DEFAULT) -> Course:
    """Return a circuit before its first sample."""
    laid, state = tables(circuit, seed=seed, arithmetic=arithmetic)
    return Course(laid, state, np.zeros(0, bool))


def teach(
    course: Course,
    x: Codes,
    labels: Longs,
    *,
    epochs: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: str | Path | None = None,
    until: int | None = None,
    meddle: Callable[[State], None] | None = None,
) -> Course:
    """Show samples one by one, each epoch in an order of its own.

    Parameters
    ----------
    course : Course
        Goes on where it stands.
    x : ndarray of uint8, shape (B, I)
    labels : ndarray of int64, shape (B,)
    epochs : int
        In all, those already done included.
    seed : int
        Of the orders.
    progress : callable of (int, int), optional
    checkpoint : path-like, optional
        Written after every portion; `resume` reads it.
    until : int, optional
        Stop once so many samples were shown in all.
    meddle : callable of (State), optional
        What the host changes before every portion; none for what learns on a chip by itself.
    """
    state, right = course.state.copy(), [course.right]
    shown, total = len(course.right), epochs * len(x)
    total = min(total, until or total)
    while shown < total:
        epoch, at = divmod(shown, len(x))
        order = np.random.default_rng([seed, epoch]).permutation(len(x))[at : at + PORTION]
        order = order[: total - shown]
        if meddle is not None:
            meddle(state)
        found = online.run(course.laid, state, x, labels, order=order)
        right.append(found.argmax(axis=1) == labels[order])
        shown += len(order)
        if checkpoint is not None:
            save(Course(course.laid, state, np.concatenate(right)), checkpoint)
        if progress is not None:
            progress(shown, total)
    return Course(course.laid, state, np.concatenate(right))


def answer(course: Course, x: Codes) -> Longs:
    """Return spike counts of the read-out, shape (B, classes); nothing learns, and `course` stays as it is.

    Notes
    -----
    A tie goes to the lower class, as in ``argmax``.
    """
    none = np.zeros(len(x), np.int64)
    return online.run(course.laid, course.state.copy(), x, none, learn=False, phases=SHOWN)


def accuracy(course: Course, x: Codes, labels: Longs) -> float:
    """Return the share of samples whose class spikes most."""
    return float((answer(course, x).argmax(axis=1) == labels).mean())


def copy_signs(circuit: Circuit, laid: Tables) -> Callable[[State], None]:
    """Return what gives weights on the way back the signs of those forward; their sizes stay.

    The host reads and writes weights for it: a rule that needs this does not learn on a chip by itself.
    """
    places = [(laid.projections[b], laid.projections[f], sign) for b, f, sign in chain.opposites(circuit)]

    def copy(state: State) -> None:
        for back, forward, sign in places:
            w = state.w[forward[4] : forward[4] + forward[2] * forward[3]].reshape(forward[2], forward[3])
            b = state.w[back[4] : back[4] + back[2] * back[3]].reshape(back[2], back[3])
            b[:] = np.abs(b) * np.where(w.T < 0, -sign, sign)

    return copy


def save(course: Course, path: str | Path) -> Path:
    """Write a checkpoint; a kill leaves the last one whole."""

    def write(beside: Path) -> None:
        with beside.open("wb") as file:
            np.savez(file, right=course.right, layout=np.array(_digest(course.laid)), **vars(course.state))

    return write_beside(path, write)


def resume(course: Course, path: str | Path) -> Course:
    """Go on from a checkpoint of the same circuit.

    Parameters
    ----------
    course : Course
        Of the circuit, as `begin` returns it.
    path : path-like

    Raises
    ------
    LoadError
        If the file is no checkpoint, or one of another circuit.
    """
    try:
        with np.load(path) as found:
            held = {k: found[k] for k in found.files}
        same = str(held.pop("layout")) == _digest(course.laid)
        right = held.pop("right").astype(bool)
        state = State(**held)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"'{path}' is no checkpoint of learning: {error}") from error
    if not same:
        raise LoadError(f"'{path}' is of another network, rule or data source; begin anew without it")
    return Course(course.laid, state, right)


def _digest(laid: Tables) -> str:
    parts = {k: np.asarray(v).tolist() for k, v in vars(laid).items()}
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def curve(right: npt.NDArray[Any], points: int = 50) -> list[list[float]]:
    """Return samples shown and share right among the last ones, up to `points` times."""
    if not len(right):
        return []
    parts = np.array_split(np.asarray(right, float), min(points, len(right)))
    ends = np.cumsum([len(p) for p in parts])
    return [[int(e), float(p.mean())] for e, p in zip(ends, parts, strict=True)]


def check_labels(labels: npt.ArrayLike, samples: int, classes: int) -> Longs:
    """Return class indices as int64; refuse those that there is no output for."""
    y = np.asarray(labels)
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        raise DataError(f"labels are {y.dtype} of shape {y.shape}; {samples} samples need one class each")
    if samples and (y.min() < 0 or y.max() >= classes):
        raise DataError(f"labels go from {y.min()} to {y.max()}; there are {classes} classes, from 0")
    return y.astype(np.int64)
