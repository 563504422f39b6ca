"""Frozen networks with every state of every step; see vectors/README.md."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurodeploy.kernels import compiled
from neurodeploy.kernels.circuit import Circuit, Group, Learning, Noise, merge
from neurodeploy.kernels.layout import lay_out
from neurodeploy.numerics.neurons import Compartments

FILES = sorted((Path(__file__).parent / "vectors").glob("*.h5"))


def read(path):
    with h5py.File(path) as file:
        found = {}
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
        return found, dict(file.attrs)


def circuit_of(found, attributes):
    """Group 0 is outside, then comes a group per block."""
    ends = np.cumsum([0, *found["blocks"]])
    groups = [Group("inputs", int(attributes["inputs"]), None)]
    for start, end in pairwise(ends):
        columns = {name: found[f"compartments/{name}"][start:end] for name in
                   ("decay_u", "decay_v", "vth", "bias", "refract")}  # fmt: skip
        bounds = {name: int(attributes[name]) for name in ("vmin", "vmax")}
        noise = noise_of(found, end - start) if "noise/offset" in found else None
        groups.append(Group(str(start), int(end - start), Compartments(**columns, **bounds), noise=noise))
    return Circuit(tuple(groups), tuple(wires_of(found, groups, ends)), learning_of(found))


def wires_of(found, groups, ends):
    lines = np.column_stack(
        [found[f"synapses/{k}"] for k in ("from_outside", "source", "target", "weight", "delay")]
    )
    source = np.where(lines[:, 0] == 1, 0, np.searchsorted(ends, lines[:, 1], "right"))
    target = np.searchsorted(ends, lines[:, 2], "right")
    for s, t, delay in sorted(set(zip(source, target, lines[:, 4], strict=True))):
        mine = lines[(source == s) & (target == t) & (lines[:, 4] == delay)].astype(np.int32)
        first = 0 if s == 0 else ends[s - 1]
        entry = (mine[:, 1] - first, (mine[:, 2] - ends[t - 1]).astype(np.int32), mine[:, 3])
        order = np.argsort(entry[0], kind="stable")
        yield merge([tuple(e[order] for e in entry)], groups[s].size, ends=(int(s), int(t)), delay=int(delay))


def noise_of(found, n):
    gain = 2.0 ** (int(found["noise/exponent"]) - 7) * np.resize(found["noise/enabled"], n)
    return Noise(gain, np.full(n, 64 * found["noise/offset"]), np.full(n, bool(found["noise/at_membrane"])))


def learning_of(found):
    if "learning/weight" not in found:
        return ()
    weight, exponent = found["learning/weight"], int(found["learning/exponent"]) + 6
    decay = float(np.exp(-2 / int(found["learning/tau"])))
    axons = ((1, np.arange(len(weight), dtype=np.int32)),)
    return (
        Learning(len(found["blocks"]), weight, axons, decay, float(found["learning/gain"]), 1, -2,
                 7 - exponent, exponent + 1, 8, 127),
    )  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_state_of_a_frozen_network_is_reproduced(path):
    found, attributes = read(path)
    layout = lay_out(circuit_of(found, attributes))
    batch = compiled.at_rest(layout, 1, seeds=[int(attributes["seed"])])
    inputs, steps = int(attributes["inputs"]), int(attributes["steps"])
    train = np.zeros((1, steps, inputs), np.int64)
    np.add.at(train[0], tuple(found["spikes"].T), 1)
    for step in range(steps):
        errors = found["learning/errors"][step][None] if "learning/errors" in found else None
        given = {"train": train[:, step : step + 1], "errors": errors}
        trace = compiled.advance(layout, batch, steps=1, first=step, keep="all", **given).trace
        for name in ("u", "v", "wait", "spiked"):
            assert np.array_equal(getattr(trace, name)[0, 0, inputs:], found[f"states/{name}"][step]), (
                name,
                step,
            )
        if "states/weight" in found:
            assert np.array_equal(batch.traces[0], found["states/trace"][step])
            assert np.array_equal(batch.learned[0], found["states/weight"][step].ravel())


def test_there_are_vectors_for_every_part_of_the_step():
    assert {path.stem for path in FILES} >= {"decay", "delays", "learning", "noise-at-input", "input-wraps"}
    assert sum(path.stat().st_size for path in FILES) < 1_000_000
