"""Adaptive rounding: which way weights are rounded is chosen on calibration samples, layer by layer.

Rounding to the nearest code keeps every weight near its value and lets the errors of one neuron add up as
they may. Here the weights of a neuron are rounded one after the other, and what is not rounded yet takes over
the error of what is, in proportion to how the inputs go together; then the bias takes what the mean input
still differs by from the source's. The largest weight and the largest bias of a layer stay as they are, so
the compiler finds the scale it found before, and every weight already lies on a code of the chip.

References
----------
.. [1] Frantar et al. (2023), GPTQ: accurate post-training quantization for generative pre-trained
   transformers, ICLR, algorithm 1 (errors pass to the weights that follow).
.. [2] Nagel et al. (2019), Data-free quantization through weight equalization and bias correction, ICCV,
   section 4.2 (bias correction; here with measured means).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.accuracy.rounded import unrounded
from neurodeploy.compiler.pipeline import PASSES
from neurodeploy.compiler.quantize import NOMINAL_BITS, quantize
from neurodeploy.compiler.registers import registers
from neurodeploy.compiler.scales import infactors
from neurodeploy.data import check_samples, draw
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops, paths
from neurodeploy.ir.evaluate import evaluate
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program, Projection
from neurodeploy.scaleout.job import entering
from neurodeploy.stages import DEFAULT_TARGET
from neurodeploy.stages import target as find_target
from neurodeploy.targets import Target

Floats = npt.NDArray[np.float64]
Weighted = ops.Affine | ops.Conv2d

SAMPLES, PATCHES = 128, 8192
"""Calibration samples, and inputs of a layer at most, over which its error is measured."""
DAMPING = 0.01
"""Added to the variance of every input, as part of the mean variance, where samples are few."""
ON_CODE = 0.1
"""Part of a code by which the compiler may still round a weight that lies on one."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The codes of the weights of one layer.

    Parameters
    ----------
    node : str
        The op with the weights.
    target : str
        The population it feeds.
    step : float
        What one code is worth, in units of the op's weights.
    top : int
        Largest code.
    """

    node: str
    target: str
    step: float
    top: int

    def near(self, weight: Floats) -> Floats:
        """Return the codes next to some weights."""
        return np.asarray(np.clip(np.rint(weight / self.step), -self.top, self.top))


def adapt_rounding(
    graph: Graph,
    x: npt.ArrayLike,
    *,
    target: str | Target = DEFAULT_TARGET,
    weight_bits: int | None = None,
    seed: int = 0,
) -> Graph:
    """Put the weights of a spiking network on codes of a chip such that its layers compute what they did.

    Parameters
    ----------
    graph : Graph
        In spiking form.
    x : array_like, shape (B, ...)
        Training samples in the user's layout, undivided; at most `SAMPLES` are drawn.
    target : str or Target
        Whose weights are rounded; another one rounds them once more, to the nearest.
    weight_bits : int, optional
        The sign included; what the graph says by default, else 8. The graph keeps it.
    seed : int
        Draws the samples and the inputs of convolutions.

    Returns
    -------
    Graph
        `meta` says ``rounding="adaptive"``. Layers whose codes do not lie apart, as behind overlapping pools,
        are left to the compiler.

    Raises
    ------
    OptionError
        If the network is not in spiking form, or the target keeps floats.
    DataError
    """
    chip = find_target(target) if isinstance(target, str) else target
    if not graph.neurons:
        raise OptionError(f"'{graph.name}' is not in spiking form (no neurons); convert it first")
    if registers(chip) is None:
        raise OptionError(f"the emulated weights of '{chip.id}' stay in floats; there is nothing to round")
    given = np.asarray(x)
    check_samples(given, "calibration")
    samples = entering(graph, draw(given, count=SAMPLES, seed=seed), None)
    bits = int(graph.meta.get("weight_bits", NOMINAL_BITS)) if weight_bits is None else weight_bits
    wanted = _at(graph, samples, {target for *_, target in _layers(graph)})
    rng = np.random.default_rng(seed)
    kept = graph.with_meta(weight_bits=bits, rounding="adaptive")
    for grid in grids(kept, chip):
        op = graph[grid.node].op
        assert isinstance(op, Weighted)
        inputs = _at(kept, samples, {grid.node})[grid.node]
        rounded = dataclasses.replace(op, weight=_rounded(op, grid, inputs, rng))
        as_chip = kept.with_node(grid.node, op=rounded)
        lacks = wanted[grid.target] - _at(as_chip, samples, {grid.target})[grid.target]
        made = dataclasses.replace(_with_largest(rounded, op), bias=_corrected(op.bias, lacks))
        candidate = kept.with_node(grid.node, op=made)
        kept = candidate if _stays(candidate, chip, grid) else kept
    return kept


def _at(graph: Graph, x: Floats, names: set[str]) -> dict[str, Floats]:
    """Return what enters some nodes, in rates."""
    sources = {name: graph.sources(name) for name in names}
    needed = {s for several in sources.values() for s in several}
    values: dict[str, Floats] = {}
    evaluate(graph, x, watch=lambda name, v: values.update({name: v} if name in needed else {}))
    return {name: functools.reduce(np.add, [values[s] for s in several]) for name, several in sources.items()}


# --- the codes of each layer --------------------------------------------------------------------------------


def _layers(graph: Graph) -> Iterator[tuple[str, str, str]]:
    """Yield node, source and target of every op whose weights alone are those of a projection."""
    found: list[tuple[str, str, str]] = []
    for (source, target), chains in paths.projections(graph, delays=True).items():
        for chain in chains if source in graph and graph[source].op.stateful else ():
            heavy = [n for n in chain if isinstance(graph[n].op, Weighted)]
            if len(heavy) == 1 and len(chains) == 1 and all(n in heavy or _keeps(graph[n].op) for n in chain):
                found.append((heavy[0], source, target))
    often = [node for node, *_ in found]
    order = {node.name: i for i, node in enumerate(graph.nodes)}
    alone = [layer for layer in found if often.count(layer[0]) == 1]
    yield from sorted(alone, key=lambda layer: order[layer[0]])


def _keeps(op: ops.Op) -> bool:
    """Whether an op in a chain leaves every weight of its neighbour a weight of its own."""
    if isinstance(op, ops.SumPool2d):
        return op.kernel_size == op.stride and op.padding == (0, 0)
    return isinstance(op, ops.Flatten)


def quantised(graph: Graph, chip: Target) -> Program:
    """Return the program of a graph as far as its weights are integers."""
    options: dict[str, float | int | str] = {
        "input_coding": "rate",
        "weight_bits": int(graph.meta.get("weight_bits", NOMINAL_BITS)),
    }
    program = Program(graph, chip, options=options)
    for make in PASSES[: PASSES.index(quantize) + 1]:
        program = make(program)
    return program


def grids(graph: Graph, chip: Target) -> list[Grid]:
    """Return the codes of every layer whose weights can be put on them, in execution order."""
    program = quantised(graph, chip)
    exact = unrounded(program)
    found = []
    for node, source, target in _layers(graph):
        for before, after in _pairs(exact, program, source, target):
            codes = np.abs(after.map.weight)
            quantum = int(np.gcd.reduce(codes[codes > 0])) if codes.any() else 0
            op = graph[node].op
            assert isinstance(op, Weighted)
            largest = float(np.abs(op.weight).max(initial=0.0))
            if quantum and largest:
                per_weight = float(np.abs(before.map.weight).max()) / largest
                step = (quantum & -quantum) / (_units(program, target) * per_weight)
                found.append(Grid(node, target, step, int(codes.max()) // (quantum & -quantum)))
    return found


def _pairs(
    exact: Program, program: Program, source: str, target: str
) -> Iterator[tuple[Projection, Projection]]:
    for before, after in zip(exact.projections, program.projections, strict=True):
        if (after.source, after.target) == (source, target) and not after.widest:
            yield before, after


def _units(program: Program, target: str) -> float:
    """Return what a weight of 1 of the lowered program is on the chip."""
    regs, population = registers(program.target), program.population(target)
    assert regs is not None
    u, v = infactors(population, regs)
    return float(population.weight_scale * (u * v).max())


def _stays(graph: Graph, chip: Target, grid: Grid) -> bool:
    """Whether the compiler takes the weights of a layer as they are, all but the largest."""
    again = next((g for g in grids(graph, chip) if g.node == grid.node), None)
    if again is None or not math.isclose(again.step, grid.step, rel_tol=1e-6):
        return False
    op = graph[grid.node].op
    assert isinstance(op, Weighted)
    codes = op.weight / grid.step
    return bool((np.abs(codes - np.rint(codes))[np.abs(codes) <= grid.top] < ON_CODE).all())


# --- rounding -----------------------------------------------------------------------------------------------


def _rounded(op: Weighted, grid: Grid, x: Floats, rng: np.random.Generator) -> Floats:
    """Return weights on codes, group by group."""
    groups = 1 if isinstance(op, ops.Affine) else op.groups
    rows = op.weight.reshape(groups, len(op.weight) // groups, -1)
    seen = _inputs(op, x, rng).reshape(-1, groups, rows.shape[2])
    made = [round_rows(w, seen[:, i], grid) for i, w in enumerate(rows)]
    return np.reshape(made, op.weight.shape) * grid.step


def _inputs(op: Weighted, x: Floats, rng: np.random.Generator) -> Floats:
    """Return inputs of single neurons, shape (P, columns of all groups)."""
    if isinstance(op, ops.Affine):
        return x
    pad = ((0, 0), (0, 0), (op.padding[0],) * 2, (op.padding[1],) * 2)
    kernel = op.weight.shape[2:]
    extent = tuple(d * (k - 1) + 1 for d, k in zip(op.dilation, kernel, strict=True))
    view: Any = np.lib.stride_tricks.sliding_window_view  # NumPy 1.26's stubs know one axis only
    windows = view(np.pad(x, pad), extent, axis=(2, 3))
    windows = windows[:, :, :: op.stride[0], :: op.stride[1], :: op.dilation[0], :: op.dilation[1]]
    places = (len(x), *windows.shape[2:4])
    chosen = rng.choice(math.prod(places), min(PATCHES, math.prod(places)), replace=False)
    b, i, j = np.unravel_index(np.sort(chosen), places)
    return np.asarray(windows[b, :, i, j]).reshape(len(chosen), -1)


def round_rows(weight: Floats, x: Floats, grid: Grid) -> Floats:
    """Round the weights of neurons with common inputs.

    Parameters
    ----------
    weight : ndarray of float64, shape (N, K)
    x : ndarray of float64, shape (P, K)
        Inputs that are typical; their mean does not count, as a bias makes up for it.
    grid : Grid

    Returns
    -------
    ndarray of float64, shape (N, K)
        Codes; those next to the weights where no others are better on `x`.
    """
    near = grid.near(weight)
    centred = x - x.mean(axis=0)
    together = centred.T @ centred / max(len(x), 1)
    spread = np.diag(together)
    if not spread.any():
        return near
    order = np.argsort(-spread, kind="stable")  # what matters most first, while others can still make up
    damped = together + DAMPING * spread.mean() * np.eye(len(spread))
    passing = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left, codes = weight[:, order].copy(), np.empty_like(weight)
    for k, column in enumerate(order):
        codes[:, column] = grid.near(left[:, k])
        error = (left[:, k] - codes[:, column] * grid.step) / passing[k, k]
        left[:, k:] -= error[:, None] * passing[k, k:]

    def cost(made: Floats) -> Floats:
        off = made * grid.step - weight
        return np.asarray(np.einsum("nk,kl,nl->n", off, together, off, optimize=True))

    return np.where((cost(codes) < cost(near))[:, None], codes, near)


def _with_largest(rounded: Weighted, op: Weighted) -> Weighted:
    """Return an op whose largest weight is what it was, so that its scale is."""
    weight = rounded.weight.copy()
    largest = np.unravel_index(np.abs(op.weight).argmax(), op.weight.shape)
    weight[largest] = op.weight[largest]
    return dataclasses.replace(rounded, weight=weight)


def _corrected(bias: Floats, lacks: Floats) -> Floats:
    """Add what is missing on average, per channel; the largest bias stays, as it sets a scale too."""
    mean = lacks.mean(axis=tuple(a for a in range(lacks.ndim) if a != 1))
    largest = float(np.abs(bias).max(initial=0.0))
    made = np.clip(bias + mean, -largest, largest)
    made[np.abs(bias) == largest] = bias[np.abs(bias) == largest]
    return np.asarray(made)
