"""ND8xx: how far the limits themselves can be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from neurodeploy.compiler.checks.finding import at_limit, of_block
from neurodeploy.compiler.resources import CoreUse, Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program
from neurodeploy.rules import hardware as rules


def unknown_limits(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every limit that is needed is published; what is not, is said."""
    seen = {use.limit.path: use for row in usage.cores for use in row.uses}
    for path, use in seen.items():
        if use.limit.unknown:
            yield rules.LIMIT_NOT_PUBLISHED.at(
                Place(layer="model"), target=program.target.id, what=path, resource=use.resource,
                source=use.limit.src,
            )  # fmt: skip


def disagreeing_sources(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that use that fits by the value in force also fits by every other source."""
    worst: dict[tuple[str, str], tuple[CoreUse, int]] = {}
    for row in usage.cores:
        for use in row.uses:
            rivals = [r for r in use.limit.conflict if use.used > r.value]
            key = (program.blocks[row.block].population, use.resource)
            if rivals and not use.over and use.used > worst.get(key, (row, -1))[1]:
                worst[key] = (row, use.used)
    for (_, resource), (row, used) in worst.items():
        limit = row[resource].limit
        rival = min((r for r in limit.conflict if used > r.value), key=lambda r: float(r.value))
        yield at_limit(
            rules.SOURCES_DISAGREE, of_block(program, row.block), limit, program,
            used=used, what=resource, rival=rival.value, rival_source=rival.src,
        )  # fmt: skip


CHECKS = (unknown_limits, disagreeing_sources)
