"""Rows, bytes, places, spikes and registers of chips that are not laid out, in pairs around each limit."""

import itertools

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.ir import ops
from neurodeploy.targets import target
from tests.compiler.graphs import chain, dense, spiking


def codes(graph, bound, **options):
    return {d.code for d in compile(graph, bound, **options).diagnostics}


def finding(graph, code, bound, **options):
    return next(d for d in compile(graph, bound, **options).diagnostics if d.code == code)


def net(rng, *sizes, neuron=None):
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers += [(f"d{i}", dense(rng, before, after)), (f"n{i}", neuron or spiking())]
    return chain((sizes[0],), layers)


def one_layer(weight, *, bias=0.0, threshold=1.0):
    outputs, inputs = weight.shape
    layer = ops.Affine(weight, np.full(outputs, bias))
    return chain((inputs,), [("d", layer), ("n", spiking(threshold))])


# --- the network as a whole --------------------------------------------------------------------------------


def test_inputs_and_neurons_share_the_rows_of_a_single_core(rng):
    assert "ND302" not in codes(net(rng, 200, 56, 5), "odin")
    found = finding(net(rng, 200, 57, 5), "ND302", "odin")
    assert (found.facts["used"], found.facts["limit"], found.facts["unit"]) == (257, 256, "in axons")


def test_bytes_of_synapses_at_the_memory_of_all_chips_and_one_above(rng):
    graph = net(rng, 30, 10)
    board = target("spinn3")
    assert "ND323" not in codes(graph, board.with_limits(chip__sdram_bytes=300))
    found = finding(graph, "ND323", board.with_limits(chip__sdram_bytes=299))
    assert (found.facts["used"], found.facts["limit"]) == (1200, 1196)


def lif(taus):
    one, zero = np.ones(()), np.zeros(())
    return ops.LIF(np.asarray(taus, float), one, zero, one)


def test_neurons_that_share_parameters_need_places_for_every_set(rng):
    pairs = np.repeat(0.01 + 0.001 * np.arange(20), 2)
    bound = target("reckon").with_limits(core__neurons=40)
    assert "ND321" not in codes(net(rng, 10, 40, 5, neuron=None), bound)
    assert "ND321" not in codes(hidden(rng, lif(pairs)), bound)
    found = finding(hidden(rng, lif(np.concatenate([pairs[:-1], [0.5]]))), "ND321", bound)
    assert (found.facts["used"], found.facts["neurons"], found.facts["shared"]) == (42, 40, 2)


def hidden(rng, neuron):
    """A net with 40 such neurons in the middle."""
    layers = [("a", dense(rng, 10, 40)), ("n", neuron), ("b", dense(rng, 40, 5)), ("out", spiking())]
    return chain((10,), layers)


def test_more_neurons_than_cores_update_in_real_time_are_a_warning(rng):
    bound = target("spinnaker2").with_limits(rate__neurons_per_core=2, chip__cores=10)
    assert "ND707" not in codes(net(rng, 5, 12, 8), bound)
    found = finding(net(rng, 5, 12, 9), "ND707", bound)
    assert (found.facts["used"], found.facts["limit"]) == (21, 20)
    assert found.severity.value == "warning"


@pytest.mark.parametrize(
    ("limit", "place"),
    [
        ("rate__input_spikes_per_channel_step", "input"),
        ("rate__hidden_spikes_per_step", "n0"),
        ("rate__output_spikes_per_step", "n1"),
    ],
)
def test_spikes_that_a_step_cannot_count(limit, place, rng):
    graph, part = net(rng, 8, 6, 4), target("xylo-audio-2")
    assert "ND704" not in codes(graph, part.with_limits(**{limit: 1}))
    assert finding(graph, "ND704", part.with_limits(**{limit: 0})).place.layer == place


def test_classes_of_the_parts_own_readout_at_the_limit_and_one_above(rng):
    assert "ND224" not in codes(net(rng, 20, 15), "speck2e")
    found = finding(net(rng, 20, 16), "ND224", "speck2e")
    assert (found.facts["used"], found.facts["limit"], found.severity.value) == (16, 15, "warning")


# --- registers ---------------------------------------------------------------------------------------------


def test_a_membrane_that_cannot_go_below_its_floor(rng):
    weight = np.abs(rng.normal(size=(4, 10)))
    assert "ND429" not in codes(one_layer(weight), "odin")
    assert "ND429" in codes(one_layer(weight, bias=-0.1), "odin")
    weight[2, 3] = -0.5
    assert finding(one_layer(weight), "ND429", "odin").facts["used"] == 1


def test_thresholds_that_leave_weights_few_codes(rng):
    weight = np.ones((4, 10))
    assert not codes(one_layer(weight, threshold=255 / 7), "odin") & {"ND431", "ND401"}
    found = finding(one_layer(weight, threshold=255 / 6), "ND431", "odin")
    assert (found.facts["used"], found.facts["limit"]) == (6, 7)
    assert "ND401" not in codes(one_layer(weight, threshold=255.0), "odin")
    found = finding(one_layer(weight, threshold=256.0), "ND401", "odin")
    assert (found.facts["used"], found.facts["limit"]) == (256, 255)


def test_a_part_without_floor_or_threshold_width_is_left_alone(rng):
    graph = one_layer(-np.ones((4, 10)), threshold=1e6)
    assert not codes(graph, "spinnaker1") & {"ND429", "ND431", "ND401"}
