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
    return as_far_as_known(found, limit)


def as_far_as_known(found: Diagnostic, limit: Limit) -> Diagnostic:
    """Make an error a warning that says so, where its limit rests on a source too weak to refuse a model."""
    if found.severity is not Severity.ERROR or limit.may_refuse:
        return found
    message = f"{found.message} - a warning only: the grade of this limit is '{limit.grade}'"
    facts = {**found.facts, "weakened": Severity.ERROR.value}
    return dataclasses.replace(found, severity=Severity.WARNING, message=message, facts=facts)


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
