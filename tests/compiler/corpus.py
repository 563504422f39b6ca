"""Deliberately broken models: each with the findings it must give, no more and no fewer.

A case is a function of a random generator that returns (graph, target, options); its decorator names the
codes. ``real`` marks the ones that break a limit of Loihi 1 as it is, which nengo-loihi knows too.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.targets import target
from tests.compiler.graphs import DT, chain, conv, dense, readout, small, spiking


@dataclass(frozen=True)
class Case:
    """A broken model and its findings."""

    name: str
    codes: frozenset[str]
    make: Callable[[np.random.Generator], tuple[Any, Any, dict[str, Any]]]


CASES: list[Case] = []
SINGLE = {"synapse__axon_kinds__pop32__atoms_max": 1}
"""Axons that no two sources can share."""
ONE, ZERO = np.ones(()), np.zeros(())


def broken(*codes):
    def add(make):
        CASES.append(Case(make.__name__.replace("_", " "), frozenset(codes), make))
        return make

    return add


def net(rng, *sizes, neuron=None, last=None, bias=0.0):
    """Dense layers, all spiking, or with the given last neuron."""
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        end = i == len(sizes) - 2
        layers.append((f"d{i}", dense(rng, before, after, bias=bias)))
        layers.append(last if last is not None and end else (f"n{i}", neuron or spiking()))
    return chain((sizes[0],), layers)


def one(weight, neuron=None, *, bias=0.0, notes=None):
    """One layer of given weights."""
    weight = np.asarray(weight, float)
    node = Node("n", neuron or spiking(), notes=notes or {})
    bias = np.broadcast_to(bias, weight.shape[0]).astype(float)
    return chain((weight.shape[1],), [("d", ops.Affine(weight, bias)), node])


def uniform(rng, outputs=12, inputs=20, top=1.0):
    """Weights whose largest is `top`."""
    weight = rng.uniform(-top, top, size=(outputs, inputs))
    weight.flat[0] = top
    return weight


def lif(tau, vth=1.0, **options):
    return ops.LIF(np.asarray(tau, float), ONE, ZERO, np.asarray(vth, float), **options)


def cuba(tau_syn, tau_mem=0.02):
    return ops.CubaLIF(np.asarray(tau_syn, float), np.asarray(tau_mem, float), ONE, ZERO, ONE, ONE)


def loihi(**limits):
    return small(**limits)


# --- capacity of Loihi 1 as it is --------------------------------------------------------------------------


@broken("ND302", "ND413")
def a_kernel_of_65_by_65(rng):
    op = ops.Conv2d(rng.uniform(-0.02, 0.02, size=(1, 1, 65, 65)), np.zeros(1))
    return chain((1, 66, 66), [("c", op), ("n", spiking())]), "loihi1", {}


@broken("ND333", "ND413")
def a_dense_layer_of_5000_inputs(rng):
    return one(uniform(rng, 4, 5000, 0.02)), "loihi1", {}


@broken("ND331", "ND333", "ND413")
def a_readout_of_a_whole_feature_map(rng):
    layers = [("c", conv(rng, 1, 8, padding=1)), ("n", spiking()), ("f", ops.Flatten())]
    return chain((1, 28, 28), [*layers, ("d", dense(rng, 8 * 784, 10)), ("out", spiking())]), "loihi1", {}


@broken("ND304", "ND316")
def two_tables_without_a_single_entry(rng):
    return net(rng, 20, 8, 6), loihi(core__out_axon_entries=0, core__words_per_axon=0), {}


@broken("ND309", "ND413")
def a_net_of_300_cores_on_kapoho_bay(rng):
    board = target("kapoho-bay").with_limits(core__compartments=8)
    return net(rng, 20, 2200, 20), board, {}


@broken("ND309")
def a_net_of_130_cores_on_a_single_chip(rng):
    return net(rng, 20, 1040), loihi(core__compartments=8), {}


@broken("ND328")
def a_net_of_130_cores_on_two_chips(rng):
    return net(rng, 20, 1040), target("kapoho-bay").with_limits(core__compartments=8), {}


@broken("ND306")
def nine_thresholds_in_a_layer_too_small_to_cut(rng):
    return one(uniform(rng, 9), spiking(1 + 0.1 * np.arange(9))), "loihi1", {}


@broken("ND306")
def seventeen_thresholds_in_one_layer(rng):
    return one(uniform(rng, 17), spiking(1 + 0.1 * np.arange(17))), "loihi1", {}


@broken("ND805")
def eight_thresholds_where_one_source_allows_seven(rng):
    return one(uniform(rng, 8), spiking(1 + 0.1 * np.arange(8))), "loihi1", {}


@broken("ND305")
def forty_time_constants_in_one_layer(rng):
    return one(uniform(rng, 40, 20, 0.05), lif(0.005 + 0.0015 * np.arange(40))), "loihi1", {}


@broken("ND307")
def strengths_of_weights_that_need_two_formats(rng):
    graph = net(rng, 20, 4)
    extra = [Node(f"s{i}", ops.Affine(uniform(rng, 4, 20, 4.0**-i), np.zeros(4))) for i in (1, 3)]
    edges = [edge for node in extra for edge in (("encoder", node.name), (node.name, "n0"))]
    nodes = (*graph.nodes[:2], *extra, *graph.nodes[2:])
    wide = dataclasses.replace(graph, nodes=nodes, edges=(*graph.edges, *edges))
    return wide, loihi(core__profiles__synapse_format=1), {}


# --- capacity with less of it ------------------------------------------------------------------------------


@broken("ND301")
def a_core_without_neurons(rng):
    return net(rng, 20, 5), loihi(core__compartments=0), {}


@broken("ND303")
def a_neuron_whose_inputs_overfill_the_memory(rng):
    return net(rng, 40, 5), loihi(core__synapse_memory_words=39), {}


@broken("ND331")
def a_fit_by_one_cost_model_only(rng):
    return net(rng, 40, 61), loihi(core__synapse_memory_words=8 * 40, core__compartments=61), {}


@broken("ND304")
def an_output_table_that_is_too_short(rng):
    return net(rng, 20, 8, 6), loihi(core__compartments=1, core__out_axon_entries=5), {}


@broken("ND330", "ND328")
def a_table_that_holds_only_targets_on_the_same_chip(rng):
    limits = {"core__compartments": 1, "core__out_axon_entries": 7, "chip__cores": 12}
    return net(rng, 20, 12, 4), target("kapoho-bay").with_limits(**limits), {}


@broken("ND332", "ND328")
def many_axons_to_another_chip(rng):
    limits = {"core__compartments": 1, "core__out_axon_entries_offchip": 7, "chip__cores": 12}
    return net(rng, 20, 12, 4), target("kapoho-bay").with_limits(**limits), {}


@broken("ND316")
def a_list_of_synapses_longer_than_its_field(rng):
    return net(rng, 20, 5), loihi(core__words_per_axon=0), {}


@broken("ND503")
def an_axon_id_wider_than_its_field(rng):
    return net(rng, 33, 5), loihi(synapse__axon_kinds__discrete__axon_bits=5), {}


@broken("ND302", "ND303", "ND304")
def everything_too_small_at_once(rng):
    limits = {"core__in_axons": 5, "core__synapse_memory_words": 6, "core__out_axon_entries": 0}
    return net(rng, 20, 12, 4), loihi(**limits, **SINGLE), {}


# --- expressibility ----------------------------------------------------------------------------------------


@broken("ND201")
def a_part_that_is_announced_only(rng):
    return net(rng, 20, 5), dataclasses.replace(target("loihi1"), status="announced"), {}


@broken("ND203")
def a_neuron_the_part_lacks(rng):
    return net(rng, 20, 5, neuron=lif(0.02)), loihi(neuron__models=("if", "i")), {}


@broken("ND204")
def soft_reset_on_loihi(rng):
    return net(rng, 20, 5, neuron=lif(0.02, reset="subtract")), "loihi1", {}


@broken("ND222")
def a_reset_below_zero(rng):
    neuron = ops.IF(np.array(1 / DT), ONE, np.array(-0.2))
    return one(uniform(rng), neuron), "loihi1", {}


@broken("ND217")
def a_model_that_ends_with_its_input(rng):
    return chain((5,), []), "loihi1", {}


@broken("ND223")
def an_encoder_on_the_chip(rng):
    return net(rng, 20, 5), "loihi1", {"input_coding": "bias"}


@broken("ND215", "ND403", "ND404", "ND409", "ND414")
def currents_that_decay_and_currents_that_do_not(rng):
    return one(uniform(rng, 8, 20, 0.01), cuba([0.002] * 4 + [9.0] * 4)), "loihi1", {}


# --- precision ---------------------------------------------------------------------------------------------


@broken("ND401", "ND403", "ND404")
def a_threshold_a_million_times_the_weights(rng):
    return one(uniform(rng, top=1e-6)), "loihi1", {}


@broken("ND406")
def weights_a_million_times_the_threshold(rng):
    return one(uniform(rng, top=1e6)), "loihi1", {}


@broken("ND402")
def a_nan_in_a_kernel(rng):
    weight = uniform(rng)
    weight[2, 3] = np.nan
    return one(weight), "loihi1", {}


@broken("ND402")
def an_infinite_bias(rng):
    return one(uniform(rng), bias=np.inf), "loihi1", {}


@broken("ND402")
def a_threshold_that_is_not_a_number(rng):
    return one(uniform(rng), spiking(np.nan)), "loihi1", {}


@broken("ND403")
def one_weight_that_dwarfs_all_others(rng):
    weight = rng.normal(size=(12, 20)) * 0.1
    weight[0, 0] = 10.0
    return one(weight, spiking(5.0)), "loihi1", {}


@broken("ND403")
def three_bits_for_normal_weights(rng):
    return one(rng.normal(size=(12, 20))), "loihi1", {"weight_bits": 3}


@broken("ND417", "ND434")
def a_bias_far_below_the_weights_that_a_clock_brings(rng):
    return one(uniform(rng, top=20.0), spiking(reset="subtract"), bias=0.05), "loihi1", {}


@broken("ND404")
def a_threshold_that_costs_a_weight_bit(rng):
    return one(uniform(rng), spiking(1100.0)), "loihi1", {}


@broken("ND428", "ND430")
def both_signs_in_one_bit(rng):
    return one(uniform(rng)), "loihi1", {"weight_bits": 1}


@broken("ND403", "ND404", "ND407")
def a_bias_a_million_times_the_weights(rng):
    return one(uniform(rng), bias=1e6), "loihi1", {}


@broken("ND408")
def biases_below_the_smallest_step(rng):
    return one(uniform(rng), bias=2e-5), "loihi1", {}


@broken("ND409")
def a_membrane_that_decays_over_a_minute(rng):
    return one(uniform(rng, top=0.01), lif(60.0, 1e-4)), "loihi1", {}


@broken("ND410")
def a_membrane_that_decays_over_three_seconds(rng):
    return one(uniform(rng, top=0.1), lif(2.9, 1e-3)), "loihi1", {}


@broken("ND411")
def a_refractory_time_of_a_tenth_of_a_second(rng):
    return one(uniform(rng), spiking(refractory=100)), "loihi1", {}


@broken("ND413")
def two_hundred_inputs_of_the_largest_weight(rng):
    return one(np.ones((3, 200)), spiking(4.0)), "loihi1", {}


@broken("ND404", "ND426")
def calibrated_drive_beyond_the_accumulator(rng):
    notes = {"peak_drive": 2**21 / (255 / 2) * 1.05}
    return one(np.ones((3, 3000)), spiking(4.0), notes=notes), "loihi1", {}


@broken("ND414", "ND404")
def a_slow_current_that_piles_up(rng):
    return one(uniform(rng), cuba(0.2), notes={"peak_drive": 100.0}), "loihi1", {}


@broken("ND403", "ND424")
def a_run_of_ten_thousand_steps(rng):
    return net(rng, 20, 4, last=readout(2.0)), "loihi1", {"steps": 10_000}


@broken("ND403", "ND415", "ND424")
def a_run_of_a_million_steps(rng):
    return net(rng, 20, 4, last=readout(4.0)), "loihi1", {"steps": 1_000_000}


@broken("ND403", "ND417")
def a_skip_connection_300_times_weaker(rng):
    graph = net(rng, 20, 12, 4, last=readout(0.5))
    weight = np.where(rng.random((4, 20)) < 0.5, 1.0, -1.0) / 300
    last = np.where(rng.random((4, 12)) < 0.5, 1.0, -1.0)
    graph = graph.with_node("d1", op=ops.Affine(last, np.zeros(4)))
    nodes = (*graph.nodes[:2], Node("skip", ops.Affine(weight, np.zeros(4))), *graph.nodes[2:])
    edges = (*graph.edges, ("encoder", "skip"), ("skip", "readout"))
    return dataclasses.replace(graph, nodes=nodes, edges=edges), "loihi1", {}


@broken("ND423")
def a_layer_that_stayed_silent(rng):
    return one(uniform(rng), notes={"dead_units": 6}), "loihi1", {}


@broken("ND427")
def a_layer_that_never_stopped(rng):
    return one(uniform(rng), notes={"saturated_units": 6}), "loihi1", {}


@broken("ND204", "ND409", "ND411")
def a_neuron_wrong_in_every_way(rng):
    return one(uniform(rng, top=0.01), lif(60.0, 1e-4, reset="subtract", refractory=80)), "loihi1", {}


# --- connectivity and whole networks on other chips --------------------------------------------------------


@broken("ND501")
def a_neuron_of_more_inputs_than_a_column(rng):
    return net(rng, 30, 5), loihi(connectivity__fan_in=29), {}


@broken("ND502")
def a_neuron_of_more_targets_than_a_row(rng):
    return net(rng, 5, 30), loihi(connectivity__fan_out=29), {}


@broken("ND515")
def more_weights_than_axon_types(rng):
    return net(rng, 20, 5), loihi(connectivity__weights_per_neuron=4), {}


@broken("ND516")
def a_neuron_that_must_reach_two_cores(rng):
    weight = np.where(rng.random((10, 20)) < 0.5, 1.0, -1.0)
    behind = np.where(rng.random((40, 10)) < 0.5, 1.0, -1.0)
    layers = [("d", ops.Affine(weight, np.zeros(10))), ("n", spiking(4.0))]
    graph = chain((20,), [*layers, ("e", ops.Affine(behind, np.zeros(40))), ("m", spiking(4.0))])
    return graph, loihi(connectivity__fan_out_cores=1, core__neurons=20), {}


@broken("ND405")
def sources_of_both_signs(rng):
    return net(rng, 20, 5), loihi(synapse__weight__sign_modes=("per-source",)), {}


@broken("ND213")
def a_loop_on_a_feed_forward_part(rng):
    graph = net(rng, 20, 5)
    back = Node("back", dense(rng, 5, 5))
    nodes = (*graph.nodes[:-1], back, graph.nodes[-1])
    edges = (*graph.edges, ("n0", "back"), ("back", "n0"))
    return dataclasses.replace(graph, nodes=nodes, edges=edges), loihi(connectivity__recurrence=False), {}


@broken("ND214")
def a_layer_with_two_destinations_where_one_is_allowed(rng):
    graph = net(rng, 20, 6, 6, 4)
    skip = Node("skip", dense(rng, 6, 4))
    nodes = (*graph.nodes[:4], skip, *graph.nodes[4:])
    edges = (*graph.edges, ("n0", "skip"), ("skip", "n2"))
    both = dataclasses.replace(graph, nodes=nodes, edges=edges)
    return both, loihi(connectivity__destinations_per_layer=1), {}


@broken("ND318")
def more_inputs_than_channels(rng):
    return net(rng, 17, 5), loihi(io__in_channels=16), {}


@broken("ND211")
def more_outputs_than_channels(rng):
    return net(rng, 20, 9), loihi(io__out_channels=8), {}


@broken("ND320")
def too_many_neurons_at_the_input(rng):
    return net(rng, 16, 20, 5), loihi(io__hidden_fed_by_input=19), {}


@broken("ND317")
def more_synapses_than_the_part_holds(rng):
    return net(rng, 30, 20), loihi(chip__synapses=599), {}


@broken("ND211", "ND319", "ND429", "ND812")
def more_neurons_than_odin_has(rng):
    weight = np.where(np.arange(8) % 2, 1.0, -1.0) * np.ones((257, 8))
    return one(weight, spiking(4.0)), target("odin").with_limits(connectivity__fan_out=300), {}


# --- time and evidence -------------------------------------------------------------------------------------


@broken("ND433")
def a_membrane_that_is_inhibited_for_a_long_run(rng):
    return one([[-1.0, 0.5]], notes={"peak_membrane": 10.0, "peak_drive": 1.0, "steps": 50}), "loihi1", {
        "steps": 100_000
    }  # fmt: skip


@broken("ND703")
def a_bright_image_on_nengo_loihis_host(rng):
    graph = net(rng, 784, 5)
    return graph.with_node("encoder", notes={"role": "encoder", "rate_mean": 0.13}), "loihi1", {}


@broken("ND708")
def a_step_shorter_than_the_barrier(rng):
    neuron = ops.IF(np.array(1 / 4e-7), ONE)
    return dataclasses.replace(net(rng, 20, 5, neuron=neuron), dt=4e-7), "loihi1", {}


@broken("ND712")
def a_run_longer_than_the_timer(rng):
    return net(rng, 20, 5), loihi(time__run_max_s=0.05), {"steps": 60}


@broken("ND804")
def a_limit_that_nobody_published(rng):
    return net(rng, 20, 5), loihi(core__in_axons="unknown"), {}


# --- layer engines -----------------------------------------------------------------------------------------


def image(rng, op=None, shape=(2, 12, 12), pool=(2, 2)):
    op = op or conv(rng, shape[0], 4, padding=1)
    op = dataclasses.replace(op, weight=op.weight / np.abs(op.weight).max() / 4)
    layers = [("c", op), ("n", spiking()), ("p", ops.SumPool2d(pool, pool)), ("f", ops.Flatten())]
    size = chain(shape, layers).size("f")
    weight = np.where(rng.random((5, size)) < 0.5, 0.25, -0.25)
    return chain(shape, [*layers, ("d", ops.Affine(weight, np.zeros(5))), ("out", spiking())])


ENGINE = ("ND804", "ND812")


@broken("ND202", "ND224", *ENGINE)
def a_one_dimensional_convolution_on_dynap_cnn(rng):
    weight = rng.uniform(-0.2, 0.2, size=(3, 2, 3))
    return chain((2, 12), [("c", ops.Conv1d(weight, np.zeros(3))), ("n", spiking())]), "dynap-cnn", {}


@broken("ND206", *ENGINE)
def a_stride_of_three_on_dynap_cnn(rng):
    return image(rng, conv(rng, 2, 4, stride=3)), "dynap-cnn", {}


@broken("ND207", *ENGINE)
def a_kernel_that_is_not_square_on_dynap_cnn(rng):
    return image(rng, ops.Conv2d(rng.normal(size=(4, 2, 3, 5)), np.zeros(4))), "dynap-cnn", {}


@broken("ND210", *ENGINE)
def an_image_wider_than_dynap_cnn_addresses(rng):
    return image(rng, conv(rng, 1, 1, stride=8, padding=1), (1, 136, 136), (4, 4)), "dynap-cnn", {}


@broken("ND313", *ENGINE)
def a_kernel_larger_than_any_core_of_dynap_cnn(rng):
    return image(rng, conv(rng, 64, 128, padding=1), (64, 8, 8)), "dynap-cnn", {}


@broken("ND224", "ND312", *ENGINE)
def three_large_layers_for_two_large_cores(rng):
    layers = []
    for i in range(3):
        op = conv(rng, 48, 48, padding=1)
        layers += [(f"c{i}", dataclasses.replace(op, weight=op.weight / 10)), (f"n{i}", spiking())]
    return chain((48, 8, 8), layers), "dynap-cnn", {}


@broken("ND203", *ENGINE)
def a_readout_by_membrane_on_dynap_cnn(rng):
    weight = np.where(rng.random((4, 20)) < 0.5, 0.25, -0.25)
    return chain((20,), [("d", ops.Affine(weight, np.zeros(4))), readout()]), "dynap-cnn", {}


@broken("ND421", *ENGINE)
def a_weight_above_the_threshold_on_dynap_cnn(rng):
    return one(uniform(rng, top=1.5)), "dynap-cnn", {}
