"""LoihiSimulator: any Nengo network on our emulator, in place of ``nengo_loihi.Simulator``.

Nengo and nengo-loihi build the network and run what stays on the host; the chip is ours. Importing this
module imports both.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neurodeploy.backends.adapter import nengo_loihi_module
from neurodeploy.backends.chip import Chip
from neurodeploy.errors import OptionError

loihi: Any = nengo_loihi_module()
simulator: Any = importlib.import_module("nengo_loihi.simulator")
exceptions: Any = importlib.import_module("nengo.exceptions")


class LoihiSimulator(loihi.Simulator):  # type: ignore[misc]  # a drop-in is one of its kind
    """Simulate a Nengo network on the Loihi emulator.

    Takes what ``nengo_loihi.Simulator`` takes and gives the same data bit for bit. Beyond that it can be
    reset, and its probes may have ``sample_every``.

    Parameters
    ----------
    network : nengo.Network
    dt, seed, model, precompute, target, **options
        As for ``nengo_loihi.Simulator``; `target` is ``"sim"`` unless it is given, and ``"simreal"`` is left
        to nengo-loihi's own emulator.

    Raises
    ------
    OptionError
        If the target is a board.
    """

    def __init__(
        self,
        network: Any,
        dt: float = 0.001,
        seed: int | None = None,
        model: Any = None,
        precompute: bool | None = None,
        target: str | None = None,
        **options: Any,
    ) -> None:
        self.closed = True  # read when an object is dropped half made
        target = "sim" if target is None else target
        if target == "loihi":
            raise OptionError(
                "LoihiSimulator emulates; for a board use nengo_loihi.Simulator(target='loihi')"
            )
        super().__init__(network, dt, seed, model, precompute, target, **options)
        if target == "sim":
            theirs = self.sims["emulator"]
            self._seed = theirs.seed
            self.sims["emulator"] = Chip(self.model, seed=self._seed)
            self.sims["emulator"].strict = theirs.strict
            self._connect()

    def _connect(self) -> None:
        self._runner = simulator.StepRunner(self.model, self.sims, self.precompute, self.timers)

    def _probe(self) -> None:
        """Take the data of all probes on the chip, at the times they ask for."""
        self._probe_step_time()
        chip = self.sims["emulator"]
        for probe in self.model.nengo_probes:
            if probe not in self.model.chip2host_params:
                data = chip.collect_probe_output(self.model.objs[probe]["out"])
                self._probe_outputs[probe].extend(self._sampled(probe, data))

    def _sampled(self, probe: Any, data: Any) -> Any:
        if probe.sample_every is None:
            return data
        steps = self._n_steps - len(data) + 1 + np.arange(len(data))
        return data[steps % (probe.sample_every / self.dt) < 1]

    def reset(self, seed: int | None = None) -> None:
        """Begin again at time 0, with the weights the network was built with and without data.

        Parameters
        ----------
        seed : int, optional
            New seed of everything random; the same as before where absent.

        Raises
        ------
        SimulatorClosed
            If the simulator is closed.
        """
        if self.closed:
            raise exceptions.SimulatorClosed("Cannot reset closed Simulator.")
        if seed is not None:
            self._seed = self.seed = seed
        for name, sim in self.sims.items():
            if name != "emulator":
                sim.reset(seed=seed)
        self.sims["emulator"].rewind(self._seed)
        self._n_steps = 0
        self._connect()
        self.clear_probes()
        self._probe_step_time()
