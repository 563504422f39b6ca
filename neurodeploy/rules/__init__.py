"""The catalogue: every finding we can report, one file per family.

Families: ND1xx load, ND2xx convert and expressibility, ND3xx capacity, ND4xx precision, ND5xx connectivity,
ND6xx plasticity, ND7xx run, time, I/O and deploy, ND8xx hardware files, ND9xx our own invariants. A code is
never used twice. To add a rule, add its value to the file of its family; a test asks for a network that
triggers it.
"""

from __future__ import annotations

from types import ModuleType

from neurodeploy.diagnostics import Rule
from neurodeploy.rules import (
    accuracy,
    capacity,
    connectivity,
    expressibility,
    hardware,
    loading,
    plasticity,
    policy,
    precision,
    timing,
)

FAMILIES: tuple[ModuleType, ...] = (
    loading,
    expressibility,
    accuracy,
    capacity,
    precision,
    connectivity,
    plasticity,
    timing,
    hardware,
    policy,
)

RULES: dict[str, Rule] = {
    rule.code: rule for family in FAMILIES for rule in vars(family).values() if isinstance(rule, Rule)
}
"""Every rule by its code."""
