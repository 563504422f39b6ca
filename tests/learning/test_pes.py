"""The rule itself, in floats."""

import numpy as np
import pytest

from neurodeploy.learning import RULES
from neurodeploy.learning.pes import PES
from neurodeploy.learning.rule import LearningRule


def test_weights_go_against_the_error_of_active_inputs_only():
    weight = PES(rate=0.5).update(
        np.zeros((2, 3)), pre=np.array([1.0, 0.0, 2.0]), error=np.array([1.0, -2.0])
    )
    assert weight.tolist() == [[-0.5, 0, -1], [1, 0, 2]]


def test_without_an_error_nothing_changes(rng):
    weight = rng.normal(size=(3, 4))
    assert (PES().update(weight, pre=np.ones(4), error=np.zeros(3)) == weight).all()


def test_a_trace_settles_at_the_rate_of_its_spikes():
    rule, trace = PES(tau=4.0), np.zeros(2)
    for _ in range(100):
        trace = rule.trace(trace, [1, 0])
    assert trace == pytest.approx([1, 0])


def test_repeated_updates_solve_a_linear_problem(rng):
    rule, truth, weight = PES(rate=0.1), rng.normal(size=(2, 4)), np.zeros((2, 4))
    for pre in rng.random((2000, 4)):
        weight = rule.update(weight, pre=pre, error=(weight - truth) @ pre)
    assert weight == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_what_it_does(name):
    rule = RULES[name]()
    assert isinstance(rule, LearningRule)
    assert rule.name == name
    assert rule.equation.startswith("dw =")
    assert rule.modifies
    assert set(rule.needs) <= {"error"}
