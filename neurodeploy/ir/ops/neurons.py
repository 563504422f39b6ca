"""Neurons of NIR."""

from __future__ import annotations

# ruff: noqa: D102 - every `out_shape` keeps the contract of `Op.out_shape`
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from neurodeploy.ir.ops.base import Array, Op, Shape


@dataclass(frozen=True, eq=False)
class Neuron(Op):
    """Base of neurons: one membrane per value of the input; parameters broadcast to its shape.

    `v_init` is the membrane before the first step, which NIR leaves open.
    """

    v_init: Array = field(default_factory=lambda: np.zeros(()), kw_only=True)
    stateful: ClassVar[bool] = True

    def out_shape(self, shape: Shape) -> Shape:
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and np.broadcast_shapes(shape, value.shape) != shape:
                raise ValueError(f"{name} of shape {value.shape} does not fit input of shape {shape}")
        return shape


@dataclass(frozen=True, eq=False)
class IF(Neuron):
    """Integrate and fire: ``dv/dt = r I``; a spike where v exceeds `v_threshold`.

    `reset` says what follows a spike, which NIR leaves open: ``"zero"`` sets v to `v_reset`, ``"subtract"``
    takes ``v_threshold - v_reset`` off, so that a membrane at the threshold lands on `v_reset`.
    `refractory` counts the steps after a spike in which v is held at `v_reset`.
    """

    r: Array
    v_threshold: Array
    v_reset: Array = field(default_factory=lambda: np.zeros(()))
    reset: str = "zero"
    refractory: int = 0
    spiking: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    """Leaky integrate and fire: ``tau dv/dt = v_leak - v + r I``."""

    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array = field(default_factory=lambda: np.zeros(()))
    reset: str = "zero"
    refractory: int = 0
    spiking: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class CubaLIF(Neuron):
    """Current-based LIF: ``tau_syn du/dt = -u + w_in I``, ``tau_mem dv/dt = v_leak - v + r u``."""

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    w_in: Array
    v_reset: Array = field(default_factory=lambda: np.zeros(()))
    reset: str = "zero"
    refractory: int = 0
    spiking: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class I(Neuron):  # noqa: E742 - NIR's name
    """Integrator without threshold: ``dv/dt = r I``; the output is v."""

    r: Array


@dataclass(frozen=True, eq=False)
class LI(Neuron):
    """Leaky integrator: ``tau dv/dt = v_leak - v + r I``; the output is v."""

    tau: Array
    r: Array
    v_leak: Array


@dataclass(frozen=True, eq=False)
class CubaLI(Neuron):
    """Leaky integrator behind a synapse: ``tau_syn du/dt = -u + w_in I``; the output is v."""

    tau_syn: Array
    tau_mem: Array
    r: Array
    v_leak: Array
    w_in: Array


@dataclass(frozen=True, eq=False)
class Delay(Neuron):
    """What comes in, `delay` seconds later: ``y(t) = x(t - delay)``; before the start there is silence."""

    delay: Array
    stateful: ClassVar[bool] = False
