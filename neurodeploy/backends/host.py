"""The host's part of one sample: Nengo's own simulators, with their queues to and from the chip."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.chip import Trial
from neurodeploy.backends.host_state import part_randoms, set_state, state_of
from neurodeploy.errors import OptionError

nengo_simulator: Any = importlib.import_module("nengo.simulator")
SimPyFunc: Any = importlib.import_module("nengo.builder.operator").SimPyFunc
loihi_simulator: Any = importlib.import_module("nengo_loihi.simulator")


class Host:
    """One sample's simulators of what is not on the chip.

    Parameters
    ----------
    owner : LoihiSimulator
        Whose built model they run.
    trial : Trial
        The sample on the chip.
    """

    def __init__(self, owner: Any, trial: Trial) -> None:
        self.trial = trial
        on_chip = [p for p in owner.model.nengo_probes if p not in owner.model.chip2host_params]
        self.outputs: dict[Any, list[npt.NDArray[Any]]] = {p: [] for p in on_chip}
        self.sims: OrderedDict[str, Any] = OrderedDict()
        for name in ("host_pre", "host"):
            if name in owner.sims:
                seed = (owner.sims[name].seed + trial.number) % 2**31
                self.sims[name] = _alone(getattr(owner.model, name), owner, seed)
        self._part_functions({id(node.output): node for node in owner.network.all_nodes})
        self.sims["emulator"] = trial
        self.runner = loihi_simulator.StepRunner(owner.model, self.sims, owner.precompute, owner.timers)
        self.probes = [p for name, sim in self.sims.items() if name != "emulator" for p in sim.model.probes]
        self.fed: list[tuple[Any, npt.NDArray[Any], npt.NDArray[Any]]] = []
        self.silenced: list[Any] = []  # nodes that were fed once; what they were built to is not run again

    def _part_functions(self, nodes: Mapping[int, Any]) -> None:
        """Give the nodes, by the identity of what they were built to, copies of their objects.

        What nodes share they share in the copy too. A plain function is its own copy.
        """
        copied: dict[int, Any] = {}
        for sim in self._simulators():
            for i, op in enumerate(sim._step_order):
                if isinstance(op, SimPyFunc) and id(op.fn) in nodes:
                    own = _copied(op.fn, nodes[id(op.fn)], copied)
                    op = SimPyFunc(op.output, own, op.t, op.x, op.tag)
                    sim._steps[i] = op.make_step(sim.signals, sim.dt, sim.rng)

    def feed(self, data: Mapping[Any, npt.NDArray[Any]]) -> None:
        """Set what nodes put out in the coming steps, arrays (steps, size).

        Raises
        ------
        OptionError
            If a node is not on the host.
        """
        self.fed.clear()
        for node, values in data.items():
            found = [(s, self._output(s, node)) for n, s in self.sims.items() if n != "emulator"]
            found = [(sim, signal) for sim, signal in found if signal is not None]
            if not found:
                raise OptionError(f"{node} is not among the nodes the host runs; it takes no data")
            self.fed += [(sim, signal, values) for sim, signal in found]
            if node not in self.silenced:
                self.silenced.append(node)

    def state(self) -> dict[str, Any]:
        """Copy out the state of all simulators, and the data of the chip's probes."""
        sims = {name: state_of(sim) for name, sim in self.sims.items() if name != "emulator"}
        return {"sims": sims, "outputs": [list(data) for data in self.outputs.values()]}

    def set_state(self, state: dict[str, Any], probes: list[Any], silenced: list[Any]) -> None:
        """Put back what `state` returned; `probes` are those of its outputs, `silenced` were fed."""
        for node in silenced:
            for sim in self._simulators():
                self._output(sim, node)
        self.silenced = list(silenced)
        for sim, kept in zip(self._simulators(), state["sims"].values(), strict=True):
            set_state(sim, kept)
        self.outputs = {p: list(data) for p, data in zip(probes, state["outputs"], strict=False)}

    def _simulators(self) -> list[Any]:
        return [sim for name, sim in self.sims.items() if name != "emulator"]

    @staticmethod
    def _output(sim: Any, node: Any) -> Any:
        """Return the array a node's output lives in, and keep everything else from writing it."""
        if node not in sim.model.sig or "out" not in sim.model.sig[node]:
            return None
        signal = sim.model.sig[node]["out"]
        for i, op in enumerate(sim._step_order):
            if signal in op.sets:
                sim._steps[i] = _nothing
        array = sim.signals[signal]
        if not array.flags.writeable:
            array.setflags(write=True)
        return array

    def _advance(self, sim: Any, step: int) -> None:
        for fed, array, values in self.fed:
            if fed is sim:
                array[...] = values[step]
        sim.step()

    def run_before(self, steps: int) -> None:
        """Run what the chip's input depends on, and send it."""
        if "host_pre" in self.sims:
            for k in range(steps):
                self._advance(self.sims["host_pre"], k)
        self.runner._host2chip(self.trial)

    def run_after(self, steps: int) -> None:
        """Take what the chip sends and run the rest."""
        if "host" in self.sims:
            self.runner._chip2host(self.trial)
            for k in range(steps):
                self._advance(self.sims["host"], k)

    def step(self, number: int) -> None:
        """Run one step, and send what comes of it."""
        self._advance(self.sims["host"], number)
        self.runner._host2chip(self.trial)

    def listen(self) -> None:
        """Take what the chip sends."""
        self.runner._chip2host(self.trial)

    def close(self) -> None:
        """Close the simulators; data stay."""
        for name, sim in self.sims.items():
            if name != "emulator":
                sim.close()

    def clear_probes(self) -> None:
        """Drop all data."""
        for data in self.outputs.values():
            data.clear()
        for sim in self._simulators():
            sim.clear_probes()

    def data_of(self, probe: Any) -> npt.NDArray[Any]:
        """Return a probe's data, shape (T, size)."""
        if probe in self.outputs:
            return np.asarray(self.outputs[probe])
        sims = [s for n, s in self.sims.items() if n != "emulator" and probe in s.model.probes]
        return np.asarray(sims[0].data[probe])


def _copied(function: Any, node: Any, copied: dict[int, Any]) -> Any:
    """Copy what a node calls; if it cannot be copied, say so and return itself."""
    try:
        return copy.deepcopy(function, copied)
    except Exception as error:  # whatever an object of the user's raises
        warnings.warn(
            f"what {node} calls cannot be copied ({error}): all samples share it, and what it keeps",
            stacklevel=2,
        )
        return function


def _nothing() -> None:
    """Take the place of an operator whose result is given."""


def _alone(model: Any, owner: Any, seed: int) -> Any:
    """Make a simulator of a built model that keeps its own data; others of the same model have theirs."""
    sim = nengo_simulator.Simulator(
        None, dt=owner.dt, model=model, seed=seed, progress_bar=False, optimize=False
    )
    part_randoms(sim)
    own: dict[Any, Any] = {**model.params, **{probe: [] for probe in model.probes}}
    sim._sim_data = own
    sim.data = nengo_simulator.SimulationData(own)
    return sim
