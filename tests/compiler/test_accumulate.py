"""Reset by subtraction out of compartments that reset to zero."""

import dataclasses

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.backends.emulator import trains
from neurodeploy.errors import FindingWarning
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.ir.simulate import simulate
from tests.compiler.graphs import DT, chain


def soft(rng, bias, v_init=0.0):
    """An identity in front of neurons that subtract, with a bias and a start."""
    neuron = ops.IF(np.array(1 / DT), np.ones(()), reset="subtract", v_init=np.asarray(v_init))
    last = ops.I(np.array(1 / DT))
    nodes = [
        ("fc", ops.Affine(np.diag([1.0, 0.625, -1.0]), np.asarray(bias))), ("n", neuron),
        ("last", ops.Affine(np.eye(3), np.zeros(3))),
        Node("read", last, notes={"role": "output", "peak_drive": 2.0, "peak_membrane": 60.0}),
    ]  # fmt: skip
    return chain((3,), nodes)


def counts(graph, x, steps):
    program = nd.compile(graph, "loihi1", steps=steps).raise_for_errors()
    spikes = trains(program, x, steps=steps, input_coding="rate", seed=0)["n"]
    seen = np.zeros((len(x), steps, 3))

    def watch(t, name, drive, out):
        if name == "n":
            seen[:, t] = out

    simulate(graph, x, steps=steps, watch=watch)
    return spikes, seen


@pytest.mark.parametrize("steps", [20, 200])
@pytest.mark.parametrize("bias", [[0.0, 0.0, 0.0], [0.25, -0.125, 0.75]])
def test_the_chip_counts_what_floats_count(rng, bias, steps):
    x = rng.random((40, 3))
    spikes, seen = counts(soft(rng, bias, v_init=0.5), x, steps)
    got, want = spikes.sum(axis=1), seen.sum(axis=1)
    assert np.abs(got - want).max() <= 1 + steps // 64  # 1/4096 of a charge goes in a step
    assert np.abs(got - want).mean() < 0.3 + steps / 400  # biases are rounded to weights


def test_nothing_above_the_threshold_is_lost():
    graph = soft(None, np.zeros(3))
    spikes, _ = counts(graph, np.full((1, 3), 0.8), 100)
    first, second, third = spikes.sum(axis=1)[0]
    assert abs(first - 79) <= 1  # a reset to zero would keep 50 of them
    assert abs(second - 49) <= 1  # and 40 here, where every second input is too little
    assert third == 0


def test_a_clock_stands_for_biases_and_a_synapse_to_itself_for_the_threshold():
    program = nd.compile(soft(None, [0.25, 0.0, 0.5]), "loihi1")
    names = [p.name for p in program.populations]
    assert names == ["encoder", "clock", "n", "read"]
    assert {(p.source, p.target) for p in program.projections} == {
        ("encoder", "n"), ("n", "n"), ("clock", "n"), ("n", "read"),
    }  # fmt: skip
    plain = nd.compile(soft(None, np.zeros(3)), "loihi1")
    assert [p.name for p in plain.populations] == ["encoder", "n", "read"]


def found(bias, weight=1.0):
    graph = soft(None, bias)
    fc = dataclasses.replace(graph["fc"].op, weight=np.diag([weight, 0.625, -1.0]))
    program = nd.compile(graph.with_node("fc", op=fc), "loihi1")
    return {d.code: d for d in program.diagnostics}


def test_biases_that_hardly_count_may_round_to_nothing():
    assert found(np.full(3, 1e-4)).keys() & {"ND403", "ND434"} == set()


def test_the_clock_is_blamed_for_biases_that_rounding_moves():
    lost = 0.4 / 255  # of the largest weight, whose 255th part is the least step: this rounds to nothing
    assert "ND434" not in found(np.full(3, 6 * lost), weight=6.0)
    over = found(np.full(3, 7 * lost), weight=7.0)
    assert "ND403" not in over
    assert over["ND434"].facts["source"] == "clock"
    assert "the biases, which 'clock' brings" in over["ND434"].message
    assert over["ND434"].facts["used"] == pytest.approx(7 * lost, rel=0.02)


def test_a_part_that_subtracts_is_left_alone():
    program = nd.compile(soft(None, [0.25, 0.0, 0.5]), "loihi2")
    assert all(p.membrane.subtract for p in program.populations if p.name == "n")


@pytest.mark.parametrize("bits", [3, 8])
def test_narrow_weights_leave_thresholds_and_biases_wide(bits):
    program = nd.compile(soft(None, [0.25, 0.0, 0.5]), "loihi1", weight_bits=bits)
    widths = {(p.source, p.target): p.weight_bits for p in program.projections}
    assert widths["n", "n"] == widths["clock", "n"] == 8
    assert widths["encoder", "n"] <= max(bits, 3) or bits == 8


def test_nengo_loihi_counts_the_same_spikes(rng):
    pytest.importorskip("nengo_loihi")
    program = nd.compile(soft(rng, [0.25, -0.125, 0.75], v_init=0.5), "loihi1", steps=30)
    x = rng.random((3, 3))
    ours, theirs = (nd.run(program, x, backend=b, steps=30) for b in ("loihi-emulator", "nengo-loihi"))
    np.testing.assert_array_equal(ours.outputs, theirs.outputs)
    np.testing.assert_array_equal(ours.spikes["n"], theirs.spikes["n"])
    for name in ours.synops:
        np.testing.assert_array_equal(ours.synops[name], theirs.synops[name])


def test_biases_that_round_to_nothing_take_no_axons(rng):
    pytest.importorskip("nengo_loihi")
    program = nd.compile(soft(rng, [1e-5, 0.0, 0.0], v_init=0.5), "loihi1", steps=30).raise_for_errors()
    assert all(len(s.first_row) for block in program.blocks for s in block.synapses)
    x = rng.random((2, 3))
    ours, theirs = (nd.run(program, x, backend=b, steps=30) for b in ("loihi-emulator", "nengo-loihi"))
    np.testing.assert_array_equal(ours.outputs, theirs.outputs)


def test_a_program_runs_for_the_steps_it_was_compiled_for(rng):
    program = nd.compile(soft(rng, np.zeros(3), v_init=0.5), "loihi1", steps=30)
    assert nd.run(program, rng.random((2, 3))).steps == 30


def test_a_run_that_overflows_says_so(rng):
    program = nd.compile(soft(rng, np.zeros(3), v_init=0.5), "loihi1", steps=30)
    x = np.full((2, 3), [0.0, 0.0, 1.0])
    assert "registers overflowed" not in str(nd.report(program, nd.run(program, x)))
    with pytest.warns(FindingWarning, match="ND713"):
        long = nd.run(program, x, steps=4000)
    assert "registers overflowed: current in 2" in str(nd.report(program, long))
