"""The catalogue of findings is complete: codes, texts, and a test behind every one."""

import re
import string
from pathlib import Path

import pytest

from neurodeploy import rules
from neurodeploy.diagnostics import Place, Rule

TESTS = Path(__file__).resolve().parent
ALL = [rule for family in rules.FAMILIES for rule in vars(family).values() if isinstance(rule, Rule)]


def test_codes_and_names_are_unique():
    assert len({r.code for r in ALL}) == len(ALL) == len(rules.RULES)
    assert len({r.name for r in ALL}) == len(ALL)


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.code)
def test_every_rule_says_why_what_helps_and_an_example(rule):
    assert re.fullmatch(r"ND[1-9]\d\d", rule.code)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    for text in (rule.message, rule.why, rule.remedy, rule.example):
        assert text
        assert "please" not in text.lower()
        assert "!" not in text
    assert rule.why.endswith(".")
    assert rule.remedy.endswith(".")


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.code)
def test_every_message_can_be_made_from_facts(rule):
    names = {name for _, name, _, _ in string.Formatter().parse(rule.message + rule.remedy) if name}
    found = rule.at(Place(layer="x"), **dict.fromkeys(names, 1))
    assert not re.search(r"{\w+}", found.message + found.remedy)


@pytest.mark.parametrize("family", rules.FAMILIES, ids=lambda f: f.__name__)
def test_the_codes_of_a_file_belong_to_its_family(family):
    first = {rule.code[:3] for rule in vars(family).values() if isinstance(rule, Rule)}
    assert len(first) == 1


def test_every_rule_has_a_test_that_names_it():
    text = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    missing = [rule.code for rule in ALL if rule.code not in text]
    assert not missing
