"""Hunsberger's method in Nengo: what is wired where, and a network of spikes that learns from spikes."""

import numpy as np
import pytest

from neurodeploy.backends import nengo_hunsberger as hunsberger
from neurodeploy.backends.nengo_learning import Delta, DirectFeedback, nengo

SIZES, SECONDS = (6, 20, 16, 3), 0.05
PATTERNS = np.kron(np.eye(3), np.ones(2))


def shown(values):
    return lambda t: values[min(int((t - 1e-9) / SECONDS), len(values) - 1)]


def made(labels, **told):
    return hunsberger.build(SIZES, shown(PATTERNS[labels]), shown(np.eye(3)[labels]), **told)


def test_every_hop_is_spiking_neurons_with_a_filter():
    """Nodes only pass on: stimulus and label enter by them, and nothing of the way back computes in one."""
    built = made([0])
    assert all(isinstance(e.neuron_type, nengo.LIF) for e in built.network.all_ensembles)
    functions = [n for n in built.network.all_nodes if callable(n.output)]
    assert len(functions) == 2
    kinds = [type(c.learning_rule_type) for c in built.plastic]
    assert kinds == [DirectFeedback, DirectFeedback, Delta]
    taught = [
        c for c in built.network.all_connections if isinstance(c.post_obj, nengo.connection.LearningRule)
    ]
    assert len(taught) == 3
    assert all(c.synapse == hunsberger.SYNAPSE for c in [*built.plastic, *taught])
    assert len({c.pre_obj for c in taught}) == 3


def test_no_feedback_is_a_forward_weight_and_slopes_are_own_spikes():
    built = made([0])
    for c in built.plastic[:-1]:
        rule = c.learning_rule_type
        assert rule.feedback.shape[1] == 3
        assert rule.active == hunsberger.ACTIVE
        assert rule.feedback.sum(axis=1) == pytest.approx(0)


def test_it_learns_with_errors_in_three_ensembles():
    labels = np.random.default_rng(0).integers(0, 3, 60)
    rates = hunsberger.Rates(learning=(1e-5, 2e-5, 3e-4))
    weights = hunsberger.teach(made(labels, rates=rates), SECONDS * len(labels))
    new = np.array([0, 1, 2, 1, 0, 2])
    found = hunsberger.answers(made(new, weights=weights, learn=False), len(new), SECONDS)
    assert found.argmax(axis=1).tolist() == new.tolist()
    before = hunsberger._drawn(SIZES, rates, np.random.default_rng(0))
    assert all(np.abs(a - b).max() > 1e-5 for a, b in zip(weights, before, strict=True))
