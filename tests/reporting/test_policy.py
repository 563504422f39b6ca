"""Findings that weigh more or less, and waivers that hold until a day."""

import dataclasses
import datetime

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.diagnostics import Kind, Severity
from neurodeploy.errors import OptionError
from neurodeploy.reporting.catalogue import find_rule
from neurodeploy.reporting.fits import verdict_line
from neurodeploy.reporting.policy import Waiver, read_waivers, with_policy
from tests.compiler.corpus import SINGLE
from tests.compiler.graphs import chain, dense, readout, small, spiking

TODAY = datetime.date(2026, 6, 15)
FILE = """
[[waiver]]
code = "ND424"
layer = "last"
reason = "checked by hand"
expires = 2026-06-15
"""


@pytest.fixture
def program():
    """A warning about the read-out in layer 'last', and an error of capacity in 'n1'."""
    rng = np.random.default_rng(0)
    layers = [("d1", dense(rng, 20, 12)), ("n1", spiking()), ("last", dense(rng, 12, 4))]
    graph = chain((20,), [*layers, readout(peak=2.0)])
    found = compile(graph, small(core__in_axons=15, **SINGLE), steps=500)
    assert {d.code for d in found.diagnostics} == {"ND302", "ND424"}
    return found


def waivers(tmp_path, text):
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    return read_waivers(path)


def of(program, code):
    return next(d for d in program.diagnostics if d.code == code)


def test_a_warning_can_be_made_an_error_and_a_note(program):
    assert of(program, "ND424").severity is Severity.WARNING
    assert of(with_policy(program, error=["ND424"]), "ND424").severity is Severity.ERROR
    assert of(with_policy(program, allow=["ND424"]), "ND424").severity is Severity.NOTE


def test_an_unknown_code_is_refused(program):
    with pytest.raises(OptionError, match="no finding 'ND4242'; did you mean ND424"):
        with_policy(program, error=["ND4242"])


@pytest.mark.parametrize(("code", "meant"), [("ND205", "ND204"), ("nd399", "ND333"), ("ND4242", "ND424")])
def test_an_unknown_code_leads_to_its_own_family(code, meant):
    with pytest.raises(OptionError, match=f"no finding '{code}'; did you mean {meant};"):
        find_rule(code)


def test_a_code_cannot_be_both(program):
    with pytest.raises(OptionError, match="both an error and allowed"):
        with_policy(program, error=["ND424"], allow=["ND424"])


def test_a_waiver_holds_on_its_last_day_and_not_after(program, tmp_path):
    held = waivers(tmp_path, FILE)
    on_time = with_policy(program, waivers=held, today=TODAY)
    assert of(on_time, "ND424").severity is Severity.NOTE
    assert of(on_time, "ND424").facts["waived"] == "checked by hand"
    late = with_policy(program, waivers=held, today=TODAY + datetime.timedelta(days=1))
    assert of(late, "ND424").severity is Severity.WARNING
    assert of(late, "ND907").facts["expires"] == "2026-06-15"


def test_an_unused_waiver_is_said(program, tmp_path):
    unused = with_policy(program, waivers=waivers(tmp_path, FILE.replace('"last"', '"fc9"')), today=TODAY)
    assert of(unused, "ND908").place.layer == "fc9"
    assert "ND908" not in {
        d.code for d in with_policy(program, waivers=waivers(tmp_path, FILE), today=TODAY).diagnostics
    }


def test_no_waiver_lifts_an_error(program, tmp_path):
    text = FILE.replace("ND424", "ND302").replace('"last"', '"*"')
    found = with_policy(program, waivers=waivers(tmp_path, text), today=TODAY)
    assert of(found, "ND302") == of(program, "ND302")
    assert of(found, "ND909").severity is Severity.ERROR
    assert "which the waiver for '*' does not lift" in of(found, "ND909").message


def test_no_option_lifts_an_error(program):
    found = with_policy(program, allow=["ND302", "ND424"])
    assert of(found, "ND302") == of(program, "ND302")
    assert of(found, "ND424").severity is Severity.NOTE
    assert "which --allow ND302 does not lift" in of(found, "ND909").message
    assert "neurodeploy explain ND302" in of(found, "ND909").remedy
    assert "2 errors" in verdict_line(found, 3)


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("by_waiver", [True, False])
def test_only_the_severity_of_a_finding_decides_whether_it_can_be_lifted(program, severity, kind, by_waiver):
    """Both ways follow one policy, whatever the kind of finding."""
    odd = dataclasses.replace(of(program, "ND424"), severity=severity, kind=kind)
    held = (Waiver("ND424", "*", "looked at", TODAY),) if by_waiver else ()
    allow = () if by_waiver else ("ND424",)
    found = with_policy(
        dataclasses.replace(program, diagnostics=(odd,)), allow=allow, waivers=held, today=TODAY
    )
    lifted = of(found, "ND424").severity is Severity.NOTE
    assert lifted == (severity is not Severity.ERROR)
    assert ("ND909" in {d.code for d in found.diagnostics}) != lifted


def test_a_waiver_goes_before_what_is_made_an_error(program, tmp_path):
    """Strict in all layers but those a project has looked at."""
    found = with_policy(program, error=["ND424"], waivers=waivers(tmp_path, FILE), today=TODAY)
    assert of(found, "ND424").severity is Severity.NOTE


FAULTS = {
    "no reason": ('reason = "checked by hand"\n', "", "has no 'reason'"),
    "an empty reason": ('"checked by hand"', '" "', "has no 'reason'"),
    "no date": ("expires = 2026-06-15\n", "", "has no date 'expires'"),
    "a date in quotes": ("2026-06-15", '"2026-06-15"', "has no date 'expires'"),
    "an unknown key": ("reason", "reasons", "unknown key 'reasons'; did you mean 'reason'"),
    "an unknown code": ("ND424", "ND999", "no finding 'ND999'"),
    "not TOML": ("[[waiver]]", "[[waiver", "cannot read waivers"),
    "something else": ("[[waiver]]", "[waivers]", "holds waivers"),
}


@pytest.mark.parametrize(("old", "new", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_waiver_file_is_refused(tmp_path, old, new, message):
    with pytest.raises(OptionError, match=message):
        waivers(tmp_path, FILE.replace(old, new))


def test_a_finding_is_waived_once(tmp_path):
    with pytest.raises(OptionError, match="waives ND424 for 'last' twice"):
        waivers(tmp_path, FILE + FILE)


def test_a_missing_waiver_file_is_one_clear_message(tmp_path):
    with pytest.raises(OptionError, match="cannot read waivers"):
        read_waivers(tmp_path / "none.toml")
