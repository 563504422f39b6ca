"""Random discretised models of nengo-loihi that reach every corner of the chip's step."""

import numpy as np

from neurodeploy.backends.adapter import nengo_loihi_module

loihi = nengo_loihi_module()
WEIGHTS = {
    "chip": lambda rng, shape: rng.integers(-127, 128, shape) << 7,
    "coarse": lambda rng, shape: rng.integers(-3, 4, shape) << 13,
    "overflow": lambda rng, shape: rng.integers(-(2**21), 2**21, shape),
    "huge": lambda rng, shape: rng.integers(-(2**31), 2**31, shape),
}


def block(rng, size, name):
    """Draw compartments: decays, thresholds, biases, bounds, refractory periods and noise of any kind."""
    made = loihi.block.LoihiBlock(size, label=name)
    part = made.compartment

    def draw(low, high):
        return rng.integers(low, high, size).astype(np.int32)

    part.decay_u, part.decay_v = draw(0, 4096), draw(0, 4096)
    part.vth = draw(1, int(rng.choice([50, 4000, 131072]))) * 64
    part.bias = draw(-4095, 4096) << int(rng.integers(0, 8))
    part.refract_delay = draw(1, int(rng.choice([2, 4, 64])))
    part.vmin = 1 - 2 ** int(rng.integers(0, 32))
    part.vmax = 2 ** (9 + 2 * int(rng.integers(0, 8))) - 1
    part.scale_u = part.scale_v = False
    part.enable_noise[:] = rng.random(size) < rng.choice([0, 0, 0.5, 1])
    part.noise_exp, part.noise_offset = int(rng.integers(1, 24)), int(rng.integers(-64, 65))
    part.noise_at_membrane = int(rng.integers(2))
    return made


def synapse(rng, size, n_axons, name):
    """Draw synapses: a row for each axon, or shared rows with atoms, bases and axons that go nowhere."""
    made = loihi.block.Synapse(n_axons, label=name)
    kind = WEIGHTS[str(rng.choice(list(WEIGHTS)))]
    atoms, span = int(rng.integers(1, 4)), int(rng.integers(1, size + 1))
    if rng.random() < 0.5:
        atoms, span = 1, size
    shared = atoms > 1 or span < size
    rows = int(rng.integers(1, n_axons + 1)) if shared else n_axons
    length = [int(rng.integers(1, span + 1)) for _ in range(rows)]
    made.weights = [kind(rng, (atoms, n)).astype(np.int32) for n in length]
    made.indices = [np.tile(np.sort(rng.permutation(span)[:n]), (atoms, 1)).astype(np.int32) for n in length]
    if shared:
        made.axon_to_weight_map = rng.integers(0, rows, n_axons)
        made.axon_compartment_bases = rng.integers(-1, size - span + 1, n_axons)
        made.pop_type = 32
    made.format(compression=3, idx_bits=0, fanout_type=1, n_synapses=63, weight_bits=7, weight_exp=0)
    return made


def learning(rng, size, n_axons, name):
    """Draw synapses that learn, to pairs of compartments."""
    made = loihi.block.Synapse(n_axons, label=name)
    exponent = int(rng.integers(-2, 8))
    codes = rng.integers(-127, 128, (n_axons, 1, size)) * rng.integers(0, 2)
    made.weights = list((codes << (exponent + 7)).astype(np.int32))
    made.indices = [np.arange(size, dtype=np.int32)[None]] * n_axons
    made.format(compression=3, idx_bits=0, fanout_type=1, n_synapses=63, weight_bits=7, weight_exp=exponent)
    gain = int(rng.integers(1, 128 * 128)) / 128
    made.set_learning(tracing_tau=int(rng.integers(1, 30)), tracing_mag=gain, wgt_exp=exponent)
    made.learning_rate, made._lr_int, made._lr_exp = 2.0**-7, 1, -7
    return made


def join(rng, source, target, *, learns):
    """Join a block or an input to a block; some neurons may share an axon, others have none."""
    n_axons = source.n_neurons if learns else int(rng.integers(1, source.n_neurons + 1))
    make = learning if learns else synapse
    made = make(rng, target.n_neurons, n_axons, f"{target.label} from {source.label}")
    target.add_synapse(made)
    axon = loihi.block.Axon(n_axons)
    axon.target = made
    every = np.arange(source.n_neurons)
    axon.compartment_map = every if learns else rng.integers(-1, n_axons, source.n_neurons)
    axon.compartment_atoms = rng.integers(0, made.weights[0].shape[0], source.n_neurons)
    source.add_axon(axon)


def model(seed):
    """Draw a model of one to four blocks, fed from outside and by each other, some of them learning."""
    rng = np.random.default_rng(seed)
    made = loihi.builder.Model(dt=0.001)
    source = loihi.inputs.SpikeInput(int(rng.integers(1, 40)), label="input")
    made.add_input(source)
    blocks = [block(rng, 2 * int(rng.integers(1, 35)), f"b{i}") for i in range(rng.integers(1, 5))]
    for i, target in enumerate(blocks):
        made.add_block(target)
        for pre in (source, *blocks):
            if pre is source or rng.random() < 0.4:
                join(rng, pre, target, learns=False)
        if rng.random() < 0.4:
            join(rng, blocks[i - 1], target, learns=True)
    return made


def spikes(seed, made, steps):
    """Draw what enters: indices per step, some of them more than once."""
    rng = np.random.default_rng(seed)
    (source,) = made.inputs
    return [rng.integers(0, source.n_neurons, rng.integers(0, source.n_neurons + 1)) for _ in range(steps)]


def learning_synapses(made):
    """List the synapses that learn, in the order of the emulator."""
    return [s for b in made.blocks for s in b.synapses if s.learning]


def same_state(chip, emulator, *, sample=0):
    """Compare every state of a sample with nengo-loihi's emulator."""
    layout, state = chip.layout, chip.batch
    at, n = layout.position[layout.outside :], layout.size
    theirs = emulator.compartment
    for part, name in enumerate(("current", "voltage", "ref_count")):
        assert np.array_equal(state.cells[sample, part * n + at], getattr(theirs, name)), name
    assert np.array_equal(state.fired[sample, -1, at] != 0, theirs.spiked)
    if layout.random:
        _, words, position, *_ = emulator.rng.get_state()
        assert np.array_equal(state.random[sample], [*words, position])
    for line, trace in zip(layout.learning, emulator.synapses.traces.values(), strict=True):
        assert np.array_equal(state.traces[sample, line[4] : line[4] + line[1]], trace)
