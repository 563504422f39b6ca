"""The catalogue of findings is complete: codes, texts, and a test behind every one."""

import argparse
import re
import string
from pathlib import Path

import pytest

from neurodeploy import rules
from neurodeploy.cli.parser import make_parser
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


# --- what remedies tell to type -------------------------------------------------------------------------

COMMANDS = next(a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
NOTHING_TO_TYPE = {
    **dict.fromkeys(("ND106", "ND212", "ND333", "ND328", "ND519"), "a note that needs nothing"),
    **dict.fromkeys([f"ND{n}" for n in (607, *range(608, 621), 622)], "a description of a rule is changed"),
    **dict.fromkeys(("ND801", "ND802", "ND803", "ND808", "ND809", "ND810", "ND811"), "a file is corrected"),
    **dict.fromkeys(("ND812", "ND813"), "the maker's own tool does it"),
    "ND905": "a bug of ours",
}
"""Remedies that name nothing to type, and why."""


def options_of(command):
    return {option for action in COMMANDS[command]._actions for option in action.option_strings}


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.code)
def test_every_command_and_option_that_a_rule_names_can_be_typed(rule):
    every = set().union(*map(options_of, COMMANDS))
    for text in (rule.remedy, rule.example, rule.why, rule.message):
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= every
    assert set(re.findall(r"neurodeploy ([a-z][a-z-]*)", rule.remedy)) <= set(COMMANDS)
    for command in COMMANDS:  # an option right behind a command, and all words of a whole command line
        typed = rf"\b{command}((?: (?:-o|--[a-z-]+|[A-Z][\w.]*|{{[\w:]+}}|[\d.]+))+)"
        for line in re.findall(typed, rule.remedy):
            assert set(re.findall(r"(?<![\w-])-o\b|(?<![\w-])--[a-z][a-z-]*", line)) <= options_of(command)


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.code)
def test_every_remedy_names_something_to_type(rule):
    named = re.search(r"(?<![\w-])--[a-z]|neurodeploy [a-z]|\bnd\.\w+", rule.remedy)
    assert bool(named) != (rule.code in NOTHING_TO_TYPE)
