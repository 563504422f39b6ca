"""Our neurons as Nengo neuron types; their arithmetic is `numerics.neurons.step` and `numerics.coding`.

A spike is 1 for one step (Nengo's own types put out 1/dt), so weights mean the same here as in the graph.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.adapter import nengo_module
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.evaluate import apply
from neurodeploy.ir.ops import Shape
from neurodeploy.numerics import coding
from neurodeploy.numerics.neurons import Membrane, MembraneState, step

nengo: Any = nengo_module()
NeuronType: Any = nengo.neurons.NeuronType
Floats = npt.NDArray[np.float64]

_REST = nengo.dists.Choice([0])


class GraphNeurons(NeuronType):  # type: ignore[misc]
    """Neurons of one population of a graph.

    Parameters
    ----------
    op : Neuron
    shape : tuple of int
        Of the population.
    dt : float
        The graph's step, in seconds; the simulator must run with the same.
    """

    negative = False

    def __init__(self, op: ops.Op, shape: Shape, dt: float) -> None:
        self.op, self.shape, self.dt = op, shape, dt
        self.membrane = flat(membrane(op, dt), shape)
        starts = "voltage" in self.state and self.membrane.v_init.any()
        size = int(np.prod(shape))
        super().__init__({"voltage": np.broadcast_to(self.membrane.v_init, size)} if starts else None)

    def __eq__(self, other: object) -> bool:
        return self is other  # parameters belong to single neurons: Nengo must not merge two populations

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.op.kind} {self.shape}>"

    def rates(self, x: npt.ArrayLike, gain: npt.ArrayLike, bias: npt.ArrayLike) -> Floats:
        """Mean output per step under constant input, which Nengo's solvers decode from."""
        current = self.current(x, gain, bias)
        return apply(self.op, current.reshape(len(current), *self.shape), dt=self.dt).reshape(current.shape)

    def max_rates_intercepts(self, gain: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Nothing that holds for every op; Nengo only keeps it for display."""
        return np.full(gain.shape, np.nan), np.full(gain.shape, np.nan)


class Spiking(GraphNeurons):
    """Neurons with a threshold; the output is 1 in a step with a spike."""

    spiking = True
    state: ClassVar[dict[str, Any]] = {"current": _REST, "voltage": _REST, "wait": _REST}

    def step(self, dt: float, J: Floats, output: Floats, **state: Floats) -> None:
        """Advance by one step."""
        _check_dt(self, dt)
        held = MembraneState(state["current"], state["voltage"], state["wait"].astype(np.int32))
        output[...] = step(self.membrane, held, J)
        state["current"][...], state["voltage"][...], state["wait"][...] = held.u, held.v, held.wait


class Integrating(GraphNeurons):
    """Neurons without a threshold; the output is the membrane."""

    negative = True
    state: ClassVar[dict[str, Any]] = {"current": _REST, "voltage": _REST}

    def step(self, dt: float, J: Floats, output: Floats, **state: Floats) -> None:
        """Advance by one step."""
        _check_dt(self, dt)
        held = MembraneState(state["current"], state["voltage"], np.zeros(0, np.int32))
        output[...] = step(self.membrane, held, J)
        state["current"][...], state["voltage"][...] = held.u, held.v


class Encoding(GraphNeurons):
    """Neurons that turn a sample into spikes: the rate code of `numerics.coding`."""

    spiking = True
    state: ClassVar[dict[str, Any]] = {"charge": _REST}

    def step(self, dt: float, J: Floats, output: Floats, **state: Floats) -> None:
        """Advance by one step."""
        _check_dt(self, dt)
        charge = state["charge"]
        before = coding.spikes_by(charge)
        charge += np.clip(apply(self.op, J.reshape(1, *self.shape), dt=self.dt).ravel(), 0.0, 1.0)
        output[...] = coding.spikes_by(charge) - before


def neurons_of(op: ops.Op, shape: Shape, dt: float, *, encoder: bool) -> GraphNeurons:
    """Return the neuron type of a population."""
    if encoder:
        return Encoding(op, shape, dt)
    return (Spiking if op.spiking else Integrating)(op, shape, dt)


def flat(neuron: Membrane, shape: Shape) -> Membrane:
    """Spread every parameter that is not one number over the neurons of a population."""
    changes: dict[str, Any] = {
        spec.name: np.broadcast_to(value, shape).ravel()
        for spec in dataclasses.fields(neuron)
        if isinstance(value := getattr(neuron, spec.name), np.ndarray) and value.ndim
    }
    return dataclasses.replace(neuron, **changes)


def _check_dt(neurons: GraphNeurons, dt: float) -> None:
    if abs(dt - neurons.dt) > 1e-9 * dt:
        raise OptionError(
            f"the network steps {neurons.dt} s and the simulator {dt} s; open it with dt={neurons.dt}"
        )
