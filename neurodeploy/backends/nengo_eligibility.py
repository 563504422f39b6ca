"""e-prop and SuperSpike as Nengo learning rules: synapses that remember, for anybody's spiking network.

::

    with net:
        rule = Eligibility(EProp(), feedback)
        c = nengo.Connection(a.neurons, b.neurons, transform=w, learning_rule_type=rule)
        nengo.Connection(error, c.learning_rule)

Every step ``tag = F(psi(v) x^T)`` and ``W -= rate dt (B error) * tag``: ``x`` are filtered spikes before the
synapse, ``psi`` the pseudo-derivative of the membrane behind, ``F`` one filter or two behind each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.nengo_learning import (
    DirectFeedback,
    Operator,
    Signal,
    _output,
    _params,
    builder,
    nengo,
)
from neurodeploy.learning.temporal import TemporalRule

MEMBRANE = nengo.Lowpass(0.02)


class Eligibility(DirectFeedback):
    """A rule in time: random sums of the output error reach what each synapse remembers.

    Parameters
    ----------
    rule : TemporalRule
        Whose pseudo-derivative, in thresholds of 1, is taken.
    feedback : array_like, shape (neurons behind, errors)
        Drawn once; never the weights forward.
    learning_rate : float
    pre_synapse : nengo.synapses.Synapse
        Filters spikes before as the membrane does.
    taus : tuple of float
        In seconds, of the filters of eligibility: one for e-prop, two for SuperSpike.

    References
    ----------
    As the rule's.
    """

    rule = _params.Parameter("rule", readonly=True)
    taus = _params.Parameter("taus", readonly=True)

    def __init__(
        self,
        rule: TemporalRule,
        feedback: npt.ArrayLike,
        learning_rate: float = 1e-5,
        *,
        pre_synapse: Any = MEMBRANE,
        taus: tuple[float, ...] = (0.02,),
    ) -> None:
        super().__init__(feedback, learning_rate, pre_synapse=pre_synapse, active=None)
        self.rule, self.taus = rule, tuple(taus)


class SimEligibility(Operator):  # type: ignore[misc]
    """Filter eligibility and compute the change of weights; reads pre, error, membranes and spikes behind."""

    def __init__(
        self, rule_type: Eligibility, pre: Any, error: Any, voltage: Any, post: Any, delta: Any
    ) -> None:
        super().__init__(tag=None)
        self.rule_type = rule_type
        self.sets: list[Any] = []
        self.incs: list[Any] = []
        self.reads = [pre, error, voltage, post]
        self.updates = [delta]

    def make_step(self, signals: Any, dt: float, rng: Any) -> Any:
        """Return what a simulator calls every step."""
        pre, error, voltage, post = (signals[s] for s in self.reads)
        delta, told = signals[self.updates[0]], self.rule_type
        keeps = [float(np.exp(-dt / tau)) for tau in told.taus]
        tags = [np.zeros((len(post), len(pre))) for _ in keeps]
        scale = -told.learning_rate * dt

        def step() -> None:
            psi = told.rule.derivative(np.where(post > 0, 0.0, voltage - 1))
            passed = np.outer(psi, pre)
            for tag, keep in zip(tags, keeps, strict=True):
                tag *= keep
                tag += (1 - keep) * passed
                passed = tag
            np.multiply(scale * error[:, None], passed, out=delta)

        return step


def _build(model: Any, rule_type: Eligibility, rule: Any) -> None:
    """Wire a rule up: filter spikes before, spread the error, read membranes behind."""
    connection = rule.connection
    error = Signal(shape=(rule.size_in,), name="error")
    model.add_op(builder.operator.Reset(error))
    model.sig[rule]["in"] = error
    pre = model.build(rule_type.pre_synapse, _output(model, connection.pre_obj, connection.pre_slice))
    local = Signal(shape=(len(rule_type.feedback),), name="local error")
    model.add_op(builder.operator.Reset(local))
    fixed = Signal(rule_type.feedback, name="feedback", readonly=True)
    model.add_op(builder.operator.DotInc(fixed, error, local))
    behind = _output(model, connection.post_obj, connection.post_slice)
    voltage = model.sig[connection.post_obj]["voltage"]
    where = connection.post_slice
    voltage = voltage if where == slice(None) else voltage[where]
    model.add_op(SimEligibility(rule_type, pre, local, voltage, behind, model.sig[rule]["delta"]))
    model.sig[rule]["error"], model.sig[rule]["activities"] = error, pre


builder.Builder.register(Eligibility)(_build)
