"""ND1xx: what was read can be meant."""

from __future__ import annotations

from collections.abc import Iterator

from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic
from neurodeploy.ir.plausible import implausible
from neurodeploy.program import Program


def constants(program: Program, usage: Usage) -> Iterator[Diagnostic]:
    """Check the constants of neurons from a NIR file, which carries no units."""
    return implausible(program.graph)


CHECKS = (constants,)
