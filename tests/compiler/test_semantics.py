"""Whatever the partition, a spike adds exactly the quantised weights of its projection."""

import dataclasses

import numpy as np
import pytest

from neurodeploy.compiler import compile, maps
from neurodeploy.ir import ops, paths
from neurodeploy.program import ConvMap, Program
from tests.compiler.graphs import chain, conv, dense, pruned, readout, small, spiking

RELAXED = {"core__compartments": 1024}
FEW_NEURONS = {"core__compartments": 40}
LITTLE_MEMORY = {"core__synapse_memory_words": 600}
FEW_OUTPUTS = {"core__out_axon_entries": 160}
CORES = [RELAXED, FEW_NEURONS, LITTLE_MEMORY, FEW_OUTPUTS]
NAMES = ["relaxed", "few neurons", "little memory", "few outputs"]


def deliver(program: Program, spikes: dict) -> dict:
    """What every neuron accumulates: the definition in `Synapses`, literally."""
    q = {p.name: np.zeros(p.size, np.int64) for p in program.populations}
    for block in program.blocks:
        for s in block.synapses:
            for i in np.flatnonzero(spikes[s.source]):
                if s.axon[i] >= 0:
                    row = s.first_row[s.axon[i]] + s.atom[i]
                    k = slice(s.row_start[row], s.row_start[row + 1])
                    at = block.neurons[s.base[s.axon[i]] + s.index[k]]
                    np.add.at(q[block.population], at, s.weight[k])
    return q


def expected(program: Program, spikes: dict) -> dict:
    q = {p.name: np.zeros(p.size, np.int64) for p in program.populations}
    for p in program.projections:
        q[p.target] += maps.as_matrix(p.map).astype(np.int64) @ spikes[p.source].astype(np.int64)
    return q


def check(program: Program, rng) -> None:
    assert program.blocks
    for _ in range(2):
        spikes = {p.name: rng.random(p.size) < 0.2 for p in program.populations}
        want, got = expected(program, spikes), deliver(program, spikes)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name], err_msg=name)


CONVS = {
    "valid": {},
    "same": {"padding": 1},
    "strided": {"stride": 2, "padding": 1},
    "stride over kernel": {"kernel": 2, "stride": 3},
    "dilated": {"dilation": 2, "padding": 2},
    "grouped": {"groups": 2, "padding": 1},
    "depthwise": {"groups": 4, "padding": 1},
}


@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
@pytest.mark.parametrize("limits", CORES, ids=NAMES)
def test_convolutions_deliver_their_weights(options, limits, rng):
    layers = [("c1", conv(rng, 4, 8, **options)), ("n1", spiking()), ("c2", conv(rng, 8, 4, 2, padding=1))]
    graph = chain((4, 9, 10), [*layers, ("n2", spiking()), ("f", ops.Flatten()), readout()])
    check(compile(graph, small(**limits)), rng)


@pytest.mark.parametrize("limits", CORES, ids=NAMES)
def test_dense_and_pruned_layers_deliver_their_weights(limits, rng):
    layers = [("d1", dense(rng, 90, 70)), ("n1", spiking()), ("d2", pruned(rng, 70, 60)), ("n2", spiking())]
    graph = chain((90,), [*layers, ("d3", dense(rng, 60, 5)), readout()])
    check(compile(graph, small(**limits)), rng)


@pytest.mark.parametrize("limits", CORES, ids=NAMES)
def test_pools_merge_into_the_next_layer(limits, rng):
    pool = ops.AvgPool2d((2, 2), (2, 2))
    layers = [("c1", conv(rng, 2, 6, padding=1)), ("n1", spiking()), ("p1", pool)]
    layers += [("c2", conv(rng, 6, 8, padding=1)), ("n2", spiking()), ("p2", pool), ("f", ops.Flatten())]
    graph = chain((2, 12, 12), [*layers, ("d", dense(rng, 8 * 9, 10)), readout()])
    program = compile(graph, small(**limits))
    merged = program.projections[1]
    assert isinstance(merged.map, ConvMap)
    assert merged.map.weight.shape == (8, 6, 6, 6)
    check(program, rng)


@pytest.mark.parametrize("kind", ["pop16", "pop32"])
def test_population_axons_deliver_with_bases_and_atoms_of_their_kind(kind, rng):
    layers = [("c", conv(rng, 40, 8, padding=1)), ("n", spiking()), ("f", ops.Flatten()), readout()]
    program = compile(chain((40, 20, 20), layers), "loihi1", pop_axons=kind)
    check(program, rng)
    convs = [s for b in program.blocks for s in b.synapses if s.axon_kind == kind]
    assert convs
    assert all((s.base <= 255).all() for s in convs)
    if kind == "pop16":
        assert all((s.base % 4 == 0).all() and s.atom.max() < 32 for s in convs)


def test_recurrent_and_skipping_projections_deliver_their_weights(rng):
    layers = [("d1", dense(rng, 30, 20)), ("n1", spiking()), ("d2", dense(rng, 20, 20)), ("n2", spiking())]
    graph = chain((30,), [*layers, ("d3", dense(rng, 20, 4)), readout()])
    edges = (*graph.edges, ("n2", "d2"), ("n1", "d3"), ("n2", "n1"))
    check(compile(dataclasses.replace(graph, edges=edges), small(core__compartments=7)), rng)


def test_one_dimensional_convolutions_deliver_their_weights(rng):
    weight = rng.normal(size=(6, 3, 5))
    layers = [("c", ops.Conv1d(weight, np.zeros(6), 2, 2)), ("n", spiking()), ("f", ops.Flatten()), readout()]
    check(compile(chain((3, 40), layers), small(core__compartments=30)), rng)


def test_a_lowered_chain_equals_the_ops_it_was_made_of(rng):
    scale = ops.Scale(rng.random((8, 1, 1)) + 0.5)
    layers = [
        ("c1", conv(rng, 2, 6, padding=1)),
        ("p", ops.AvgPool2d((3, 3), (2, 2), (1, 1))),
        ("s1", ops.Scale(np.full((1, 1, 1), 2.0))),
    ]
    layers += [
        ("c2", conv(rng, 6, 8, 3, groups=2, dilation=2)),
        ("s", scale),
        ("f", ops.Flatten()),
        readout(),
    ]
    graph = chain((2, 20, 21), layers)
    found = {}
    compile(graph, after=lambda name, p: found.setdefault(name, p))
    (way,) = paths.projections(graph)["encoder", "readout"]
    want = paths.matrix(graph, "encoder", "readout", (way,)).toarray()
    np.testing.assert_allclose(maps.as_matrix(found["lower"].projections[0].map).toarray(), want, atol=1e-12)


def test_equal_source_neurons_share_an_axon(rng):
    layers = [("n0", spiking()), ("p", ops.AvgPool2d((2, 2), (2, 2))), ("f", ops.Flatten())]
    program = compile(chain((3, 8, 8), [*layers, ("d", dense(rng, 48, 10)), readout()]))
    (synapses,) = program.blocks[-1].synapses
    assert synapses.n_axons == 48
    assert (np.bincount(synapses.axon) == 4).all()


def large_fan_in(rng, inputs, outputs, *, keep=1.0):
    weight = rng.normal(size=(outputs, inputs)) * (rng.random((outputs, inputs)) < keep)
    return chain((inputs,), [("d", ops.Affine(weight, np.zeros(outputs))), ("n", spiking(9.0))])


@pytest.mark.parametrize("kind", ["pop16", "pop32"])
@pytest.mark.parametrize("keep", [1.0, 0.9, 0.5])
def test_more_inputs_than_axons_share_them_and_deliver_the_same(keep, kind, rng):
    limits = {"core__in_axons": 64, "core__synapse_memory_words": 900}
    program = compile(large_fan_in(rng, 300, 40, keep=keep), small(**limits), pop_axons=kind)
    check(program, rng)
    assert "ND302" not in {d.code for d in program.diagnostics}
    assert {s.axon_kind for b in program.blocks for s in b.synapses} == {kind}
    assert all(sum(s.n_axons for s in b.synapses) <= 64 for b in program.blocks)


def test_sources_that_share_axons_are_cut_and_deliver_the_same(rng):
    layers = [("d1", dense(rng, 30, 200)), ("n1", spiking()), ("d2", dense(rng, 200, 30)), ("n2", spiking())]
    limits = {"core__in_axons": 50, "core__compartments": 33}
    program = compile(chain((30,), layers), small(**limits))
    check(program, rng)
    kinds = {b.population: {s.axon_kind for s in b.synapses} for b in program.blocks}
    assert kinds == {"n1": {"discrete"}, "n2": {"pop32"}}
    assert not program.errors


@pytest.mark.parametrize(("inputs", "kind"), [(64, "discrete"), (65, "pop32")])
def test_axons_are_shared_only_where_they_have_to_be(inputs, kind, rng):
    program = compile(large_fan_in(rng, inputs, 5), small(core__in_axons=64))
    assert {s.axon_kind for b in program.blocks for s in b.synapses} == {kind}


def test_more_atoms_than_an_axon_tells_apart_is_said(rng):
    limits = {"core__in_axons": 4}
    found = compile(large_fan_in(rng, 4 * 32 + 1, 5), small(**limits), pop_axons="pop16")
    assert "ND302" in {d.code for d in found.errors}
    assert "ND302" not in {d.code for d in compile(large_fan_in(rng, 4 * 32, 5), small(**limits),
                                                   pop_axons="pop16").errors}  # fmt: skip
