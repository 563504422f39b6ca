"""``neurodeploy rules``: one row per rule, with what its engine says of it."""

import json

from neurodeploy.cli import main
from neurodeploy.compiler.checks.plasticity import expressible
from neurodeploy.learning import HEBBIAN, NETWORKS, RULES
from neurodeploy.reporting.catalogue import rule_rows
from neurodeploy.targets import target
from tools import rule_matrix


def test_every_rule_has_a_row_and_nothing_is_claimed_that_was_not_measured():
    head, rows = rule_rows()
    assert [row[0] for row in rows] == [*RULES, *NETWORKS, *HEBBIAN]
    assert all(len(row) == len(head) for row in rows)
    at = head.index("accuracy")
    found = rule_matrix.measured()
    assert json.loads(rule_matrix.MEASURED.read_text()) == found
    assert {row[0] for row in rows if row[at] != "not measured"} == {*found}


def test_every_row_of_the_matrix_has_a_figure_or_a_reason():
    _, rows = rule_matrix.matrix()
    assert {*NETWORKS, *HEBBIAN} <= {row[0] for row in rows}
    assert all(cell[0].isdigit() or "not " in cell or "(" in cell for row in rows for cell in row[1:])


def test_backprop_is_never_called_local():
    head, rows = rule_rows()
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert found["backprop"]["Loihi 1"] == "not local"
    assert found["backprop"]["weight transport"] == "not solved"
    assert found["dfa"]["Loihi 1"] == found["dfa"]["Loihi 2"] == "yes"


def test_feedback_synapses_that_learn_fit_the_engines_too():
    rule = NETWORKS["kolen-pollack"]
    assert expressible(rule.chip_feedback("r1"), target("loihi1")) == "yes"
    assert expressible(rule.chip_feedback("y3"), target("loihi2")) == "yes"


def test_the_command_lists_them(capsys):
    assert main(["rules"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split()[:2] == ["rule", "layers"]
    assert out[2].startswith("pes") or out[1].startswith("pes")
