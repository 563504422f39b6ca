"""Every finding in a pair: at the limit nothing, one above exactly this code."""

import dataclasses
import itertools

import numpy as np
import pytest

from neurodeploy.compiler import compile
from neurodeploy.compiler.checks import capacity
from neurodeploy.compiler.resources import usage
from neurodeploy.diagnostics import Severity, render
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Node
from neurodeploy.targets import target
from tests.compiler.corpus import SINGLE
from tests.compiler.graphs import DT, chain, dense, readout, small, spiking


def codes(graph, bound="loihi1", **options):
    return {d.code for d in compile(graph, bound, **options).diagnostics}


def finding(graph, code, bound="loihi1", **options):
    (found,) = [d for d in compile(graph, bound, **options).diagnostics if d.code == code]
    return found


def net(rng, sizes=(20, 12, 4), *, neuron=None, peak=4.0, bias=0.0, scale=None):
    """A dense net whose layers all fit."""
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes[:-1])):
        layers.append((f"d{i}", dense(rng, before, after, bias=bias, scale=scale)))
        layers.append((f"n{i}", neuron or spiking()))
    return chain((sizes[0],), [*layers, ("last", dense(rng, sizes[-2], sizes[-1])), readout(peak)])


def lif(tau, **options):
    one, zero = np.ones(()), np.zeros(())
    return ops.LIF(np.asarray(tau, float), one, zero, np.asarray(options.pop("vth", 1.0)), **options)


def test_a_net_that_fits_has_no_findings(rng):
    assert codes(net(rng, bias=0.1)) == set()


# --- capacity ----------------------------------------------------------------------------------------------


def test_blocks_that_cannot_shrink_report_their_neurons(rng):
    graph = net(rng)
    assert codes(graph, small(core__compartments=1)) == set()
    assert codes(graph, small(core__compartments=0)) == {"ND301"}


def test_input_axons_at_the_limit_and_one_above(rng):
    graph = net(rng, (30, 12, 4))
    assert codes(graph, small(core__in_axons=30)) == set()
    assert codes(graph, small(core__in_axons=29)) == {"ND333"}
    assert codes(graph, small(core__in_axons=30, **SINGLE)) == set()
    assert codes(graph, small(core__in_axons=29, **SINGLE)) == {"ND302"}


def test_synapse_memory_at_the_limit_and_one_above(rng):
    graph = net(rng, (30, 12, 4))
    words = 30  # one neuron with 30 inputs takes a word each
    assert codes(graph, small(core__synapse_memory_words=words)) <= {"ND331"}
    found = finding(graph, "ND303", small(core__synapse_memory_words=words - 1))
    assert (found.facts["limit"], found.facts["unit"]) == (29, "words")
    assert found.place.layer == "n0"
    assert "--layer-bits 'n0=4'" in found.remedy
    assert codes(graph, small(core__synapse_memory_words=words - 1), layer_bits={"n0": 4}) <= {
        "ND331", "ND403"
    }  # fmt: skip


def test_output_axons_at_the_limit_and_one_above(rng):
    graph = net(rng, (20, 12, 4))
    split = {"core__compartments": 1}  # every neuron of n0 feeds four cores
    assert codes(graph, small(core__out_axon_entries=4, **split)) == set()
    assert codes(graph, small(core__out_axon_entries=3, **split)) == {"ND304"}


def test_entries_to_other_chips_count_one_more(rng):
    graph = net(rng, (20, 12, 4))
    split = {"core__compartments": 1, "chip__cores": 12}
    assert "ND330" not in codes(graph, small(core__out_axon_entries=8, **split))
    found = finding(graph, "ND330", small(core__out_axon_entries=7, **split))
    assert found.facts["offchip"] == 4


def test_many_entries_to_other_chips_are_a_warning(rng):
    split = {"core__compartments": 1, "chip__cores": 12}
    graph = net(rng, (20, 12, 4))
    assert "ND332" not in codes(graph, small(core__out_axon_entries_offchip=8, **split))
    assert "ND332" in codes(graph, small(core__out_axon_entries_offchip=7, **split))


def shared(program, *layers):
    """What a program uses, as if its fullest cores were shared by blocks of these layers."""
    found = usage(program)
    return dataclasses.replace(
        found, cores=tuple(dataclasses.replace(row, layers=layers, layer=layers[0]) for row in found.cores)
    )


@pytest.mark.parametrize(
    ("code", "limits"),
    [("ND330", {"core__out_axon_entries": 7}), ("ND332", {"core__out_axon_entries_offchip": 7})],
)
def test_layers_that_share_a_core_are_all_named_the_largest_first(code, limits, rng):
    bound = target("kapoho-bay").with_limits(core__compartments=1, chip__cores=12, **limits)
    program = compile(net(rng, (20, 12, 4)), bound)
    checks = (capacity.cores_hold_their_blocks, capacity.output_axons)

    def message(*layers):
        found = [d for check in checks for d in check(program, shared(program, *layers)) if d.code == code]
        return found[0].message

    assert message("wide", "narrow").endswith("; layers wide, narrow share the core")
    assert message("a", "b", "c", "d", "e", "f").endswith("; layers a, b, c, d and 2 more share the core")
    assert "share" not in message("alone")


def test_layers_of_a_core_stand_in_order_of_their_size(rng):
    (core,) = usage(compile(net(rng, (20, 5, 9, 4)))).cores
    assert core.layers == ("n1", "n0", "readout")
    assert core.layer == "n1"


def test_compartment_profiles_at_the_limit_and_one_above(rng):
    graph = net(rng, (20, 12, 4), neuron=lif(0.01 + 0.004 * np.arange(12)))
    assert codes(graph, small(core__profiles__compartment=12)) == set()
    assert codes(graph, small(core__profiles__compartment=11)) == {"ND305"}


def test_threshold_profiles_at_the_limit_and_one_above(rng):
    graph = net(rng, (20, 12, 4), neuron=spiking(1 + 0.1 * np.arange(12)))
    assert codes(graph, small(core__profiles__threshold=12)) == set()
    assert codes(graph, small(core__profiles__threshold=11)) == {"ND306"}


def test_synapse_formats_at_the_limit_and_one_above(rng):
    graph = net(rng, (20, 12, 4))
    skip = Node("skip", dense(rng, 20, 4, scale=1e-2))
    nodes = (*graph.nodes[:2], skip, *graph.nodes[2:])
    edges = (*graph.edges, ("encoder", "skip"), ("skip", "readout"))
    two = dataclasses.replace(graph, nodes=nodes, edges=edges)
    assert codes(two, small(core__profiles__synapse_format=2)) == set()
    assert codes(two, small(core__profiles__synapse_format=1)) == {"ND307"}


def test_words_per_axon_at_the_limit_and_one_above(rng):
    graph = net(rng)
    assert codes(graph, small(core__words_per_axon=1)) == set()
    assert codes(graph, small(core__words_per_axon=0)) == {"ND316"}


def test_cores_of_a_board_at_the_limit_and_one_above(rng):
    graph = net(rng, (20, 12, 4))
    board = target("kapoho-bay").with_limits(core__compartments=1, chip__cores=8)
    assert codes(graph, board) == {"ND328"}
    roomy = target("kapoho-bay").with_limits(core__compartments=1, chip__cores=16)
    assert codes(graph, roomy) == set()
    tight = target("kapoho-bay").with_limits(core__compartments=1, chip__cores=7)
    found = finding(graph, "ND309", tight)
    assert (found.facts["used"], found.facts["limit"]) == (16, 14)
    assert "nahuku-32" in found.facts["boards"]


def test_a_chip_is_one_chip_and_the_remedy_names_boards_that_hold_the_network(rng):
    graph = net(rng, (20, 12, 4))
    assert codes(graph, small(core__compartments=1, chip__cores=16)) == set()
    found = finding(graph, "ND309", small(core__compartments=1, chip__cores=15))
    assert (found.facts["used"], found.facts["limit"]) == (16, 15)
    assert found.severity is Severity.ERROR
    assert "loihi1 has 15, on one chip" in found.message
    graph = net(rng, (20, 320))
    wide = finding(graph, "ND309", small(core__compartments=1))
    assert (wide.facts["used"], wide.facts["limit"]) == (320, 128)
    assert wide.facts["boards"] == "wolf-mountain, nahuku-8, nahuku-32, pohoiki-springs"


def test_a_fit_by_one_cost_model_only_is_a_warning(rng):
    # 61 targets of 8 bits take 8 words by one model and 9 by the other
    graph = net(rng, (40, 61, 4))
    assert "ND331" not in codes(graph, small(core__synapse_memory_words=9 * 40, core__compartments=61))
    assert "ND331" in codes(graph, small(core__synapse_memory_words=8 * 40, core__compartments=61))


# --- expressibility ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["announced", "not-spiking"])
def test_a_part_without_spikes_is_refused(status, rng):
    odd = dataclasses.replace(target("loihi1"), status=status)
    assert codes(net(rng), odd) == {"ND201"}


def test_neuron_models_the_chip_lacks(rng):
    leaky = net(rng, neuron=lif(0.02))
    assert codes(leaky, small(neuron__models=("if", "i", "lif"))) == set()
    found = finding(leaky, "ND203", small(neuron__models=("if", "i")))
    assert found.place.layer == "n0"
    assert found.remedy.startswith("Convert with --neuron KIND")
    only_spikes = finding(net(rng), "ND203", small(neuron__models=("if",)))  # no integrator to read out
    assert (only_spikes.place.layer, "--neuron" in only_spikes.remedy) == ("readout", False)
    assert "--output spikes" in only_spikes.remedy


def test_a_finding_as_text_is_the_line_that_is_printed(rng):
    found = finding(net(rng), "ND203", small(neuron__models=("if",)))
    assert str(found) == render(found, concise=True)
    assert str(found).startswith("readout: error[ND203] ")


def test_soft_reset_where_there_is_only_hard_reset(rng):
    soft = net(rng, neuron=lif(0.02, reset="subtract"))
    assert codes(soft, small(neuron__reset=("hard-zero", "subtract"))) == set()
    assert codes(soft) == {"ND204"}
    assert codes(net(rng, neuron=spiking(reset="subtract"))) == set()  # without a leak, the current does it


def test_a_reset_to_another_level_than_zero(rng):
    def with_reset(level):
        return net(rng, neuron=ops.IF(np.array(1 / DT), np.ones(()), np.array(level)))

    assert codes(with_reset(0.0)) == set()
    assert codes(with_reset(-0.1)) == {"ND222"}


def test_a_graph_that_ends_with_its_encoder():
    graph = chain((5,), [])
    assert codes(graph) == {"ND217"}


def test_an_encoder_on_the_chip_resets_to_zero(rng):
    assert codes(net(rng), input_coding="bias") == {"ND223"}
    assert codes(net(rng), input_coding="poisson") == set()


def test_a_register_of_the_core_that_differs_within_it(rng):
    one, zero = np.ones(()), np.zeros(())

    def currents(tau):
        neuron = ops.CubaLIF(np.array(tau), np.array(0.02), one, zero, one, one)
        return codes(net(rng, (20, 12, 4), neuron=neuron))

    assert "ND215" not in currents([2.0] * 12)
    assert "ND215" in currents([0.002] * 6 + [3.0] * 6)


# --- precision ---------------------------------------------------------------------------------------------


def scaled(rng, ratio):
    """A net whose threshold is `ratio` times its largest weight."""
    weight = rng.uniform(-1, 1, size=(12, 20))
    weight.flat[0] = 1.0
    layers = [("d", ops.Affine(weight, np.zeros(12))), ("n", spiking(ratio)), ("last", dense(rng, 12, 4))]
    return chain((20,), [*layers, readout()])


def test_a_threshold_far_above_the_weights(rng):
    top = (2**17 - 1) * 64 / (255 * 2.0 ** (6 - 7) * 1.000244)
    assert "ND401" not in codes(scaled(rng, top * 0.9999))
    assert "ND401" in codes(scaled(rng, top * 1.001))


def test_a_threshold_that_rounds_to_nothing(rng):
    least = 32 / (255 * 64 * 1.000244)
    assert "ND406" not in codes(scaled(rng, least * 1.05))
    assert "ND406" in codes(scaled(rng, least * 0.9))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value, rng):
    graph = net(rng)
    assert "ND402" not in codes(graph)
    weight = graph["d0"].op.weight.copy()
    weight[3, 4] = value
    broken = graph.with_node("d0", op=ops.Affine(weight, np.zeros(12)))
    found = finding(broken, "ND402")
    assert found.facts["where"] == "(3, 4)"
    assert found.place.layer == "d0"


def test_weights_that_rounding_moves_too_far(rng):
    weight = rng.normal(size=(12, 20))
    spoilt = weight.copy()
    spoilt[0, 0] = 200.0

    def layer(values):
        return chain((20,), [("d", ops.Affine(values, np.zeros(12))), ("n", spiking()), readout()])

    assert "ND403" not in codes(layer(weight))
    assert "ND403" in codes(layer(weight), weight_bits=3)
    assert finding(layer(spoilt / 10), "ND403").place.layer == "d"


def test_weights_that_lose_bits_to_a_large_threshold(rng):
    full = (2**17 - 1) * 64 / (255 * 2.0 ** (6 - 1) * 1.000244)
    assert "ND404" not in codes(scaled(rng, full * 0.999))
    found = finding(scaled(rng, full * 1.001), "ND404")
    assert (found.facts["used"], found.facts["limit"]) == (7, 8)


def test_weights_of_both_signs_in_one_bit(rng):
    assert "ND428" in codes(net(rng), weight_bits=1)
    positive = chain(
        (20,), [("d", ops.Affine(rng.uniform(0.5, 1, (12, 20)), np.zeros(12))), ("n", spiking())]
    )
    assert "ND428" not in codes(positive, weight_bits=1)


def test_a_weak_projection_is_noted_where_nengo_loihi_would_inflate_it(rng):
    def with_skip(scale):
        graph = net(rng, (20, 12, 4))
        weight = np.where(rng.random((4, 20)) < 0.5, scale, -scale)
        last = np.where(rng.random((4, 12)) < 0.5, 1.0, -1.0)
        skip = Node("skip", ops.Affine(weight, np.zeros(4)))
        graph = graph.with_node("last", op=ops.Affine(last, np.zeros(4)))
        nodes = (*graph.nodes[:2], skip, *graph.nodes[2:])
        edges = (*graph.edges, ("encoder", "skip"), ("skip", "readout"))
        return dataclasses.replace(graph, nodes=nodes, edges=edges)

    assert "ND417" not in codes(with_skip(1 / 63), steps=5)
    assert "ND417" in codes(with_skip(1 / 129), steps=5)


def biased(rng, bias):
    weight = rng.uniform(-1, 1, size=(12, 20))
    return chain((20,), [("d", ops.Affine(weight, np.full(12, bias))), ("n", spiking()), readout()])


def test_a_bias_at_the_limit_and_above(rng):
    graph = biased(rng, 1.0)
    weight = graph["d"].op.weight.copy()
    weight.flat[0] = 1.0
    top = 4095 * 2**7 / (255 * 2.0 ** (6 - 7) * 1.000244)
    inside, beyond = (
        graph.with_node("d", op=ops.Affine(weight, np.full(12, top * f))) for f in (0.999, 1.001)
    )
    assert "ND407" not in codes(inside)
    assert "ND407" in codes(beyond)


def test_a_bias_that_rounding_drops(rng):
    unit = 1 / (255 * 64)
    assert "ND408" not in codes(biased(rng, 20 * unit))
    assert "ND408" in codes(biased(rng, 0.3 * unit))


def test_a_decay_too_slow_for_its_register(rng):
    longest = DT * 8192
    assert "ND409" not in codes(net(rng, neuron=lif(longest * 0.99)))
    assert "ND409" in codes(net(rng, neuron=lif(longest * 1.01)))


def test_a_decay_that_rounding_moves_too_far(rng):
    assert "ND410" not in codes(net(rng, neuron=lif(0.02)))
    assert "ND410" in codes(net(rng, neuron=lif(4.096 * 0.65)))


def test_refractory_steps_at_the_limit_and_one_above(rng):
    assert codes(net(rng, neuron=spiking(refractory=62))) == set()
    found = finding(net(rng, neuron=spiking(refractory=63)), "ND411")
    assert (found.facts["used"], found.facts["limit"]) == (64, 63)


def pulled(peak, **options):
    """A neuron whose membrane calibration saw `peak` thresholds from rest, in a run of 50 steps."""
    node = Node("n", spiking(), notes={"peak_membrane": peak, "peak_drive": 1.0, "steps": 50})
    return compile(chain((2,), [("d", ops.Affine(np.full((3, 2), -1.0), np.ones(3))), node]), **options)


def test_a_membrane_at_the_end_of_its_register_and_beyond():
    """Excitation ends at the threshold and may come close to the end; only inhibition can go beyond."""
    scale = pulled(1.0).population("n").weight_scale
    most = (2**23 - 1) / scale
    assert "ND433" not in {d.code for d in pulled(most * (1 - 1e-6)).diagnostics}
    (found,) = [d for d in pulled(most * (1 + 1e-6)).diagnostics if d.code == "ND433"]
    assert found.facts["limit"] == -(2**23) + 1
    assert found.facts["used"] < found.facts["limit"]
    assert "ND433" in {d.code for d in pulled(most * 0.6, steps=100).diagnostics}
    assert "ND433" not in {d.code for d in pulled(most * 0.6, steps=50).diagnostics}


def all_ones(inputs, *, peak=None):
    notes = {} if peak is None else {"peak_drive": peak}
    node = Node("n", spiking(4.0), notes=notes)
    weight = np.ones((3, inputs))
    return chain((inputs,), [("d", ops.Affine(weight, np.zeros(3))), node, readout()])


def test_all_inputs_at_once_wrap_the_accumulator_unless_calibration_saw_less():
    most = (2**21 - 1) // (127 * 128)
    assert "ND413" not in codes(all_ones(most))
    assert "ND413" in codes(all_ones(most + 1))
    assert "ND413" not in codes(all_ones(most + 1, peak=most / 2 - 1))
    assert "ND413" in codes(all_ones(most + 1, peak=most / 2 + 2))
    assert "not known; neurodeploy run" in finding(all_ones(most + 1), "ND413").remedy
    seen = finding(all_ones(most + 1, peak=most / 2 + 2), "ND413")
    assert "Calibration saw 1," in seen.remedy


def test_calibrated_drive_that_wraps_is_an_error():
    most = 2**21 / (255 * 2.0 ** (6 - 7))
    assert "ND426" not in codes(all_ones(200, peak=most * 0.999))
    assert "ND426" in codes(all_ones(200, peak=most * 1.01))


def test_a_slow_current_that_wraps(rng):
    one, zero = np.ones(()), np.zeros(())

    def slow(peak):
        neuron = ops.CubaLIF(np.array(0.2), np.array(0.02), one, zero, one, one)
        graph = net(rng, neuron=neuron)
        return graph.with_node("n0", notes={"peak_drive": peak})

    assert "ND414" not in codes(slow(0.1))
    assert "ND414" in codes(slow(100.0))


def test_a_run_too_long_for_the_readout(rng):
    graph = net(rng, peak=4.0)
    assert not codes(graph, steps=100) & {"ND415", "ND424"}
    assert "ND424" in codes(graph, steps=10_000)
    assert "ND415" in codes(graph, steps=1_000_000)


def test_silent_and_saturated_neurons_of_calibration(rng):
    graph = net(rng, (20, 40, 4))
    assert codes(graph.with_node("n0", notes={"dead_units": 2, "saturated_units": 2})) == set()
    assert codes(graph.with_node("n0", notes={"dead_units": 3})) == {"ND423"}
    assert codes(graph.with_node("n0", notes={"saturated_units": 3})) == {"ND427"}


# --- evidence ----------------------------------------------------------------------------------------------


def test_a_limit_that_nobody_published_is_said(rng):
    assert codes(net(rng), small(core__profiles__threshold="unknown")) == {"ND804"}
    assert codes(net(rng), small(core__profiles__threshold="none")) == set()


def test_use_between_two_sources_is_said(rng):
    bound = target("loihi1")
    limit = bound.limit("core.profiles.threshold")
    assert [r.value for r in limit.conflict] == [7, 16]
    assert codes(net(rng, (20, 7, 4), neuron=spiking(1 + 0.1 * np.arange(7)))) == set()
    assert codes(net(rng, (20, 8, 4), neuron=spiking(1 + 0.1 * np.arange(8)))) == {"ND805"}


def test_a_weak_source_never_refuses(rng):
    bound = small(core__in_axons=5, **SINGLE)
    facts = dict(bound.facts)
    facts["core.in_axons"] = dataclasses.replace(facts["core.in_axons"], grade="recall")
    program = compile(net(rng), dataclasses.replace(bound, facts=facts))
    assert not program.errors
    assert {d.code for d in program.diagnostics} == {"ND302"}


def test_every_capacity_finding_has_used_limit_unit_and_source(rng):
    program = compile(
        net(rng), small(core__in_axons=5, core__out_axon_entries=3, core__compartments=2, **SINGLE)
    )
    assert len(program.errors) > 1
    for found in program.errors:
        assert found.facts["used"] > found.facts["limit"]
        assert found.facts["unit"]
        assert found.facts["source"]


@pytest.mark.parametrize(
    ("one", "bias", "code"),
    [(1.0, 0.0, set()), (0.0, 0.1, set()), (0.0, 0.0, {"ND430"}), (-1.0, 0.0, {"ND430"})],
)
@pytest.mark.parametrize("name", ["loihi1", "spinnaker1"])
def test_a_layer_that_nothing_lifts_is_said(one, bias, code, name):
    weight = np.zeros((3, 5))
    weight[2, 1] = one
    op = ops.Affine(weight, np.array([bias, 0, 0]))
    graph = chain((5,), [("d", op), ("n", spiking())])
    assert codes(graph, name) & {"ND430"} == code


@pytest.mark.parametrize(("threshold", "code"), [(1e-9, set()), (0.0, {"ND425"})])
@pytest.mark.parametrize("name", ["spinnaker1", "dynap-cnn", "xylo-audio-3"])
def test_a_threshold_is_positive_on_every_part(threshold, code, name, rng):
    graph = chain((5,), [("d", dense(rng, 5, 3)), ("n", spiking(threshold))])
    assert codes(graph, name) & {"ND425", "ND905"} == code


@pytest.mark.parametrize(
    ("name", "reset", "neuron"), [("loihi1", "subtract", "if"), ("xylo-audio-3", "zero", "if-soft")]
)
def test_the_remedy_of_a_reset_names_a_neuron_the_part_has(name, reset, neuron, rng):
    graph = chain((5,), [("d", dense(rng, 5, 3)), ("n", lif(0.02, reset=reset))])
    assert f"--neuron {neuron})" in finding(graph, "ND204", name).remedy
