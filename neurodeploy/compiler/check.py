"""The last pass: run every check and keep its findings with the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from neurodeploy.compiler.checks import CHECKS, Check
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.compiler.resources import usage
from neurodeploy.diagnostics import Diagnostic, Place
from neurodeploy.program import Program
from neurodeploy.rules.policy import CHECK_FAILED


def check(program: Program) -> Program:
    """Add the findings of every check to a program."""
    table = usage(program)
    found = tuple(finding for run in CHECKS for finding in _safely(run, program, table))
    return dataclasses.replace(program, diagnostics=(*program.diagnostics, *found))


def _safely(run: Check, program: Program, table: Usage) -> Iterator[Diagnostic]:
    """Yield the findings of a check; if it breaks off, say so, and let the others go on."""
    try:
        yield from run(program, table)
    except Exception as error:
        facts = {"check": run.__name__, "error": f"{type(error).__name__}: {error}"}
        yield CHECK_FAILED.at(Place(layer="model"), **facts)
