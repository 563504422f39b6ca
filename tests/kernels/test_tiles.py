import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.kernels import arguments, compiled, reference
from neurodeploy.kernels.circuit import Circuit, Group, Wires, circuit_of
from neurodeploy.kernels.layout import lay_out
from neurodeploy.kernels.matrix import available
from neurodeploy.kernels.tiles import ACCUMULATE, ANY, BLOCK, synapses
from neurodeploy.numerics.neurons import Compartments
from tests.kernels import programs

SEEDS = st.integers(0, 2**32 - 1)
unit = pytest.mark.skipif(not available(), reason="this processor has no matrix unit that can be used")


def wires(rng, source, target, sizes, *, density=1.0, shift=6, delay=1):
    """Draw synapses between two groups."""
    hold = rng.random((sizes[source], sizes[target])) < density
    start = np.concatenate([[0], np.cumsum(hold.sum(axis=1))]).astype(np.int64)
    weight = rng.integers(-127, 128, int(hold.sum())).astype(np.int32) << shift
    return Wires(source, target, start, np.nonzero(hold)[1].astype(np.int32), weight.astype(np.int32), delay)


def loops(group, size, weight):
    """Make a synapse from every neuron to itself."""
    index = np.arange(size, dtype=np.int32)
    return Wires(group, group, np.arange(size + 1, dtype=np.int64), index, np.full(size, weight, np.int32))


def neurons(rng, size, kind):
    """Draw compartments, those that accumulate or any."""
    bias = rng.integers(-4000, 4000, size).astype(np.int32)
    if kind == "any":
        return programs.compartments(rng, size, "lif")
    level = {"accumulate": 3072, "far": 8388544}[kind]
    zeros = np.zeros(size, np.int32)
    return Compartments(zeros, zeros + 4095, zeros + level, bias, zeros + 1, -(2**23) + 1, 2**23 - 1)


def circuit(seed):
    """Draw layers, some fed by two others, some that loop, of neurons of all kinds."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(1, 150, 5)]
    kinds = rng.choice(["accumulate", "far", "any"], 5)
    groups = [Group(str(g), n, neurons(rng, n, kinds[g]) if g else None) for g, n in enumerate(sizes)]
    found = []
    for g in range(1, 5):
        shift = int(rng.integers(0, 9))
        found.append(wires(rng, g - 1, g, sizes, density=rng.choice([0.1, 0.5, 1.0]), shift=shift))
        if g > 1 and rng.random() < 0.5:
            near = shift + int(rng.integers(0, 3))
            found.append(wires(rng, g - 2, g, sizes, density=0.05, shift=near))
        if rng.random() < 0.6:
            found.append(loops(g, sizes[g], -int(rng.integers(1, 60)) << 6))
    return Circuit(tuple(groups), tuple(found))


def ways(layout, monkeypatch, *, steps, given, size=5, **options):
    """Run by products, however few samples there are, and by events."""
    monkeypatch.setattr(compiled, "PAYS", 1)
    for usable in (True, False):
        monkeypatch.setattr(compiled, "unit_available", lambda usable=usable: usable)
        batch = compiled.at_rest(layout, size)
        first = compiled.advance(layout, batch, steps=steps, **given(0, steps), **options)
        second = compiled.advance(layout, batch, steps=7, first=steps, **given(steps, 7), **options)
        yield first, second, batch


def assert_equal(both):
    (*one, batch), (*other, batch_) = both
    for a, b in zip(one, other, strict=True):
        for field in ("decisions", "spikes", "synops", "flags", "spiked"):
            assert np.array_equal(getattr(a, field), getattr(b, field)), field
    for a, b in zip(batch.arrays, batch_.arrays, strict=True):
        assert np.array_equal(a, b)


@unit
@settings(max_examples=40, deadline=None)
@given(
    SEEDS,
    st.sampled_from([1, 12, 33, 64, 70, 130]),
    st.sampled_from(["figures", "spikes"]),
    st.sampled_from([1, 2, 7, 33]),
)
def test_products_give_what_events_give(seed, steps, keep, size):
    layout = lay_out(circuit(seed))
    rng = np.random.default_rng(seed)
    rates = rng.random((size, layout.outside)) * rng.random()
    readout = arguments.Readout(int(rng.integers(1, 5)), str(rng.choice(["membrane", "spikes"])))
    with pytest.MonkeyPatch.context() as patch:
        both = list(
            ways(
                layout,
                patch,
                steps=steps,
                size=size,
                keep=keep,
                readout=readout,
                given=lambda *_: {"rates": rates},
            )
        )
    assert_equal(both)


@unit
@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from([bool, np.int32]))
def test_given_spikes_however_many_are_counted_by_products_too(seed, kind):
    layout = lay_out(circuit(seed))
    train = (np.random.default_rng(seed).random((5, 77, layout.outside)) * 3).astype(kind)
    with pytest.MonkeyPatch.context() as patch:
        both = list(
            ways(layout, patch, steps=70, given=lambda at, n: {"train": train[:, at : at + n]}, keep="spikes")
        )
    assert_equal(both)


@unit
@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_products_give_the_oracles_spikes_and_end(seed):
    program = programs.program(seed)
    train = np.random.default_rng(seed).random((4, 12, program.populations[0].size)) < 0.4
    trace, end = reference.run(program, train, steps=12, batch=4)
    layout = lay_out(circuit_of(program))
    batch = compiled.at_rest(layout, 4)
    figures = compiled.advance(layout, batch, steps=12, train=train, keep="spikes")
    inside = figures.spiked[:, :, layout.outside :]
    assert np.array_equal(inside, trace.spiked[:, :, -inside.shape[2] :])
    state = compiled.snapshot(layout, batch, 12)
    for field in dataclasses.fields(state):
        assert np.array_equal(getattr(state, field.name), getattr(end, field.name)), field.name


def test_the_random_circuits_reach_both_ways_of_stepping_with_loops_and_without():
    seen = set()
    for seed in range(40):
        for first, _, loop, how in lay_out(circuit(seed)).tiles.groups.tolist():
            seen.add((first >= 0, loop != 0, how))
    assert {(True, a, b) for a in (False, True) for b in (ANY, ACCUMULATE)} <= seen


def test_blocks_add_up_to_the_synapses_from_earlier_groups():
    layout = lay_out(circuit(3))
    tiles, expected = layout.tiles, {}
    for wire in layout.wires:
        shift = tiles.groups[wire[1], 1]
        if tiles.groups[wire[1], 0] >= 0 and wire[0] != wire[1]:
            for source, target, weight in zip(*synapses(layout, wire), strict=True):
                key = int(source), int(target)
                expected[key] = expected.get(key, 0) + (int(weight) << int(wire[3] - shift))
    blocks = tiles.blocks.reshape(-1, 2, 16, 16, 4)  # half of the targets, four sources, target, source
    found = {}
    for g, (first, *_) in enumerate(tiles.groups.tolist()):
        start, size = layout.groups[g, :2].tolist()
        for panel in range(-(-size // 32) if first >= 0 else 0):
            for e in range(*tiles.panels[first + panel : first + panel + 2]):
                bank, number = tiles.entries[2 * e : 2 * e + 2].tolist()
                for half, four, lane, one in np.argwhere(blocks[number]).tolist():
                    key = 64 * bank + 4 * four + one, start + 32 * panel + 16 * half + lane
                    found[key] = found.get(key, 0) + int(blocks[number, half, four, lane, one])
    assert found == {key: weight for key, weight in expected.items() if weight}
    assert BLOCK == 64 * 32


def test_delays_loops_of_different_weight_and_wide_weights_are_left_to_events():
    rng = np.random.default_rng(0)
    sizes = [64, 64]
    groups = (Group("in", 64, None), Group("out", 64, neurons(rng, 64, "accumulate")))
    plain = wires(rng, 0, 1, sizes)
    uneven = loops(1, 64, -64)
    uneven.weight[3] *= 2
    cases = {
        "plain": ((plain,), True),
        "late": ((wires(rng, 0, 1, sizes, delay=2),), False),
        "uneven": ((plain, uneven), False),
        "wide": ((dataclasses.replace(plain, weight=plain.weight * 999 + 1),), False),
        "sparse": ((wires(rng, 0, 1, sizes, density=0.002),), False),
    }
    for name, (given_wires, expected) in cases.items():
        tiles = lay_out(Circuit(groups, given_wires)).tiles
        assert (tiles.groups[1, 0] >= 0) == expected, name
