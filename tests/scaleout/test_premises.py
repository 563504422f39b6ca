"""A run in another scale than the calibration's, or of other steps than compiled for, says so everywhere."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.demo_data import digits
from neurodeploy.errors import FindingWarning, VerifyError
from neurodeploy.ir.values import check_values

MODEL = Path(__file__).parents[2] / "models" / "digits_mlp.keras"
FEW = 20


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def networks(data):
    source = nd.load(MODEL)
    kinds = ("if", "if-soft")
    return {kind: nd.convert(source, calibration=data.x_train, neuron=kind, steps=64) for kind in kinds}


def run(model, x, **options):
    """Run; every finding comes as a warning too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording = nd.run(model, x, **options)
    told = [str(w.message) for w in caught if w.category is FindingWarning]
    assert len(told) == len(recording.diagnostics)
    assert all(d.message in text for d, text in zip(recording.diagnostics, told, strict=True))
    return recording


def codes(recording):
    return {d.code for d in recording.diagnostics}


# --- ND713: steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "steps", "code"),
    [("if", 64, set()), ("if", 63, {"ND713"}), ("if", 65, {"ND713"}), ("if", 1000, {"ND713"}),
     ("if-soft", 64, set()), ("if-soft", 16, set()), ("if-soft", 1000, {"ND713"})],
)  # fmt: skip
def test_a_program_run_for_other_steps_says_where_that_can_hurt(networks, data, kind, steps, code):
    program = nd.compile(networks[kind], steps=64)
    found = run(program, data.x_test[:FEW], steps=steps)
    assert found.steps == steps
    assert codes(found) == code


def test_a_run_too_long_for_a_programs_registers_is_wrong_and_named_before_it_is_trusted(networks, data):
    graph, x, y = networks["if-soft"], data.x_test[:FEW], data.y_test[:FEW]
    short = run(nd.compile(graph, steps=64), x, steps=1000)
    assert short.accuracy(y) < 0.5
    assert codes(short) == {"ND713"}
    fresh = run(graph, x, steps=1000)
    assert fresh.accuracy(y) >= 0.9
    assert not fresh.diagnostics


def test_a_program_runs_for_the_steps_it_was_compiled_for_unless_told(networks, data):
    assert run(nd.compile(networks["if"], steps=9), data.x_test[:1]).steps == 9


def test_card_text_and_json_name_the_compiled_steps(networks, data):
    program = nd.compile(networks["if"], steps=64)
    report = nd.report(program, run(program, data.x_test[:2], steps=10))
    figures = json.loads(report.to_json())
    assert (figures["card"]["steps"], figures["card"]["compiled_for_steps"]) == (10, 64)
    assert "ND713 other-run-length" in figures["card"]["findings_of_the_run"]
    assert "ND713" in {f["code"] for f in figures["findings"]}
    assert "warning[ND713] a run of 10 steps with a program compiled for 64" in str(report)


# --- ND714: scale -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loihi-emulator", "rate"])
@pytest.mark.parametrize(
    ("factor", "code"),
    [(1, set()), (1.4, set()), (1.6, {"ND714"}), (16, {"ND714"}), (255, {"ND714"}), (1 / 7.9, set()),
     (1 / 8.1, {"ND714"})],
)  # fmt: skip
def test_samples_in_another_scale_than_the_calibrations_are_named(networks, data, backend, factor, code):
    found = run(networks["if-soft"], data.x_test[:FEW] * factor, backend=backend, steps=4)
    assert codes(found) == code


def test_shifted_samples_are_named_and_the_divisor_told_is_meant(networks, data):
    x, graph = data.x_test[:FEW], networks["if-soft"]
    assert codes(run(graph, 2 * x - 1, backend="rate")) == {"ND714"}
    assert not run(graph, 255 * x, backend="rate", divide_by=255).diagnostics
    (found,) = run(graph, 255 * x, backend="rate").diagnostics
    assert "--divide-by 255" in found.remedy
    assert (found.facts["most"], found.facts["high"]) == (255, 1)


def test_one_outlier_and_one_dark_sample_are_no_other_scale(networks, data):
    x = np.array(data.x_test[:FEW])
    x[3, 5] = 100.0
    assert not run(networks["if-soft"], x, backend="rate").diagnostics
    assert not run(networks["if-soft"], x[:1] / 50, backend="rate").diagnostics
    assert not run(networks["if-soft"], x * 0, backend="rate").diagnostics


def test_the_range_of_calibration_is_kept_in_the_file_and_checked_there(networks, tmp_path):
    graph = nd.load(nd.save(networks["if-soft"], tmp_path / "net.nd"))
    assert (graph.meta["calibration_min"], graph.meta["calibration_max"]) == (0, 1)
    for odd in ("1", float("nan"), True):
        with pytest.raises(VerifyError):
            check_values(graph.with_meta(calibration_max=odd))


def test_networks_without_a_range_are_not_judged(networks, data):
    graph = networks["if-soft"]
    meta = {k: v for k, v in graph.meta.items() if not k.startswith("calibration_m")}
    assert not run(dataclasses.replace(graph, meta=meta), data.x_test[:2] * 255, backend="rate").diagnostics
