import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.numerics import coding
from neurodeploy.numerics.coding import poisson_spikes, rate_spikes
from neurodeploy.numerics.neurons import Membrane, MembraneState, step

ONE, ZERO = np.ones(()), np.zeros(())


@given(st.lists(st.integers(-64, 1100), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_the_closed_form_equals_stepping_a_neuron(numerators):
    # multiples of 1/1024 add up without rounding, so that a charge on the threshold is exactly on it
    rates = np.clip(np.array(numerators) / 1024, 0, 1)
    neuron = Membrane(ZERO, ONE, ONE, ONE, ZERO, ONE, ZERO, subtract=True)
    state = MembraneState.zeros(rates.shape)
    stepped = [step(neuron, state, rates) for _ in range(130)]
    assert np.array_equal(rate_spikes(rates, steps=130), np.array(stepped) > 0)


@given(st.floats(0, 1), st.integers(1, 200))
def test_a_rate_gives_its_share_of_spikes_less_at_most_one(rate, steps):
    count = rate_spikes(np.array([rate]), steps=steps).sum()
    assert rate * steps - 1 - 1e-6 <= count <= rate * steps


def test_rates_out_of_range_are_clipped():
    assert rate_spikes(np.array([-1.0, 0.0, 1.0, 7.0]), steps=10).sum(axis=0).tolist() == [0, 0, 9, 9]


def test_poisson_trains_depend_on_seed_and_index_only(rng):
    rates = rng.random((4, 30))
    whole = poisson_spikes(rates, steps=20, seed=3, first=10)
    parts = [poisson_spikes(rates[i : i + 1], steps=20, seed=3, first=10 + i) for i in range(4)]
    assert np.array_equal(whole, np.concatenate(parts, axis=1))
    assert not np.array_equal(whole, poisson_spikes(rates, steps=20, seed=4, first=10))
    assert not np.array_equal(whole, poisson_spikes(rates, steps=20, seed=3, first=11))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_poisson_trains_have_their_rate(rate):
    train = poisson_spikes(np.full((2, 1000), rate), steps=50, seed=0, first=0)
    assert train.mean() == pytest.approx(rate, abs=0.005)


@pytest.mark.parametrize("cells", [1, 7, 40, 10**6])
def test_a_train_does_not_depend_on_how_many_charges_are_looked_at_together(rng, monkeypatch, cells):
    rates = rng.random((3, 5)) * 1.2 - 0.1
    rates[0, :3] = 0.0, 0.5, 1.0
    whole = np.diff(coding.spikes_by(np.arange(12)[:, None, None] * np.clip(rates, 0, 1)), axis=0) > 0.5
    monkeypatch.setattr(coding, "CELLS", cells)
    np.testing.assert_array_equal(coding.rate_spikes(rates, steps=11), whole)
