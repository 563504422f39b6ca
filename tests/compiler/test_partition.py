"""Cuts that fit, at no more cores than needed, and passes that leave their input alone."""

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest

from neurodeploy.compiler import PASSES, compile, cost, packing, tiling, traffic
from neurodeploy.compiler.partition import core_limits
from neurodeploy.compiler.place import one_block_per_core
from neurodeploy.compiler.resources import usage
from neurodeploy.ir import ops
from neurodeploy.program import Program, out_axon_slots
from neurodeploy.targets import target
from tests.compiler.graphs import chain, conv, dense, pruned, readout, small, spiking

SLOTS = {"discrete": 1, "pop16": 1, "pop32": 2}


def mlp(rng, *sizes):
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes[:-1])):
        layers += [(f"d{i}", dense(rng, before, after)), (f"n{i}", spiking())]
    return chain((sizes[0],), [*layers, ("last", dense(rng, sizes[-2], sizes[-1])), readout(1.0)])


def small_cnn(rng):
    layers = [("c1", conv(rng, 2, 8, padding=1)), ("n1", spiking()), ("p", ops.AvgPool2d((2, 2), (2, 2)))]
    layers += [("c2", conv(rng, 8, 12)), ("n2", spiking()), ("f", ops.Flatten())]
    return chain((2, 14, 14), [*layers, ("d", pruned(rng, 12 * 25, 30)), ("n3", spiking()), readout(1.0)])


def cores(program, name):
    return len(program.blocks_of(name))


@pytest.mark.parametrize(
    ("sizes", "most"), [((784, 900, 900, 10), (7, 8)), ((784, 1024, 512, 10), (8, 5)), ((784, 800, 10), (6,))]
)
def test_dense_nets_that_nengo_loihi_cannot_split_compile_without_help(sizes, most, rng):
    program = compile(mlp(rng, *sizes))
    assert not program.errors
    assert tuple(cores(program, f"n{i}") for i in range(len(most))) == most


def test_a_convolutional_net_of_a_million_synapses_takes_as_few_cores_as_its_neurons(rng):
    layers = [("c1", conv(rng, 3, 16, padding=1)), ("n1", spiking()), ("p1", ops.AvgPool2d((2, 2), (2, 2)))]
    layers += [("c2", conv(rng, 16, 32, padding=1)), ("n2", spiking()), ("p2", ops.AvgPool2d((2, 2), (2, 2)))]
    layers += [("f", ops.Flatten()), ("d", dense(rng, 32 * 64, 10)), readout(1.0)]
    program = compile(chain((3, 32, 32), layers))
    assert not program.errors
    assert (cores(program, "n1"), cores(program, "n2")) == (16, 8)


@pytest.mark.parametrize("share_cores", [True, False])
def test_cuts_go_on_until_axon_ids_fit(share_cores, rng):
    layers = [("c", conv(rng, 1, 4, padding=1)), ("n", spiking()), ("f", ops.Flatten()), readout()]
    graph = chain((1, 14, 14), layers)  # 196 pixels for a kind of axon that names 128
    bound = small(synapse__axon_kinds__pop16__axon_bits=7)
    program = compile(graph, bound, pop_axons="pop16", share_cores=share_cores)
    assert not program.errors
    assert cores(program, "n") > 1
    on_core = Counter()
    for home, block in zip(program.cores, program.blocks, strict=True):
        on_core[home] += sum(s.n_axons for s in block.synapses)
    shaped = {home for home, b in zip(program.cores, program.blocks, strict=True) if b.population == "n"}
    assert all(on_core[home] <= 128 for home in shaped)


def test_ids_that_no_cut_can_fit_are_said(rng):
    graph = chain((1, 14, 14), [("c", conv(rng, 1, 4)), ("n", spiking()), ("f", ops.Flatten()), readout()])
    bound = small(synapse__axon_kinds__pop16__axon_bits=3)  # 8 ids; every neuron sees 9 pixels
    found = [d for d in compile(graph, bound, pop_axons="pop16").diagnostics if d.code == "ND503"]
    assert found
    assert "smaller kernels" in found[0].remedy


@pytest.mark.parametrize("seed", range(6))
def test_every_block_fits_the_limits_it_was_cut_for(seed, rng):
    limits = {
        "core__compartments": int(rng.integers(20, 300)),
        "core__synapse_memory_words": int(rng.integers(300, 3000)),
        "core__out_axon_entries": int(rng.integers(200, 1500)),
        "core__in_axons": 400,
    }
    program = compile([mlp(rng, 60, 50, 40, 10), small_cnn(rng)][seed % 2], small(**limits))
    assert not [d for d in program.errors if d.code.startswith("ND3")]
    for row in usage(program).cores:
        assert not any(use.over for use in row.uses)


@pytest.mark.parametrize("make", [lambda rng: mlp(rng, 60, 50, 40, 10), small_cnn])
def test_what_the_search_counts_is_what_the_layout_takes(make, rng):
    program = compile(
        make(rng), small(core__compartments=64, core__synapse_memory_words=900), share_cores=False
    )
    model = cost.cost_model(program.target)
    rows = {row.name: row for row in usage(program).cores}
    for number, block in enumerate(program.blocks):
        row = rows[block.name]
        assert row["input axons"].used == sum(s.n_axons for s in block.synapses)
        assert row["synapse memory"].used == sum(cost.words(model, s) for s in block.synapses)
        assert row["output axons"].used == out_axon_slots(program, number, slots=SLOTS)


def test_a_program_counts_the_same_whoever_asks_first(rng):
    program = compile(small_cnn(rng))
    copy = dataclasses.replace(program)
    assert usage(copy) == usage(program)


def test_the_same_graph_compiles_to_the_same_program(rng):
    graph = small_cnn(rng)
    assert compile(graph).digest() == compile(graph).digest()
    assert compile(graph).digest() != compile(graph, weight_bits=4).digest()


def test_no_pass_changes_its_input(rng):
    program = Program(small_cnn(rng), target("loihi1"), options={"input_coding": "rate", "weight_bits": 8})
    for step in PASSES:
        before = program.digest()
        result = step(program)
        assert program.digest() == before
        program = result


def test_arrays_of_a_program_are_read_only(rng):
    program = compile(small_cnn(rng))
    for p in program.projections:
        assert not p.map.weight.flags.writeable
    for block in program.blocks:
        assert not block.neurons.flags.writeable
        for s in block.synapses:
            assert not any(getattr(s, k).flags.writeable for k in ("axon", "atom", "index", "weight"))


def test_parts_of_a_grid_cover_it_once():
    grid = (5, 7, 6)
    for cutting in (tiling.evenly(grid, 2, 3, 2), tiling.filled(grid, (2, 3, 4))):
        held = np.sort(np.concatenate([t.neurons(grid) for t in cutting.tiles()]))
        np.testing.assert_array_equal(held, np.arange(5 * 7 * 6))


def test_candidates_come_in_order_and_reach_single_neurons():
    counts = [len(ways[0]) for ways in tiling.candidates((3, 4, 5), 7)]
    assert counts == sorted(counts)
    assert (counts[0] >= 7, counts[-1]) == (True, 60)


def test_limits_without_a_number_do_not_bind():
    unknown = target("loihi1").with_limits(core__in_axons="unknown")
    assert core_limits(unknown).in_axons == float("inf")


# --- sharing and placement ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda rng: mlp(rng, 60, 50, 40, 10), small_cnn])
def test_small_blocks_share_cores_down_to_the_bound(make, rng):
    graph = make(rng)
    shared, alone = compile(graph), compile(graph, share_cores=False)
    assert len(set(shared.cores)) == packing.lower_bound(shared) < len(set(alone.cores))
    assert not shared.errors


def test_cores_that_are_shared_keep_every_limit(rng):
    program = compile(mlp(rng, 60, 50, 40, 30, 10), small(core__synapse_memory_words=400, core__in_axons=150))
    assert not [d for d in program.errors if d.code.startswith("ND3")]
    assert len(set(program.cores)) < len(program.blocks)
    uses = [use for row in usage(program).cores for use in row.uses if "(" not in use.resource]
    assert not any(use.over for use in uses)


@pytest.mark.parametrize("entries", [20, 30, 40, 60])
def test_sharing_leaves_room_for_the_entries_of_axons_to_other_chips(entries, rng):
    layers = [("a", dense(rng, 20, 60)), ("h", spiking()), ("b", dense(rng, 60, 40)), ("h2", spiking())]
    graph = chain((20,), [*layers, ("c", dense(rng, 40, 10)), readout()])
    limits = {"chip__cores": 2, "core__compartments": 20, "core__out_axon_entries": entries}
    bound = target("nahuku-32").with_limits(**limits)
    shared, alone = compile(graph, bound), compile(graph, bound, share_cores=False)
    assert not alone.errors
    assert not shared.errors
    assert len(set(shared.cores)) <= len(set(alone.cores))


def test_blocks_with_other_registers_of_the_core_stay_apart(rng):
    program = compile(mlp(rng, 60, 50, 10))
    odd = dataclasses.replace(program.blocks[0].compartments, vmin=-1)
    blocks = (dataclasses.replace(program.blocks[0], compartments=odd), *program.blocks[1:])
    assert packing.pack(program) == [[0, 1]]
    assert packing.pack(dataclasses.replace(program, blocks=blocks)) == [[0], [1]]


def test_sharing_never_takes_more_profiles_than_every_source_allows(rng):
    layers = []
    for i, threshold in enumerate((1.0, 1.5, 2.0)):
        layers += [(f"d{i}", dense(rng, 20, 20)), (f"n{i}", spiking(threshold))]
    program = compile(chain((20,), layers), small(core__profiles__threshold=2))
    assert len(set(program.cores)) == 2


def test_one_block_per_core_keeps_the_blocks(rng):
    program = compile(mlp(rng, 60, 50, 40, 10))
    alone = one_block_per_core(program)
    assert alone.blocks is program.blocks
    assert sorted(alone.cores) == [0, 1, 2]


def test_blocks_that_talk_lie_on_one_chip(rng):
    """Two nets side by side, two chips: nothing crosses."""
    weight = np.kron(np.eye(2), np.ones((8, 8)))
    layers = []
    for i in range(4):
        layers += [(f"d{i}", ops.Affine(weight, np.zeros(16))), (f"n{i}", spiking())]
    bound = small(core__compartments=8, chip__cores=4)
    program = compile(chain((16,), layers), bound, share_cores=False)
    assert len(set(program.cores)) == 8
    assert traffic.by_distance(program)["between chips"] == 0


def test_clusters_are_full_and_hold_what_belongs_together(rng):
    weight = np.kron(np.eye(5), np.ones((4, 4)))
    order = rng.permutation(20)
    found = traffic.cluster(weight[np.ix_(order, order)], 4)
    assert sorted(len(group) for group in found) == [4] * 5
    assert all(len({order[i] // 4 for i in group}) == 1 for group in found)


@pytest.mark.parametrize(("size", "capacity"), [(11, 4), (24, 8), (30, 7)])
def test_no_swap_of_two_items_brings_more_traffic_inside(rng, size, capacity):
    weight = rng.random((size, size)) * (rng.random((size, size)) < 0.3)
    found = traffic.cluster(weight, capacity)
    assert sorted(i for group in found for i in group) == list(range(size))
    assert all(len(group) == capacity for group in found[:-1])
    home = np.empty(size, int)
    for number, group in enumerate(found):
        home[group] = number
    best = weight[home[:, None] == home].sum()
    for a, b in itertools.combinations(range(size), 2):
        other = home.copy()
        other[[a, b]] = home[[b, a]]
        assert weight[other[:, None] == other].sum() <= best + 1e-6


def test_gains_that_are_kept_are_those_counted_anew(rng):
    both = rng.random((20, 20))
    both += both.T
    np.fill_diagonal(both, 0.0)
    group = rng.permutation(np.arange(20) // 6)
    kept = traffic._Gains(both, group)
    for _ in range(5):
        a, b, _ = kept.best_pair()
        kept.swap(a, b)
    anew = traffic._Gains(both, group.copy())
    np.testing.assert_allclose(kept.best, anew.best)
    np.testing.assert_allclose(kept.to_group, anew.to_group)


def test_traffic_counts_the_spikes_that_leave_each_block(rng):
    program = compile(mlp(rng, 20, 12, 4), small(core__compartments=6))
    sent = traffic.messages(program)
    first, second = program.blocks_of("n0")
    (last,) = program.blocks_of("readout")
    assert sent[first, last] == sent[second, last] == 6 * traffic.ASSUMED_RATE
    assert sent.sum() == 12 * traffic.ASSUMED_RATE
