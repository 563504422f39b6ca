"""A chip is a file: the demo network is compiled for every file there is, and never ends in an exception."""

import dataclasses
from pathlib import Path

import pytest

from neurodeploy.compiler import compile
from neurodeploy.conversion import convert
from neurodeploy.demo_data import digits
from neurodeploy.diagnostics import Severity, render
from neurodeploy.frontends.keras import load_keras
from neurodeploy.reporting.catalogue import finding_text
from neurodeploy.rules import RULES
from neurodeploy.targets import names, target
from tests.compiler.graphs import chain, dense, readout, spiking

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo():
    pytest.importorskip("sklearn")
    graph = load_keras(ROOT / "models" / "digits_cnn.keras")
    return convert(graph, graph.prepare(digits().x_train[:32]), steps=32)


@pytest.mark.parametrize("name", names())
def test_the_demo_fits_a_target_or_is_told_why_not(demo, name):
    program = compile(demo, name)
    assert program.target.id == name
    assert program.blocks or program.diagnostics
    for found in program.diagnostics:
        assert render(found)
        assert found.remedy
        assert found.place.layer == "model" or found.place.layer in {node.origin for node in demo.nodes}


@pytest.mark.parametrize("name", names())
def test_an_error_rests_on_evidence_that_may_refuse(demo, name):
    for found in compile(demo, name).errors:
        assert found.facts["source"].partition(":")[0] in target(name).sources
        assert found.facts["grade"] not in ("secondary", "recall")


def test_an_error_that_weak_evidence_weakens_says_so(rng):
    layers = [("d", dense(rng, 64, 12)), ("n", spiking()), ("last", dense(rng, 12, 4)), readout()]
    graph = chain((64,), layers)
    found = [d for d in compile(graph, "xylo-audio-2").diagnostics if d.code == "ND501"]
    assert found
    for d in found:
        assert d.severity is Severity.WARNING
        assert d.facts["weakened"] == "error"
        assert "a warning only: the grade of this limit is 'secondary'" in d.message
    assert "a warning where the limit was read in a secondary source" in finding_text(RULES["ND501"])
    assert "grade" not in finding_text(RULES["ND403"])


@pytest.mark.parametrize("name", [n for n in names() if target(n).status != "emulated"])
def test_what_is_not_checked_is_said(demo, name):
    program = compile(demo, name)
    notes = {d.facts["what"] for d in program.diagnostics if d.code == "ND804"}
    assert all(program.target.limit(what).unknown for what in notes)
    if not program.blocks:
        assert any(d.code.startswith("ND8") and d.severity is Severity.NOTE for d in program.diagnostics)


def test_a_network_that_is_not_rounded_or_not_cut_says_so(demo):
    def notes(name):
        return {d.code for d in compile(demo, name).diagnostics} & {"ND812", "ND813"}

    assert notes("loihi1") == set()
    assert notes("loihi2") == notes("spinnaker2") == {"ND812", "ND813"}
    assert notes("odin") == notes("speck2e") == {"ND812"}  # one core; one layer per core
    assert notes("spinnaker1") == notes("truenorth") == {"ND812"}  # cut by what a core is known to hold


def test_a_part_of_ones_own_is_a_file(demo, tmp_path):
    text = (ROOT / "hardware" / "fpga.toml").read_text(encoding="utf-8").replace('id = "fpga"', 'id = "mine"')
    unknown, known = 'fan_in = { value = "unknown"', 'fan_in = { value = 100, grade = "documented"'
    assert unknown in text
    (tmp_path / "mine.toml").write_text(text.replace(unknown, known), encoding="utf-8")
    program = compile(demo, str(tmp_path / "mine.toml"))
    assert {d.facts["limit"] for d in program.errors if d.code == "ND501"} == {100}


def test_a_limit_that_a_file_leaves_out_is_reported_as_not_checked(demo):
    known = target("spinnaker1")
    short = {path: fact for path, fact in known.facts.items() if path != "delay.max_steps"}
    found = {d.facts.get("what") for d in compile(demo, dataclasses.replace(known, facts=short)).diagnostics}
    assert "delay.max_steps" in found
    assert "delay.max_steps" not in {d.facts.get("what") for d in compile(demo, known).diagnostics}
