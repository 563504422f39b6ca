"""Adaptive rounding: codes of the chip that are chosen on calibration samples."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neurodeploy as nd
from neurodeploy.accuracy.reconstruct import Grid, adapt_rounding, grids, quantised, round_rows
from neurodeploy.demo_data import digits
from neurodeploy.errors import OptionError

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def converted():
    split = digits()
    source = nd.load(MODELS / "digits_cnn.keras")
    return nd.convert(source, calibration=split.x_train, steps=32, seed=0)


def lost(weight, codes, grid, x):
    """Squared error of each neuron's output, its mean aside."""
    off = x @ (codes * grid.step - weight).T
    return ((off - off.mean(axis=0)) ** 2).mean(axis=0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), columns=st.integers(1, 12), top=st.sampled_from([1, 3, 7]))
def test_no_neuron_is_worse_than_with_the_nearest_codes(seed, columns, top):
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.normal(size=(60, 3)) @ rng.normal(size=(3, columns)), 0)
    weight = rng.uniform(-1, 1, (5, columns))
    grid = Grid("layer", "neurons", 1 / top, top)
    codes = round_rows(weight, x, grid)
    assert np.array_equal(codes, np.rint(codes))
    assert np.abs(codes).max() <= top
    near = lost(weight, grid.near(weight), grid, x)
    assert (lost(weight, codes, grid, x) <= near + 1e-9 * (1 + near)).all()


def test_inputs_that_never_change_give_the_nearest_codes():
    weight = np.random.default_rng(0).uniform(-1, 1, (4, 6))
    grid = Grid("layer", "neurons", 0.25, 4)
    assert np.array_equal(round_rows(weight, np.zeros((9, 6)), grid), grid.near(weight))


def test_equal_inputs_share_an_error_out():
    """Three inputs that are always the same: only the sum of the weights counts, and it is kept."""
    x = np.random.default_rng(0).uniform(0, 1, (50, 1)) * np.ones(3)
    codes = round_rows(np.full((1, 3), 0.33), x, Grid("layer", "neurons", 1.0, 3))
    assert codes.sum() == 1  # the nearest codes are all 0


def test_the_compiler_takes_the_codes_as_they_are(converted):
    adapted = adapt_rounding(converted, digits().x_train, weight_bits=4)
    for before, after in zip(
        grids(converted.with_meta(weight_bits=4), nd.target("loihi1")),
        grids(adapted, nd.target("loihi1")),
        strict=True,
    ):
        assert (before.node, before.top) == (after.node, after.top)
        assert before.step == pytest.approx(after.step, rel=1e-6)
        codes = adapted[after.node].op.weight / after.step
        inside = np.abs(codes) <= after.top
        assert np.abs(codes - np.rint(codes))[inside].max() < 1e-6
        assert (~inside).sum() == 1  # the largest, which sets the scale


def test_four_bits_keep_what_the_nearest_codes_lose(converted):
    split = digits()
    adapted = adapt_rounding(converted, split.x_train, weight_bits=4)
    nearest = converted.with_meta(weight_bits=4)
    right = {g: nd.run(g, split.x_test).accuracy(split.y_test) for g in (converted, nearest, adapted)}
    assert right[nearest] < right[converted] - 0.02
    assert right[adapted] > right[converted] - 0.01


def test_without_it_the_integers_are_what_they_were(converted):
    before = quantised(converted, nd.target("loihi1"))
    adapt_rounding(converted, digits().x_train)
    after = quantised(converted, nd.target("loihi1"))
    for a, b in zip(before.projections, after.projections, strict=True):
        assert np.array_equal(a.map.weight, b.map.weight)


def test_it_depends_on_the_seed_alone(converted):
    twice = [adapt_rounding(converted, digits().x_train, weight_bits=4, seed=3) for _ in range(2)]
    assert twice[0].digest() == twice[1].digest()


def test_what_cannot_be_rounded_is_refused(converted):
    with pytest.raises(OptionError, match="convert it first"):
        adapt_rounding(converted.source, digits().x_train)
    with pytest.raises(OptionError, match="stay in floats"):
        adapt_rounding(converted, digits().x_train, target="spinnaker1")
