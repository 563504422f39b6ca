"""What there is, as tables: findings, targets, layers, neurons; for the command line and for README."""

from __future__ import annotations

from typing import Any

from neurodeploy import rules, targets
from neurodeploy.diagnostics import Rule

Table = tuple[list[str], list[list[Any]]]


def finding_text(rule: Rule) -> str:
    """Write a finding's catalogue entry: what, why, what helps, an example."""
    blanks = _Blanks()
    parts = [
        f"{rule.code} {rule.name} ({rule.severity.value}, {rule.kind.value})",
        f"  says     {rule.message.format_map(blanks)}",
        f"  why      {rule.why}",
        f"  remedy   {rule.remedy.format_map(blanks)}",
    ]
    return "\n".join(parts + ([f"  example  {rule.example}"] if rule.example else []))


class _Blanks(dict[str, str]):
    """Stands for the facts of a finding that has not happened."""

    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def finding_rows() -> Table:
    """Return the catalogue, by code."""
    blanks = _Blanks()
    rows = [
        [r.code, r.name, r.severity.value, r.message.format_map(blanks), r.remedy.format_map(blanks)]
        for _, r in sorted(rules.RULES.items())
    ]
    return ["code", "name", "severity", "says", "remedy"], rows


def target_rows() -> Table:
    """Return every chip and board with the limits people ask for first."""
    rows: list[list[Any]] = []
    for name in targets.names():
        target = targets.target(name)
        row = [target.id, target.name, target.kind, target.status, target.number("board.chips")]
        rows.append(row + [target.number(path) for path in ("chip.cores", "core.compartments")])
    return ["target", "name", "kind", "status", "chips", "cores per chip", "neurons per core"], rows


def layer_rows() -> Table:
    """Return every Keras layer that is known, and what becomes of it."""
    from neurodeploy.frontends.keras import layer_table

    return ["layer", "status", "becomes", "notes"], [list(row) for row in layer_table()]


NEURONS: dict[str, str] = {
    "if": "integrate and fire, reset to zero; Loihi's compartment without decay",
    "if-soft": "integrate and fire, reset by subtraction of the threshold",
    "lif": "leaky (20 ms), reset to zero",
    "cuba": "as if, with an exponential synapse (5 ms) in front",
    "cuba-lif": "as lif, with an exponential synapse (5 ms) in front",
}
"""What ``convert --neuron`` takes."""


def neuron_rows() -> Table:
    """Return every kind of neuron that a network can be converted to."""
    return ["neuron", "what it is"], [list(row) for row in NEURONS.items()]
