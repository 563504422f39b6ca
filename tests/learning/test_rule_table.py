"""``neurodeploy rules``: one row per rule, with what its engine says of it."""

from neurodeploy.cli import main
from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.learning import DEEP, RULES
from neurodeploy.reporting.catalogue import rule_rows
from neurodeploy.targets import target


def test_every_rule_has_a_row_and_nothing_is_claimed_that_was_not_measured():
    head, rows = rule_rows()
    assert [row[0] for row in rows] == [*RULES, *DEEP]
    assert all(len(row) == len(head) for row in rows)
    assert {row[head.index("accuracy")] for row in rows} == {"not measured"}


def test_backprop_is_never_called_local():
    head, rows = rule_rows()
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert found["backprop"]["Loihi 1"] == "not local"
    assert found["backprop"]["weight transport"] == "not solved"
    assert found["dfa"]["Loihi 1"] == found["dfa"]["Loihi 2"] == "yes"


def test_feedback_synapses_that_learn_fit_the_engines_too():
    rule = DEEP["kolen-pollack"]
    assert expressible(rule.chip_feedback("r1"), target("loihi1")) == "yes"
    assert expressible(rule.chip_feedback("y3"), target("loihi2")) == "yes"


def test_the_command_lists_them(capsys):
    assert main(["rules"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split()[:2] == ["rule", "layers"]
    assert out[2].startswith("pes") or out[1].startswith("pes")
