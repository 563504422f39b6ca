"""The search for the cheapest conversion: what it may look at, what it may choose."""

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.accuracy import search
from neurodeploy.accuracy.search import autotune, search_text, split
from neurodeploy.cli import main
from neurodeploy.cli.demo import model_path
from neurodeploy.demo_data import digits
from neurodeploy.errors import DataError, OptionError


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def found(data):
    mlp = nd.load(model_path("digits_mlp"))
    return autotune(mlp, data.x_train[:600], data.y_train[:600], max_drop=1.0, max_steps=64)


def test_no_sample_both_balances_and_measures():
    for count in (20, 300, 5000):
        balance, measure = split(count, seed=3)
        assert not set(balance) & set(measure)
        assert 10 <= len(balance) <= search.CALIBRATION
        assert len(measure) <= search.HELD_OUT
    with pytest.raises(DataError, match="19 samples"):
        split(19, seed=0)


def test_the_choice_loses_no_more_than_it_may_and_no_cheaper_trial_does(found):
    assert found.kept
    assert found.chosen.drop <= 1.0
    good = [t for t in found.trials if t.fits and t.drop <= 1.0]
    assert found.chosen.cost == min(t.cost for t in good)
    assert found.chosen.options["steps"] < 64


def test_a_search_begins_with_the_defaults_in_few_steps(found):
    assert dict(found.trials[0].options) == {
        "rate": 1.0, "percentile": 99.9, "balancing": "percentile", "steps": search.START,
        "weight_bits": search.MOST_BITS,
    }  # fmt: skip
    assert found.chosen.options["steps"] <= search.START


@pytest.mark.parametrize(("neuron", "rate"), [(None, 1.0), ("if-soft", 1.0), ("if", 0.5), ("cuba", 0.5)])
def test_a_search_begins_with_the_rate_of_the_kind_of_neuron(neuron, rate):
    assert search.defaults(neuron) == {"rate": rate, "percentile": 99.9, "balancing": "percentile"}


def test_a_run_grows_only_while_too_much_is_lost(data):
    mlp = nd.load(model_path("digits_mlp"))
    fixed = {"rate": 0.05, "percentile": 100.0, "balancing": "percentile", "weight_bits": 8}
    found = autotune(mlp, data.x_train[:300], data.y_train[:300], max_drop=0.0, max_steps=48, **fixed)
    steps = [t.options["steps"] for t in found.trials]
    longest = steps.index(max(steps))
    assert steps[: longest + 1] == [16, 32, 48][: longest + 1]
    assert longest > 0
    assert all(t.drop > 0 for t in found.trials[:longest])


def test_the_choice_runs_as_it_was_measured(found, data):
    _, measure = split(600, seed=0)
    recording = nd.run(found.chosen.graph, data.x_train[measure])
    lost = 100 * (found.source - recording.accuracy(data.y_train[measure]))
    assert lost == pytest.approx(found.chosen.drop)
    assert recording.spikes_per_sample == pytest.approx(found.chosen.spikes)
    assert recording.steps == found.chosen.options["steps"]


def test_the_text_says_what_was_tried_what_was_chosen_and_what_it_costs(found):
    text = search_text(found)
    assert text.count("\n") > len(found.trials)
    chosen = found.chosen.options
    assert f"chosen: balancing {chosen['balancing']}, rate {chosen['rate']:g}" in text
    assert "held-out training samples" in text
    assert f"{found.chosen.spikes:,.0f} spikes per sample" in text


def test_fixed_options_are_not_searched(data):
    mlp = nd.load(model_path("digits_mlp"))
    told = {"rate": 0.5, "steps": 16, "percentile": 99.9, "weight_bits": 8, "neuron": "if"}
    told["balancing"] = "local"
    found = autotune(mlp, data.x_train[:100], data.y_train[:100], **told)
    assert [dict(t.options) for t in found.trials] == [told]


def test_weight_bits_stay_with_the_network(found):
    narrow = found.chosen.graph.with_meta(weight_bits=4)
    assert nd.compile(narrow).options["weight_bits"] == 4
    assert nd.compile(narrow, weight_bits=8).options["weight_bits"] == 8


def test_a_target_without_an_emulator_is_measured_in_floats(data):
    mlp = nd.load(model_path("digits_mlp"))
    fixed = {"rate": 0.5, "percentile": 99.9, "balancing": "percentile", "steps": 16}
    found = autotune(mlp, data.x_train[:60], data.y_train[:60], target="spinnaker2", **fixed)
    assert len(found.trials) == 1
    assert found.chosen.synops is None


def test_what_does_not_fit_is_not_chosen(data):
    mlp = nd.load(model_path("digits_mlp"))
    small = nd.target("loihi1").with_limits(core__compartments=0)
    fixed = {"rate": 0.5, "percentile": 99.9, "steps": 16, "weight_bits": 8}
    found = autotune(mlp, data.x_train[:60], data.y_train[:60], target=small, **fixed)
    assert not found.kept
    assert "no conversion fits" in search_text(found)


@pytest.mark.parametrize("options", [{"max_drop": -1.0}, {"max_steps": 3}])
def test_limits_that_make_no_sense_are_refused(options, data):
    with pytest.raises(OptionError):
        autotune(nd.load(model_path("digits_mlp")), data.x_train[:60], data.y_train[:60], **options)


def test_the_command_writes_the_choice_and_says_where_it_loses_more(data, tmp_path, capsys):
    np.savez(tmp_path / "train.npz", x_train=data.x_train[:200], y_train=data.y_train[:200])
    convert = ("convert", str(model_path("digits_mlp")), "-o", str(tmp_path / "a.nd"),
               "--calibration", str(tmp_path / "train.npz"), "--max-drop", "2",
               "--percentile", "99.9", "--rate", "0.5")  # fmt: skip
    assert main([*convert, "--max-steps", "32"]) == 0
    assert ", rate 0.5" in capsys.readouterr().out
    assert nd.load(tmp_path / "a.nd").meta["steps"] <= 32
    assert main([*convert, "--steps", "4"]) == 1
    assert "more than the 2 that might be lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--max-drop", "1"), "give --calibration"),
        (("--max-drop", "1", "--calibration", "bare.npz"), "has no y"),
        (("--max-steps", "32"), "belongs to a search"),
        (("--max-drop", "0"), "must be above 0"),
    ],
)
def test_options_that_do_not_make_a_search_are_refused(options, why, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("bare.npz", x=np.ones((30, 64)))
    assert main(["convert", str(model_path("digits_mlp")), "-o", "a.nd", *options]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "a.nd").exists()
