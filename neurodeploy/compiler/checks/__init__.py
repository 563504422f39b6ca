"""Checks: what a finished program breaks, all of it, with numbers.

A check takes the program and what it uses, yields findings, and neither raises nor knows a chip by name.
The order of the tuple does not matter; findings are sorted when they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from neurodeploy.compiler.checks import (
    addresses,
    budgets,
    capacity,
    connectivity,
    constants,
    evidence,
    expressibility,
    formats,
    layers,
    precision,
    shapes,
    timing,
)
from neurodeploy.compiler.counts.uses import Usage
from neurodeploy.diagnostics import Diagnostic
from neurodeploy.program import Program

Check = Callable[[Program, Usage], Iterator[Diagnostic]]

CHECKS: tuple[Check, ...] = (
    *constants.CHECKS,
    *expressibility.CHECKS,
    *layers.CHECKS,
    *shapes.CHECKS,
    *capacity.CHECKS,
    *precision.CHECKS,
    *connectivity.CHECKS,
    *addresses.CHECKS,
    *formats.CHECKS,
    *budgets.CHECKS,
    *timing.CHECKS,
    *evidence.CHECKS,
)
