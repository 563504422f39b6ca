"""Resources: what every core, chip and board of a program uses, next to what there is - also when it fits."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

from neurodeploy.compiler.counts import blocks, engines, slices, totals
from neurodeploy.compiler.counts.uses import CoreUse, Usage
from neurodeploy.compiler.partition import cores_are_published
from neurodeploy.program import Program

_CACHE: weakref.WeakKeyDictionary[Program, Usage] = weakref.WeakKeyDictionary()


def usage(program: Program) -> Usage:
    """Count what a program uses: block by block where it has blocks, else by layers, boxes or as a whole.

    Parameters
    ----------
    program : Program
        At least lowered.
    """
    if program not in _CACHE:
        cores: Iterable[CoreUse] = ()
        if program.blocks:
            cores = blocks.count(program)
        elif program.target.mapping == "layer-engines":
            cores = engines.count(program)
        elif cores_are_published(program.target) and program.populations:
            cores = slices.count(program)
        _CACHE[program] = Usage(tuple(cores), blocks.chips(program), totals.count(program))
    return _CACHE[program]


def core_rows(program: Program) -> list[dict[str, object]]:
    """Return used and limit of every resource of every core as plain JSON values."""
    return [
        {
            "core": row.core,
            "chip": row.chip,
            "layer": ", ".join(row.layers) or row.layer,
            "block": row.name,
            "use": [use.as_dict() for use in row.uses],
        }
        for row in usage(program).cores
    ]


def whole_rows(program: Program) -> list[dict[str, int | str | None]]:
    """Return used and limit of what the network takes as a whole, as plain JSON values."""
    return [use.as_dict() for use in usage(program).whole]
