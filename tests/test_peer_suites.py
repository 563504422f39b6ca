"""The recorded runs of nengo-loihi's and nengo-dl's own suites, and the tool that records them."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "tools" / "results" / "peer_suites.json"

REPORT = """<testsuites><testsuite>
<testcase classname="a.test_x" name="test_one" />
<testcase classname="a.test_x" name="test_two[1-2]"><failure message="assert 3 == 2&#10;more" /></testcase>
<testcase classname="a.test_x" name="test_nengo_version_check"><failure message="4.1" /></testcase>
<testcase classname="" name="a.test_y"><error message="collection failure" /></testcase>
<testcase classname="a.test_x" name="test_hw"><skipped type="pytest.skip" message="no board" /></testcase>
<testcase classname="a.test_x" name="test_bug"><skipped type="pytest.xfail" message="known" /></testcase>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("peer_suites", ROOT / "tools" / "peer_suites.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def figures(tool, tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    return tool.read_report(report)


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RESULTS.read_text())["environments"]


def suite(entry, name):
    return next(one for one in entry["suites"] if one["suite"] == name)


def test_report_is_counted_and_a_file_that_does_not_import_is_a_failure(figures):
    counts = {outcome: figures[outcome] for outcome in ("passed", "failed", "skipped", "xfailed")}
    assert counts == {"passed": 1, "failed": 3, "skipped": 1, "xfailed": 1}


def test_every_skipped_test_is_named_with_the_reason_its_suite_gives(figures):
    assert figures["skips"] == [{"test": "a.test_x::test_hw", "reason": "no board"}]


def test_every_test_skipped_with_our_emulator_is_recorded_with_its_reason():
    recorded = json.loads((ROOT / "tools" / "results" / "loihi_suite.json").read_text())
    for result in recorded["modes"].values():
        assert len({one["test"] for one in result["skips"]}) == result["skipped"]
        assert all(one["reason"] and "slow" not in one["reason"] for one in result["skips"])


def test_failure_without_a_known_reason_is_named_without_one(figures):
    reasons = {failure["test"]: failure["reason"] for failure in figures["failures"]}
    assert reasons["a.test_x::test_two[1-2]"] is None
    assert "3.2.0" in reasons["a.test_x::test_nengo_version_check"]


def test_second_run_counts_only_if_it_passed(tool, figures, monkeypatch):
    name = "test_two"
    monkeypatch.setitem(tool.FLAKY, name, "wavers")
    again = {"passed": 1, "failed": 0}
    assert tool.take_second_run(figures, {"passed": 0, "failed": 1}, name) == figures
    moved = tool.take_second_run(figures, again, name)
    assert (moved["passed"], moved["failed"]) == (2, 2)
    assert moved["passed_on_second_run"] == [{"test": name, "reason": "wavers"}]


def test_folder_without_checkouts_is_told_how_to_make_them(tool, tmp_path):
    assert "git clone --branch v1.1.0" in tool.check_source(tmp_path, "nengo-loihi")


def test_suites_were_run_on_numpy_1_and_on_numpy_2(recorded):
    assert {entry["versions"]["numpy"].split(".")[0] for entry in recorded} == {"1", "2"}


def test_nengo_loihi_passes_its_own_suite_everywhere(recorded):
    assert [suite(entry, "nengo-loihi")["failed"] for entry in recorded] == [0, 0]
    assert min(suite(entry, "nengo-loihi")["passed"] for entry in recorded) >= 471


def test_nengo_dl_does_as_well_as_on_tensorflow_2_12(recorded):
    assert min(suite(entry, "nengo-dl")["passed"] for entry in recorded) >= 363


def test_every_recorded_failure_has_its_reason(recorded):
    failures = [failure for entry in recorded for one in entry["suites"] for failure in one["failures"]]
    assert all(failure["reason"] for failure in failures)


def test_recorded_results_hold_no_path_of_the_machine_they_were_made_on():
    text = RESULTS.read_text()
    assert str(Path.home()) not in text
    assert "/tmp" not in text
