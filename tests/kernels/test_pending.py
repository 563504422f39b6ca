"""Spikes on their way between runs, many of one neuron outside among them, against plain sums."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.kernels import compiled
from neurodeploy.kernels.circuit import Circuit, Group, Learning, Noise, Wires
from neurodeploy.kernels.layout import HORIZON, WIDEST_BIAS, lay_out
from neurodeploy.kernels.room import Room
from neurodeploy.numerics.neurons import Compartments, compartment_step

SEEDS = st.integers(0, 2**32 - 1)


def neurons(n, *, threshold=64 * 9000, decay=4095):
    zeros = np.zeros(n, np.int32)
    return Compartments(
        zeros + 40, zeros + decay, zeros + threshold, zeros, zeros + 1, -(2**23) + 1, 2**23 - 1
    )


def dense(source, target, weights, delay=1):
    n, m = weights.shape
    index = np.tile(np.arange(m, dtype=np.int32), n)
    return Wires(source, target, np.arange(n + 1) * m, index, weights.ravel().astype(np.int32), delay)


def circuit(seed, *, outside=None):
    """Draw a host group, small enough for its lists to run over, and two groups in a loop."""
    rng = np.random.default_rng(seed)
    sizes = [outside or int(rng.integers(1, 40)), int(rng.integers(1, 40)), int(rng.integers(1, 40))]
    pairs = [(0, 1), (0, 2), (1, 2), (2, 1)]
    wires = [
        dense(a, b, rng.integers(-20, 21, (sizes[a], sizes[b])) * 64, int(rng.integers(1, 4)))
        for a, b in pairs
    ]
    groups = (Group("in", sizes[0], None), Group("a", sizes[1], neurons(sizes[1])),
              Group("b", sizes[2], neurons(sizes[2])))  # fmt: skip
    return Circuit(groups, tuple(wires))


def oracle(circuit, train):
    """Membranes after the last step."""
    batch, steps = train.shape[:2]
    spikes = [np.zeros((batch, steps, g.size), np.int64) for g in circuit.groups]
    spikes[0] = train.astype(np.int64)
    state = [[np.zeros((batch, g.size), np.int32) for _ in range(3)] for g in circuit.groups]
    for t in range(steps):
        q = [np.zeros((batch, g.size), np.int64) for g in circuit.groups]
        for w in circuit.wires:
            if t >= w.delay:
                weights = w.weight.reshape(circuit.groups[w.source].size, -1).astype(np.int64)
                q[w.target] += spikes[w.source][:, t - w.delay] @ weights
        for g, group in enumerate(circuit.groups):
            if g:
                u, v, wait = state[g]
                u, v, fired, wait = compartment_step(group.compartments, q[g].astype(np.int32), u, v, wait)
                state[g], spikes[g][:, t] = [u, v, wait], fired
    return np.concatenate([s[1] for s in state], axis=1)


def end_of(layout, train, cuts, *, keep="spikes", saved=False):
    """Membranes after runs of so many steps, without a train where there is no spike to give."""
    batch, t = compiled.at_rest(layout, len(train)), 0
    for steps in cuts:
        part = train[:, t : t + steps]
        compiled.advance(layout, batch, steps=steps, first=t, train=part if part.any() else None, keep=keep)
        t += steps
        if saved:
            batch = compiled.restore(layout, compiled.snapshot(layout, batch, t))
    return compiled.snapshot(layout, batch, t).v


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([1, 2, 7, 33]), st.sampled_from([2, 130, 255, 300]), st.booleans())
def test_many_spikes_of_one_neuron_give_the_same_however_a_run_is_cut(seed, batch, most, saved):
    rng, drawn = np.random.default_rng(seed), circuit(seed)
    train = rng.integers(0, most + 1, (batch, 12, drawn.groups[0].size))
    train[:, rng.random(12) < 0.5] = 0  # runs without input, while spikes are on their way
    expected, layout = oracle(drawn, train), lay_out(drawn)
    for cuts in ([12], [1] * 12, [5, 1, 6]):
        for keep in ("spikes", "all"):
            assert np.array_equal(end_of(layout, train, cuts, keep=keep, saved=saved), expected)


@pytest.mark.parametrize("cuts", [[140], [HORIZON] * 2 + [12], [HORIZON - 1, 3, 74]])
def test_spikes_on_both_sides_of_a_horizon_have_room(cuts):
    drawn = circuit(5, outside=1)
    train = np.zeros((2, 140, 1), np.int32)
    train[:, HORIZON - 3 : HORIZON + 2] = 3000
    train[1, 2 * HORIZON - 2 :] = 5000
    assert np.array_equal(end_of(lay_out(drawn), train, cuts), oracle(drawn, train))


def test_room_counts_what_is_on_its_way_though_nothing_is_given():
    layout = lay_out(circuit(5, outside=1))
    batch = compiled.at_rest(layout, 2)
    batch.fired[1, :, 0] = 70_000
    room = Room.of(layout, batch.fired, np.zeros((2, 4), np.int64))
    lists, starts = room.workspace()[3:5]
    assert starts[1] >= 70_000 * layout.delay
    assert len(lists) >= starts[1] + (layout.size - layout.groups[1, 0]) * (3 + layout.delay)


@pytest.mark.parametrize(("place", "count"), [(0, -1), (-1, 2)])
def test_a_state_with_spikes_no_run_leaves_is_refused(place, count):
    layout = lay_out(circuit(1))
    state = compiled.snapshot(layout, compiled.at_rest(layout, 1), 0)
    state.spiked[0, 0, place] = count
    with pytest.raises(ValueError, match="spikes on their way"):
        compiled.restore(layout, state)


def test_a_state_that_counts_in_bytes_is_taken():
    layout = lay_out(circuit(1))
    state = compiled.snapshot(layout, compiled.at_rest(layout, 1), 0)
    state.spiked[0, 0, 0] = 200
    kept = compiled.restore(layout, dataclasses.replace(state, spiked=state.spiked.astype(np.uint8)))
    assert np.array_equal(compiled.snapshot(layout, kept, 0).spiked, state.spiked)


def alone(**options):
    """One neuron that integrates, fed by nothing but its bias."""
    zeros = np.zeros(1, np.int32)
    cell = Compartments(zeros + 4094, zeros, zeros + 131071 * 64, zeros, zeros + 1, -(2**23) + 1, 2**23 - 1)
    return lay_out(Circuit((Group("a", 1, cell, **options),), ()))


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_bias_of_a_sample_is_taken_up_to_where_it_would_have_to_wrap(sign):
    layout = alone()
    for bias, fine in ((WIDEST_BIAS, True), (WIDEST_BIAS + 1, False)):
        given_ = {"steps": 1, "bias": np.array([[sign * bias]], np.int32), "keep": "all"}
        if fine:
            figures = compiled.advance(layout, compiled.at_rest(layout, 1), **given_)
            assert figures.trace.v.ravel() == [sign * bias]
        else:
            with pytest.raises(ValueError, match="per-sample bias is beyond 4,194,304"):
                compiled.advance(layout, compiled.at_rest(layout, 1), **given_)


def test_a_bias_of_a_sample_beside_noise_at_the_membrane_is_refused():
    layout = alone(noise=Noise(np.ones(1), np.zeros(1, np.int32), np.ones(1, bool)))
    with pytest.raises(ValueError, match="noise at its membrane"):
        compiled.advance(layout, compiled.at_rest(layout, 1), steps=1, bias=np.ones((1, 1), np.int32))


def test_an_order_of_neurons_that_learn_is_refused():
    group = Group("b", 2, neurons(2), order=np.array([1, 0]))
    rule = Learning(
        target=1, weight=np.zeros((1, 2), np.int32), axons=((0, np.zeros(1, np.int32)),), decay=0.5, gain=1.0,
        rate=1, product_shift=0, weight_shift=0, back_shift=0, round_bits=1, top=127, trace_every=1,
        learn_every=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"leave Group\.order out"):
        lay_out(Circuit((Group("a", 1, None), group), (), learning=(rule,)))
