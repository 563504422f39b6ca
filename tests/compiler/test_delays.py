"""Delays of a network become delays of synapses: spikes arrive late, by exactly so many steps."""

import dataclasses

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.cli import main
from neurodeploy.compiler import compile, maps
from neurodeploy.compiler.resources import usage
from neurodeploy.errors import OptionError
from neurodeploy.ir import ops
from tests.compiler.graphs import DT, chain, conv, dense, readout, spiking

STEPS = 40


def delay(*steps, shape=None):
    return ops.Delay(
        np.array(steps, float).reshape(shape or (-1,)) * DT if len(steps) > 1 else np.array(steps[0] * DT)
    )


def late_net(rng, before, after=None, *, bias=0.0):
    weighted = ops.Affine(rng.uniform(-0.2, 0.5, size=(6, 12)), np.full(6, bias))
    layers = [("z", before), ("d", weighted), *([("y", after)] if after else []), ("n", spiking(1.5))]
    return chain((12,), [*layers, ("e", dense(rng, 6, 3)), readout()])


def spikes(program, x, name):
    """(steps, neurons) of the first sample on the emulator."""
    found = stages.run(program, x, steps=STEPS).raster[name]
    out = np.zeros((STEPS, program.population(name).size), np.int64)
    out[found[:, 0], found[:, 1]] = 1
    return out


def expected(program, entering, late):
    """What integrators, whose currents leave a rest, do with spikes that arrive 1 + `late` steps on."""
    out = program.population("n")
    weight = sum(
        maps.as_matrix(p.map).toarray().astype(np.int64) for p in program.projections if p.target == "n"
    )
    v, u, fired = *np.zeros((2, out.size), np.int64), np.zeros((STEPS, out.size), np.int64)
    rest = 4096 - 1 - out.compartments.decay_u.astype(np.int64)
    for t in range(STEPS):
        sent = np.array([entering[t - 1 - k, i] if t - 1 - k >= 0 else 0 for i, k in enumerate(late)])
        u = np.sign(u) * ((np.abs(u) * rest) >> 12) + weight @ sent
        v += u
        fired[t] = v > out.compartments.vth
        v[fired[t] > 0] = 0
    return fired


@pytest.fixture
def x(rng):
    return rng.uniform(0.2, 0.9, (1, 12))


@pytest.mark.parametrize(
    "late", [[0] * 12, [3] * 12, [0, 1, 2, 5, 0, 1, 2, 5, 9, 9, 62, 1]], ids=["none", "one", "many"]
)
def test_every_spike_arrives_as_late_as_its_source_is_delayed(late, rng, x):
    program = compile(late_net(rng, delay(*late)))
    assert not program.errors
    assert sorted({p.delay for p in program.projections if p.target == "n"}) == sorted({1 + k for k in late})
    entering = spikes(program, x, "encoder")
    found = spikes(program, x, "n")
    np.testing.assert_array_equal(found, expected(program, entering, late))
    assert found.sum() > 3


def test_delays_before_and_behind_the_weights_add_up(rng, x):
    graph = late_net(rng, delay(2), delay(3))
    program = compile(graph)
    assert [p.delay for p in program.projections] == [6, 1]
    np.testing.assert_array_equal(
        spikes(program, x, "n"), expected(program, spikes(program, x, "encoder"), [5] * 12)
    )


def test_unlike_delays_behind_weights_are_refused(rng):
    with pytest.raises(OptionError, match="'y' delays its values by 0 to 5 steps, behind a layer that mixes"):
        compile(late_net(rng, delay(1), delay(*range(6))))


def test_a_convolution_stays_one_behind_a_delay(rng):
    layers = [
        ("z", delay(4)),
        ("c", conv(rng, 2, 4)),
        ("n", spiking()),
        ("f", ops.Flatten()),
        ("d", dense(rng, 144, 3)),
    ]
    program = compile(chain((2, 8, 8), [*layers, readout()]))
    assert type(program.projections[0].map).__name__ == "ConvMap"
    assert {s.delay for b in program.blocks if b.population == "n" for s in b.synapses} == {5}


@pytest.mark.parametrize(("late", "cores"), [(6, [1024]), (7, [512, 512]), (62, [128] * 8)])
def test_blocks_leave_room_for_what_is_to_arrive(late, cores, rng):
    graph = chain((4,), [("z", delay(late)), ("d", dense(rng, 4, 1024)), ("n", spiking())])
    program = compile(graph)
    assert not program.errors
    rows = usage(program).cores
    assert sorted(row["compartments"].used for row in rows) == cores
    assert all(row["dendritic accumulators"].used <= 8192 for row in rows)


@pytest.mark.parametrize(("late", "code"), [(62, set()), (63, {"ND508"})])
def test_a_longer_delay_than_the_field_holds_is_an_error(late, code, rng):
    assert {d.code for d in compile(late_net(rng, delay(late))).errors} == code


@pytest.mark.parametrize(("late", "code"), [(15, set()), (16, {"ND508"})])
def test_the_same_holds_where_nothing_is_laid_out(late, code, rng):
    assert {d.code for d in compile(late_net(rng, delay(late)), "spinnaker1").errors} == code


def test_a_delay_is_cut_short_only_where_that_is_allowed_and_said(rng, x):
    graph = late_net(rng, delay(80))
    program = compile(graph, clip_delays=True)
    (note,) = [d for d in program.diagnostics if d.code == "ND518"]
    assert (note.facts["used"], note.facts["limit"]) == (80, 62)
    assert program.projections[0].delay == 63
    assert not program.errors
    assert "ND518" not in {d.code for d in compile(late_net(rng, delay(62)), clip_delays=True).diagnostics}


def test_a_part_without_delays_says_so(rng):
    assert "ND510" in {d.code for d in compile(late_net(rng, delay(1)), "brainscales2").errors}
    assert "ND510" not in {d.code for d in compile(late_net(rng, delay(0)), "brainscales2").errors}


def test_a_bias_before_a_delay_is_told(rng):
    graph = late_net(rng, delay(0), delay(3), bias=0.5)
    assert "ND519" in {d.code for d in compile(graph).diagnostics}
    assert "ND519" not in {d.code for d in compile(late_net(rng, delay(3), bias=0.5)).diagnostics}


def test_samples_are_not_delayed(rng):
    graph = late_net(rng, delay(0))
    nodes = (graph.nodes[0], dataclasses.replace(graph.nodes[2], name="w"), graph.nodes[1], *graph.nodes[3:])
    edges = [("input", "w"), ("w", "encoder"), ("encoder", "d"), *graph.edges[3:]]
    with pytest.raises(OptionError, match="delays samples on their way in"):
        compile(dataclasses.replace(graph, nodes=nodes, edges=tuple(edges)))


def test_check_and_run_take_a_network_with_delays(rng, tmp_path, capsys):
    stages.save(late_net(rng, delay(80)), tmp_path / "late.nd")
    assert main(["check", str(tmp_path / "late.nd")]) == 1
    assert "error[ND508]" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "late.nd"), "--clip-delays"]) == 0
    assert "delay-clipped" in capsys.readouterr().out
    stages.save(late_net(rng, delay(5)), tmp_path / "ok.nd")
    np.savez(tmp_path / "d.npz", x=rng.random((2, 12)), y=np.array([0, 1]))
    assert main(["run", str(tmp_path / "ok.nd"), "--data", str(tmp_path / "d.npz")]) == 0
    run = ["run", str(tmp_path / "ok.nd"), "--data", str(tmp_path / "d.npz"), "--backend"]
    assert main([*run, "nengo"]) == 0
    assert main([*run, "nengo-loihi"]) == 2
    assert "has no delays" in capsys.readouterr().err


def test_sharing_cores_keeps_delays_apart(rng):
    layers = [("z", delay(20)), ("d", dense(rng, 4, 100)), ("n", spiking()), ("e", dense(rng, 100, 100))]
    layers += [("m", spiking()), ("g", dense(rng, 100, 4)), readout()]
    program = compile(chain((4,), layers))
    assert not program.errors
    assert program.cores[0] != program.cores[1]
