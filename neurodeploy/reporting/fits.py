"""Which network fits which chip: one row per chip, one column per network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from neurodeploy import targets
from neurodeploy.compiler.pipeline import compile
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.reporting.text import counted
from neurodeploy.targets import Target

Table = tuple[list[str], list[list[Any]]]


def fit_rows(graphs: Mapping[str, Graph], chips: Iterable[Target] | None = None) -> Table:
    """Compile every network for every chip.

    Parameters
    ----------
    graphs : mapping of str to Graph
        In spiking form.
    chips : iterable of Target, optional
        All there are, without boards, by default.

    Returns
    -------
    head, rows
        A cell says ``fits`` with its cores, or the codes of the errors; ``open`` counts the limits nobody
        published.
    """
    every = (targets.target(name) for name in targets.names())
    found = [chip for chip in every if chip.kind == "chip"] if chips is None else list(chips)
    rows = [[chip.name, *(verdict(compile(graph, chip)) for graph in graphs.values())] for chip in found]
    return ["chip", *graphs], rows


def verdict(program: Program) -> str:
    """Say in few words whether a program fits."""
    if program.errors:
        return ", ".join(sorted({d.code for d in program.errors}))
    unknown = sum(d.code == "ND804" for d in program.diagnostics)
    cores = f"fits, {counted(len(set(program.cores)), 'core')}" if program.blocks else "no error"
    return f"{cores}, {unknown} open" if unknown else cores
