"""LoihiSimulator: any Nengo network on our emulator, in place of ``nengo_loihi.Simulator``.

Nengo and nengo-loihi build the network and run what stays on the host; the chip is ours. Importing this
module imports both.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends import learned_blocks, loihi_arrays, loihi_files, loihi_state
from neurodeploy.backends import loihi_arguments as arguments
from neurodeploy.backends.adapter import nengo_loihi_module
from neurodeploy.backends.chip import Chip
from neurodeploy.backends.host import Host
from neurodeploy.backends.host_state import randoms_of
from neurodeploy.backends.loihi_samples import SampleData, of_samples
from neurodeploy.errors import LoadError, OptionError

loihi: Any = nengo_loihi_module()
simulator: Any = importlib.import_module("nengo_loihi.simulator")
exceptions: Any = importlib.import_module("nengo.exceptions")

Data = Mapping[Any, npt.ArrayLike]


class LoihiSimulator(loihi.Simulator):  # type: ignore[misc]  # a drop-in is one of its kind
    """Simulate a Nengo network on the Loihi emulator.

    Takes what ``nengo_loihi.Simulator`` takes and gives the same data bit for bit. Beyond that it can be
    reset and pickled, its state can be saved and resumed, its probes may have ``sample_every``, and it can
    run many samples of one network at once.

    Parameters
    ----------
    network : nengo.Network
    dt, seed, model, precompute, target, progress_bar, remove_passthrough, hardware_options
        As for ``nengo_loihi.Simulator``; `target` is ``"sim"`` unless it is given, and ``"simreal"`` is left
        to nengo-loihi's own emulator.
    n_samples : int, optional
        Run so many samples side by side. Probes then have data of shape (n_samples, T, size), and `run_steps`
        takes what nodes put out in each sample. Sample i equals a simulation of its own with ``seed + i``
        as far as nodes keep nothing that samples share: what a process keeps, and a callable object or the
        object of a bound method, is copied for each sample (the object given is not called itself; one
        that cannot be copied is shared, with a warning). A plain function is shared, with all it keeps in
        its closure, its defaults or in global variables; so are functions of connections.

    Raises
    ------
    OptionError
        If the target is a board, `n_samples` is no whole number above 0, or samples are asked of
        nengo-loihi's emulator; if `dt`, `seed` or `precompute` makes no sense, or `dt` is not the model's.
    """

    closed = True  # read when an object is dropped half made

    def __init__(
        self,
        network: Any,
        dt: float = 0.001,
        seed: int | None = None,
        model: Any = None,
        precompute: bool | None = None,
        target: str | None = None,
        progress_bar: Any = None,
        remove_passthrough: bool = True,
        hardware_options: Mapping[str, Any] | None = None,
        *,
        n_samples: int | None = None,
    ) -> None:
        target = "sim" if target is None else target
        if target == "loihi":
            raise OptionError(
                "LoihiSimulator emulates; for a board use nengo_loihi.Simulator(target='loihi')"
            )
        n_samples, seconds = arguments.checked_size(n_samples, target), arguments.checked_dt(dt)
        arguments.checked_seed(seed, n_samples or 1)
        arguments.checked_precompute(precompute)
        arguments.checked_model(model, seconds)
        if model is None:
            model = learned_blocks.new_model(seconds, f"{network}, dt={seconds:f}")
        with learned_blocks.installed(), loihi_arrays.installed():
            super().__init__(
                network, seconds, seed, model, precompute, target, progress_bar, remove_passthrough,
                hardware_options,
            )  # fmt: skip
        self.n_samples = n_samples
        self._hosts: list[Host] = []
        try:
            self._take_the_chip()
        except BaseException:
            self.close()
            raise

    def _take_the_chip(self) -> None:
        """Put our chip where nengo-loihi's emulator is."""
        if self.target == "sim":
            theirs = self.sims["emulator"]
            self._seed = theirs.seed
            self._randoms = [r.get_state() for r in self._neuron_randoms()]
            self.sims["emulator"] = Chip(self.model, seed=self._seed, size=self.n_samples or 1)
            self.sims["emulator"].strict = theirs.strict
            self._connect()

    def _neuron_randoms(self) -> list[np.random.RandomState]:
        return [r for model in (self.model.host_pre, self.model.host) for r in randoms_of(model)]

    def _connect(self) -> None:
        """Join host and chip; the queues between them are new after a reset."""
        self._runner = simulator.StepRunner(self.model, self.sims, self.precompute, self.timers)
        for host in self._hosts:
            host.close()
        if self.n_samples is not None:
            self._hosts = [Host(self, trial) for trial in self.sims["emulator"].trials]
        self._show()

    def run_steps(self, steps: int, data: Data | None = None) -> None:
        """Simulate some steps.

        Parameters
        ----------
        steps : int
        data : mapping of Node to array_like, shape (n_samples, steps, size) or (n_samples, size), optional
            What nodes put out instead of what they were built to; only with `n_samples`.

        Raises
        ------
        SimulatorClosed
            If the simulator is closed.
        OptionError
            If `data` does not fit, or `steps` is no whole number or below 0.
        """
        steps = arguments.checked_steps(steps)
        if self.n_samples is None and data is not None:
            raise OptionError("data per sample needs LoihiSimulator(network, n_samples=...)")
        if self.closed:
            raise exceptions.SimulatorClosed("Simulator cannot run because it is closed.")
        if steps == 0:
            return
        if self.n_samples is None:
            super().run_steps(steps)
            return
        self.timers.start("run")
        given = {n: of_samples(n, x, self.n_samples, steps) for n, x in (data or {}).items()}
        for number, host in enumerate(self._hosts):
            host.feed({node: values[number] for node, values in given.items()})
        self._run_samples(steps)
        self.timers.stop("run")
        self._n_steps += steps
        self._probe()

    def run(self, time_in_seconds: float) -> None:
        """Simulate for some seconds, rounded to steps.

        Raises
        ------
        OptionError
            If they are no finite number.
        """
        arguments.check_seconds(time_in_seconds)
        super().run(time_in_seconds)

    def _run_samples(self, steps: int) -> None:
        """Run hosts and chip in the order of nengo-loihi's `StepRunner`."""
        chip = self.sims["emulator"]
        if self.precompute or "host" not in self.sims:
            for host in self._hosts:
                host.run_before(steps)
            chip.run_steps(steps)
            for host in self._hosts:
                host.run_after(steps)
            return
        for number in range(steps):
            for host in self._hosts:
                host.step(number)
            chip.step()
            for host in self._hosts:
                host.listen()

    def _probe(self) -> None:
        """Take the data of all probes on the chip, at the times they ask for."""
        self._probe_step_time()
        for probe in self.model.nengo_probes:
            if probe not in self.model.chip2host_params:
                out = self.model.objs[probe]["out"]
                if self.n_samples is None:
                    data = self.sims["emulator"].collect_probe_output(out)
                    self._probe_outputs[probe].extend(self._sampled(probe, data))
                for host in self._hosts:
                    data = host.trial.collect_probe_output(out)
                    host.outputs.setdefault(probe, []).extend(self._sampled(probe, data))
        self._show()

    def _show(self) -> None:
        """Let `data` be that of all samples, where there are several."""
        if self._hosts:
            self.data = SampleData(self._hosts, self.model.params)

    def _sampled(self, probe: Any, data: Any) -> Any:
        if probe.sample_every is None:
            return data
        steps = self._n_steps - len(data) + 1 + np.arange(len(data))
        return data[steps % (probe.sample_every / self.dt) < 1]

    def close(self) -> None:
        """Close the simulator; data stay."""
        for host in self._hosts:
            host.close()
        super().close()

    def clear_probes(self) -> None:
        """Drop all data."""
        for host in self._hosts:
            host.clear_probes()
        super().clear_probes()

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
        if self.target != "sim":
            raise OptionError("nengo-loihi's own emulator cannot be reset; use target 'sim'")
        arguments.checked_seed(seed, self.n_samples or 1)
        if seed is not None:
            self._seed = self.seed = seed
        for random, start in zip(self._neuron_randoms(), self._randoms, strict=True):
            random.set_state(start)
        for name, sim in self.sims.items():
            if name != "emulator":
                sim.reset(seed=seed)
        self.sims["emulator"].rewind(self._seed)
        self._n_steps = 0
        self._connect()
        self.clear_probes()
        self._probe_step_time()

    # --- saving and going on ---

    def get_state(self) -> dict[str, Any]:
        """Copy out all state of the run: of the chip and the host, random numbers, learned weights, data.

        Returns
        -------
        dict
            Of plain values and arrays, which can be pickled. `set_state` takes it in this simulator, or in
            another one of the same network, in this process or a later one.

        Raises
        ------
        SimulatorClosed
            If the simulator is closed.
        OptionError
            If the target is ``"simreal"``, or a process on the host keeps what cannot be copied. What a
            node's own function keeps is not part of the state.
        """
        self._check_open("Cannot take the state of a closed Simulator.")
        return {**loihi_state.state_of(self), "network": loihi_state.fingerprint(self)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `get_state` returned; the data up to there come with it.

        Raises
        ------
        SimulatorClosed
            If the simulator is closed.
        OptionError
            If the state is that of another network, or of one that was built to other weights (give the
            network a seed), or is no state; the simulator is then as it was before.
        """
        self._check_open("Cannot set the state of a closed Simulator.")
        if not isinstance(state, Mapping) or "network" not in state:
            raise OptionError(
                "this is no state of a LoihiSimulator: it lacks 'network'; give what get_state returned"
            )
        if state["network"] != loihi_state.fingerprint(self):
            raise OptionError(
                "this state belongs to another network, or to one built with other weights; build the same "
                "network with the same seed, dt and n_samples"
            )
        loihi_state.checked_set_state(self, state)

    def save_state(self, path: str | os.PathLike[str]) -> Path:
        """Write what `get_state` returns to a file of plain numbers, texts and arrays (HDF5).

        Raises
        ------
        SimulatorClosed
            If the simulator is closed.
        OptionError
            As `get_state`.
        OutputError
            If the file cannot be written; nothing is left half written.
        """
        return loihi_files.write(self.get_state(), path)

    def load_state(self, path: str | os.PathLike[str]) -> None:
        """Go on from a file that `save_state` wrote, in this process or a later one; nothing is unpickled.

        Raises
        ------
        SimulatorClosed
            If the simulator is closed.
        LoadError
            If it is no such file, a damaged one, or of another network; the simulator is then as it was.
        """
        self._check_open("Cannot set the state of a closed Simulator.")
        state = loihi_files.read(path)
        try:
            self.set_state(state)
        except OptionError as error:
            raise LoadError(f"'{path}': {error}") from error

    def _check_open(self, message: str) -> None:
        if self.closed:
            raise exceptions.SimulatorClosed(message)
        if self.target != "sim":
            raise OptionError("only target 'sim' has a state that can be saved")

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the built model with the state; the network's functions must be such as pickle takes."""
        if self.target != "sim":
            raise OptionError("only target 'sim' has a state that can be pickled")
        return loihi_state.pickled(self)

    def __setstate__(self, kept: dict[str, Any]) -> None:
        loihi_state.unpickle(self, kept)
