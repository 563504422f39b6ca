"""Pytest plugins for nengo-loihi's own test suite: our chip beside its emulator, or in its place.

`tools/loihi_suite.py` writes down what comes of it. As a plugin this module puts `LockStep` in the place of
nengo-loihi's emulator: both are stepped, and every state, random number, weight and probe is compared after
every step. With ``NEURODEPLOY_DROP_IN`` set, `neurodeploy.LoihiSimulator` takes the place of its simulator
instead.
"""

import json
import os
from pathlib import Path

import numpy as np

from neurodeploy.backends.adapter import nengo_loihi_module
from neurodeploy.backends.chip import Chip

loihi = nengo_loihi_module()
Emulator = loihi.emulator.EmulatorInterface
FIGURES = {"emulators": 0, "steps": 0, "spikes": 0}


class Listener:
    """A receiver on the host that also writes down what it gets."""

    def __init__(self, inner=None):
        self.inner, self.got = inner, []

    def receive(self, time, x):
        """Take one vector."""
        self.got.append((time, x))
        if self.inner is not None:
            self.inner.receive(time, x)


class LockStep(Emulator):
    """nengo-loihi's emulator and our chip on one model, compared after every step.

    Models in floats are left to nengo-loihi's.
    """

    def __init__(self, model, seed=None):
        super().__init__(model, seed=seed)
        self.chip = None
        if self.block_info.dtype != np.int32:
            return
        FIGURES["emulators"] += 1
        self.rules = [s for block in model.blocks for s in block.synapses if s.learning]
        self.weights = [[w.copy() for w in s.weights] for s in self.rules]
        self.chip = Chip(model, seed=self.seed)
        self.chip.strict = self.strict
        self.chip_weights = [s.weights for s in self.rules]

    def _use(self, weights):
        for synapse, own in zip(self.rules, weights, strict=True):
            synapse.weights = own

    def step(self):
        """Step both."""
        if self.chip is None:
            super().step()
            return
        waiting = [dict(source.spikes) for source in self.inputs]
        self._use(self.weights)
        error = raised(super().step)
        left = [dict(source.spikes) for source in self.inputs]
        for source, spikes in zip(self.inputs, waiting, strict=True):
            source.spikes = spikes
        self._use(self.chip_weights)
        assert str(raised(self.chip.step)) == str(error), "one of the two raises something else"
        assert [source.spikes.keys() for source in self.inputs] == [spikes.keys() for spikes in left]
        if error is not None:
            raise error
        FIGURES["steps"] += 1
        FIGURES["spikes"] += int(self.compartment.spiked.sum())
        self.compare()

    def compare(self):
        """Compare every state."""
        layout, batch = self.chip.layout, self.chip.batch
        at, n = layout.position[layout.outside :], layout.size
        for part, name in enumerate(("current", "voltage", "ref_count")):
            equal(batch.cells[0, part * n + at], getattr(self.compartment, name), name)
        equal(batch.fired[0, -1, at] != 0, self.compartment.spiked, "spiked")
        for line, synapse, own, ours in zip(
            layout.learning, self.rules, self.weights, self.chip_weights, strict=True
        ):
            equal(batch.traces[0, line[4] : line[4] + line[1]], self.synapses.traces[synapse], "trace")
            equal(np.concatenate(ours), np.concatenate(own), "weights")
        if layout.random:
            _, words, position, *_ = self.rng.get_state()
            equal(batch.random[0], np.array([*words, position]), "random numbers")

    def host2chip(self, spikes, errors):
        """Send to both; spikes are queued in the model, once."""
        super().host2chip(spikes, errors)
        if self.chip is not None:
            self.chip.host2chip([], errors)

    def chip2host(self, probes_receivers):
        """Send from both, and compare."""
        if self.chip is None:
            super().chip2host(probes_receivers)
            return
        theirs = {probe: Listener(receiver) for probe, receiver in probes_receivers.items()}
        ours = {probe: Listener() for probe in probes_receivers}
        super().chip2host(theirs)
        self.chip.chip2host(ours)
        for probe, listener in theirs.items():
            assert [t for t, _ in listener.got] == [t for t, _ in ours[probe].got]
            for (_, x), (_, y) in zip(listener.got, ours[probe].got, strict=True):
                equal(y, x, "what goes to the host")

    def collect_probe_output(self, probe):
        """Collect from both, and compare."""
        data = super().collect_probe_output(probe)
        if self.chip is not None:
            equal(self.chip.collect_probe_output(probe), data, "probe")
        return data


def raised(step):
    """Return what a call raises, or None."""
    try:
        step()
    except Exception as error:  # whatever it is, the other one has to raise it too
        return error
    return None


def equal(ours, theirs, what):
    """Require equal values and types."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    assert ours.dtype.kind == theirs.dtype.kind or what == "random numbers", what
    assert np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind == "f"), what


if os.environ.get("NEURODEPLOY_DROP_IN"):
    from neurodeploy.backends.loihi_simulator import LoihiSimulator

    loihi.Simulator = loihi.simulator.Simulator = LoihiSimulator
else:
    loihi.emulator.EmulatorInterface = loihi.simulator.EmulatorInterface = LockStep


def pytest_sessionfinish(session, exitstatus):
    """Write down how much was compared."""
    if "NEURODEPLOY_FIGURES" in os.environ:
        Path(os.environ["NEURODEPLOY_FIGURES"]).write_text(json.dumps(FIGURES))
