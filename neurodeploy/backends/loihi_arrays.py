"""Parts of nengo-loihi's builder in arrays, most of whose time goes into loops; what they build is equal."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_loihi_module

nengo_loihi_module()
blocks: Any = importlib.import_module("nengo_loihi.block")
cuts: Any = importlib.import_module("nengo_loihi.builder.split_blocks")
discretize: Any = importlib.import_module("nengo_loihi.builder.discretize")
validate: Any = importlib.import_module("nengo_loihi.builder.validate")

BASES = 256
"""Bases of an axon are below this."""

Ints = npt.NDArray[np.int32]


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let nengo-loihi's builder use the functions of this module."""
    ours: dict[Any, dict[str, Any]] = {
        validate: {"validate_axon": validate_axon},
        cuts: {"split_synapse": split_synapse, "split_axon": split_axon},
        discretize: {"discretize_synapse": all_at_once(discretize.discretize_synapse)},
    }
    before = [(module, name, getattr(module, name)) for module, names in ours.items() for name in names]
    for module, names in ours.items():
        vars(module).update(names)
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def validate_axon(axon: Any) -> None:
    """Assert that the atoms of an axon are among those of its synapse, all of whose axons have as many."""
    if isinstance(axon.target, validate.Synapse) and axon.compartment_atoms is not None:
        atoms = np.asarray(axon.compartment_atoms)
        assert ((atoms >= 0) & (atoms < axon.target.weights[0].shape[0])).all()


def all_at_once(discretize_synapse: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap nengo-loihi's function that rounds the weights of a synapse array by array."""

    def discretize_all(synapse: Any, *scales: Any) -> None:
        weights, indices = synapse.weights, synapse.indices
        flat = np.concatenate([w.ravel() for w in weights])[None]
        synapse.weights, synapse.indices = [flat], [np.concatenate([i.ravel() for i in indices])[None]]
        discretize_synapse(synapse, *scales)
        synapse.weights, synapse.indices = weights, indices
        ends = np.cumsum([w.size for w in weights])[:-1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for weight, new in zip(weights, np.split(flat[0], ends), strict=True):
                weight.dtype = flat.dtype  # in place: other objects hold the same arrays
                weight[:] = new.reshape(weight.shape)

    return discretize_all


def split_synapse(old_block: Any, old_synapse: Any, new_blocks: Any, validate: Any = None) -> Any:
    """Cut a synapse for the blocks that its block was cut into.

    Returns
    -------
    OrderedDict
        By new synapse, the axons of the old one that it needs.
    """
    shared = old_synapse.axon_to_weight_map is not None
    assert shared == (old_synapse.axon_compartment_bases is not None) == (old_synapse.pop_type != 0)
    assert all(isinstance(w, np.ndarray) for w in old_synapse.weights), "Sparse weights not yet supported"
    assert all((i == i[0]).all() for i in old_synapse.indices), "All atoms must target same indices"
    made = OrderedDict()
    for number, (block, kept) in enumerate(new_blocks.items()):
        place = np.full(old_block.n_neurons, -1, np.int32)
        place[kept.list] = np.arange(len(kept))
        part = _Part(old_synapse, place)
        if part.axons:
            label = old_synapse.label
            synapse = blocks.Synapse(len(part.axons), label=None if label is None else f"{label}[{number}]")
            block.add_synapse(synapse)
            part.fill(synapse)
            made[synapse] = part.axons
    return made


def split_axon(axon: Any, targets: Any, atoms: Any, new_synapses: Any) -> list[Any]:
    """Lead an axon to what its synapse was cut into.

    Parameters
    ----------
    axon : nengo_loihi.block.Axon
    targets, atoms : array_like, shape (N,)
        Axon and atom of the old synapse for each neuron that the new ones come from.
    new_synapses : OrderedDict or None
        What `split_synapse` returned; None if it was not cut.
    """
    targets = np.asarray(targets)
    if new_synapses is None:
        return [_axon(axon.label, axon.target, targets, atoms)]
    label, made = axon.label, []
    for number, (synapse, needed) in enumerate(new_synapses.items()):
        place = np.full(max(int(targets.max(initial=-1)), *needed) + 2, -1)  # of -1 the last one is taken
        place[needed] = np.arange(len(needed))
        if (place[targets] >= 0).any():
            name = None if label is None else f"{label}[{number}]"
            made.append(_axon(name, synapse, place[targets], atoms))
    return made


def _axon(label: str | None, target: Any, places: Any, atoms: Any) -> Any:
    axon = blocks.Axon(np.unique(places[places >= 0]).size, label=label)
    axon.target = target
    axon.set_compartment_axon_map(places, np.asarray(atoms))
    return axon


class _Part:
    """What of a synapse leads into one block, of which `place` has the compartments, or -1."""

    def __init__(self, synapse: Any, place: Ints) -> None:
        self.synapse = synapse
        self.axons: list[int] = []
        self.rows: list[int] = []
        self.bases: list[int] = []
        self.weights: list[npt.NDArray[Any]] = []
        self.indices: list[Ints] = []
        self._known: dict[tuple[int, int], int] = {}
        self._cut: dict[tuple[int, bytes], tuple[int, npt.NDArray[Any]]] = {}
        rows = np.arange(synapse.n_axons)
        bases = np.zeros(synapse.n_axons, np.int64)
        if synapse.axon_to_weight_map is not None:
            rows, bases = np.asarray(synapse.axon_to_weight_map), np.asarray(synapse.axon_compartment_bases)
        for axon in np.flatnonzero(self._leading_here(rows, bases, place)).tolist():
            self._add(axon, int(bases[axon]), int(rows[axon]), place)

    def _leading_here(self, rows: Any, bases: Any, place: Ints) -> npt.NDArray[np.bool_]:
        """Find the axons that may lead here, many at a time where they share weights."""
        found = np.asarray(bases >= 0)
        if self.synapse.axon_to_weight_map is not None:
            for row, indices in enumerate(self.synapse.indices):
                axons = np.flatnonzero((rows == row) & found)
                found[axons] = (place[bases[axons][:, None] + indices[0]] >= 0).any(axis=1)
        return found

    def _add(self, axon: int, base: int, row: int, place: Ints) -> None:
        """Take those of an axon's synapses that lead here."""
        new = place[self.synapse.indices[row][0] + base]
        inside = new >= 0
        new = new[inside]
        if not len(new):
            return
        first = 0
        if self.synapse.axon_to_weight_map is not None:
            first = int(new.min()) % BASES
            new = new - first
        name, weight = self._weights_of(row, inside)
        key = name, hash(new.tobytes())
        if key not in self._known:
            self._known[key] = len(self.weights)
            self.weights.append(weight.copy())
            self.indices.append(np.tile(new, (len(weight), 1)))
        self.axons.append(axon)
        self.rows.append(self._known[key])
        self.bases.append(first)

    def _weights_of(self, row: int, inside: npt.NDArray[np.bool_]) -> tuple[int, npt.NDArray[Any]]:
        """Return a name of the chosen weights of a row, equal for equal weights, and themselves."""
        chosen = row, inside.tobytes()
        if chosen not in self._cut:
            weight = self.synapse.weights[row][:, inside]
            self._cut[chosen] = hash(weight.tobytes()), weight
        return self._cut[chosen]

    def fill(self, synapse: Any) -> None:
        """Give all of it to a new synapse."""
        synapse._set_weights_indices(
            self.weights,
            self.indices,
            weight_dtype=self.weights[0].dtype,
            compression=self.synapse.synapse_cfg.compression,
        )
        synapse.axon_to_weight_map = np.asarray(self.rows)
        synapse.axon_compartment_bases = np.asarray(self.bases)
        synapse.pop_type = self.synapse.pop_type
