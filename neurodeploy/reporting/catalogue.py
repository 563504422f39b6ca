"""What there is, as tables: findings, targets, layers, neurons; for the command line and for README."""

from __future__ import annotations

import difflib
import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurodeploy import rules, targets
from neurodeploy.diagnostics import Rule, Severity
from neurodeploy.errors import OptionError

if TYPE_CHECKING:
    from neurodeploy.learning.description import Rule as LearningRule

Table = tuple[list[str], list[list[Any]]]


def nearest_code(code: str) -> str:
    """Say which code may be meant: the nearest number of the same family, or one that is spelt alike."""
    number = code.upper().removeprefix("ND")
    family = [known for known in sorted(rules.RULES) if known[:3] == f"ND{number[:1]}"]
    if len(number) == 3 and number.isdecimal() and family:
        near = [min(family, key=lambda known: abs(int(known[2:]) - int(number)))]
    else:
        near = difflib.get_close_matches(code.upper(), rules.RULES, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}" if near else ""


def find_rule(code: str) -> Rule:
    """Return the catalogue entry of a finding, by code or by name, however it is capitalised.

    Raises
    ------
    OptionError
        If there is none; the message names one that is spelt alike.
    """
    found = {rule.name: rule for rule in rules.RULES.values()} | dict(rules.RULES)
    key = code.upper() if code.upper() in found else code.lower()
    if key not in found:
        raise OptionError(f"there is no finding '{code}'{nearest_code(code)}; README lists them all")
    return found[key]


GRADE = (
    "a warning where the limit was read in a secondary source or is recalled only (grades 'secondary' and "
    "'recall' in hardware/*.toml): too weak to refuse a model"
)
"""What becomes of errors whose evidence is weak."""


def finding_text(rule: Rule) -> str:
    """Write a finding's catalogue entry: what, why, what helps, an example."""
    blanks = _Blanks()
    parts = [
        f"{rule.code} {rule.name} ({rule.severity.value}, {rule.kind.value})",
        f"  says     {blanks.format(rule.message)}",
        f"  why      {rule.why}",
        f"  remedy   {blanks.format(rule.remedy)}",
    ]
    parts += [f"  example  {rule.example}"] if rule.example else []
    return "\n".join(parts + ([f"  grade    {GRADE}"] if rule.severity is Severity.ERROR else []))


class _Blanks(string.Formatter):
    """Writes ``<used>`` where a finding that has happened shows the fact."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[str, str]:
        return f"<{field_name}>", field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return str(value)


def finding_rows() -> Table:
    """Return the catalogue, by code."""
    blanks = _Blanks()
    rows = [
        [r.code, r.name, r.severity.value, blanks.format(r.message), blanks.format(r.remedy)]
        for _, r in sorted(rules.RULES.items())
    ]
    return ["code", "name", "severity", "says", "remedy"], rows


def target_rows() -> Table:
    """Return every chip and board with the limits people ask for first."""
    rows: list[list[Any]] = []
    for name in targets.names():
        target = targets.target(name)
        row = [target.id, target.name, target.kind, target.status, target.number("board.chips")]
        neurons = target.number("core.compartments") or target.number("core.neurons")
        rows.append([*row, target.number("chip.cores"), neurons])
    return ["target", "name", "kind", "status", "chips", "cores per chip", "neurons per core"], rows


FRONTENDS = {"keras": "layer", "onnx": "operator", "torch": "operator", "nir": "primitive"}
"""Frontends, and what they call what they take."""


def layer_rows(frontend: str = "keras") -> Table:
    """Return everything that a frontend knows, and what becomes of it."""
    head = [FRONTENDS[frontend], "status", "becomes", "notes"]
    if frontend == "keras":
        from neurodeploy.frontends.keras import layer_table

        return head, [list(row) for row in layer_table()]
    if frontend == "nir":
        from neurodeploy.frontends.nir import primitive_table

        return head, [list(row) for row in primitive_table()]
    if frontend == "torch":
        from neurodeploy.frontends.torch import table as torch

        taken = [[", ".join(row.names), row.status, row.how, row.note] for row in torch.ROWS]
        return head, taken + [[name, "refused", "", why] for name, why in torch.REFUSED.items()]
    from neurodeploy.frontends.onnx import table as onnx

    taken = [[kind, row.status, row.how, row.note] for kind, row in onnx.HANDLERS.items()]
    return head, taken + [[kind, "refused", "", why] for kind, why in onnx.REFUSED.items()]


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


def form_rows() -> Table:
    """Return how layers spike that are no plain rectification."""
    from neurodeploy.conversion.forms import FORMS

    return ["layer", "spikes as", "costs"], [list(row) for row in FORMS]


TRANSPORT = {
    "none": "not needed", "fixed": "solved", "learned": "solved", "signs": "partly", "copied": "not solved",
}  # fmt: skip
"""What a rule makes of the problem that two synapses do not know each other's weight."""


SOLVED_AT = 4
"""Column of what a rule solves of the six problems, as `compiler.checks.problems` finds."""


def rule_rows() -> Table:
    """Return every learning rule: what it needs and solves, which engines run its form, whose it is."""
    from neurodeploy.compiler.checks import problems
    from neurodeploy.learning import HEBBIAN, NETWORKS, RULES, pes

    first = RULES["pes"]
    described = pes.on_chip(tau=first.tau, impulse=16.0)
    rows = [_rule_row(first.name, first.equation, "MacNeil, Eliasmith 2011", described, described)]
    rows[0].insert(SOLVED_AT, problems.NOT_TESTED)
    others: list[Any] = [*NETWORKS.values(), *HEBBIAN.values()]
    for rule in others:
        row = _rule_row(rule.name, rule.equation, rule.reference, rule.chip("r1"), rule.chip("y3"))
        row.insert(SOLVED_AT, problems.solved(rule) if rule.name in NETWORKS else problems.NOT_TESTED)
        rows.append(row)
    head = ["rule", "layers", "way back", "weight transport", "solves", "Loihi 1", "Loihi 2", "accuracy"]
    return [*head, "change", "reference"], rows


def measured() -> dict[str, dict[str, str]]:
    """Return what rules reached on MNIST by rule and tier, as `tools/generate_docs.py` collects it."""
    path = Path(__file__).parents[1] / "learning" / "measured.json"
    found: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _accuracy(name: str) -> str:
    found = measured().get(name, {})
    return ", ".join(f"{tier} {text}" for tier, text in found.items()) or "not measured"


def _rule_row(name: str, equation: str, reference: str, *forms: LearningRule) -> list[Any]:
    from neurodeploy.compiler.checks.plasticity import expressible

    back = forms[0].feedback
    chips = [targets.target("loihi1"), targets.target("loihi2")]
    fits: list[str] = [expressible(form, chip) for form, chip in zip(forms, chips, strict=True)]
    if back.weights == "copied":
        fits = ["not local"] * 2
    return [
        name, forms[0].layers, f"{back.path}, {back.mechanism}", TRANSPORT[back.weights], *fits,
        _accuracy(name), equation, reference,
    ]  # fmt: skip
