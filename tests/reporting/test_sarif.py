"""Findings as SARIF, against the published schema where it can be had."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.reporting.sarif import fingerprint, to_sarif
from tests.compiler.graphs import chain, dense, readout, small, spiking

NAME = "sarif-schema-2.1.0.json"
PLACES = [os.environ.get("NEURODEPLOY_DATA", ""), Path(__file__).parents[3] / "shared" / "data"]
LEVELS = {"none", "note", "warning", "error"}


@pytest.fixture
def broken(rng):
    layers = [("d1", dense(rng, 20, 12)), ("n1", spiking(reset="subtract")), ("last", dense(rng, 12, 4))]
    graph = chain((20,), [*layers, readout()])
    return compile(graph, small(core__in_axons=5, core__compartments=3, core__profiles__threshold="unknown"))


def test_a_log_has_one_result_per_finding_and_every_rule_once(broken):
    (run,) = json.loads(to_sarif(broken))["runs"]
    assert len(run["results"]) == len(broken.diagnostics) > 2
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted(set(rules))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in LEVELS
        assert result["message"]["text"]
        assert result["locations"][0]["logicalLocations"]


def test_the_users_layer_comes_first_in_a_location(broken):
    results = json.loads(to_sarif(broken))["runs"][0]["results"]
    axons = next(r for r in results if r["ruleId"] == "ND302")
    names = [part["name"] for part in axons["locations"][0]["logicalLocations"]]
    assert names[0] == "n1"
    assert axons["properties"]["facts"]["used"] > axons["properties"]["facts"]["limit"]


def test_what_could_not_be_checked_is_open_and_not_a_failure(broken):
    results = json.loads(to_sarif(broken))["runs"][0]["results"]
    unknown = next(r for r in results if r["ruleId"] == "ND804")
    assert (unknown["kind"], unknown["level"]) == ("open", "none")


def test_a_fingerprint_outlives_the_numbers(rng):
    layers = [("d1", dense(rng, 20, 12)), ("n1", spiking()), readout()]
    first, second = (
        next(
            d for d in compile(chain((20,), layers), small(core__in_axons=n)).diagnostics if d.code == "ND302"
        )
        for n in (5, 6)
    )
    assert first.facts["limit"] != second.facts["limit"]
    assert fingerprint(first) == fingerprint(second)


def test_a_log_follows_the_published_schema(broken):
    schema = next((Path(p) / NAME for p in PLACES if p and (Path(p) / NAME).is_file()), None)
    if schema is None:
        pytest.skip(f"{NAME} is not in NEURODEPLOY_DATA; it is published by OASIS")
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    fits = compile(chain((4,), [("d", dense(np.random.default_rng(0), 4, 3)), readout()]))
    for program in (broken, fits):
        assert not list(validator.iter_errors(json.loads(to_sarif(program))))
