"""The chip of a nengo-loihi model on our kernel, with the interface nengo-loihi's simulator expects of it.

Equal to ``nengo_loihi.emulator.EmulatorInterface`` in every integer, random numbers included. A whole
``run_steps`` is one call into compiled code; what probes want is recorded there.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.backends.host_state import copy_of, paste
from neurodeploy.backends.learned_blocks import parts_of
from neurodeploy.backends.loihi_model import Translation, translate
from neurodeploy.errors import OptionError
from neurodeploy.kernels import arguments, compiled, room
from neurodeploy.kernels.build import cores, kernel, spread
from neurodeploy.kernels.layout import HORIZON, lay_out

KEYS = ("current", "voltage", "ref_count", "spiked")
"""What nengo-loihi calls the states, in the order of `compiled.WATCHED`."""
FATAL = {1: "Overflow in q0", 2: "Overflow in current", 4: "Overflow in u2", 8: "Synaptic trace spikes lost"}
"""Flags of the kernel that nengo-loihi warns of, or raises where it is strict."""
NONE = np.zeros(0, np.int64)
CLIPPED = {16: "Clipping synapse trace", 32: "Clipping learning weights"}


MANY = 16
"""Steps from which on products pay, which are of so many at least."""


def _countable(starts: npt.NDArray[np.int64], events: npt.NDArray[np.int32]) -> bool:
    """Whether a byte holds how often each neuron spikes in a step."""
    low, high = starts[:, :-1].ravel(), starts[:, 1:].ravel()
    many = np.flatnonzero(high - low > 255)
    return all(np.bincount(events[low[i] : high[i]]).max() <= 255 for i in many)


class Trial:
    """One sample on a chip: what waits to go in, and what was recorded.

    Parameters
    ----------
    chip : Chip
    number : int
        Of the sample.
    """

    def __init__(self, chip: Chip, number: int) -> None:
        self.chip, self.number = chip, number
        self.errors = chip.errors[number]
        self.waiting: dict[int, list[npt.NDArray[np.int64]]] = {}
        self.clear()

    def clear(self) -> None:
        """Drop data, filters' states, errors and spikes that wait."""
        self.errors[:] = 0
        self.waiting.clear()
        self.recorded: dict[Any, list[list[npt.NDArray[Any]]]] = {
            p: [[] for _ in p.target] for p in self.chip.columns
        }
        self._filter = importlib.import_module("nengo_loihi.probe").ProbeFilter(dt=self.chip.model.dt)

    def host2chip(
        self, spikes: Sequence[tuple[Any, int, Any]], errors: Sequence[tuple[Any, int, Any]]
    ) -> None:
        """Queue spikes, which arrive a step after the one they are tagged with, and set the errors.

        Parameters
        ----------
        spikes : sequence of (SpikeInput, step, indices)
        errors : sequence of (Synapse, step, ndarray)
        """
        for source, step, idxs in spikes:
            self.waiting.setdefault(step, []).append(self.chip.places(source, idxs))
        self.errors[:] = 0
        scaled = importlib.import_module("nengo_loihi.builder.discretize").scale_pes_errors
        split = [(*part, e) for s, _, e in errors for part in parts_of(self.chip.model, s)]
        for synapse, chosen, whole in split:
            number = next(i for i, s in enumerate(self.chip.translation.rules) if s is synapse)
            error = whole[chosen]
            line = self.chip.layout.learning[number]
            mine = self.errors[line[5] : line[5] + line[2] // 2]
            assert mine.shape == error.shape
            mine += scaled(error, scale=getattr(self.chip.model, "pes_error_scale", 1.0))

    def keep(self, seen: npt.NDArray[np.int32]) -> None:
        """Take over what was recorded in some steps, shape (T, columns)."""
        for probe, columns in self.chip.columns.items():
            for kept, column in zip(self.recorded[probe], columns, strict=True):
                values = np.ascontiguousarray(seen[:, column])
                kept.append(values != 0 if probe.key == "spiked" else values)

    def state(self) -> dict[str, Any]:
        """Copy out what waits, what was recorded and not collected, and where filters stand."""
        step, counters = self._filter.filter_functions, self._filter.filter_step_counters
        return {
            "waiting": {k: [at.copy() for at in spikes] for k, spikes in self.waiting.items()},
            "recorded": [[list(kept) for kept in self.recorded[p]] for p in self.chip.columns],
            "filters": [
                (counters[p], step[p] and copy_of(step[p], str(p.synapse))) if p in counters else None
                for p in self.chip.columns
            ],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.clear()
        waiting = [at for spikes in state["waiting"].values() for at in spikes]
        if any(len(at) and not 0 <= at.min() <= at.max() < self.chip.layout.size for at in waiting):
            raise ValueError("spikes wait for neurons that are not there")
        self.waiting.update({k: [at.copy() for at in spikes] for k, spikes in state["waiting"].items()})
        rows = zip(self.chip.columns, state["recorded"], state["filters"], strict=True)
        for probe, recorded, kept in rows:
            self.recorded[probe] = [list(values) for values in recorded]
            if kept is not None:
                self._filter._init_filter(probe)
                self._filter.filter_step_counters[probe] = kept[0]
                if kept[1] is not None:
                    paste(self._filter.filter_functions[probe], kept[1])

    def _take(self, probe: Any) -> list[npt.NDArray[Any]]:
        """Return and drop what was recorded for a probe, an array (T, n) per block."""
        taken = [np.concatenate(kept) if len(kept) > 1 else kept[0] for kept in self.recorded[probe]]
        for kept in self.recorded[probe]:
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
            if self.recorded[probe][0]:
                data = probe.weight_outputs(self._take(probe))
                for j, x in enumerate(data):
                    receiver.receive(self.chip.model.dt * (self.chip.t - len(data) + j + 2), x)


class Chip:
    """Chip behaviour of a model, for one sample or many.

    Parameters
    ----------
    model : nengo_loihi.builder.Model
        Discretised. Weights that learn are changed in place (those of sample 0).
    seed : int, optional
        Of noise and stochastic rounding; sample i has ``seed + i``.
    size : int
        Number of samples. What is put into the model's inputs goes to all of them.
    """

    strict = False

    def __init__(self, model: Any, seed: int | None = None, size: int = 1) -> None:
        self.model = model
        self.seed = int(np.random.default_rng().integers(2**31 - 1)) if seed is None else seed
        self.t, self.closed = 0, False
        self.inputs = list(model.inputs)
        self.translation: Translation = translate(model)
        self.layout = lay_out(self.translation.circuit)
        self.batch = compiled.at_rest(self.layout, size, seeds=self._seeds(size))
        self.errors = np.zeros((size, int(self.layout.learning[:, 2].sum()) // 2), np.int32)
        self._share_weights()
        self._watch_probes()
        self._tables = arguments.tables(self.layout)
        self._most, self._work = 0, room.Room(self.layout, HORIZON, 0, product=False).workspace()
        self.trials = [Trial(self, i) for i in range(size)]

    def _seeds(self, size: int) -> list[int]:
        return [self.seed + i for i in range(size)]

    def _share_weights(self) -> None:
        """Let the model's weights be views of those that learn, as its own emulator changes them in place."""
        for synapse, rule in zip(self.translation.rules, self.layout.learning, strict=True):
            axons, neurons, first = rule[1], rule[2], rule[3]
            mine = self.batch.learned[0, first : first + axons * neurons].reshape(axons, 1, neurons)
            synapse.weights = list(mine)

    def _watch_probes(self) -> None:
        """Give every probed compartment a column of what the kernel records."""
        self.columns: dict[Any, list[slice]] = {}
        lines: list[tuple[int, int, int, int]] = []
        for probe in self.model.probes:
            if probe.key not in KEYS:
                raise OptionError(
                    f"a probe asks for '{probe.key}', which the chip does not have; of neurons it has "
                    "'output', 'voltage' and 'input', of ensembles 'decoded_output'"
                )
            self.columns[probe] = []
            for block, chosen in zip(probe.target, probe.slice, strict=True):
                group, first = self.translation.homes[id(block)]
                start = self.layout.span(group).start + first
                at = self.layout.position[start : start + block.n_neurons][chosen]
                self.columns[probe].append(slice(len(lines), len(lines) + len(at)))
                lines += [(group, KEYS.index(probe.key), int(p), len(lines) + i) for i, p in enumerate(at)]
        watch = np.array(sorted(lines, key=lambda line: line[0]), np.int64).reshape(-1, 4)
        self._watched, self._watch = len(lines), watch
        self._extras = arguments.extras(self.layout, watch)

    @functools.cached_property
    def _products(self) -> Any:
        """Tables with those groups run by products that are not probed; None if no group can be."""
        if len(self.trials) < compiled.PAYS or self.layout.random or not arguments.unit_available():
            return None
        plan = arguments.product_of(self.layout, None, lists=False, watched=np.unique(self._watch[:, 0]))
        found = arguments.extras(self.layout, self._watch, plan)
        return found if (plan[0][:, 0] >= 0).any() else None

    def __enter__(self) -> Chip:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse further steps; recorded data stay."""
        self.closed = True

    def clear_probes(self) -> None:
        """Do nothing: data are dropped when they are collected."""

    def rewind(self, seed: int) -> None:
        """Go back to the state before the first step, the weights included; drop data and waiting spikes."""
        self.seed, self.t = seed, 0
        fresh = compiled.at_rest(self.layout, len(self.trials), seeds=self._seeds(len(self.trials)))
        for mine, new in zip(self.batch.arrays, fresh.arrays, strict=True):
            mine[:] = new
        for source in self.inputs:
            for step in set(source.spikes) - source.permanent:
                del source.spikes[step]
        for trial in self.trials:
            trial.clear()

    def begin_with(self, learned: npt.NDArray[np.int32]) -> None:
        """Take other weights for those before the first step, of a model whose own have changed since."""
        self.layout = dataclasses.replace(self.layout, learned=learned)

    def state(self) -> dict[str, Any]:
        """Copy all state out: of every sample, and what the model's inputs hold."""
        return {
            "t": self.t,
            "seed": self.seed,
            "batch": [a.copy() for a in self.batch.arrays],
            "errors": self.errors.copy(),
            "inputs": [dict(source.spikes) for source in self.inputs],
            "trials": [trial.state() for trial in self.trials],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned, of a chip of the same model and size."""
        words = np.asarray(state["batch"][3]).astype(np.uint32)
        if state["t"] < 0 or (words.size and words[:, -1].max() > room.WORDS):
            raise ValueError("it stands before the first step, or its random numbers do behind their end")
        room.check_pending(self.layout, np.asarray(state["batch"][1]))
        self.t, self.seed = state["t"], state["seed"]
        for mine, kept in zip(self.batch.arrays, state["batch"], strict=True):
            mine[:] = kept
        for source, spikes in zip(self.inputs, state["inputs"], strict=True):
            source.spikes.clear()
            source.spikes.update(spikes)
        for trial, kept in zip(self.trials, state["trials"], strict=True):
            trial.set_state(kept)
        self.errors[:] = state["errors"]

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
        size = len(self.trials)
        starts, events = self._events(steps)
        none = np.zeros((size, 0), np.int32)
        given = (np.zeros((size, 0)), starts, events, none, self.errors, np.zeros(0, np.int64))
        out = room.outputs(self.layout, (size, steps), self._watched, spikes=False)
        products = self._products if steps >= MANY and _countable(starts, events) else None
        need = room.Room.of(self.layout, self.batch.fired, starts, product=products is not None)
        spare: list[room.Arrays] = []

        def part(low: int, high: int) -> None:
            try:
                work = self._work_of(need) if size == 1 else spare.pop()
            except IndexError:
                work = need.workspace()
            span = np.array([low, high, self.t, steps, 0, -1], np.int64)
            kernel()(
                span, self._tables, products or self._extras, work, self.batch.arrays, given, out
            )  # fmt: skip
            spare.append(work)

        spread(part, size, cores())
        self.t += steps
        for trial in self.trials:
            trial.keep(out[5][trial.number])
        self._complain(int(np.bitwise_or.reduce(out[3][:, 0])))

    def _work_of(self, need: room.Room) -> room.Arrays:
        """Take the arrays of the run before where they are large enough."""
        if need.most > self._most:
            self._most = need.most
            self._work = dataclasses.replace(need, horizon=HORIZON).workspace()
        return self._work

    def places(self, source: Any, idxs: Any) -> npt.NDArray[np.int64]:
        """Positions of an input's neurons in the kernel."""
        first = self.translation.homes[id(source)][1]
        return np.asarray(self.layout.position[first + np.asarray(idxs, np.int64)])

    def _events(self, steps: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Take the spikes that arrive in the coming steps, per sample and step.

        Those tagged n arrive in step n + 1: the first step's are put down as on their way, and the last
        step's are left, because they may still be added to.
        """
        counts, events = np.zeros((len(self.trials), steps), np.int64), []
        shared = [self._shared(self.t + k) for k in range(steps)]
        for trial in self.trials:
            for k in range(steps):
                at = np.concatenate([*shared[k], *trial.waiting.pop(self.t + k, ())]) if self.inputs else NONE
                if k == 0:
                    np.add.at(self.batch.fired[trial.number, -1], at, 1)
                elif len(at):
                    events.append(at)
                    counts[trial.number, k - 1] = len(at)
        ends = np.cumsum(counts).reshape(counts.shape)
        starts = np.column_stack([ends[:, :1] - counts[:, :1], ends])
        return np.ascontiguousarray(starts), np.concatenate([NONE, *events]).astype(np.int32)

    def _shared(self, tag: int) -> list[npt.NDArray[np.int64]]:
        """Take what the model's inputs hold for a step."""
        return [NONE, *(self.places(source, source.spike_idxs(tag)) for source in self.inputs if tag)]

    def _complain(self, flags: int) -> None:
        for bit, message in CLIPPED.items():
            if flags & bit:
                warnings.warn(message, stacklevel=4)
        for bit, message in FATAL.items():
            if flags & bit and self.strict:
                raise importlib.import_module("nengo.exceptions").SimulationError(message)
            if flags & bit:
                warnings.warn(message, stacklevel=4)

    # --- sample 0, as nengo-loihi's emulator has one sample only ---

    def host2chip(
        self, spikes: Sequence[tuple[Any, int, Any]], errors: Sequence[tuple[Any, int, Any]]
    ) -> None:
        """Put spikes into the model's inputs and set the errors of the coming steps."""
        for source, step, idxs in spikes:
            source.add_spikes(step, idxs)
        self.trials[0].host2chip([], errors)

    def collect_probe_output(self, probe: Any) -> npt.NDArray[Any]:
        """Return and drop a probe's data, weighted and filtered, shape (T, size)."""
        return self.trials[0].collect_probe_output(probe)

    def chip2host(self, receivers: Mapping[Any, Any]) -> None:
        """Send the data of probes to their receivers on the host."""
        self.trials[0].chip2host(receivers)
