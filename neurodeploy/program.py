"""Program: a spiking graph bound to a target, down to the integers and cores of the chip.

The stages of compilation fill it from top to bottom: populations and projections in floats (lowered), then in
integers (quantised), then cut into blocks (partitioned), then each block on a core (placed). A Program is a
value; every pass returns a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.diagnostics import Diagnostic, Severity, render_all
from neurodeploy.errors import CompileError
from neurodeploy.ir.graph import Graph
from neurodeploy.numerics.neurons import Compartments, Membrane
from neurodeploy.targets import Target

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DenseMap:
    """All-to-all weights, shape (N_target, N_source); float64 before and int32 after quantisation."""

    weight: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ConvMap:
    """Weights shared over space, between images (C, H, W); always two-dimensional, groups kept.

    `weight` has shape (O, I/groups, KH, KW); float64 before and int32 after quantisation.
    """

    weight: npt.NDArray[Any]
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, eq=False)
class SparseMap:
    """Single weights in compressed rows per target: shape (N_target, N_source)."""

    row_start: Longs
    column: Ints
    weight: npt.NDArray[Any]
    shape: tuple[int, int]


Map = DenseMap | ConvMap | SparseMap


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons that share an op, in floats and, once quantised, in integers.

    Parameters
    ----------
    name, origin : str
        Graph node and the user's own layer name.
    shape : tuple of int
    membrane : Membrane
        The float neuron.
    bias : ndarray of float64, shape (N,)
        Constant input per step.
    on_chip : bool
        False for host neurons, which send their spikes in.
    compartments : Compartments, optional
        Set by quantisation.
    weight_scale : float
        Integer weight units (including the exponent) per float weight unit; set by quantisation. The membrane
        has the same scale, so ``v_float = v_int / weight_scale``.
    unit : float
        As `Node.unit`.
    """

    name: str
    origin: str
    shape: tuple[int, ...]
    membrane: Membrane
    bias: npt.NDArray[np.float64]
    on_chip: bool = True
    compartments: Compartments | None = None
    weight_scale: float = 1.0
    unit: float = 1.0
    notes: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Projection:
    """All synapses from one population to another.

    `weight_exp` and `weight_bits` are set by quantisation: an integer weight is ``mantissa << (6 +
    weight_exp)`` with `weight_bits` bits including the sign. `delay` counts the steps from a spike to its
    arrival, 1 at least. With `widest` it keeps all bits the chip has, however few are
    asked for: it stands for a threshold or a bias.
    """

    source: str
    target: str
    origin: str
    map: Map
    weight_exp: int = 0
    weight_bits: int = 8
    delay: int = 1
    widest: bool = False


@dataclass(frozen=True, eq=False)
class Synapses:
    """The synapses from one source population into one block, laid out as on the chip.

    A spike of source neuron ``i`` arrives on axon ``axon[i]`` with index ``atom[i]``; it adds ``weight[k]``
    to compartment ``base[axon] + index[k]`` for every ``k`` in ``row_start[r]:row_start[r + 1]`` with ``r =
    first_row[axon] + atom[i]``.

    Parameters
    ----------
    source : str
        Source population.
    axon : ndarray of int32, shape (N_source,)
        Axon id, or -1 where a source neuron is not connected.
    atom : ndarray of int32, shape (N_source,)
        Index within a shared (population) axon; 0 for discrete axons.
    first_row, base : ndarray of int32, shape (A,)
        Per axon.
    row_start : ndarray of int64, shape (R + 1,)
    index : ndarray of int32, shape (K,)
    weight : ndarray of int32, shape (K,)
        As added to the input accumulator, exponent included.
    axon_kind : {"discrete", "pop16", "pop32"}
    weight_exp, weight_bits : int
    delay : int
        Steps from a spike to its arrival, at least 1.
    """

    source: str
    axon: Ints
    atom: Ints
    first_row: Ints
    base: Ints
    row_start: Longs
    index: Ints
    weight: Ints
    axon_kind: str = "discrete"
    weight_exp: int = 0
    weight_bits: int = 8
    delay: int = 1

    @property
    def n_axons(self) -> int:
        """Number of input axons."""
        return len(self.first_row)


@dataclass(frozen=True, eq=False)
class Block:
    """What one neuron core runs.

    Parameters
    ----------
    name : str
        ``population[k]``.
    population, origin : str
    neurons : ndarray of int32, shape (n,)
        Ids within the population, ascending; compartment ``j`` is neuron ``neurons[j]``.
    compartments : Compartments
        Of these n neurons.
    synapses : tuple of Synapses
        Everything that feeds the block.
    """

    name: str
    population: str
    origin: str
    neurons: Ints
    compartments: Compartments
    synapses: tuple[Synapses, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """A graph compiled for a target.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    target : Target
    populations, projections : tuple
        In execution order; the first population is the input.
    blocks : tuple of Block
        Set by partitioning.
    cores : tuple of int
        Core of every block, counted over the board; set by placement.
    diagnostics : tuple of Diagnostic
    options : mapping of str to number or str
        How it was compiled (``input_coding``, ``weight_bits``, ...).
    """

    graph: Graph
    target: Target
    populations: tuple[Population, ...] = ()
    projections: tuple[Projection, ...] = ()
    blocks: tuple[Block, ...] = ()
    cores: tuple[int, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    options: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def population(self, name: str) -> Population:
        """Return a population by name."""
        return next(p for p in self.populations if p.name == name)

    def blocks_of(self, population: str) -> tuple[int, ...]:
        """Return the indices of the blocks that hold a population."""
        return tuple(i for i, block in enumerate(self.blocks) if block.population == population)

    @property
    def output(self) -> Population:
        """The population that is read out."""
        return self.population(self.graph.sources(self.graph.output.name)[0])

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The findings that keep the program from running as converted."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)

    def raise_for_errors(self) -> Program:
        """Return the program if it has no errors.

        Raises
        ------
        CompileError
            With all of them.
        """
        if self.errors:
            raise CompileError(
                f"'{self.graph.name}' does not fit {self.target.id}: {len(self.errors)} error"
                + ("\n" if len(self.errors) == 1 else "s\n")
                + render_all(self.errors)
            )
        return self

    def digest(self) -> str:
        """SHA-256 over graph, target, integers and placement."""
        hasher = hashlib.sha256(self.graph.digest().encode() + self.target.digest().encode())
        _feed(hasher, (self.populations, self.projections, self.blocks, self.cores, dict(self.options)))
        return hasher.hexdigest()


def out_axon_slots(program: Program, block: int, *, slots: Mapping[str, int]) -> int:
    """Count the output axon entries of a block.

    These are the distinct axons of each synapse group it feeds, times the entries each axon takes.

    Parameters
    ----------
    slots : mapping of str to int
        Entries per axon kind, from the target.
    """
    here = program.blocks[block]
    total = 0
    for other in program.blocks:
        for synapses in other.synapses:
            if synapses.source == here.population:
                axons = synapses.axon[here.neurons]
                total += len(np.unique(axons[axons >= 0])) * slots[synapses.axon_kind]
    return total


def _feed(hasher: Any, value: Any) -> None:
    """Feed nested values to a hash, each with its type, so that no two different programs look alike."""
    if isinstance(value, np.ndarray):
        hasher.update(f"{value.dtype.str}{value.shape}".encode())
        hasher.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        hasher.update(type(value).__name__.encode())
        for spec in fields(value):
            hasher.update(spec.name.encode())
            _feed(hasher, getattr(value, spec.name))
    elif isinstance(value, Mapping):
        for key in sorted(value):
            hasher.update(str(key).encode())
            _feed(hasher, value[key])
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        hasher.update(b"(")
        for item in value:
            _feed(hasher, item)
        hasher.update(b")")
    else:  # a number of NumPy prints in other ways in other releases
        hasher.update(repr(value.item() if isinstance(value, np.generic) else value).encode())
