"""Energy of a run: counted in the run, priced by the target's file, and said to be an estimate."""

import dataclasses

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.reporting.energy import energy_figures, energy_line
from neurodeploy.targets import target
from tests.compiler.graphs import chain, dense, readout, small, spiking


@pytest.fixture
def ran(rng):
    layers = [("d", dense(rng, 8, 6)), ("n", spiking()), ("last", dense(rng, 6, 3)), readout(2.0)]
    program = stages.compile(chain((8,), layers), steps=20)
    return program, stages.run(program, rng.random((4, 8)))


def test_every_term_is_a_count_of_the_run_times_a_price_of_the_file(ran):
    program, recording = ran
    found = energy_figures(program, recording)
    synops, updates, spikes = found["terms"]
    assert synops["count"] == recording.synops_per_sample > 0
    assert synops["low"] == synops["high"] == pytest.approx(synops["count"] * 23.6e-6)
    neurons = sum(p.size for p in program.populations if p.on_chip)
    assert updates["count"] == neurons * 20
    assert updates["low"] == pytest.approx(neurons * 20 * 52e-6)
    assert updates["high"] == pytest.approx(neurons * 20 * 81e-6)
    assert spikes["count"] == pytest.approx(np.mean(recording.spikes["n"]))
    assert found["low"] == pytest.approx(sum(t["low"] for t in found["terms"]))
    assert found["high"] > found["low"]


def test_source_grade_and_what_is_left_out_are_told(ran):
    found = energy_figures(*ran)
    assert found["terms"][0]["source"].startswith("Davies et al. (2018)")
    assert found["terms"][0]["grade"] == "simulated"
    assert found["not_in_it"][-2:] == ["spikes beyond a tile", "static power (104 mW per chip, derived)"]
    line = energy_line(found)
    assert line.startswith("energy, estimated from simulated prices: ")
    assert "not in it: synapse memory fetch, barrier" in line


def test_nothing_is_estimated_where_no_price_is_published(ran):
    program, recording = ran
    unknown = small(energy__terms__synop_pj="unknown")

    assert energy_figures(dataclasses.replace(program, target=unknown), recording) is None


def test_a_price_that_holds_everything_is_not_added_to(ran):

    program, recording = ran
    found = energy_figures(dataclasses.replace(program, target=target("odin")), recording)
    assert [term["what"] for term in found["terms"]] == ["synaptic operations"]
    assert found["low"] == pytest.approx(recording.synops_per_sample * 12.7e-6)


def test_reports_of_runs_show_it(ran):
    program, recording = ran
    report = stages.report(program, recording)
    assert report.figures["energy"]["unit"] == "uJ per sample"
    assert "energy, estimated from simulated prices" in str(report)
    in_rates = stages.run(program.graph, np.ones((1, 8)), backend="rate")
    assert "energy, estimated" not in str(stages.report(program.graph, in_rates))
