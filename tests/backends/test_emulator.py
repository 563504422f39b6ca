"""The default backend against nengo-loihi's emulator, which is given the same blocks."""

import numpy as np
import pytest

from neurodeploy.backends.base import backend
from neurodeploy.errors import OptionError
from neurodeploy.numerics import coding
from tests.backends.programs import by_hand

STEPS = 30


@pytest.fixture
def samples(rng):
    return rng.uniform(0.1, 0.9, (4, 12))


def run(name, program, x, input_coding="rate", *, first=0, steps=STEPS):
    return backend(name).open(program, steps=steps, seed=5, input_coding=input_coding)(x, first)


def same(ours, theirs):
    assert np.array_equal(ours.outputs, theirs.outputs)
    assert np.array_equal(ours.decisions, theirs.decisions)
    for name in ("spikes", "synops", "raster"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert set(mine) == set(other), name
        assert all(np.array_equal(mine[k], other[k]) for k in mine), name


@pytest.mark.parametrize("input_coding", coding.CODINGS)
@pytest.mark.parametrize("spiking_output", [False, True])
def test_the_recording_equals_nengo_loihis(rng, samples, input_coding, spiking_output):
    program = by_hand(rng, coding=input_coding, spiking_output=spiking_output)
    ours = run("loihi-emulator", program, samples, input_coding, first=3)
    same(ours, run("nengo-loihi", program, samples, input_coding, first=3))
    assert ours.spikes["fc0.relu"].min() > 20


def test_a_recording_does_not_depend_on_how_samples_are_chunked(rng, samples):
    program = by_hand(rng)
    whole = run("loihi-emulator", program, samples, "poisson")
    parts = [run("loihi-emulator", program, samples[i : i + 1], "poisson", first=i) for i in range(4)]
    assert np.array_equal(whole.outputs, np.concatenate([p.outputs for p in parts]))


def test_a_program_without_blocks_is_refused(rng):
    import dataclasses

    bare = dataclasses.replace(by_hand(rng), blocks=())
    with pytest.raises(OptionError, match="has no blocks to run; compile it first"):
        run("loihi-emulator", bare, np.zeros((1, 12)))


def test_a_program_that_has_run_cannot_be_written(rng, samples):
    """Its tables are kept for the next run, which would not see what was written."""
    program = by_hand(rng)
    run("loihi-emulator", program, samples)
    for array in vars(program.blocks[0].synapses[0]).values():
        if isinstance(array, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
