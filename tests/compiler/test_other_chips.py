"""Findings of chips without blocks, in pairs: at the limit nothing, one above this code."""

import dataclasses
import itertools

import numpy as np
import pytest

from neurodeploy.compiler import compile, fans, maps
from neurodeploy.compiler.counts import engines
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.targets import target
from tests.compiler.graphs import DT, chain, conv, dense, readout, small, spiking


def codes(graph, bound, **options):
    return {d.code for d in compile(graph, bound, **options).diagnostics}


def finding(graph, code, bound, **options):
    return next(d for d in compile(graph, bound, **options).diagnostics if d.code == code)


def net(rng, *sizes, neuron=None):
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers += [(f"d{i}", dense(rng, before, after)), (f"n{i}", neuron or spiking())]
    return chain((sizes[0],), layers)


def image(rng, *, op=None, shape=(2, 12, 12), pool=None, outputs=5):
    """An image, a convolution, a pool and a dense layer, all spiking."""
    op = op or conv(rng, shape[0], 4, padding=1)
    layers = [("c", op), ("n", spiking()), ("p", pool or ops.SumPool2d((2, 2), (2, 2))), ("f", ops.Flatten())]
    draft = chain(shape, layers)
    size = draft.size("f")
    return chain(shape, [*layers, ("d", dense(rng, size, outputs)), ("out", spiking())])


# --- counting on maps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"stride": 2}, {"groups": 2}, {"dilation": 2}])
def test_fans_of_a_convolution_are_those_of_its_matrix(options, rng):
    graph = chain((4, 8, 9), [("c", conv(rng, 4, 6, **options)), ("n", spiking())])
    program = compile(graph, "loihi2")
    matrix = maps.as_matrix(program.projections[0].map).toarray() != 0
    encoder, population = program.populations
    np.testing.assert_array_equal(fans.fan_in(program, population), matrix.sum(axis=1))
    np.testing.assert_array_equal(fans.fan_out(program, encoder), matrix.sum(axis=0))


def test_different_weights_are_counted_per_neuron(rng):
    weight = np.array([[1.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 3.0]])
    program = compile(chain((4,), [("d", ops.Affine(weight, np.zeros(2))), ("n", spiking())]), "loihi2")
    assert fans.weights_per_neuron(program, program.populations[1]).tolist() == [2, 1]


# --- connectivity ------------------------------------------------------------------------------------------


def test_fan_in_at_the_limit_and_one_above(rng):
    graph = net(rng, 30, 5)
    assert "ND501" not in codes(graph, small(connectivity__fan_in=30))
    found = finding(graph, "ND501", small(connectivity__fan_in=29))
    assert (found.facts["used"], found.facts["limit"], found.facts["unit"]) == (30, 29, "synapses")


def test_fan_in_of_signed_weights_has_its_own_limit(rng):
    bound = target("brainscales2").with_limits(connectivity__fan_in=30, connectivity__fan_in_signed=20)
    assert "ND501" in codes(net(rng, 30, 5), bound)
    positive = chain((30,), [("d", ops.Affine(rng.random((5, 30)), np.zeros(5))), ("n", spiking())])
    assert "ND501" not in codes(positive, bound)


def test_fan_out_at_the_limit_and_one_above(rng):
    graph = net(rng, 5, 30)
    assert "ND502" not in codes(graph, small(connectivity__fan_out=30))
    assert "ND502" in codes(graph, small(connectivity__fan_out=29))


@pytest.mark.parametrize(("bits", "there"), [(6, False), (5, True)])
def test_axon_ids_at_the_limit_and_above(bits, there, rng):
    graph = net(rng, 64, 5)
    bound = small(synapse__axon_kinds__discrete__axon_bits=bits)
    assert ("ND503" in codes(graph, bound)) == there


def test_weights_per_neuron_at_the_limit_and_above(rng):
    few = np.where(rng.random((6, 20)) < 0.5, 1.0, -1.0)
    graph = chain((20,), [("d", ops.Affine(few, np.zeros(6))), ("n", spiking())])
    assert "ND515" not in codes(graph, small(connectivity__weights_per_neuron=2))
    assert "ND515" in codes(graph, small(connectivity__weights_per_neuron=1))


def test_target_cores_at_the_limit_and_one_above(rng):
    graph = net(rng, 10, 10, 256)
    assert "ND516" not in codes(graph, "truenorth")
    assert "ND516" in codes(net(rng, 10, 10, 257), "truenorth")


def test_signs_that_belong_to_the_source(rng):
    mixed = net(rng, 10, 6)
    weight = np.abs(rng.normal(size=(6, 10))) * np.where(np.arange(10) % 2, 1, -1)
    dale = chain((10,), [("d", ops.Affine(weight, np.zeros(6))), ("n", spiking())])
    assert "ND405" in codes(mixed, "odin")
    assert "ND405" not in codes(dale, "odin")


# --- whole networks ----------------------------------------------------------------------------------------


def test_neurons_in_all_at_the_limit_and_one_above(rng):
    assert "ND319" not in codes(net(rng, 10, 128, 128), "odin")
    found = finding(net(rng, 10, 128, 129), "ND319", "odin")
    assert (found.facts["used"], found.facts["limit"]) == (257, 256)


def test_neurons_of_a_single_core_without_a_chip_total(rng):
    assert "ND319" not in codes(net(rng, 10, 500, 500), "xylo-audio-2")
    assert "ND319" in codes(net(rng, 10, 500, 501), "xylo-audio-2")


def test_synapses_in_all_at_the_limit_and_one_above(rng):
    graph = net(rng, 30, 20)
    assert "ND317" not in codes(graph, target("odin").with_limits(chip__synapses=600))
    assert "ND317" in codes(graph, target("odin").with_limits(chip__synapses=599))


def test_input_and_output_channels_at_the_limit_and_one_above(rng):
    assert not codes(net(rng, 16, 20, 8), "xylo-audio-2") & {"ND318", "ND211"}
    assert "ND318" in codes(net(rng, 17, 20, 8), "xylo-audio-2")
    assert "ND211" in codes(net(rng, 16, 20, 9), "xylo-audio-2")


def test_neurons_at_the_edge_at_the_limit_and_one_above(rng):
    assert "ND320" not in codes(net(rng, 16, 128, 50, 128, 8), "xylo-audio-3")
    assert "ND320" in codes(net(rng, 16, 129, 50, 8), "xylo-audio-3")
    assert "ND320" in codes(net(rng, 16, 50, 129, 8), "xylo-audio-3")


def test_a_network_too_large_for_a_board_of_a_chip_without_blocks(rng):
    board = target("oheo-gulch").with_limits(chip__cores=2, core__neurons=10)
    assert "ND309" not in codes(net(rng, 10, 10, 10), board)
    assert "ND309" in codes(net(rng, 10, 10, 11), board)


# --- layer engines -----------------------------------------------------------------------------------------


def test_a_small_spiking_net_fits_dynap_cnn(rng):
    program = compile(image(rng), "dynap-cnn")
    assert not program.errors


def test_a_kind_of_layer_without_an_engine(rng):
    graph = chain((2, 12), [("c", ops.Conv1d(rng.normal(size=(3, 2, 3)), np.zeros(3))), ("n", spiking())])
    assert "ND202" in codes(graph, "dynap-cnn")


@pytest.mark.parametrize(
    ("inside", "beyond"),
    [
        ({"kernel": 16, "padding": 7}, {"kernel": 17, "padding": 7}),
        ({"stride": 4}, {"stride": 3}),
        ({"padding": 7}, {"padding": 8}),
        ({"dilation": 1}, {"dilation": 2}),
        ({"groups": 1}, {"groups": 2}),
    ],
)
def test_parameters_of_an_engine(inside, beyond, rng):
    shape = (2, 20, 20)
    for options, there in ((inside, False), (beyond, True)):
        graph = image(rng, op=conv(rng, 2, 4, **options), shape=shape, pool=ops.SumPool2d((1, 1), (1, 1)))
        assert ("ND206" in codes(graph, "dynap-cnn")) == there


@pytest.mark.parametrize(("size", "there"), [(2, False), (4, False), (3, True)])
def test_pool_sizes_of_an_engine(size, there, rng):
    graph = image(rng, pool=ops.SumPool2d((size, size), (size, size)))
    assert ("ND206" in codes(graph, "dynap-cnn")) == there


def test_kernels_and_pools_must_be_square(rng):
    weight = rng.normal(size=(4, 2, 3, 5))
    flat = image(rng, op=ops.Conv2d(weight, np.zeros(4)))
    assert "ND207" in codes(flat, "dynap-cnn")
    assert "ND207" not in codes(image(rng), "dynap-cnn")
    assert "ND207" in codes(image(rng, pool=ops.SumPool2d((2, 4), (2, 4))), "dynap-cnn")


@pytest.mark.parametrize(("side", "there"), [(128, False), (129, True)])
def test_maps_that_can_be_addressed(side, there, rng):
    op = conv(rng, 1, 1, 3, stride=8, padding=1)
    graph = image(rng, op=op, shape=(1, side, side), pool=ops.SumPool2d((4, 4), (4, 4)))
    assert ("ND210" in codes(graph, "dynap-cnn")) == there


def test_feedback_on_a_feed_forward_part(rng):
    graph = image(rng)
    assert "ND213" not in codes(graph, "dynap-cnn")
    back = Node("back", ops.Affine(rng.normal(size=(5, 5)), np.zeros(5)))
    looped = dataclasses.replace(
        graph,
        nodes=(*graph.nodes[:-1], back, graph.nodes[-1]),
        edges=(*graph.edges, ("out", "back"), ("back", "out")),
    )
    assert "ND213" in codes(looped, "dynap-cnn")


def test_destinations_of_a_layer_at_the_limit_and_one_above(rng):
    def branches(count):
        nodes = [Node("input", ops.Input((6,))), Node("encoder", spiking(), notes={"role": "encoder"})]
        nodes += [Node("d", dense(rng, 6, 6)), Node("n", spiking())]
        edges = [("input", "encoder"), ("encoder", "d"), ("d", "n")]
        for i in range(count):
            nodes += [
                Node(f"b{i}", dense(rng, 6, 6)),
                Node(f"m{i}", spiking()),
                Node(f"e{i}", dense(rng, 6, 4)),
            ]
            edges += [("n", f"b{i}"), (f"b{i}", f"m{i}"), (f"m{i}", f"e{i}"), (f"e{i}", "out")]
        nodes += [Node("out", spiking()), Node("output", ops.Output((4,)))]
        return dataclasses.replace(image(rng), nodes=tuple(nodes), edges=(*edges, ("out", "output")), dt=DT)

    assert "ND214" not in codes(branches(2), "dynap-cnn")
    assert "ND214" in codes(branches(3), "dynap-cnn")


def test_kernel_memory_of_the_largest_core(rng):
    wide = image(rng, op=conv(rng, 64, 64, padding=1), shape=(64, 8, 8))
    wider = image(rng, op=conv(rng, 64, 128, padding=1), shape=(64, 8, 8))
    assert "ND313" not in codes(wide, "dynap-cnn")  # 64 x 2**(4 + 6) words are just one core of 64 Ki
    found = finding(wider, "ND313", "dynap-cnn")
    assert (found.facts["used"], found.facts["limit"]) == (131072, 65536)


def test_neuron_memory_of_the_closest_core(rng):
    assert "ND314" not in codes(image(rng, op=conv(rng, 2, 16, padding=1), shape=(2, 64, 64)), "dynap-cnn")
    assert "ND314" in codes(image(rng, op=conv(rng, 2, 17, padding=1), shape=(2, 64, 64)), "dynap-cnn")


@pytest.mark.parametrize(("outputs", "there"), [(1024, False), (1025, True)])
def test_bias_memory_of_a_core(outputs, there, rng):
    biased = ops.Affine(rng.normal(size=(outputs, 8)), np.ones(outputs))
    graph = chain((8,), [("d", biased), ("n", spiking())])
    assert ("ND315" in codes(graph, "dynap-cnn")) == there


def test_layers_that_fit_alone_but_not_together(rng):
    def big(count):
        layers = []
        for i in range(count):
            layers += [(f"c{i}", conv(rng, 48, 48, padding=1)), (f"n{i}", spiking())]
        return chain((48, 8, 8), layers)

    assert "ND312" not in codes(big(2), "dynap-cnn")
    found = finding(big(3), "ND312", "dynap-cnn")
    assert (found.facts["used"], found.facts["limit"]) == (3, 2)


def test_a_matching_finds_the_only_way():
    fit = [[True, True, False], [True, False, False], [False, True, True]]
    assert engines.matching(fit) == [1, 0, 2]
    assert engines.blocking_set([[True, False], [True, False], [True, True]]) == ([0, 1], 1)
    assert engines.blocking_set(fit) == ([], 0)


def test_a_weight_above_the_threshold_of_an_event_driven_part(rng):
    def scaled(top):
        weight = rng.uniform(-1, 0.5, size=(5, 20))
        weight.flat[0] = top
        return chain((20,), [("d", ops.Affine(weight, np.zeros(5))), ("n", spiking())])

    assert "ND421" not in codes(scaled(1.0), "dynap-cnn")
    assert "ND421" in codes(scaled(1.01), "dynap-cnn")


# --- numbers and time --------------------------------------------------------------------------------------


def test_a_decay_beyond_the_widest_shift(rng):
    one, zero = np.ones(()), np.zeros(())

    def slow(steps):
        keep = 1 - 1 / steps
        neuron = ops.LIF(np.array(-DT / np.log(keep)), one, zero, one, reset="subtract")
        return net(rng, 10, 6, neuron=neuron)

    assert "ND420" not in codes(slow(2**15), "xylo-audio-2")
    assert "ND420" in codes(slow(2**15 * 1.01), "xylo-audio-2")


def test_rounding_to_few_bits_is_measured_on_every_chip(rng):
    assert "ND403" in codes(net(rng, 20, 10), "odin")
    assert "ND403" not in codes(net(rng, 20, 10), "reckon")


def test_input_spikes_per_step_at_the_limit_and_above(rng):
    graph = net(rng, 100, 5)
    limit = target("loihi1").number("io.in_spikes_per_step")
    calm = graph.with_node("encoder", notes={"role": "encoder", "rate_mean": limit / 100})
    busy = graph.with_node("encoder", notes={"role": "encoder", "rate_mean": limit / 100 + 0.01})
    assert "ND703" not in codes(calm, "loihi1")
    assert "ND703" in codes(busy, "loihi1")
    assert "ND703" not in codes(busy, "loihi1", input_coding="bias")


def test_a_step_shorter_than_the_part_takes(rng):
    graph = net(rng, 10, 5)
    assert "ND708" not in codes(graph, "spinnaker1")
    fast = dataclasses.replace(graph, dt=0.9e-3)
    assert "ND708" in codes(fast, "spinnaker1")
    assert "ND708" not in codes(fast, "loihi1")
    assert "ND708" in codes(dataclasses.replace(graph, dt=4e-7), "loihi1")


def test_a_run_longer_than_the_timer(rng):
    bound = target("brainscales2").with_limits(time__run_max_s=1e-3)
    graph = net(rng, 10, 5)
    assert "ND712" not in codes(graph, bound, steps=1000)
    assert "ND712" in codes(graph, bound, steps=1001)


def test_readouts_by_membrane_need_an_integrator(rng):
    graph = chain((10,), [("d", dense(rng, 10, 5)), readout()])
    assert "ND203" in codes(graph, "dynap-cnn")
    assert "ND203" not in codes(net(rng, 10, 5), "dynap-cnn")
