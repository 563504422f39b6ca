"""How a check makes a finding: the numbers, the evidence behind the limit, and the place."""

from __future__ import annotations

import dataclasses
from typing import Any

from neurodeploy.diagnostics import Diagnostic, Place, Rule, Severity
from neurodeploy.program import Block, Population, Program
from neurodeploy.targets import Limit


def at_limit(
    rule: Rule, place: Place, limit: Limit, program: Program, *, used: Any, **facts: Any
) -> Diagnostic:
    """Make the finding that something exceeds a limit of the target.

    An error that rests on a source too weak to refuse a model is weakened to a warning.
    """
    found = rule.at(
        place,
        used=used,
        limit=limit.value,
        unit=limit.unit,
        source=limit.src,
        grade=limit.grade,
        target=program.target.id,
        **facts,
    )
    if found.severity is Severity.ERROR and not limit.may_refuse:
        return dataclasses.replace(found, severity=Severity.WARNING)
    return found


def of_population(population: Population) -> Place:
    """Point at a population."""
    return Place(layer=population.origin, node=population.name)


def of_block(program: Program, number: int) -> Place:
    """Point at a block, and at its core if it has one."""
    block: Block = program.blocks[number]
    core = program.cores[number] if program.cores else None
    return Place(layer=block.origin, node=block.population, block=block.name, core=core)


def in_all(count: int) -> str:
    """Say on how many cores, where it is more than one."""
    return f" ({count} cores in all)" if count > 1 else ""
