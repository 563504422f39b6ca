"""Cores of parts whose numbers stay in floats: cut by the neurons and axons that a core is known to hold."""

import numpy as np
import pytest

from neurodeploy.compiler import compile, fans, maps, partition, tiling
from neurodeploy.compiler.partition import cores_are_published
from neurodeploy.compiler.resources import usage
from neurodeploy.ir import ops
from neurodeploy.reporting.figures import model_figures
from neurodeploy.reporting.fits import core_count, verdict, verdict_line
from neurodeploy.targets import names, target
from tests.compiler.graphs import chain, conv, dense, pruned, readout, spiking


def rows(graph, bound):
    return usage(compile(graph, bound)).cores


def one_layer(rng, inputs, outputs):
    return chain((inputs,), [("d", dense(rng, inputs, outputs)), ("n", spiking())])


def test_only_parts_with_published_cores_are_cut_this_way():
    found = {name for name in names() if cores_are_published(target(name))}
    assert found == {"spinnaker1", "spinn3", "spinn5", "truenorth"}
    assert not cores_are_published(target("truenorth").with_limits(core__in_axons="unknown"))
    assert not cores_are_published(target("truenorth").with_limits(core__neurons="none"))


@pytest.mark.parametrize(("neurons", "cores"), [(256, [256]), (257, [128, 129])])
def test_a_core_takes_as_many_neurons_as_it_holds(neurons, cores, rng):
    found = rows(one_layer(rng, 20, neurons), "spinnaker1")
    assert sorted(row["neurons"].used for row in found) == cores
    assert [row.core for row in found] == list(range(len(cores)))


def test_boxes_of_a_convolution_keep_to_the_axons_of_a_core(rng):
    layers = [("c", conv(rng, 4, 8, padding=1)), ("n", spiking())]
    program = compile(chain((4, 16, 16), layers), "truenorth")
    found = usage(program).cores
    assert sum(row["neurons"].used for row in found) == 8 * 16 * 16
    assert max(row["input axons"].used for row in found) <= 256
    assert "ND302" not in {d.code for d in program.errors}


def test_every_source_takes_an_axon_although_weights_are_equal(rng):
    (row,) = rows(chain((30,), [("d", pruned(rng, 30, 20, keep=0.5)), ("n", spiking())]), "truenorth")
    weight = maps.as_matrix(compile(one_layer(rng, 30, 20), "truenorth").projections[0].map)
    assert row["input axons"].used == 30 == weight.shape[1]
    equal = np.ones((20, 30))
    (row,) = rows(chain((30,), [("d", dense(rng, 30, 20).__class__(equal, np.zeros(20))), ("n", spiking())]),
                  "truenorth")  # fmt: skip
    assert row["input axons"].used == 30


@pytest.mark.parametrize(("neurons", "code"), [(17 * 256, set()), (17 * 256 + 1, {"ND309"})])
def test_cores_are_held_against_those_of_the_chip(neurons, code, rng):
    found = {d.code for d in compile(one_layer(rng, 4, neurons), "spinnaker1").diagnostics}
    assert found & {"ND328", "ND309"} == code


@pytest.mark.parametrize(("cores", "code"), [(2, set()), (1, {"ND309"})])
def test_cores_are_held_against_those_of_the_board(cores, code, rng):
    board = target("spinn3").with_limits(chip__cores=2, board__chips=cores)
    assert {d.code for d in compile(one_layer(rng, 4, 1000), board).errors} == code


def test_ring_buffers_count_a_part_for_each_sign(rng):
    mixed, positive = one_layer(rng, 20, 100), one_layer(rng, 20, 100)
    positive = positive.with_node("d", op=type(positive["d"].op)(np.ones((100, 20)), np.zeros(100)))
    assert rows(mixed, "spinnaker1")[0]["ring buffers"].used == 200
    assert rows(positive, "spinnaker1")[0]["ring buffers"].used == 100


def test_the_verdict_says_how_far_it_goes(rng):
    graph = chain((20,), [("d", dense(rng, 20, 10)), readout()])
    lines = {name: verdict_line(compile(graph, name), 0) for name in ("loihi1", "spinnaker1", "loihi2")}
    assert "fits, 1 core" in lines["loihi1"]
    assert (
        "breaks no limit that is published; its numbers are not written here, 1 core" in lines["spinnaker1"]
    )
    assert "not cut into cores, 6 limits" in lines["loihi2"]  # and no count of cores
    assert "6 limits not published" in lines["loihi2"]
    assert verdict(compile(graph, "spinnaker1")) == "no error, 1 core"
    assert core_count(compile(graph, "odin")) == 1


def test_figures_count_the_cores_that_the_verdict_counts(rng):
    figures = model_figures(compile(one_layer(rng, 20, 257), "spinnaker1"))
    assert figures["card"]["cores"] == len(figures["cores"]) == 2
    assert all("blocks" not in row and "cores" not in row for row in figures["layers"])


def test_a_pruned_kernel_takes_axons_only_where_it_has_weights(rng):
    kernel = conv(rng, 100, 16)
    kept = np.where(rng.random(kernel.weight.shape) < 0.1, kernel.weight, 0.0)
    layer = ops.Conv2d(kept, kernel.bias, kernel.stride, kernel.padding, kernel.dilation, 1)
    program = compile(chain((100, 6, 6), [("c", layer), ("n", spiking())]), "truenorth")
    found = usage(program).cores
    assert max(fans.fan_in(program, program.population("n"))) < 256
    assert all(row["input axons"].used <= 256 for row in found)


def test_a_core_over_its_axons_is_reported_where_no_single_neuron_is(rng, monkeypatch):
    """The finding about a neuron's own inputs stands in only where there is one."""
    weight = np.kron(np.eye(3), np.ones((4, 250)))
    graph = chain((750,), [("d", ops.Affine(weight, np.zeros(12))), ("n", spiking())])
    assert all(row["input axons"].used == 250 for row in rows(graph, "truenorth"))
    whole = tiling.evenly((12, 1, 1))
    monkeypatch.setattr(partition, "_cut", lambda cutter, p, done: partition.Cut((12, 1, 1), whole))
    found = {d.code: d for d in compile(graph, "truenorth").diagnostics}
    assert (found["ND302"].facts["used"], found["ND302"].facts["limit"]) == (750, 256)
    assert "ND501" not in found
