"""Time our emulator against nengo-loihi's and against float simulators, side by side in one run.

    python tools/bench_emulator.py                       all networks, results to tools/results/
    python tools/bench_emulator.py --only dense --repeat 9

Every repetition times both emulators one after the other on the same blocks and the same input spikes, and
compares their spikes; what counts is the ratio within a repetition, because other work on the machine comes
and goes. Ours runs a batch on all cores, and one sample alone on one core; nengo-loihi's and Nengo's know no
batches.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import time
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np

import neurodeploy as nd
from neurodeploy.backends import run_on_host
from neurodeploy.backends.adapter import nengo_loihi_module, nengo_module
from neurodeploy.backends.board import image_of, model_of
from neurodeploy.backends.chip import Chip
from neurodeploy.backends.feed import encoder_rates
from neurodeploy.backends.loihi_model import translate
from neurodeploy.ir import ops
from neurodeploy.ir.graph import Graph, Node
from neurodeploy.kernels import compiled
from neurodeploy.kernels.build import cores
from neurodeploy.kernels.circuit import circuit_of
from neurodeploy.kernels.layout import lay_out
from neurodeploy.numerics.coding import rate_spikes

RESULTS = Path(__file__).resolve().parent / "results" / "bench_emulator.json"
STEPS = 100


# --- networks -----------------------------------------------------------------------------------------------


def sequential(shape, layers, *, name, seed=0):
    """Make a rate network with random weights, scaled as He et al. (2015) do."""
    rng = np.random.default_rng(seed)
    nodes, here = [Node("input", ops.Input(shape))], shape
    for i, layer in enumerate(layers):
        if layer[0] == "conv":
            _, channels, size, stride = layer
            weight = rng.normal(size=(channels, here[0], size, size)) * np.sqrt(2 / (here[0] * size * size))
            op = ops.Conv2d(weight, np.zeros(channels), stride=(stride, stride))
        else:
            if len(here) > 1:
                nodes.append(Node(f"flat{i}", ops.Flatten()))
                here = (int(np.prod(here)),)
            op = ops.Affine(rng.normal(size=(layer[1], here[0])) * np.sqrt(2 / here[0]), np.zeros(layer[1]))
        nodes.append(Node(f"layer{i}", op))
        here = op.out_shape(here)
        if i < len(layers) - 1:
            nodes.append(Node(f"layer{i}.relu", ops.ReLU(), origin=f"layer{i}"))
    nodes.append(Node("output", ops.Output(here)))
    return Graph(tuple(nodes), tuple(pairwise(n.name for n in nodes)), name=name)


def digits(count, rng):
    """Return 28x28 digits: MNIST's where `NEURODEPLOY_DATA` has them, otherwise scikit-learn's, enlarged."""
    root = Path(__file__).resolve().parent.parent
    for folder in filter(None, (os.environ.get("NEURODEPLOY_DATA"), str(root.parent / "shared" / "data"))):
        file = Path(folder) / "mnist.npz"
        if file.is_file():
            x = np.load(file)["x_test"] / 255
            return x[rng.integers(0, len(x), count)][:, None], "MNIST test images"
    from sklearn.datasets import load_digits

    x = np.kron(load_digits().images / 16, np.ones((1, 3, 3)))
    return np.pad(x, ((0, 0), (2, 2), (2, 2)))[rng.integers(0, len(x), count)][:, None], "scikit-learn digits"


def smooth(count, rng):
    """Return 3x32x32 images of smooth noise, 0 to 1."""
    coarse = rng.random((count, 3, 8, 8))
    x = np.kron(coarse, np.ones((1, 1, 4, 4)))
    return (x + np.roll(x, 2, axis=2) + np.roll(x, 2, axis=3)) / 3, "smooth noise"


DENSE = [("dense", 256), ("dense", 128), ("dense", 10)]
CONV = [("conv", 16, 3, 2), ("conv", 32, 3, 2), ("conv", 64, 3, 1), ("dense", 10)]
DEEP = [("conv", 16, 3, 2), ("conv", 32, 3, 2), ("conv", 64, 3, 1), ("conv", 64, 3, 2), ("dense", 10)]
FEEDFORWARD = {
    "dense 784-256-128-10": ((1, 28, 28), DENSE, digits),
    "conv 28x28x1": ((1, 28, 28), CONV, digits),
    "deep conv 32x32x3": ((3, 32, 32), DEEP, smooth),
}


def recurrent(n=4096, density=0.02, seed=0):
    """Make neurons that drive each other at random, as a discretised model of nengo-loihi."""
    nengo, loihi = nengo_module(), nengo_loihi_module()
    from scipy.sparse import random as random_sparse

    rng = np.random.default_rng(seed)
    weights = random_sparse(n, n, density, random_state=rng, data_rvs=lambda k: rng.normal(size=k) * 4e-3)
    with nengo.Network(seed=seed) as net:
        kind = loihi.LoihiLIF(initial_state=at_zero(nengo))
        pool = nengo.Ensemble(n, 1, neuron_type=kind, gain=np.ones(n), bias=rng.uniform(0.9, 2.0, n))
        transform = nengo.Sparse((n, n), init=weights.tocoo())
        nengo.Connection(pool.neurons, pool.neurons, transform=transform, synapse=0.01)
    model = loihi.builder.Model(dt=1e-3)
    model.build(net)
    return model, []


def pes(n=900, dimensions=3, seed=0):
    """Make a learned connection, as a discretised model of nengo-loihi with a constant error."""
    nengo, loihi = nengo_module(), nengo_loihi_module()
    with nengo.Network(seed=seed) as net:
        kind = loihi.LoihiLIF(initial_state=at_zero(nengo))
        pre = nengo.Ensemble(n, dimensions, neuron_type=kind)
        post, error = (nengo.Node(lambda t, x: x, size_in=dimensions) for _ in range(2))
        learned = nengo.Connection(
            pre, post, function=lambda x: np.zeros(dimensions), learning_rule_type=nengo.PES(1e-4)
        )
        nengo.Connection(post, error)
        nengo.Connection(error, learned.learning_rule)
    model = loihi.builder.Model(dt=1e-3)
    model.build(net)
    (synapse,) = [s for block in model.blocks for s in block.synapses if s.learning]
    return model, [(synapse, 1, np.linspace(-0.5, 0.5, dimensions))]


def at_zero(nengo):
    """Let neurons start at rest, as on the chip."""
    return {"voltage": nengo.dists.Choice([0]), "refractory_time": nengo.dists.Choice([0])}


MODELS = {"recurrent 4096 at 2 %": recurrent, "PES 900 x 3": pes}


# --- timing -------------------------------------------------------------------------------------------------


def seconds_of(run, *arguments, **options):
    """Time a call once; return its result too."""
    start = time.perf_counter()
    result = run(*arguments, **options)
    return time.perf_counter() - start, result


def spread(values):
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def feedforward(shape, layers, images, options):
    """Time one compiled network on both emulators."""
    rng = np.random.default_rng(1)
    graph = sequential(shape, layers, name="bench")
    calibration, _ = images(128, rng)
    spiking = nd.convert(graph, calibration=calibration, steps=STEPS)
    program = nd.compile(spiking).raise_for_errors()
    ours_build, layout = seconds_of(lambda: lay_out(circuit_of(program)))
    image = image_of(program)
    theirs_build, model = seconds_of(model_of, image)
    x, source = images(options.batch, rng)
    rates = np.clip(encoder_rates(program, spiking.prepare(x)), 0, 1)
    train = rate_spikes(rates[: options.repeat], steps=STEPS).swapaxes(0, 1)
    compiled.make_ready(layout)
    inside = int(layout.outside)
    rounds = []
    for k in range(options.repeat):
        run_on_host.load_train(model, train[k])
        with run_on_host.open_emulator(model) as emulator:
            theirs, _ = seconds_of(emulator.run_steps, STEPS)
            their_spikes = emulator.compartment.spike_count.sum()
        batch = compiled.at_rest(layout, options.batch)
        ours, figures = seconds_of(compiled.advance, layout, batch, steps=STEPS, rates=rates)
        one = compiled.at_rest(layout, 1)
        alone, _ = seconds_of(compiled.advance, layout, one, steps=STEPS, rates=rates[k : k + 1])
        assert figures.spikes[k, 1 if inside else 0 :].sum() == their_spikes, "the emulators differ"
        rounds.append((theirs, ours / options.batch, alone))
    return summary(rounds, figures, layout, builds=(theirs_build, ours_build)) | {
        "input": source,
        "others": others(spiking, x, rates, options),
    }


def of_model(make, options):
    """Time one model of nengo-loihi on both emulators."""
    loihi = nengo_loihi_module()
    model, errors = make()
    (_, (theirs_model, their_errors)) = seconds_of(make)
    ours_build, layout = seconds_of(lambda: lay_out(translate(model).circuit))
    compiled.make_ready(layout)
    rounds = []
    size = max(1, options.batch // 32)
    error = np.zeros((size, int(layout.learning[:, 2].sum()) // 2), np.int32)
    for k in range(options.repeat):
        emulator = loihi.emulator.EmulatorInterface(theirs_model, seed=k)
        emulator.host2chip([], their_errors)
        theirs, _ = seconds_of(emulator.run_steps, STEPS)
        if their_errors:  # learning goes on where it was left, in both
            theirs_model, their_errors = make()
        batch = compiled.at_rest(layout, size, seeds=[k] * size)
        if errors:
            chip = Chip(model, seed=k)
            chip.host2chip([], errors)
            error[:] = chip.errors
        ours, figures = seconds_of(compiled.advance, layout, batch, steps=STEPS, errors=error)
        one = compiled.at_rest(layout, 1, seeds=[k])
        alone, _ = seconds_of(compiled.advance, layout, one, steps=STEPS, errors=error[:1])
        assert figures.spikes[0].sum() == emulator.compartment.spike_count.sum(), "the emulators differ"
        rounds.append((theirs, ours / size, alone))
    return summary(rounds, figures, layout, builds=(None, ours_build)) | {"others": {}}


def summary(rounds, figures, layout, *, builds):
    """Bring the times of all rounds into figures."""
    theirs, ours, alone = (list(column) for column in zip(*rounds, strict=True))
    synops = float(figures.synops.sum(axis=1).mean())
    return {
        "neurons": int(layout.groups[:, 1].sum()),
        "spikes_per_sample": float(figures.spikes.sum(axis=1).mean()),
        "synops_per_sample": synops,
        "samples_per_second": {
            "nengo-loihi": 1 / statistics.median(theirs),
            "ours": 1 / statistics.median(ours),
        },
        "synops_per_second": synops / statistics.median(ours),
        "microseconds_per_step_at_batch_1": spread([a / STEPS * 1e6 for a in alone]),
        "times_nengo_loihi": spread([a / b for a, b in zip(theirs, ours, strict=True)]),
        "times_nengo_loihi_at_batch_1": spread([a / b for a, b in zip(theirs, alone, strict=True)]),
        "build_seconds": {"nengo-loihi": builds[0], "ours": builds[1]},
        "weight_bytes": layout.nbytes,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


# --- float simulators ---------------------------------------------------------------------------------------


def others(spiking, x, rates, options):
    """Time float simulators of the same spiking network, in samples per second."""
    found = {}
    counts = {"nengo": 2, "nengo-dl": 64}
    for name in options.others:
        if name in counts:
            few = x[: counts[name]]
            recording = nd.run(spiking, few, backend=name)
            found[name] = len(few) / recording.seconds
        elif name == "torch" and find_spec("torch"):
            found[name] = torch_samples_per_second(spiking, rates[:1000])
    return found


def torch_samples_per_second(spiking, rates):
    """Time a plain batched simulation in float32: a weight product and a threshold per layer and step."""
    import torch

    train = torch.from_numpy(rate_spikes(rates, steps=STEPS).astype(np.float32))
    layers = []
    for node in spiking.nodes:
        if isinstance(node.op, ops.Affine | ops.Conv2d):
            weight, bias = (torch.from_numpy(a.astype(np.float32)) for a in (node.op.weight, node.op.bias))
            layers.append((node.op, weight, bias))
    shape = spiking.shapes[spiking.input.name]

    def run():
        membranes = [0.0] * len(layers)
        for spikes in train.reshape(STEPS, len(rates), *shape):
            for i, (op, weight, bias) in enumerate(layers):
                if isinstance(op, ops.Conv2d):
                    drive = torch.nn.functional.conv2d(spikes, weight, bias, op.stride, op.padding)
                else:
                    drive = torch.nn.functional.linear(spikes.flatten(1), weight, bias)
                v = membranes[i] + drive
                spikes = (v > 1).float()
                membranes[i] = v * (1 - spikes)

    with torch.no_grad():
        run()
        return len(rates) / min(seconds_of(run)[0] for _ in range(2))


def main():
    """Run the benchmark and write its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="networks whose name contains this")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--batch", type=int, default=2000)
    parser.add_argument("--others", nargs="*", default=["nengo", "torch"], help="of nengo, nengo-dl, torch")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = {}
    for name, network in FEEDFORWARD.items():
        if not options.only or options.only in name:
            results[name] = feedforward(*network, options)
            show(name, results[name])
    for name, make in MODELS.items():
        if not options.only or options.only in name:
            results[name] = of_model(make, options)
            show(name, results[name])
    entry = {
        "command": "python tools/bench_emulator.py",
        "machine": f"{cpu_name()}, {cores()} cores, load {os.getloadavg()[0]:.1f}",
        "versions": {n: version(n) for n in ("numpy", "numba", "nengo", "nengo-loihi")},
        "steps": STEPS,
        "batch": options.batch,
        "networks": results,
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(entry, indent=2) + "\n")


def cpu_name():
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def show(name, result):
    """Print the main figures of one network."""
    rate, times, alone = (
        result[k] for k in ("samples_per_second", "times_nengo_loihi", "times_nengo_loihi_at_batch_1")
    )
    figures = [
        f"{name}: {rate['ours']:.0f} samples/s, {result['synops_per_second']:.2e} synops/s",
        f"nengo-loihi {rate['nengo-loihi']:.2f} samples/s, {named(times)}",
        f"batch 1 {named(alone)}, {result['microseconds_per_step_at_batch_1']['median']:.2f} us/step",
        *(f"{k} {v:.0f} samples/s" for k, v in result["others"].items()),
    ]
    print("; ".join(figures), flush=True)


def named(times):
    """Write a spread."""
    return f"{times['median']:.0f} times ({times['min']:.0f} to {times['max']:.0f})"


if __name__ == "__main__":
    main()
