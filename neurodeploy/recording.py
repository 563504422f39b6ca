"""Recording: what one run gave, sample by sample, and what it took."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from neurodeploy.data import as_labels
from neurodeploy.diagnostics import Diagnostic

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recording:
    """The result of running B samples for T steps.

    Parameters
    ----------
    outputs : ndarray of float64, shape (B, classes)
        Read-out after the last step, in units of the source model's last layer: mean rate or membrane growth
        per step times the population's `unit`.
    decisions : ndarray of int16, shape (B, T)
        Index of the largest read-out after every step; T is 1 for a backend without time.
    spikes : mapping of str to ndarray of int64, shape (B,)
        Spikes of every population, per sample.
    synops : mapping of str to ndarray of int64, shape (B,)
        Synaptic operations into every population, per sample (spikes times the synapses each one reaches).
    raster : mapping of str to ndarray of int32, shape (K, 2)
        (step, neuron) of the spikes of the run's first sample.
    overflows : mapping of str to ndarray of bool, shape (B,)
        Whether an accumulator wrapped in any step, by register (input, current, drive); from backends that
        compute in the chip's integers.
    backend, target : str
    steps : int
    dt : float
        Seconds per step.
    seed : int
    seconds : float
        Wall time of the simulation alone.
    diagnostics : tuple of Diagnostic
        What the run has against its samples or its length.
    """

    outputs: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.int16]
    spikes: Mapping[str, Longs] = field(default_factory=dict)
    synops: Mapping[str, Longs] = field(default_factory=dict)
    raster: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    overflows: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    backend: str = ""
    target: str = ""
    steps: int = 1
    dt: float = 1e-3
    seed: int = 0
    seconds: float = 0.0
    diagnostics: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        for name in ("spikes", "synops", "raster", "overflows"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def predictions(self) -> Longs:
        """Index of the largest output, shape (B,)."""
        return np.asarray(np.argmax(self.outputs, axis=1), dtype=np.int64)

    def accuracy(self, labels: npt.ArrayLike) -> float:
        """Share of samples whose largest output is the label, 0 to 1.

        Raises
        ------
        DataError
            If there is not one label per sample.
        """
        return float(np.mean(self.predictions == as_labels(labels, len(self))))

    def accuracy_over_steps(self, labels: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Share of right decisions after every step, shape (T,)."""
        right = self.decisions == as_labels(labels, len(self))[:, None]
        return np.asarray(right.mean(axis=0))

    @property
    def spikes_per_sample(self) -> float:
        """Mean number of spikes per sample, over all populations."""
        return sum(float(n.mean()) for n in self.spikes.values())

    @property
    def synops_per_sample(self) -> float:
        """Mean number of synaptic operations per sample."""
        return sum(float(n.mean()) for n in self.synops.values())


def concatenate(parts: Sequence[Recording]) -> Recording:
    """Join recordings of consecutive samples; the raster is the first one's, the seconds add up."""
    first = parts[0]
    return dataclasses.replace(
        first,
        outputs=np.concatenate([p.outputs for p in parts]),
        decisions=np.concatenate([p.decisions for p in parts]),
        spikes={k: np.concatenate([p.spikes[k] for p in parts]) for k in first.spikes},
        synops={k: np.concatenate([p.synops[k] for p in parts]) for k in first.synops},
        overflows={k: np.concatenate([p.overflows[k] for p in parts]) for k in first.overflows},
        seconds=sum(p.seconds for p in parts),
    )
