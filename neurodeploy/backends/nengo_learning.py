"""Local rules of deep networks as Nengo learning rules, for anybody's network of spiking neurons.

::

    with net:
        c = nengo.Connection(a.neurons, b.neurons, transform=w, learning_rule_type=Delta(1e-4))
        nengo.Connection(error, c.learning_rule)

The error arrives by an ordinary connection, so what brings it may be spiking neurons, with synapses and
delays of their own. Both rules change ``W -= rate dt (L * psi) x^T``: ``x`` are filtered spikes before the
synapse, ``psi`` says which neurons behind spiked of late, and ``L`` is the error, or fixed random sums of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.errors import OptionError

nengo: Any = nengo_module()
builder: Any = nengo.builder
Signal: Any = nengo.builder.signal.Signal
Operator: Any = nengo.builder.operator.Operator
_params: Any = nengo.params
_synapses: Any = nengo.synapses
_Base: Any = nengo.learning_rules.LearningRuleType

PRE, POST = nengo.Lowpass(0.005), nengo.Lowpass(0.02)
ACTIVE = 1.0
"""Spikes per second above which a neuron counts as active."""


class Delta(_Base):  # type: ignore[misc]
    """The delta rule: every neuron, or output, is told its own error.

    Parameters
    ----------
    learning_rate : float
        Change of a weight per second, for an error of 1 and an input of one spike per second.
    pre_synapse, post_synapse : nengo.synapses.Synapse
        Filter spikes before and behind.
    active : float or None
        Filtered spikes per second above which a neuron learns: its slope is 1 there and 0 below, read from
        its own spikes. None where what is behind the synapses is linear.

    References
    ----------
    .. [1] B. Widrow, M. Hoff (1960), Adaptive switching circuits, IRE WESCON Convention Record 4.
    """

    modifies = "decoders"  # Nengo's word for weights whose other end may be anything
    probeable = ("error", "activities", "delta")

    pre_synapse = _synapses.SynapseParam("pre_synapse", default=PRE, readonly=True)
    post_synapse = _synapses.SynapseParam("post_synapse", default=POST, readonly=True)
    active = _params.NumberParam("active", low=0, optional=True, readonly=True, default=None)

    def __init__(
        self,
        learning_rate: float = 1e-4,
        *,
        pre_synapse: Any = PRE,
        post_synapse: Any = POST,
        active: float | None = None,
        size_in: Any = "post",
    ) -> None:
        super().__init__(learning_rate, size_in=size_in)
        self.pre_synapse, self.post_synapse, self.active = pre_synapse, post_synapse, active


class DirectFeedback(Delta):
    """Direct feedback alignment: every neuron gets fixed random sums of the output error.

    Parameters
    ----------
    feedback : array_like, shape (neurons behind, errors)
        Drawn once; `draw_feedback` draws it. Never the weights forward.
    learning_rate, pre_synapse, post_synapse, active
        As `Delta` takes them.

    References
    ----------
    .. [1] A. Nøkland (2016), Direct feedback alignment provides learning in deep neural networks, NeurIPS.
    """

    feedback = _params.NdarrayParam("feedback", shape=("*", "*"), readonly=True)

    def __init__(
        self,
        feedback: npt.ArrayLike,
        learning_rate: float = 1e-4,
        *,
        pre_synapse: Any = PRE,
        post_synapse: Any = POST,
        active: float | None = ACTIVE,
    ) -> None:
        fixed = np.asarray(feedback, np.float64)
        if fixed.ndim != 2:
            raise OptionError(f"feedback is a matrix (neurons, errors), not of shape {fixed.shape}")
        super().__init__(
            learning_rate, pre_synapse=pre_synapse, post_synapse=post_synapse, active=active,
            size_in=fixed.shape[1],
        )  # fmt: skip
        self.feedback = fixed


def draw_feedback(neurons: int, errors: int, *, rng: np.random.Generator, scale: float = 1.0) -> Any:
    """Draw feedback weights, shape (neurons, errors), of which each neuron's add up to 0."""
    drawn = rng.normal(0, scale / np.sqrt(errors), (neurons, errors))
    return drawn - drawn.mean(axis=1, keepdims=True)


class SimThreeFactor(Operator):  # type: ignore[misc]
    """Compute the change of weights in one step; reads pre, error and perhaps post, updates delta."""

    def __init__(
        self, pre: Any, post: Any, error: Any, delta: Any, rate: float, active: float, tag: Any = None
    ) -> None:
        super().__init__(tag=tag)
        self.rate, self.active, self.gated = rate, active, post is not None
        self.sets: list[Any] = []
        self.incs: list[Any] = []
        self.reads = [pre, error, *([post] if self.gated else [])]
        self.updates = [delta]

    def make_step(self, signals: Any, dt: float, rng: Any) -> Any:
        """Return what a simulator calls every step."""
        pre, error, *post = (signals[s] for s in self.reads)
        delta, scale = signals[self.updates[0]], -self.rate * dt

        def step() -> None:
            local = scale * error
            if post:
                local = local * (post[0] > self.active)
            np.outer(local, pre, out=delta)

        return step


def _build(model: Any, rule_type: Delta, rule: Any) -> None:
    """Wire a rule up: filter both sides, take in the error, spread it where it has feedback."""
    connection = rule.connection
    error = Signal(shape=(rule.size_in,), name="error")
    model.add_op(builder.operator.Reset(error))
    model.sig[rule]["in"] = error
    pre = model.build(rule_type.pre_synapse, _output(model, connection.pre_obj, connection.pre_slice))
    local = error
    if isinstance(rule_type, DirectFeedback):
        fixed = Signal(rule_type.feedback, name="feedback", readonly=True)
        local = Signal(shape=(len(rule_type.feedback),), name="local error")
        model.add_op(builder.operator.Reset(local))
        model.add_op(builder.operator.DotInc(fixed, error, local))
    post = None
    if rule_type.active is not None:
        behind = _output(model, connection.post_obj, connection.post_slice)
        post = model.build(rule_type.post_synapse, behind)
    delta = model.sig[rule]["delta"]
    model.add_op(SimThreeFactor(pre, post, local, delta, rule_type.learning_rate, rule_type.active or 0.0))
    model.sig[rule]["error"], model.sig[rule]["activities"] = error, pre


def _output(model: Any, end: Any, where: Any) -> Any:
    """Return the signal that one end of a connection puts out."""
    whole = model.sig[end]["out"]
    return whole if where == slice(None) else whole[where]


builder.Builder.register(Delta)(_build)
builder.Builder.register(DirectFeedback)(_build)
