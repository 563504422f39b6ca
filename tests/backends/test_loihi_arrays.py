"""What our parts of nengo-loihi's builder make, array by array, against its own."""

import numpy as np
import pytest

from neurodeploy.backends import loihi_arrays
from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module

nengo, loihi = nengo_module(), nengo_loihi_module()
pytestmark = pytest.mark.filterwarnings("ignore:NengoLoihi does not support initial values", "ignore:Lost")
COMPARTMENT = ("decay_u", "decay_v", "refract_delay", "vth", "bias", "vmin", "vmax")


def dense(rng):
    """Layers that are cut by themselves, the second because of its weights."""
    with nengo.Network(seed=2) as net:
        a, b = neurons(150), neurons(1100)
        nengo.Connection(a.neurons, b.neurons, transform=rng.normal(size=(1100, 150)) * 1e-2)
        nengo.Connection(b.neurons, a.neurons, transform=rng.normal(size=(150, 1100)) * 1e-3)
        nengo.Probe(b.neurons[10:1090:3])
    return net


def sparse_rows(rng):
    """Weights of which most are 0, cut to a shape."""
    with nengo.Network(seed=2) as net:
        loihi.add_params(net)
        a, b = neurons(12), neurons(30)
        weights = np.where(rng.random((30, 12)) < 0.3, rng.normal(size=(30, 12)), 0) * 1e-2
        nengo.Connection(a.neurons, b.neurons, transform=weights)
        nengo.Connection(b.neurons, b.neurons, transform=np.eye(30) * 1e-2)
        net.config[b].block_shape = loihi.BlockShape((7,), (30,))
    return net


def convolution(rng, channels_last=True, pop_type=32, strides=(1, 1)):
    """Shared weights, cut along rows, columns and channels, with a dense layer behind."""
    with nengo.Network(seed=2) as net:
        loihi.add_params(net)
        shape = nengo.transforms.ChannelShape((9, 7, 4) if channels_last else (4, 9, 7), channels_last)
        first = nengo.Convolution(8, shape, kernel_size=(3, 3), strides=strides, channels_last=channels_last)
        a, b, c = neurons(252), neurons(first.output_shape.size), neurons(6)
        joined = nengo.Connection(a.neurons, b.neurons, transform=first)
        nengo.Connection(b.neurons, c.neurons, transform=rng.normal(size=(6, b.n_neurons)) * 1e-2)
        part = (3, 2, 4) if channels_last else (4, 3, 2)
        net.config[b].block_shape = loihi.BlockShape(part, first)
        net.config[joined].pop_type = pop_type
        nengo.Probe(b.neurons)
    return net


def neurons(n):
    """Make neurons with gain and bias."""
    rest = {"voltage": nengo.dists.Choice([0])}
    kind = loihi.LoihiSpikingRectifiedLinear(initial_state=rest)
    one = nengo.dists.Choice([1])
    return nengo.Ensemble(n, 1, neuron_type=kind, gain=one, bias=one)


NETWORKS = {
    "dense": dense,
    "sparse rows": sparse_rows,
    "convolution": convolution,
    "convolution, strides": lambda rng: convolution(rng, strides=(2, 2)),
    "convolution, pop16": lambda rng: convolution(rng, pop_type=16),
    "convolution, channels first": lambda rng: convolution(rng, channels_last=False),
}


def parts(model):
    """Return all that the builder makes of blocks, as arrays and plain values."""
    blocks, found = list(model.blocks), []
    place = {id(s): (i, j) for i, block in enumerate(blocks) for j, s in enumerate(block.synapses)}
    for block in [*blocks, *model.inputs]:
        for axon in block.axons:
            target = place[id(axon.target)]
            found += [axon.label, axon.n_axons, target, axon.compartment_map, axon.compartment_atoms]
    for block in blocks:
        found += [block.label, *(getattr(block.compartment, name) for name in COMPARTMENT)]
        for s in block.synapses:
            found += [s.label, s.n_axons, s.pop_type, s.bits(), s.learning, dict(vars(s.synapse_cfg))]
            found += [s.axon_to_weight_map, s.axon_compartment_bases, *s.weights, *s.indices]
    for probe in model.probes:
        found += [*probe.slice, *probe.weights, probe.reindexing]
    return found


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_blocks_are_those_nengo_loihi_builds(network):
    models = []
    for ours in (False, True):
        models.append(loihi.builder.Model(dt=0.001))
        net = network(np.random.default_rng(0))
        for i, thing in enumerate([*net.all_ensembles, *net.all_connections]):
            thing.label = str(i)
        with loihi_arrays.installed() if ours else pytest.MonkeyPatch.context():
            models[-1].build(net)
    theirs, ours = map(parts, models)
    assert len(models[0].blocks) > len(net.all_ensembles)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert type(mine) is type(other)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == other.dtype
        assert np.array_equal(mine, other)


def test_axons_are_checked_as_nengo_loihi_arrays_them():
    from nengo_loihi.builder.validate import validate_axon

    synapse = loihi.block.Synapse(2)
    synapse.set_population_weights(np.ones((2, 3, 4)), None, [0, 1], [0, 0], pop_type=32)
    axon = loihi.block.Axon(2)
    axon.target = synapse
    axon.set_compartment_axon_map(np.array([0, 1, -1]))
    for atoms in ([0, 2, 1], [0, 3, 0], [-1, 0, 0]):
        axon.compartment_atoms = np.array(atoms)
        right = max(atoms) < 3 and min(atoms) >= 0
        for check in (validate_axon, loihi_arrays.validate_axon):
            if right:
                check(axon)
                continue
            with pytest.raises(AssertionError):
                check(axon)
