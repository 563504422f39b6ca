"""Make the conformance vectors: small networks with every state of every step, for anybody's implementation.

    python tools/make_vectors.py         writes tests/conformance/vectors/*.h5, kept under version control

Each file is HDF5 and says all there is to know; `tests/conformance/vectors/README.md` explains it. The states
come from nengo-loihi's emulator, one step at a time; for delays, which it lacks, from our oracle
(`neurodeploy.kernels.reference`).
"""

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from neurodeploy.backends.adapter import nengo_loihi_module
from neurodeploy.ir import ops
from neurodeploy.ir.dynamics import membrane
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.kernels import reference
from neurodeploy.numerics.neurons import Compartments
from neurodeploy.program import Block, Population, Program, Synapses
from neurodeploy.targets import target

loihi = nengo_loihi_module()
FOLDER = Path(__file__).resolve().parent.parent / "tests" / "conformance" / "vectors"
FORMAT = "neurodeploy conformance vector 1"
STEPS = 60
COMPARTMENT = ("decay_u", "decay_v", "vth", "bias", "refract")


@dataclass
class Case:
    """A network: blocks of compartments, single synapses, spikes from outside.

    Neurons are numbered through all blocks; inputs have numbers of their own.
    """

    what: str
    sizes: list
    compartments: dict
    inputs: int = 6
    synapses: list = field(default_factory=list)  # (from outside, source, target, weight)
    spikes: list = field(default_factory=list)  # (step, input), an input may occur more than once
    bounds: tuple = (-(2**23) + 1, 2**23 - 1)
    noise: dict = field(default_factory=dict)  # exponent, offset, at_membrane, enabled
    learning: dict = field(default_factory=dict)
    seed: int = 0
    delays: list = field(default_factory=list)  # of every synapse; 1 where the list is empty


def connect(rng, sources, targets, weights, *, outside, density=1.0):
    """List synapses from some neurons to others."""
    return [
        (outside, int(s), int(t), int(rng.choice(weights)))
        for s in sources for t in targets if rng.random() < density
    ]  # fmt: skip


def uniform(n, **values):
    """Compartments that are alike but where a list is given."""
    base = {"decay_u": 4094, "decay_v": 0, "vth": 200 * 64, "bias": 0, "refract": 1} | values
    return {k: np.resize(np.asarray(v, np.int32), n) for k, v in base.items()}


def random_spikes(rng, inputs, rate, times=1):
    """Spikes at random, each input up to `times` times a step."""
    drawn = rng.random((STEPS, inputs, times)) < rate
    return [(int(t), int(i)) for t, i, _ in np.argwhere(drawn)]


MANTISSA = np.arange(-127, 128) << 7


def cases():
    """Yield all cases by name."""
    rng = np.random.default_rng(20)

    def wired(what, n, weights, rate=0.3, back=0.2, times=1, **options):
        synapses = connect(rng, range(6), range(n), weights, outside=True)
        synapses += connect(rng, range(n), range(n), weights, outside=False, density=back)
        return Case(what, [n], synapses=synapses, spikes=random_spikes(rng, 6, rate, times), **options)

    bias = rng.integers(-500, 1500, 12)
    yield "integrate", wired("no decay but of the current", 12, MANTISSA, compartments=uniform(12, bias=bias))
    decays = {"decay_u": rng.integers(0, 4096, 12), "decay_v": rng.integers(0, 4096, 12)}
    yield "decay", wired("any decays, both signs", 12, MANTISSA << 2, compartments=uniform(12, **decays))
    yield "refractory", wired(
        "refractory periods of 1 to 64 steps", 8, np.arange(0, 127) << 7,
        compartments=uniform(8, refract=[1, 2, 3, 5, 8, 16, 32, 64], decay_v=100),
    )  # fmt: skip
    yield "bounds", wired(
        "membranes held between bounds", 8, MANTISSA << 3, compartments=uniform(8, vth=6000 * 64),
        bounds=(-(2**14) + 1, 2**17 - 1),
    )  # fmt: skip
    yield (
        "input-wraps",
        wired(
            "more than 21 bits of input", 6, np.arange(-127, 128) << 14, compartments=uniform(6, vth=2**22)
        ),
    )
    yield "current-wraps", wired(
        "more than 23 bits of current", 6, np.arange(1, 128) << 13, rate=0.8,
        compartments=uniform(6, decay_u=3, vth=2**22),
    )  # fmt: skip
    yield "bias-wraps", wired(
        "more than 23 bits of current plus bias", 6, np.arange(1, 128) << 12, rate=0.8,
        compartments=uniform(6, decay_u=40, vth=2**22, bias=[2**22, -(2**22), 2**23 - 1, 0, 5, -5]),
    )  # fmt: skip
    yield "floor-of-int32", wired(
        "a lower bound of -2**31 + 1", 6, np.arange(-127, 10) << 14,
        compartments=uniform(6, vth=2**22, bias=-(2**22)), bounds=(-(2**31) + 1, 2**23 - 1),
    )  # fmt: skip
    yield (
        "repeated-input",
        wired("an input several times in a step", 8, MANTISSA, times=3, compartments=uniform(8)),
    )
    for name, where in (("noise-at-input", 0), ("noise-at-membrane", 1)):
        yield name, wired(
            "noise of half the neurons, with an offset", 10, MANTISSA,
            compartments=uniform(10, decay_v=200), seed=3,
            noise={"exponent": 11, "offset": 2, "at_membrane": where, "enabled": [1, 0]},
        )  # fmt: skip
    yield "learning", learning(rng)


def learning(rng):
    """Two blocks; the second, of two pairs, gets synapses that learn from the first."""
    first = uniform(8, bias=[3000, 5000, 8000, 9000])
    second = uniform(4, decay_u=3500, decay_v=4095, vth=2**22)
    errors = np.clip(np.rint(rng.normal(size=(STEPS, 2)) * 60), -127, 127).astype(np.int32)
    return Case(
        "PES of two dimensions: traces, errors, stochastic rounding",
        [8, 4],
        {k: np.concatenate([first[k], second[k]]) for k in COMPARTMENT},
        synapses=connect(rng, range(6), range(8), MANTISSA, outside=True),
        spikes=random_spikes(rng, 6, 0.2),
        learning={"weight": np.asarray(rng.choice(MANTISSA << 4, (8, 4)), np.int32), "errors": errors,
                  "tau": 5, "gain": 40 + 17 / 128, "exponent": 4},
        seed=5,
    )  # fmt: skip


# --- the network in nengo-loihi's structures ----------------------------------------------------------------


def model_of(case):
    """Build the case as a model of nengo-loihi."""
    model, ends = loihi.builder.Model(dt=0.001), np.cumsum([0, *case.sizes])
    blocks = []
    for size, start in zip(case.sizes, ends, strict=False):
        block = loihi.block.LoihiBlock(size)
        c = block.compartment
        for name in COMPARTMENT:
            values = case.compartments[name][start : start + size].astype(np.int32)
            setattr(c, "refract_delay" if name == "refract" else name, values)
        c.vmin, c.vmax = (float(b) for b in case.bounds)
        c.scale_u = c.scale_v = False
        if case.noise:
            c.enable_noise = np.resize(np.asarray(case.noise["enabled"], bool), size)
            c.noise_exp, c.noise_offset = case.noise["exponent"], case.noise["offset"]
            c.noise_at_membrane = case.noise["at_membrane"]
        model.add_block(block)
        blocks.append(block)
    source = loihi.inputs.SpikeInput(case.inputs)
    model.add_input(source)
    wire(case, source, case.inputs, blocks, ends, outside=True)
    for k, block in enumerate(blocks):
        wire(case, block, case.sizes[k], blocks, ends, outside=False, first=int(ends[k]))
    if case.learning:
        learn(case, blocks)
    return model, source


def wire(case, source, n, blocks, ends, *, outside, first=0):
    """Add the synapses from one source to every block."""
    for block, start in zip(blocks, ends, strict=False):
        rows = [[] for _ in range(n)]
        for from_outside, s, t, weight in case.synapses:
            if from_outside == outside and 0 <= s - first < n and start <= t < start + block.n_neurons:
                rows[s - first].append((t - start, weight))
        if any(rows):
            synapse = loihi.block.Synapse(n)
            weights = [np.array([[w for _, w in row]], np.int32).reshape(1, -1) for row in rows]
            indices = [np.array([[i for i, _ in row]], np.int32).reshape(1, -1) for row in rows]
            synapse._set_weights_indices(weights, indices, weight_dtype=np.int32, compression=3)
            attach(source, synapse, n)
            block.add_synapse(synapse)


def attach(source, synapse, n):
    """Send a source's spikes to a synapse, neuron i to axon i."""
    axon = loihi.block.Axon(n)
    axon.target = synapse
    source.add_axon(axon)


def learn(case, blocks):
    """Add synapses that learn, from the first block to the last."""
    given = case.learning
    synapse = loihi.block.Synapse(case.sizes[0])
    synapse._set_weights_indices(list(given["weight"][:, None].copy()), weight_dtype=np.int32, compression=3)
    synapse.set_learning(tracing_tau=given["tau"], tracing_mag=given["gain"], wgt_exp=given["exponent"])
    synapse.format(weight_exp=given["exponent"])
    synapse.learning_rate, synapse._lr_int, synapse._lr_exp = 2.0**-7, 1, -7
    attach(blocks[0], synapse, case.sizes[0])
    blocks[-1].add_synapse(synapse)


# --- states and files ---------------------------------------------------------------------------------------


def run(case):
    """Step nengo-loihi's emulator and keep everything."""
    model, source = model_of(case)
    emulator = loihi.emulator.EmulatorInterface(model, seed=case.seed)
    emulator.compartment.error = lambda message: None  # overflow is what some cases are about
    for step in range(STEPS):
        idxs = [i for t, i in case.spikes if t == step]
        if idxs:
            source.add_spikes(step + 1, np.array(idxs))
    learned = [s for block in model.blocks for s in block.synapses if s.learning]
    kept = {name: [] for name in ("u", "v", "wait", "spiked", "trace", "weight")}
    for step in range(STEPS):
        if learned:
            emulator.synapses.pes_errors[learned[0]][:] = case.learning["errors"][step]
        emulator.step()
        c = emulator.compartment
        states = {"u": c.current, "v": c.voltage, "wait": c.ref_count, "spiked": c.spiked}
        if learned:
            states["trace"] = emulator.synapses.traces[learned[0]]
            states["weight"] = np.concatenate(learned[0].weights)
        for name, values in states.items():
            kept[name].append(np.array(values))
    return {name: np.stack(values) for name, values in kept.items() if values}


def write(name, case, states, oracle):
    """Write one vector; files are equal byte for byte when they are made again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with h5py.File(FOLDER / f"{name}.h5", "w", libver=("earliest", "v108"), track_order=False) as file:
        file.attrs["format"] = FORMAT
        file.attrs["what"] = case.what
        file.attrs["oracle"] = oracle
        file.attrs["steps"], file.attrs["inputs"], file.attrs["seed"] = STEPS, case.inputs, case.seed
        file.attrs["vmin"], file.attrs["vmax"] = case.bounds
        put(file, "blocks", np.array(case.sizes, np.int32))
        for key in COMPARTMENT:
            put(file, f"compartments/{key}", case.compartments[key].astype(np.int32))
        columns = zip(*case.synapses, strict=True)
        for key, column in zip(("from_outside", "source", "target", "weight"), columns, strict=False):
            put(file, f"synapses/{key}", np.array(column, np.int32))
        delays = case.delays if len(case.delays) else np.ones(len(case.synapses))
        put(file, "synapses/delay", np.asarray(delays, np.int32))
        put(file, "spikes", np.array(case.spikes, np.int32).reshape(-1, 2))
        for group in ("noise", "learning"):
            for key, value in getattr(case, group).items():
                put(file, f"{group}/{key}", np.asarray(value))
        for key, values in states.items():
            put(file, f"states/{key}", values.astype(np.uint8 if key == "spiked" else np.int32))


def put(file, path, values):
    """Write an array, compressed."""
    packed = {"compression": "gzip", "shuffle": True} if values.nbytes > 2048 else {}
    file.create_dataset(path, data=values, track_times=False, **packed)


def delayed():
    """Make the case with delays, which nengo-loihi lacks, with the states of our oracle."""
    rng = np.random.default_rng(21)
    synapses = connect(rng, range(6), range(8), MANTISSA, outside=True)
    synapses += connect(rng, range(8), range(8), MANTISSA, outside=False, density=0.3)
    case = Case(
        "spikes that arrive 1 to 4 steps later", [8], uniform(8, decay_u=3000), synapses=synapses,
        spikes=random_spikes(rng, 6, 0.3), delays=rng.integers(1, 5, len(synapses)),
    )  # fmt: skip
    train = np.zeros((1, STEPS, case.inputs), bool)
    train[0][tuple(np.transpose(case.spikes))] = True
    trace, _ = reference.run(program_of(case), train, steps=STEPS, batch=1)
    states = {name: getattr(trace, name)[0, :, case.inputs :] for name in ("u", "v", "wait", "spiked")}
    return case, states


def program_of(case):
    """Build a case of one block as a program."""
    neuron = ops.IF(r=np.array(1e3), v_threshold=np.array(1.0))
    n = case.sizes[0]
    nodes = (Node("x", ops.Input((case.inputs,))), Node("in", neuron), Node("out", neuron),
             Node("y", ops.Output((n,))))  # fmt: skip
    graph = Graph(nodes, (("x", "in"), ("in", "out"), ("out", "y")))
    populations = tuple(
        Population(name, name, (size,), membrane(neuron, 1e-3), np.zeros(size), on_chip=name == "out")
        for name, size in (("in", case.inputs), ("out", n))
    )
    lines = np.column_stack([case.synapses, case.delays])
    fed = []
    for outside, name, size in ((1, "in", case.inputs), (0, "out", n)):
        for delay in np.unique(lines[:, 4]):
            mine = lines[(lines[:, 0] == outside) & (lines[:, 4] == delay)]
            mine = mine[np.argsort(mine[:, 1], kind="stable")]
            start = np.concatenate([[0], np.cumsum(np.bincount(mine[:, 1], minlength=size))])
            ids = np.arange(size, dtype=np.int32)
            zero = np.zeros(size, np.int32)
            index, weight = mine[:, 2].astype(np.int32), mine[:, 3].astype(np.int32)
            fed.append(Synapses(name, ids, zero, ids, zero, start, index, weight, delay=int(delay)))
    compartments = Compartments(**case.compartments, vmin=case.bounds[0], vmax=case.bounds[1])
    block = Block("out[0]", "out", "out", np.arange(n, dtype=np.int32), compartments, tuple(fed))
    return Program(graph, target("loihi1"), populations, (), (block,), (0,))


def main():
    """Write all vectors."""
    for name, case in cases():
        write(name, case, run(case), f"nengo-loihi {loihi.__version__} emulator")
        print(f"{name}: {case.what}")
    case, states = delayed()
    write("delays", case, states, "neurodeploy reference")
    print(f"delays: {case.what}")


if __name__ == "__main__":
    main()
