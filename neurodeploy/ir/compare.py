"""Two graphs compared by what they do: the same input, and the first spike in which they part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import DataError, OptionError
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.ir.replay import replay

Floats = npt.NDArray[np.float64]

INPUTS = ("poisson", "random")
CLOSE = 1e-6
"""Values (not spikes) this close, relative to the largest, are the same."""


@dataclass(frozen=True)
class Pair:
    """One population of either graph.

    Parameters
    ----------
    layer, other : str
        Its name in the first and in the second graph.
    spiking : bool
        Whether both put out spikes; else values are compared.
    totals : (float, float)
        Spikes of either, over all steps and samples; largest values without sign where they do not spike.
    differing : int
        Outputs (step, sample, neuron) that differ.
    outputs : int
        How many there are.
    rate_error : float
        Largest difference of a neuron's mean output per step.
    first : (int, int, int) or None
        Step, sample and flat index of the neuron of the first that differs.
    """

    layer: str
    other: str
    spiking: bool
    totals: tuple[float, float]
    differing: int
    outputs: int
    rate_error: float
    first: tuple[int, int, int] | None

    @property
    def share(self) -> float:
        """Differing outputs, relative to the spikes there are; to all outputs where they are values."""
        return self.differing / max(*self.totals, 1.0) if self.spiking else self.differing / self.outputs


@dataclass(frozen=True)
class Comparison:
    """What two graphs did under the same input.

    Parameters
    ----------
    pairs : tuple of Pair
        In the first graph's order; the output comes last.
    left_out : tuple of str
        Populations of either graph without a partner in the other.
    steps, samples : int
    """

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]
    steps: int
    samples: int

    def same(self, tolerance: float = 0.0) -> bool:
        """Whether no population differs in more than this share of its spikes."""
        return all(pair.share <= tolerance for pair in self.pairs)

    @property
    def first(self) -> Pair | None:
        """The population that differs in the earliest step; of several, the one nearest the input."""
        odd = [pair for pair in self.pairs if pair.first is not None]
        return min(odd, key=lambda pair: (pair.first or (0,))[0], default=None)


def compare(
    a: Graph,
    b: Graph,
    *,
    input: str = "poisson",
    rate: float = 0.2,
    steps: int = 64,
    samples: int = 8,
    seed: int = 0,
) -> Comparison:
    """Step two graphs under the same input.

    Parameters
    ----------
    a, b : Graph
        Populations are paired by name where all have partners, else by order, else the outputs alone.
    input : {"poisson", "random"}
        Spikes drawn anew in every step, or values between 0 and 1.
    rate : float
        Of Poisson input, in spikes per step.
    steps, samples : int
    seed : int

    Raises
    ------
    DataError
        If the graphs take inputs of different sizes, or put out different sizes.
    OptionError
        If an option makes no sense.
    """
    if input not in INPUTS or not 0 < rate <= 1:
        raise OptionError(f"input '{input}' at rate {rate}; choose from {', '.join(INPUTS)} and (0, 1]")
    for what, ends in (("take", (a.input, b.input)), ("put out", (a.output, b.output))):
        sizes = (a.size(ends[0].name), b.size(ends[1].name))
        if sizes[0] != sizes[1]:
            raise DataError(
                f"'{a.name}' and '{b.name}' {what} {sizes[0]} and {sizes[1]} values; they cannot be compared"
            )
    rng = np.random.default_rng(seed)
    drawn = rng.random((steps, samples, a.size(a.input.name)))
    x = (drawn < rate).astype(np.float64) if input == "poisson" else drawn
    names = (a.input.name, b.input.name)
    did = [replay(g, x.reshape(steps, samples, *g.shapes[n])) for g, n in zip((a, b), names, strict=True)]
    matched, left_out = _matched(a, b)
    return Comparison(tuple(_pair(a[m], b[n], did) for m, n in matched), left_out, steps, samples)


def _matched(a: Graph, b: Graph) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    ends = (a.output.name, b.output.name)
    one, two = ({n.name: g.size(n.name) for n in _populations(g)} for g in (a, b))
    if one == two:
        return [*((name, name) for name in one), ends], ()
    if list(one.values()) == list(two.values()):
        return [*zip(one, two, strict=True), ends], ()
    return [ends], tuple(itertools.chain(one, two))


def _populations(graph: Graph) -> Iterator[Node]:
    return (node for node in graph.neurons if node.notes.get("role") != "encoder")


def _pair(one: Node, two: Node, did: list[dict[str, Floats]]) -> Pair:
    outs = (out[node.name] for node, out in zip((one, two), did, strict=True))
    flat = [out.reshape(*out.shape[:2], -1) for out in outs]
    spiking = (one.op.spiking and two.op.spiking) or all(_binary(values) for values in flat)
    scale = max(*(float(np.abs(values).max(initial=0.0)) for values in flat), 1e-300)
    wrong = flat[0] != flat[1] if spiking else np.abs(flat[0] - flat[1]) > CLOSE * scale
    sums = [float(v.sum() if spiking else np.abs(v).max(initial=0.0)) for v in flat]
    error = np.abs(flat[0].mean(axis=0) - flat[1].mean(axis=0)).max(initial=0.0)
    places = np.argwhere(wrong)
    first = tuple(int(i) for i in places[0]) if len(places) else None
    return Pair(
        one.name, two.name, spiking, (sums[0], sums[1]), int(wrong.sum()), wrong.size, float(error),
        first,  # type: ignore[arg-type]
    )  # fmt: skip


def _binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def as_rows(found: Comparison) -> list[Mapping[str, object]]:
    """Return the pairs as plain values, for tables and JSON."""
    return [
        {
            "layer": p.layer, "other": p.other, "first": p.totals[0], "second": p.totals[1],
            "differing": p.differing, "outputs": p.outputs, "rate_error": p.rate_error,
            "at": None if p.first is None else list(p.first),
        }
        for p in found.pairs
    ]  # fmt: skip
