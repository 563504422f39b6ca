"""Our blocks in nengo-loihi's structures: accepted by its checks, run to the spikes of our oracle."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from neurodeploy import stages
from neurodeploy.backends import run_on_host
from neurodeploy.backends.base import backend
from neurodeploy.backends.board import board_model
from neurodeploy.backends.feed import encoder_rates, fan_out, host_train
from neurodeploy.compiler import compile
from neurodeploy.compiler.cost import cost_model, words
from neurodeploy.demo_data import digits
from neurodeploy.errors import OptionError
from neurodeploy.kernels import reference
from neurodeploy.numerics import coding
from neurodeploy.program import out_axon_slots
from tests.backends.programs import by_hand
from tests.compiler.graphs import chain, dense, readout, small, spiking

MODELS = Path(__file__).resolve().parents[2] / "models"
AXON_KINDS = ("discrete", "pop16", "pop32")
STEPS = 30


@pytest.fixture
def samples(rng):
    return rng.uniform(0.1, 0.9, (3, 12))


def open_session(program, input_coding="rate", **options):
    return backend("nengo-loihi").open(program, steps=STEPS, seed=5, input_coding=input_coding, **options)


def oracle(program, x, input_coding, first=0):
    if input_coding == "bias":
        scaled = np.rint(encoder_rates(program, x) * program.populations[0].weight_scale)
        exponent = np.ceil(np.log2(np.maximum(np.abs(scaled) / 4095, 1)))
        bias = (np.rint(scaled / 2**exponent) * 2**exponent).astype(np.int32)
        return reference.run(program, steps=STEPS, batch=len(x), bias=bias)[0]
    train = host_train(program, x, steps=STEPS, input_coding=input_coding, seed=5, first=first)
    return reference.run(program, train, steps=STEPS, batch=len(x))[0]


@pytest.mark.parametrize("input_coding", coding.CODINGS)
@pytest.mark.parametrize("spiking_output", [False, True])
def test_spikes_and_membranes_equal_the_oracle(rng, samples, input_coding, spiking_output):
    program = by_hand(rng, coding=input_coding, spiking_output=spiking_output)
    recording = open_session(program, input_coding)(samples, 0)
    expected = oracle(program, samples, input_coding)
    where = reference.spans(program)
    for name, count in recording.spikes.items():
        assert (count == expected.spiked[:, :, where[name]].sum(axis=(1, 2))).all()
    for name, spikes in recording.raster.items():
        assert (spikes == np.argwhere(expected.spiked[0, :, where[name]])).all()
    out = where["out"]
    state = expected.spiked[:, :, out].sum(axis=1) if spiking_output else expected.v[:, -1, out] / 12000
    assert np.allclose(recording.outputs, state / STEPS * 0.5, rtol=1e-12)
    assert recording.spikes["fc0.relu"].min() > 20


def test_sources_that_share_axons_give_the_same_membranes_in_both(rng):
    layers = [("d", dense(rng, 90, 30)), ("n", spiking()), ("e", dense(rng, 30, 4)), readout()]
    program = compile(chain((90,), layers), small(core__in_axons=20, core__compartments=12), steps=STEPS)
    assert {s.axon_kind for block in program.blocks for s in block.synapses} == {"pop32"}
    x = rng.uniform(0.1, 0.9, (2, 90))
    found, expected = (
        stages.run(program, x, backend=b, steps=STEPS) for b in ("nengo-loihi", "loihi-emulator")
    )
    assert (found.outputs == expected.outputs).all()
    assert found.spikes["n"].sum() > 20
    assert all((found.spikes[name] == expected.spikes[name]).all() for name in expected.spikes)


def test_a_recording_does_not_depend_on_how_samples_are_chunked(rng, samples):
    session = open_session(by_hand(rng), "poisson")
    whole = session(samples, 0)
    parts = [session(samples[:2], 0), session(samples[2:], 2)]
    assert (whole.outputs == np.concatenate([p.outputs for p in parts])).all()
    assert (whole.decisions == np.concatenate([p.decisions for p in parts])).all()


def test_synaptic_operations_equal_the_oracle(rng, samples):
    program = by_hand(rng)
    recording = open_session(program)(samples, 0)
    expected = oracle(program, samples, "rate").synops
    for i, population in enumerate(program.populations[1:], start=1):
        assert (recording.synops[population.name] == expected[:, i]).all()
    assert recording.synops["out"].min() > 0


def test_an_accumulator_that_wraps_is_told_by_sample_and_register(rng, samples):
    program = by_hand(rng)
    strong = [dataclasses.replace(b, synapses=tuple(map(amplified, b.synapses))) for b in program.blocks]
    program = dataclasses.replace(program, blocks=tuple(strong))
    samples[1] = 0
    theirs, ours = (
        backend(name).open(program, steps=STEPS, seed=5, input_coding="rate")(samples, 0).overflows
        for name in ("nengo-loihi", "loihi-emulator")
    )
    assert theirs["input"].tolist() == [True, False, True]
    assert {name: hit.tolist() for name, hit in theirs.items()} == {
        n: hit.tolist() for n, hit in ours.items()
    }


def test_a_program_within_range_overflows_nowhere(rng, samples):
    assert not any(hit.any() for hit in open_session(by_hand(rng))(samples, 0).overflows.values())


def amplified(s):
    return dataclasses.replace(s, weight=s.weight * 100) if s.source == "encoder" else s


def test_a_coding_the_program_was_not_compiled_for_is_refused(rng):
    with pytest.raises(OptionError, match=r"'encoder' on the host; compile it with input_coding='bias'"):
        open_session(by_hand(rng), "bias")


def test_delays_are_refused_by_block(rng):
    program = by_hand(rng)
    first = program.blocks[0]
    slow = dataclasses.replace(first, synapses=(dataclasses.replace(first.synapses[0], delay=3),))
    with pytest.raises(OptionError, match=r"'fc0\.relu\[0\]' receives spikes of 'encoder' after 3 steps"):
        open_session(dataclasses.replace(program, blocks=(slow, *program.blocks[1:])))


def test_nengo_loihis_own_checks_accept_the_blocks(rng):
    program = by_hand(rng)
    model = board_model(program)
    from nengo_loihi.builder.validate import validate_model

    validate_model(model)
    assert [block.label for block in model.blocks] == [block.name for block in program.blocks]


def test_every_source_block_has_one_axon_group_per_synapse_group_it_feeds(rng):
    program = by_hand(rng)
    model = board_model(program)
    fed = [[axon.target.label for axon in block.axons] for block in model.blocks]
    assert fed == [["fc0.relu"] * 4, ["fc0.relu"] * 4, [], []]
    assert [len(spikes.axons) for spikes in model.inputs] == [2]


def test_fan_out_counts_stored_synapses_and_leaves_unconnected_neurons_at_zero(rng):
    reach = fan_out(by_hand(rng))
    assert (reach["encoder", "fc0.relu"] == 8 // 2 + 12 // 2).all()
    assert (reach["fc0.relu", "fc0.relu"] == np.where(np.arange(20) < 3, 0, 20)).all()


def test_the_host_script_codes_rates_as_the_package_does(rng):
    rates = np.concatenate([rng.uniform(-0.2, 1.2, 200), [0, 1, 0.5, 0.25, 1 / 3]])
    ours = coding.rate_spikes(rates, steps=100)
    assert (run_on_host.spike_train(rates, 100, "rate", (0, 0)) == ours).all()
    ours = coding.poisson_spikes(rates[None], steps=100, seed=3, first=7)[:, 0]
    assert (run_on_host.spike_train(rates, 100, "poisson", (3, 7)) == ours).all()


@pytest.fixture(scope="module", params=["digits_mlp", "digits_cnn"])
def compiled(request):
    """A demo network, compiled, and some of its held-out digits."""
    split = digits()
    spiking = stages.convert(stages.load(MODELS / f"{request.param}.keras"), calibration=split.x_train)
    return stages.compile(spiking).raise_for_errors(), split


def test_what_our_compiler_calls_clean_nengo_loihi_accepts(compiled):
    program, _ = compiled
    model = board_model(program)
    from nengo_loihi.builder.validate import validate_model

    validate_model(model)


def test_both_count_the_same_synapse_memory_and_axons(compiled):
    program, _ = compiled
    cost = cost_model(program.target, "loihi1-nengo")
    for block, ours in zip(board_model(program).blocks, program.blocks, strict=True):
        assert [s.bits() for s in block.synapses] == [cost.word * words(cost, s) for s in ours.synapses]
        assert [s.n_axons for s in block.synapses] == [s.n_axons for s in ours.synapses]


def test_both_count_the_same_output_axons(compiled):
    program, _ = compiled
    slots = {kind: program.target.require(f"synapse.axon_kinds.{kind}.slots") for kind in AXON_KINDS}
    for i, block in enumerate(board_model(program).blocks):
        assert sum(axon.axon_slots() for axon in block.axons) == out_axon_slots(program, i, slots=slots)


def test_compiled_networks_give_the_spikes_of_our_emulator(compiled):
    program, split = compiled
    ours, theirs = (
        stages.run(program, split.x_test[:4], backend=name) for name in ("loihi-emulator", "nengo-loihi")
    )
    assert (ours.outputs == theirs.outputs).all()
    assert (ours.decisions == theirs.decisions).all()
    for one, other in (
        (ours.spikes, theirs.spikes),
        (ours.synops, theirs.synops),
        (ours.raster, theirs.raster),
    ):
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)
