"""PES in our engine is nengo-loihi's, bit for bit: traces and weights after every step."""

import numpy as np
import pytest

from neurodeploy.backends import plastic
from neurodeploy.backends.run_on_host import load_train
from neurodeploy.learning import pes
from neurodeploy.learning.arithmetic import NENGO_LOIHI
from neurodeploy.learning.engine import at_rest, step
from neurodeploy.targets import target

pytest.importorskip("nengo_loihi")


@pytest.mark.filterwarnings("ignore:Clipping")
@pytest.mark.filterwarnings("ignore:Synaptic trace")
@pytest.mark.parametrize(("rate", "tau", "steps"), [(0.05, 5.0, 120), (2.0, 20.0, 60), (60.0, 3.0, 40)])
def test_traces_and_weights_are_nengo_loihis_after_every_step(rng, rate, tau, steps):
    from nengo_loihi.emulator import EmulatorInterface

    readout = plastic.build(rng.normal(size=(3, 12)), pes.PES(rate=rate, tau=tau), target("loihi1"))
    load_train(readout.model, rng.random((steps, 12)) < rng.uniform(0, 0.5, 12))
    core = readout.cores[0]
    rule = pes.on_chip(tau=core.synapse.tracing_tau, impulse=core.synapse.tracing_mag)
    last_bit = 2 ** (core.synapse.synapse_cfg.real_weight_exp + 1)
    ours = at_rest(core.weights.T // last_bit * 2)
    chip = EmulatorInterface(readout.model, seed=7)
    chip.synapses.error = chip.compartment.error = lambda message: None
    random, seen = np.random.RandomState(0), set()
    with chip:
        for _ in range(steps):
            chip.host2chip([], [(core.synapse, chip.t + 1, rng.uniform(-1, 1, 3))])
            random.set_state(chip.rng.get_state())
            chip.step()
            error = chip.synapses.pes_errors[core.synapse]
            ours = step(
                rule,
                ours,
                pre=np.isin(np.arange(12), [s.axon_idx for s in chip.synapses.spikes_in[core.synapse]]),
                post=np.zeros(6),
                imposed={"y1": np.concatenate([-error, error])},
                rng=random,
                arithmetic=NENGO_LOIHI,
            )
            theirs = core.weights.T // last_bit * 2
            seen.add(theirs.tobytes())
            assert (ours.w == theirs).all()
            assert (ours.traces["x1"] == chip.synapses.traces[core.synapse]).all()
    assert len(seen) > steps / 10


@pytest.mark.parametrize("sign", [1, -1])
def test_two_rules_for_the_two_signs_are_one_rule_with_a_signed_error(rng, sign):
    error, pre = rng.integers(1, 128, 6), rng.random((40, 9)) < 0.4
    start = at_rest(2 * rng.integers(-60, 60, (6, 9)))
    ends = []
    for decrease, value in ((False, sign * error), (sign < 0, error)):
        rule, random, s = pes.on_chip(tau=6, impulse=20.5, decrease=decrease), np.random.RandomState(5), start
        for spikes in pre:
            s = step(rule, s, pre=spikes, post=np.zeros(6), rng=random, imposed={"y1": value},
                     arithmetic=NENGO_LOIHI)  # fmt: skip
        ends.append(s.w)
    assert (ends[0] == ends[1]).all()
    assert (ends[0] != start.w).any()
