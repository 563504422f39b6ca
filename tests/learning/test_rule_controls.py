"""Controls of learning rules: the task in bands, what happens without errors, and where a change points."""

import numpy as np
import pytest

from neurodeploy.backends import deep as teaching
from neurodeploy.learning import NETWORKS, deep
from neurodeploy.learning.circuit import UNIT
from tools import rule_controls

SETUP = deep.Setup(
    mechanism="neuron-trace", thresholds=(255, 255, 128), input_rate=512, label_rate=512, impulse=4,
    teach=128, feedback=80, exponents=(-3, -3, -2),
)  # fmt: skip


def built(rule, **setup):
    made = SETUP if not setup else deep.Setup(**setup)
    wired = deep.circuit(NETWORKS[rule], (4, 12, 10, 3), rng=np.random.default_rng(0), setup=made)
    return wired, teaching.begin(wired)


def test_one_coordinate_says_nothing_of_a_band_and_both_say_all():
    x, y = rule_controls.banded(9000, seed=0)
    column, row = (np.clip((a * 3).astype(int), 0, 2) for a in (x[:, 0], x[:, 1]))
    for band in range(3):
        assert np.bincount(y[column == band], minlength=3) / (column == band).sum() == pytest.approx(
            1 / 3, abs=0.03
        )
    assert ((column + row) % 3 == y).all()
    assert x[:, 2:] == pytest.approx(1 - x[:, :2])


@pytest.mark.parametrize("rule", ["delta", "dfa", "drtp"])
def test_a_network_that_is_told_nothing_keeps_its_weights(rule):
    wired, _ = built(rule)
    wired = rule_controls.untaught(wired)
    course = teaching.begin(wired)
    x, y = rule_controls.banded(40, seed=2)
    before = rule_controls.weights(wired, course)
    course = teaching.teach(course, deep.codes(x, divide_by=1), y)
    found = rule_controls.drift(wired, before, rule_controls.weights(wired, course), 40)
    assert [f["size"] for f in found] == [0, 0, 0]


def test_the_output_learns_down_its_gradient_and_the_state_stays():
    wired, course = built("dfa")
    x, y = rule_controls.banded(200, seed=3)
    before = course.state.w.copy()
    found = rule_controls.cosines(wired, course, deep.codes(x, divide_by=1), y, aim=512 / UNIT)
    assert len(found) == 3
    assert found[-1] > 0.3
    assert (course.state.w == before).all()
