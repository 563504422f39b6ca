"""The table of backends and the figures all of them make."""

import importlib

import numpy as np
import pytest

from neurodeploy.backends import base
from neurodeploy.backends.nef import with_nef
from neurodeploy.errors import MissingExtra, OptionError
from tests.backends.spiking import perceptron


def test_an_unknown_backend_is_answered_with_the_names_there_are():
    with pytest.raises(OptionError, match=r"'gpu'.*loihi-emulator, nengo-loihi, nengo, nengo-dl, rate"):
        base.backend("gpu")


def test_every_backend_of_the_table_can_be_imported():
    for listed in base.BACKENDS.values():
        if listed.needs is None:
            module, function = listed.where.split(":")
            assert callable(getattr(importlib.import_module(module), function))


def test_a_backend_without_its_package_says_how_to_add_it(rng, tmp_path, monkeypatch):
    (tmp_path / "needs_it.py").write_text("import package_that_is_not_there.inner\n")
    monkeypatch.syspath_prepend(tmp_path)
    listed = base.Listed("odd", "graph", "needs_it:open_session", 1, needs="dl")
    with pytest.raises(MissingExtra, match=r"'odd' needs package_that_is_not_there.*'neurodeploy\[dl\]'"):
        listed.open(perceptron(rng), steps=1)


def test_a_run_takes_at_least_one_step(rng):
    base.backend("nengo").open(perceptron(rng), steps=1)
    with pytest.raises(OptionError, match="steps is 0"):
        base.backend("nengo").open(perceptron(rng), steps=0)


def test_a_backend_without_nef_refuses_a_nef_layer(rng):
    graph = with_nef(perceptron(rng), ["fc1"])
    with pytest.raises(OptionError, match=r"'rate' cannot run layer 'fc1'.*nengo, nengo-dl"):
        base.backend("rate").open(graph, steps=1)


def test_equal_read_outs_decide_for_the_lowest_index():
    readout = np.array([[[0, 0, 0], [0, 2, 2], [0, 2, 3]]])
    assert base.running_decisions(readout).tolist() == [[0, 1, 2]]


def test_a_raster_lists_spikes_in_order_of_time():
    assert base.raster_of(np.array([[0, 1], [0, 0], [1, 1]])).tolist() == [[0, 1], [2, 0], [2, 1]]


def test_spikes_of_the_last_step_reach_nobody(rng):
    graph = perceptron(rng, (2, 2, 2))
    trains = {
        "encoder": np.array([[[1, 0], [0, 0], [1, 1]]], bool),
        "fc1.relu": np.array([[[0, 0], [1, 0], [0, 0]]], bool),
        "fc2.sum": np.array([[[0.0, 0.0], [0.0, 1.0], [3.0, 1.5]]]),
    }
    reach = {("encoder", "fc1.relu"): np.array([5, 7]), ("fc1.relu", "fc2.sum"): np.array([2, 3])}
    made = base.record(graph, trains, fan_out=reach, backend="x", seed=1, seconds=0.0, raster=True)
    assert {k: v.tolist() for k, v in made.spikes.items()} == {"encoder": [3], "fc1.relu": [1]}
    assert {k: v.tolist() for k, v in made.synops.items()} == {"fc1.relu": [5], "fc2.sum": [2]}
    assert made.outputs.tolist() == [[1.0, 0.5]]
    assert made.decisions.tolist() == [[0, 1, 0]]
    assert made.raster["fc1.relu"].tolist() == [[1, 0]]
