"""Which network fits which chip: one row per chip, one column per network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from neurodeploy import targets
from neurodeploy.compiler.pipeline import compile
from neurodeploy.compiler.resources import usage
from neurodeploy.ir.graph import Graph
from neurodeploy.program import Program
from neurodeploy.reporting.text import counted
from neurodeploy.rules.hardware import LIMIT_NOT_PUBLISHED
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
    unknown = len(_unpublished(program))
    cores = f", {counted(count, 'core')}" if (count := core_count(program)) else ""
    found = f"fits{cores}" if program.blocks else f"no error{cores}"
    return f"{found}, {unknown} open" if unknown else found


def verdict_line(program: Program, findings: int) -> str:
    """Say in one line whether a program fits, and how far that is known."""
    if program.errors:
        result = counted(len(program.errors), "error")
    elif program.blocks:
        result = "fits"
    elif core_count(program):
        result = "breaks no limit that is published; its numbers are not written here"
    else:
        result = "breaks no limit that is published; whether it fits is not known, it is not cut into cores"
    open_ = f", {counted(n, 'limit')} not published" if (n := len(_unpublished(program))) else ""
    cores = f", {counted(count, 'core')}" if (count := core_count(program)) else ""
    found = counted(findings, "finding")
    return f"{program.graph.name} on {program.target.id}: {result}{cores}{open_}, {found}"


def core_count(program: Program) -> int:
    """Count the cores in use; 0 where a network is not cut into cores."""
    whole = program.target.number("chip.cores") == 1 and bool(program.populations)
    return len({row.core for row in usage(program).cores if row.core is not None}) or int(whole)


def _unpublished(program: Program) -> set[str]:
    return {str(d.facts["what"]) for d in program.diagnostics if d.code == LIMIT_NOT_PUBLISHED.code}
