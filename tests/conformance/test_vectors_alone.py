"""The frozen vectors, replayed with nothing but their files, their README and NumPy."""

from pathlib import Path

import h5py
import numpy as np
import pytest

FILES = sorted((Path(__file__).parent / "vectors").glob("*.h5"))


def wrap(x, bits):
    return (x + (1 << bits)) % (1 << (bits + 1)) - (1 << bits)


def decay(x, keep):
    return np.sign(x) * ((np.abs(x) * keep) >> 12)


def rounded(x, random):
    size = np.floor(np.abs(x))
    up = np.abs(x) - size > random.random_sample(x.shape)
    return np.sign(x).astype(np.int64) * np.minimum(size.astype(np.int64) + up, 127)


def draws(random, count):
    """Lowest 8 bits of each word, again where they are 255, minus 127."""
    values = []
    while len(values) < count:
        word = int(random.randint(0, 2**32, dtype=np.uint32)) & 255
        values += [word - 127] if word < 255 else []
    return np.array(values, np.int64)


class Learning:
    """The plastic synapses, from the first block's neurons to the last block's."""

    def __init__(self, found, random):
        self.random, self.errors = random, found["learning/errors"].astype(np.int64)
        self.tau, self.gain = int(found["learning/tau"]), float(found["learning/gain"])
        self.exponent = int(found["learning/exponent"])
        self.weight = found["learning/weight"].astype(np.int64)
        self.trace, self.marks = np.zeros(len(self.weight), np.int64), np.zeros(len(self.weight), bool)

    def step(self, number, came):
        """Return what arrives, then learn; `number` counts from 1."""
        arrived = came[: len(self.weight)] @ self.weight
        self.marks |= came[: len(self.weight)] > 0
        if number % 2 == 0:
            self.trace = rounded(self.trace * np.exp(-2 / self.tau) + self.marks * self.gain, self.random)
            self.marks[:] = False
        if number % 4 == 0:
            e = self.errors[number - 1]
            change = (self.trace[:, None] * np.concatenate([-e, e])) >> 2
            mantissa = rounded(((self.weight >> (self.exponent - 1)) + change) / 256, self.random)
            self.weight = mantissa << (self.exponent + 7)
        return arrived


def noise_of(found, random, n):
    """Return what is added to the input, and what to the membrane."""
    x, none = draws(random, n), np.zeros(n, np.int64)
    if "noise/offset" not in found:
        return none, none
    gain = 2.0 ** (int(found["noise/exponent"]) - 7) * np.resize(found["noise/enabled"], n)
    noise = np.trunc((x + 64 * int(found["noise/offset"])) * gain).astype(np.int64)
    return (none, noise) if found["noise/at_membrane"] else (noise, none)


def replay(found, held):
    """Yield the states after every step."""
    names = ("decay_u", "decay_v", "vth", "bias", "refract")
    decay_u, decay_v, vth, bias, refract = (found[f"compartments/{n}"].astype(np.int64) for n in names)
    n, inputs, steps = len(vth), int(held["inputs"]), int(held["steps"])
    columns = ("from_outside", "source", "target", "weight", "delay")
    outside, source, target, weight, late = (found[f"synapses/{c}"].astype(np.int64) for c in columns)
    source = np.where(outside == 1, source, source + inputs)
    sent = np.zeros((steps, inputs + n), np.int64)  # how often each input and each neuron spikes
    np.add.at(sent, tuple(found["spikes"].T), 1)
    u, v, wait = np.zeros((3, n), np.int64)
    random = np.random.RandomState(int(held["seed"]))
    learning = Learning(found, random) if "learning/weight" in found else None
    for step in range(steps):
        q, there = np.zeros(n, np.int64), step >= late
        np.add.at(q, target[there], weight[there] * sent[step - late[there], source[there]])
        if learning is not None:
            came = sent[step - 1, inputs:] * (step > 0)
            q[n - learning.weight.shape[1] :] += learning.step(step + 1, came)
        to_input, to_membrane = noise_of(found, random, n)
        u = wrap(decay(u, 4095 - decay_u) + wrap(q + to_input, 21), 23)
        v = wrap(decay(v, 4096 - decay_v) + wrap(u + bias + to_membrane, 23), 31)
        v = np.where(wait > 0, 0, np.clip(v, int(held["vmin"]), int(held["vmax"])))
        fired = sent[step, inputs:] = v > vth
        v, wait = np.where(fired, 0, v), np.maximum(np.where(fired, refract, wait) - 1, 0)
        states = {"u": u, "v": v, "wait": wait, "spiked": fired}
        yield states if learning is None else {**states, "trace": learning.trace, "weight": learning.weight}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_vector_is_replayed_from_its_file_alone(path):
    with h5py.File(path) as file:
        held, found = dict(file.attrs), {}
        file.visititems(lambda n, item: found.update({n: item[()]}) if hasattr(item, "dtype") else None)
    for step, states in enumerate(replay(found, held)):
        for name, now in states.items():
            assert np.array_equal(found[f"states/{name}"][step].ravel(), now.ravel()), (name, step)
    assert step + 1 == int(held["steps"])
