"""The last pass: run every check and keep its findings with the program."""

from __future__ import annotations

import dataclasses

from neurodeploy.compiler.checks import CHECKS
from neurodeploy.compiler.resources import usage
from neurodeploy.program import Program


def check(program: Program) -> Program:
    """Add the findings of every check to a program."""
    table = usage(program)
    found = tuple(finding for run in CHECKS for finding in run(program, table))
    return dataclasses.replace(program, diagnostics=(*program.diagnostics, *found))
