import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.numerics.neurons import Compartments, Membrane, MembraneState, compartment_step, step

ONE, ZERO = np.ones(()), np.zeros(())


def integrate_and_fire(threshold=1.0, **options):
    return Membrane(ZERO, ONE, ONE, ONE, ZERO, np.full((), threshold), ZERO, **options)


def run(neuron, currents):
    """Return spikes (or v) and the membrane after every step of one neuron."""
    state, out, v = MembraneState.zeros((1,)), [], []
    for current in currents:
        out.append(step(neuron, state, np.array([current]))[0])
        v.append(state.v[0])
    return out, v


def test_a_hard_reset_forgets_what_is_above_the_threshold_and_a_soft_one_keeps_it():
    assert run(integrate_and_fire(), [0.75] * 4) == ([0, 1, 0, 1], [0.75, 0, 0.75, 0])
    assert run(integrate_and_fire(subtract=True), [0.75] * 4) == ([0, 1, 1, 0], [0.75, 0.5, 0.25, 1.0])


def test_a_spike_needs_more_than_the_threshold():
    assert run(integrate_and_fire(), [1.0])[0] == [0]
    assert run(integrate_and_fire(), [np.nextafter(1.0, 2)])[0] == [1]


@pytest.mark.parametrize("refractory", [0, 1, 3])
def test_a_refractory_neuron_is_held_for_so_many_steps_after_a_spike(refractory):
    spikes = run(integrate_and_fire(refractory=refractory), [2.0] * 12)[0]
    assert spikes == [float(t % (refractory + 1) == 0) for t in range(12)]


def test_an_integrator_puts_out_its_membrane():
    neuron = Membrane(ZERO, ONE, np.full((), 0.5), ONE, np.full((), 0.25), None, ZERO)
    assert run(neuron, [1.0, 0.0, -2.0])[0] == [1.25, 0.875, -1.3125]


def test_a_current_decays_before_the_new_input_is_added():
    neuron = Membrane(np.full((), 0.5), np.full((), 2.0), ONE, ONE, ZERO, None, ZERO)
    assert run(neuron, [1.0, 0.0, 0.0])[0] == [2.0, 3.0, 3.5]


# --- Loihi's compartment against exact Python integers ---


def wrapped(x, bits):
    return (x + 2**bits) % 2 ** (bits + 1) - 2**bits


def decayed(x, keep):
    return (abs(x) * keep >> 12) * (1 if x > 0 else -1)


def exact(c, q, u, v, wait):
    """One compartment in Python's integers, as the chip is documented."""
    u = wrapped(decayed(u, 4095 - int(c.decay_u[0])) + wrapped(q, 21), 23)
    drive = wrapped(u + int(c.bias[0]), 23)
    v = min(max(decayed(v, 4096 - int(c.decay_v[0])) + drive, c.vmin), c.vmax)
    v = 0 if wait > 0 else v
    spiked = v > c.vth[0]
    wait = max((int(c.refract[0]) if spiked else wait) - 1, 0)
    return u, 0 if spiked else v, spiked, wait


DECAY = st.integers(0, 4095)


@given(
    DECAY, DECAY, st.integers(0, 2**17), st.integers(-(2**20), 2**20), st.integers(1, 4),
    st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=20),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_compartments_step_as_exact_integers_do(decay_u, decay_v, vth, bias, refract, inputs):
    c = Compartments(
        *(np.array([x]) for x in (decay_u, decay_v, vth, bias, refract)), vmin=-(2**21) + 1, vmax=2**23 - 1
    )
    zero = np.zeros(1, np.int32)
    arrays, exactly = (zero, zero, zero), (0, 0, 0)
    for q in inputs:
        u, v, spiked, wait = compartment_step(c, np.array([q], np.int32), *arrays)
        want = exact(c, q, *exactly)
        assert (u[0], v[0], spiked[0], wait[0]) == want
        arrays, exactly = (u, v, wait), (want[0], want[1], want[3])


def test_taking_some_compartments_keeps_their_registers():
    c = Compartments(*(np.arange(4) + i for i in range(5)), vmin=-1, vmax=1)
    part = c.take(np.array([3, 1]))
    assert (part.vth.tolist(), part.refract.tolist(), len(part)) == ([5, 3], [7, 5], 2)


def test_compartment_registers_are_read_only():
    c = Compartments(*np.ones((5, 2), int), vmin=-1, vmax=1)
    with pytest.raises(ValueError, match="read-only"):
        c.vth[0] = 5
