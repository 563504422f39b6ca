"""Placement: every block on a core of its own."""

from __future__ import annotations

import dataclasses

from neurodeploy.program import Program


def place(program: Program) -> Program:
    """Give the blocks cores in order, so that blocks that talk lie side by side, chip after chip."""
    return dataclasses.replace(program, cores=tuple(range(len(program.blocks))))
