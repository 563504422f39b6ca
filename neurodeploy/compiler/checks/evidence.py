"""ND8xx: how far the limits themselves can be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from neurodeploy.compiler.checks.finding import at_limit
from neurodeploy.compiler.counts.uses import CoreUse, Usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program
from neurodeploy.rules import hardware as rules
from neurodeploy.targets.schema import SAID

INFORMATIVE = (
    "energy.",
    "fpga.",
    "board.power",
    "learning.",
    "neuron.noise",
    "neuron.compartments_per_neuron",
)
"""What is unknown here no check of a network of plain neurons would read."""


def unknown_limits(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that every limit that is needed is published; what is not, or is left out of a file, is said."""
    counted = [use.limit for row in usage.cores for use in row.uses] + [use.limit for use in usage.whole]
    target = program.target
    stated = [*target.facts.values(), *(target.limit(path) for path in SAID[target.mapping])]
    found = {limit.path: limit for limit in (*counted, *stated) if limit.unknown}
    for path, limit in sorted(found.items()):
        if not path.startswith(INFORMATIVE):
            yield rules.LIMIT_NOT_PUBLISHED.at(
                Place(layer="model"), target=program.target.id, what=path, source=limit.src, unit=limit.unit
            )


def disagreeing_sources(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check that use that fits by the value in force also fits by every other source."""
    worst: dict[tuple[str, str], tuple[CoreUse, int]] = {}
    for row in usage.cores:
        for use in row.uses:
            rivals = [r for r in use.limit.conflict if use.used > r.value]
            key = (row.population, use.resource)
            if rivals and not use.over and use.used > worst.get(key, (row, -1))[1]:
                worst[key] = (row, use.used)
    for (_, resource), (row, used) in worst.items():
        limit = row[resource].limit
        rival = min((r for r in limit.conflict if used > r.value), key=lambda r: float(r.value))
        yield at_limit(
            rules.SOURCES_DISAGREE, row.place, limit, program,
            used=used, what=resource, rival=rival.value, rival_source=rival.src,
        )  # fmt: skip


CHECKS = (unknown_limits, disagreeing_sources)
