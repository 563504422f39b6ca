"""The chip of a nengo-loihi model on our kernel, with the interface nengo-loihi's simulator expects of it.

Equal to ``nengo_loihi.emulator.EmulatorInterface`` in every integer, random numbers included. A whole
``run_steps`` is one call into compiled code; what probes want is recorded there.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.loihi_model import Translation, translate
from neurodeploy.kernels import compiled
from neurodeploy.kernels.build import kernel
from neurodeploy.kernels.layout import HORIZON, lay_out

KEYS = ("current", "voltage", "ref_count", "spiked")
"""What nengo-loihi calls the states, in the order of `compiled.WATCHED`."""
FATAL = {1: "Overflow in q0", 2: "Overflow in current", 4: "Overflow in u2", 8: "Synaptic trace spikes lost"}
"""Flags of the kernel that nengo-loihi warns of, or raises where it is strict."""
CLIPPED = {16: "Clipping synapse trace", 32: "Clipping learning weights"}


class Chip:
    """Chip behaviour of a model.

    Parameters
    ----------
    model : nengo_loihi.builder.Model
        Discretised. Weights that learn are changed in place.
    seed : int, optional
        Of noise and stochastic rounding.
    """

    strict = False

    def __init__(self, model: Any, seed: int | None = None) -> None:
        self.model = model
        self.seed = int(np.random.default_rng().integers(2**31 - 1)) if seed is None else seed
        self.t = 0
        self.closed = False
        self.inputs = list(model.inputs)
        self.translation: Translation = translate(model)
        self.layout = lay_out(self.translation.circuit)
        self.batch = compiled.at_rest(self.layout, 1, seeds=[self.seed])
        self.errors = np.zeros((1, int(self.layout.learning[:, 2].sum()) // 2), np.int32)
        self._share_weights()
        self._watch_probes()
        self._tables = compiled.tables(self.layout)
        self._work = compiled.workspace(self.layout, HORIZON)
        self._filter = importlib.import_module("nengo_loihi.probe").ProbeFilter(dt=model.dt)

    def _share_weights(self) -> None:
        """Let the model's weights be views of those that learn, as its own emulator changes them in place."""
        for synapse, rule in zip(self.translation.rules, self.layout.learning, strict=True):
            axons, neurons, first = rule[1], rule[2], rule[3]
            mine = self.batch.learned[0, first : first + axons * neurons].reshape(axons, 1, neurons)
            synapse.weights = list(mine)

    def _watch_probes(self) -> None:
        """Give every probed compartment a column of what the kernel records."""
        self.columns: dict[Any, list[slice]] = {}
        self._recorded: dict[Any, list[list[npt.NDArray[Any]]]] = {}
        lines: list[tuple[int, int, int, int]] = []
        for probe in self.model.probes:
            assert probe.key in KEYS, f"there is no state '{probe.key}' to probe"
            self.columns[probe] = []
            self._recorded[probe] = [[] for _ in probe.target]
            for block, chosen in zip(probe.target, probe.slice, strict=True):
                group, first = self.translation.homes[id(block)]
                start = self.layout.span(group).start + first
                at = self.layout.position[start : start + block.n_neurons][chosen]
                self.columns[probe].append(slice(len(lines), len(lines) + len(at)))
                lines += [(group, KEYS.index(probe.key), int(p), len(lines) + i) for i, p in enumerate(at)]
        watch = np.array(sorted(lines, key=lambda line: line[0]), np.int64).reshape(-1, 4)
        self._watched = len(lines)
        self._extras = compiled.extras(self.layout, watch)

    def __enter__(self) -> Chip:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse further steps; recorded data stay."""
        self.closed = True

    def clear_probes(self) -> None:
        """Do nothing: data are dropped when they are collected."""

    # --- time ---

    def step(self) -> None:
        """Advance by one step."""
        self.run_steps(1)

    def run_steps(self, steps: int) -> None:
        """Advance by some steps.

        Raises
        ------
        SimulationError
            If something overflows and ``strict`` is set.
        """
        if steps == 0:
            return
        starts, events = self._events(steps)
        none = np.zeros((1, 0), np.int32)
        given = (np.zeros((1, 0)), starts, events, none, self.errors, np.zeros(0, np.int64))
        out = compiled.outputs(self.layout, (1, steps), self._watched, spikes=False)
        work = self._work
        if len(events) > len(work[3]) - self.layout.size * (HORIZON + self.layout.delay):
            work = compiled.workspace(self.layout, HORIZON, most=len(events))
        span = np.array([0, 1, self.t, steps, 0, -1], np.int64)
        kernel()(span, self._tables, self._extras, work, self.batch.arrays, given, out)
        self.t += steps
        self._keep(out[5][0])
        self._complain(int(out[3][0, 0]))

    def _events(self, steps: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Take the spikes that arrive in the coming steps from the inputs.

        Those tagged n arrive in step n + 1: the first step's are put down as on their way, and the last
        step's are left, because they may still be added to.
        """
        starts, events = np.zeros((1, steps + 1), np.int64), []
        for k in range(steps):
            tag, found = self.t + k, 0
            for source in self.inputs if tag else ():
                idxs = np.asarray(source.spike_idxs(tag), np.int64)
                at = self.layout.position[self.translation.homes[id(source)][1] + idxs]
                if k == 0:
                    np.add.at(self.batch.fired[0, -1], at, 1)
                else:
                    events.append(at)
                    found += len(at)
            if k:
                starts[0, k] = starts[0, k - 1] + found
        starts[0, steps] = starts[0, steps - 1]
        return starts, np.concatenate([np.zeros(0, np.int64), *events]).astype(np.int32)

    def _complain(self, flags: int) -> None:
        for bit, message in CLIPPED.items():
            if flags & bit:
                warnings.warn(message, stacklevel=4)
        for bit, message in FATAL.items():
            if flags & bit and self.strict:
                raise importlib.import_module("nengo.exceptions").SimulationError(message)
            if flags & bit:
                warnings.warn(message, stacklevel=4)

    def rewind(self, seed: int) -> None:
        """Go back to the state before the first step, the weights included; drop data and waiting spikes."""
        fresh = compiled.at_rest(self.layout, 1, seeds=[seed])
        for mine, new in zip(self.batch.arrays, fresh.arrays, strict=True):
            mine[:] = new
        self.seed, self.t = seed, 0
        self.errors[:] = 0
        self._filter = importlib.import_module("nengo_loihi.probe").ProbeFilter(dt=self.model.dt)
        for source in self.inputs:
            for step in set(source.spikes) - source.permanent:
                del source.spikes[step]
        for kept in self._recorded.values():
            for part in kept:
                part.clear()

    # --- what goes in and out ---

    def host2chip(
        self, spikes: Sequence[tuple[Any, int, Any]], errors: Sequence[tuple[Any, int, Any]]
    ) -> None:
        """Queue spikes and set the errors of the coming steps.

        Parameters
        ----------
        spikes : sequence of (SpikeInput, step, indices)
        errors : sequence of (Synapse, step, ndarray)
        """
        for source, step, idxs in spikes:
            source.add_spikes(step, idxs)
        self.errors[:] = 0
        scaled = importlib.import_module("nengo_loihi.builder.discretize").scale_pes_errors
        for synapse, _, error in errors:
            number = next(i for i, s in enumerate(self.translation.rules) if s is synapse)
            line = self.layout.learning[number]
            mine = self.errors[0, line[5] : line[5] + line[2] // 2]
            assert mine.shape == error.shape
            mine += scaled(error, scale=getattr(self.model, "pes_error_scale", 1.0))

    def _keep(self, seen: npt.NDArray[np.int32]) -> None:
        for probe, columns in self.columns.items():
            for kept, column in zip(self._recorded[probe], columns, strict=True):
                values = np.ascontiguousarray(seen[:, column])
                kept.append(values != 0 if probe.key == "spiked" else values)

    def _take(self, probe: Any) -> list[npt.NDArray[Any]]:
        """Return and drop what was recorded for a probe, an array (T, n) per block."""
        taken = [np.concatenate(kept) if len(kept) > 1 else kept[0] for kept in self._recorded[probe]]
        for kept in self._recorded[probe]:
            kept.clear()
        return taken

    def collect_probe_output(self, probe: Any) -> npt.NDArray[Any]:
        """Return and drop a probe's data, weighted and filtered, shape (T, size)."""
        filtered: npt.NDArray[Any] = self._filter(probe, probe.weight_outputs(self._take(probe)))
        return filtered

    def chip2host(self, receivers: Mapping[Any, Any]) -> None:
        """Send the data of probes to their receivers on the host."""
        for probe, receiver in receivers.items():
            assert probe.synapse is None, "what goes to the host is filtered there"
            if self._recorded[probe][0]:
                data = probe.weight_outputs(self._take(probe))
                for j, x in enumerate(data):
                    receiver.receive(self.model.dt * (self.t - len(data) + j + 2), x)
